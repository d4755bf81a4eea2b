"""The order in which reasons.py says that a sweep asks, against the code that asks.

For each code a VM (or disk) is built that every question from this one on speaks against; the answer has to be this one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from vm_lifecycle.apply import Chain, apply
from vm_lifecycle.disks import Attachment, FileIdentity, Image, Storage, Volume, VolumeVerdict
from vm_lifecycle.policy.storage import Usage, still_unused, verdicts
from vm_lifecycle.reasons import DISK_LAST, DISK_PLAN, GATE, TURN
from vm_lifecycle.removal import REMOVAL
from vm_lifecycle.run import run
from vm_lifecycle.tasks.cleanup import TASK
from vm_lifecycle.times import iso

from tests.fakes.build import HOUR, NOW, PERSISTENCE, build, uuid_of
from tests.fakes.world import Machine, ports

World = dict[str, Any]
CI, UUID = "ci-1", uuid_of(1)
OTHER = uuid_of(9)


def due() -> World:
    """A host on which the VM ci-1 goes: {domains, files, pools, store, configuration, call}."""
    return {
        "domains": [
            {
                "name": CI, "uuid": 1, "state": "shutoff", "declared": {"mode": "temporary", "ttl_hours": 4},
                "files": ["/pool/ci-1.qcow2"],
            }
        ],
        "files": {"/pool/ci-1.qcow2": {}},
        "pools": [{}],
        "store": {"records": {}, "schedules": {}, "plans": {}, "undo": {}},
        "configuration": {"cleanup": {"cleanup_window_start": "02:00", "cleanup_window_end": "04:00"}},
        "refuse": {}, "problems": [], "clock": {}, "pressure": {}, "call": {},
    }  # fmt: skip


def vm(world: World) -> World:
    """The VM in question."""
    found: World = next(domain for domain in world["domains"] if domain["name"] == CI)
    return found


def declared(world: World, **values: Any) -> None:
    """Declare the VM otherwise."""
    vm(world)["declared"].update(values)


def carries(world: World, text: str | None) -> None:
    """The VM carries this text, whatever was declared."""
    vm(world).pop("declared", None)
    vm(world)["metadata"] = text


def policy(world: World, **values: Any) -> None:
    """Options of the host."""
    world["configuration"]["cleanup"].update(values)


def remembered(world: World, revision: int, uuid: str = UUID, name: str = CI) -> None:
    """The store knows another declaration of a VM than the VM carries."""
    vm(world)["recorded"] = False
    document = {
        "persistence": {**PERSISTENCE, "created_at_unix": NOW},
        "revision": revision,
        "vm_id": uuid,
        "version": 1,
    }
    world["store"]["records"][uuid] = {
        "uuid": uuid, "name": name, "revision": revision, "digest": "another", "document": document,
        "power_state": "shutoff", "last_state_change": NOW,
    }  # fmt: skip


def attempts(world: World, count: int) -> None:
    """So many attempts failed, the last one just now."""
    world["store"]["schedules"][UUID] = {
        "vm_name": CI, "vm_id": UUID, "mode": "temporary", "created_at": iso(NOW - 10 * HOUR), "ttl_hours": 4,
        "scheduled_cleanup_at": iso(NOW - 6 * HOUR), "cleanup_status": "pending", "cleanup_attempts": count,
        "last_cleanup_attempt": iso(NOW - 10), "cleanup_error": "effect_failed: refused",
    }  # fmt: skip


def lose_metadata(world: World) -> None:
    """Three other VMs are bare all at once."""
    recorded = vm(world).get("recorded", True)
    for number in (11, 12, 13):
        world["domains"].append({"name": f"bare-{number}", "uuid": number, "state": "shutoff"})
        remembered(world, 1, uuid_of(number), f"bare-{number}")
    vm(world)["recorded"] = recorded


def share_disk(world: World) -> None:
    """A VM that is due as well, and goes first, has one of the disks."""
    vm(world)["files"].append("/pool/shared.qcow2")
    first = {"name": "a", "uuid": 9, "state": "shutoff", "declared": {"mode": "temporary", "ttl_hours": 4}}
    world["domains"].insert(0, {**first, "files": ["/pool/shared.qcow2"]})


def confirm_another(world: World) -> None:
    """The plan that is confirmed saw the VM otherwise."""
    seen = {"uuid": UUID, "name": CI, "digest": "another", "confirmed_unix": 0}
    world["store"]["plans"]["p"] = {"plan_id": "p", "digest": "d", "created_unix": NOW - 60, "vms": [seen]}
    world["call"] = {"state": "confirmed", "plan_id": "p"}


def insane(world: World) -> None:
    """The clock went on by an hour while the host ran for ten seconds."""
    world["clock"]["synchronised"] = False
    memory = {"high_water": NOW - 3600.0, "boottime": 4990.0, "boot_id": "boot", "suspect_since": None}
    world["store"]["clock"] = memory


def inherit(world: World) -> None:
    """Another VM had the UUID, and can be brought back."""
    world["store"]["undo"][UUID] = {
        "uuid": UUID, "name": "earlier", "removed_unix": NOW - HOUR, "until_unix": NOW + HOUR, "digest": "another",
        "saved": {"xml": "<domain/>", "snapshots": [], "autostart": False}, "document": {"revision": 1}, "volumes": [],
        "schedule": {}, "sharers": {},
    }  # fmt: skip


GATE_FAULTS: dict[str, Callable[[World], object]] = {
    "transient": lambda world: vm(world).update(persistent=False),
    "metadata_unreadable": lambda world: vm(world).update(metadata_error="libvirt says no"),
    "not_managed": lambda world: carries(world, None),
    "metadata_not_json": lambda world: carries(world, "{"),
    "metadata_newer": lambda world: carries(world, '{"version": 99}'),
    "metadata_invalid": lambda world: carries(world, '{"version": 1}'),
    "metadata_cloned": lambda world: (declared(world, vm_id=OTHER), vm(world).update(recorded=False)),
    "metadata_reverted": lambda world: remembered(world, 2),
    "metadata_edited": lambda world: remembered(world, 1),
    "permanent": lambda world: declared(world, mode="permanent"),
    "held": lambda world: declared(world, hold="deletion"),
    "not_expired": lambda world: declared(world, created=1),
    "auto_cleanup_off": lambda world: declared(world, auto_cleanup=False),
    "gave_up": lambda world: attempts(world, 5),
    "insane_clock": insane,
    "clock_unsynchronised": lambda world: (
        world["clock"].update(synchronised=False),
        policy(world, require_synchronised_clock=True),
    ),
    "cleanup_disabled": lambda world: policy(world, cleanup_enabled=False),
    "newly_seen": lambda world: vm(world).update(recorded=False),
    "backing_off": lambda world: attempts(world, 1),
    "not_notified": lambda world: policy(world, require_notice=True, alert_command=["tell"], notify_before_hours=1),
    "superseded": inherit,
    "metadata_lost": lose_metadata,
    "pools_lost": lambda world: world["store"].update(pools={"second": 0}),
    "storage_unreadable": lambda world: world["refuse"].update(storage="libvirt says no"),
    "pool_inactive": lambda world: world.update(pools=[{"active": False}]),
    "chain_unreadable": lambda world: world["files"].update({"/pool/damaged.qcow2": {"unreadable": "no image"}}),
    "storage_problem": lambda world: world.update(problems=["pool nfs: stale"]),
    "users_leave_first": share_disk,
    "dropped_out": confirm_another,
    "planned": lambda world: world["call"].update(state="planned"),
    "unconfirmed": lambda world: policy(world, require_confirmation=True),
    "over_cap": lambda world: (
        policy(world, max_removal_gib=1),
        world["files"].update({"/pool/ci-1.qcow2": {"size": 2**31}}),
    ),
    "outside_window": lambda world: policy(world, cleanup_window_start="10:00", cleanup_window_end="11:00"),
    "low_resources": lambda world: (
        policy(world, skip_on_low_resources=True),
        world["pressure"].update(cpu=99.0, io=99.0, memory=99.0),
    ),
    "dry_run_mode": lambda world: policy(world, dry_run_mode=True),
}
#: Faults that can't be there together with one that is asked earlier.
APART = {
    "storage_unreadable": ("pools_lost",),  # pools are missed when storage could be read
    "dropped_out": tuple(
        code for code in GATE_FAULTS if code != "dropped_out"
    ),  # a confirmed plan has its own VMs only
}
ASKED = [code for stage in GATE for code in stage.codes]


def gate_answer(codes: list[str]) -> str:
    """What a sweep says of the VM that all of these speak against. Strangers are only spoken of when they are named."""
    world = due()
    for code in reversed(codes):
        if codes[0] not in APART.get(code, ()):
            GATE_FAULTS[code](world)
    call = world.pop("call")
    if codes[0] in GATE[0].codes:
        call = {**call, "name": CI}
    rows = run(TASK, call, ports(Machine(build(world))), dry_run=True)["vms"]
    return str(next(row["reason"] for row in rows if row["name"] == CI))


@pytest.mark.parametrize("code", ASKED)
def test_the_gate_asks_in_this_order(code: str) -> None:
    """Every question of the gate, and no other."""
    assert gate_answer(ASKED[ASKED.index(code) :]) == code


def test_the_gate_has_no_other_question() -> None:
    """A VM against which nothing speaks goes, and each fault alone keeps it for its own reason."""
    assert sorted(GATE_FAULTS) == sorted(ASKED)
    rows = run(TASK, {}, ports(Machine(build({**due(), "call": None}))), dry_run=True)["vms"]
    assert [row["reason"] for row in rows] == ["expired"]
    assert {code: gate_answer([code]) for code in ASKED} == {code: code for code in ASKED}


@pytest.mark.parametrize(
    ("earlier", "later"), [("permanent", "held"), ("insane_clock", "newly_seen"), ("over_cap", "low_resources")]
)
def test_a_wrong_order_is_noticed(earlier: str, later: str) -> None:
    """Were the later one listed first, its case would be answered by the earlier one."""
    assert gate_answer([later, earlier]) == earlier


TURN_FAULTS: dict[str, Callable[[Machine], object]] = {
    "low_resources": lambda machine: machine.state["pressure"].update(cpu=99.0),
    "busy": lambda machine: machine.state["claims"].append(UUID),
    "insane_clock": lambda machine: machine.clock.update(now=machine.clock["now"] + 600, synchronised=False),
    "outside_window": lambda machine: machine.clock.update(
        now=machine.clock["now"] + 7200, boottime=machine.clock["boottime"] + 7200
    ),
    "changed_meanwhile": lambda machine: machine.named(CI).update(metadata="{}"),
    "store_unusable": lambda machine: machine.state["refuse"].update(write_intent="disk full"),
    "storage_unreadable": lambda machine: machine.state["files"].update(
        {"/pool/damaged.qcow2": {**machine.state["files"]["/pool/ci-1.qcow2"], "inode": 77, "unreadable": "no image"}}
    ),
    "effect_failed": lambda machine: machine.state["refuse"].update(undefine="libvirt says no"),
}


def turn(codes: list[str], state: str = "shutoff") -> Chain:
    """A removal when all of this comes up between the plan and its turn, in the second batch. state: the VM's."""
    world = due()
    vm(world)["state"] = state
    first = {"name": "a", "uuid": 9, "state": "shutoff", "declared": {"mode": "temporary", "ttl_hours": 4}}
    world["domains"].insert(0, first)
    policy(world, cleanup_batch_size=1, skip_on_low_resources=True)
    machine = Machine(build({**world, "call": None}))
    request = TASK.decode({}, ports(machine))
    observed = TASK.observe(request, ports(machine))
    plan = TASK.plan(request, observed)
    for code in reversed(codes):
        TURN_FAULTS[code](machine)
    memory = replace(observed.memory, high_water=float(NOW), boottime=5000.0, boot_id="boot")
    chains = apply(plan, ports(machine), memory, REMOVAL)
    return next(chain for chain in chains if chain.entry.name == CI)


def turn_answer(codes: list[str]) -> str:
    """Why the removal did not take place."""
    error = turn(codes).error
    return error.code if error else ""


@pytest.mark.parametrize("code", TURN.codes)
def test_a_turn_asks_in_this_order(code: str) -> None:
    """Every question that is asked once more."""
    assert turn_answer(list(TURN.codes[TURN.codes.index(code) :])) == code
    assert turn_answer([code]) == code


def test_a_vm_that_was_stopped_in_vain_fails() -> None:
    """Its storage can't be read any more: it waits if it was off, and fails if it was stopped for that."""
    assert turn(["storage_unreadable"]).waits
    assert not turn(["storage_unreadable"], "running").waits


FILE = FileIdentity(1, 10, 1024, 5)
PATH = "/pool/a.qcow2"
Parts = dict[str, Any]


def parts() -> Parts:
    """A disk that goes: what it is attached as, its volume, and what else the host has."""
    return {
        "use": {"role": "disk", "target": "vda"}, "identity": FILE, "volume": {"pool_type": "dir"}, "others": [],
        "volumes": [], "problems": (), "pools": ("default",), "inactive": (), "now": FILE,
    }  # fmt: skip


def other_use(given: Parts, role: str, path: str = PATH) -> None:
    """Another VM refers to the file."""
    image = Image(path, FILE if path == PATH else None)
    given["others"].append(Attachment("other", "other", role, image, "vdb"))


def build_on(given: Parts, error: str = "") -> None:
    """A further volume is built on the file, or can't be read."""
    chain = () if error else ((PATH, FILE),)
    image = Image(f"/pool/further{len(given['volumes'])}", FileIdentity(1, 20 + len(given["volumes"])), chain, error)
    given["volumes"].append(Volume("default", "dir", image.path.rsplit("/", 1)[1], image))


def storage(given: Parts, attached: bool) -> Storage:
    """The host's storage, with the VM in question or after it is gone."""
    own = Attachment("own", "own", image=Image(PATH, given["identity"]), **given["use"])
    mine = (
        [Volume("default", name="a.qcow2", image=Image(PATH, given["now"]), **given["volume"])]
        if given["volume"]
        else []
    )
    uses = ([own] if attached else []) + given["others"]
    return Storage((*mine, *given["volumes"]), tuple(uses), given["pools"], given["problems"], given["inactive"])


def linked(given: Parts) -> None:
    """The file has a second name."""
    given["identity"] = given["now"] = replace(FILE, links=2)


DISK_FAULTS: dict[str, Callable[[Parts], object]] = {
    "removable_medium": lambda given: given["use"].update(role="floppy"),
    "read_only": lambda given: given["use"].update(read_only=True),
    "shareable": lambda given: given["use"].update(shareable=True),
    "network_storage": lambda given: given["use"].update(kind="network"),
    "unsupported_kind": lambda given: given["use"].update(kind="vhostuser"),
    "missing": lambda given: given.update(identity=None),
    "not_in_pool": lambda given: given.update(volume=None),
    "pool_inactive": lambda given: given["volume"].update(pool_type="inactive"),
    "symlink": lambda given: given["volume"].update(symlink=True),
    "hard_linked": linked,
    "in_snapshot": lambda given: other_use(given, "snapshot"),
    "in_use": lambda given: other_use(given, "disk"),
    "in_shared_directory": lambda given: other_use(given, "share", "/pool"),
    "backing_file": build_on,
    "chain_unreadable": lambda given: build_on(given, "no image"),
    "storage_problem": lambda given: given.update(problems=("pool nfs: stale",)),
    "only_user": lambda given: None,
}


def disk_answer(codes: tuple[str, ...]) -> str:
    """The verdict on a disk that all of these speak against. What is not found while something can't be looked at may be there."""
    given = parts()
    for code in reversed(codes):
        if code != "storage_problem" or codes[0] not in ("missing", "not_in_pool"):
            DISK_FAULTS[code](given)
    return next(verdict.reason for verdict in verdicts("own", Usage(storage(given, True))) if verdict.target)


@pytest.mark.parametrize("code", DISK_PLAN.codes)
def test_disks_are_judged_in_this_order(code: str) -> None:
    """Every rule of a verdict, and no other."""
    assert disk_answer(DISK_PLAN.codes[DISK_PLAN.codes.index(code) :]) == code
    assert disk_answer((code,)) == code
    assert sorted(DISK_FAULTS) == sorted(DISK_PLAN.codes)


LAST_FAULTS: dict[str, Callable[[Parts], object]] = {
    "storage_problem": lambda given: given.update(volume=None, problems=("pool nfs: stale",)),
    "pool_inactive": lambda given: given.update(volume=None, pools=(), inactive=("default",)),
    "already_gone": lambda given: given.update(volume=None),
    "identity_changed": lambda given: given.update(now=replace(FILE, size=1)),
    "in_use": lambda given: other_use(given, "disk"),
    "in_shared_directory": lambda given: other_use(given, "share", "/pool"),
    "backing_file": build_on,
    "chain_unreadable": lambda given: build_on(given, "no image"),
}


def last_answer(codes: tuple[str, ...]) -> str:
    """Why a disk stays whose VM is gone."""
    given = parts()
    for code in reversed(codes):
        LAST_FAULTS[code](given)
    verdict = VolumeVerdict(PATH, True, "only_user", "default", "a.qcow2", "vda", identity=FILE)
    return still_unused(verdict, Usage(storage(given, False)))[0]


@pytest.mark.parametrize("code", LAST_FAULTS)
def test_disks_are_looked_at_once_more_in_this_order(code: str) -> None:
    """Every question but those that libvirt and the file itself answer, which come last."""
    asked = DISK_LAST.codes[: len(LAST_FAULTS)]
    assert sorted(asked) == sorted(LAST_FAULTS)
    assert DISK_LAST.codes[len(asked) :] == ("open_elsewhere", "delete_failed")
    assert last_answer(asked[asked.index(code) :]) == code
    assert last_answer((code,)) == code


def test_the_base_of_all_cases_goes() -> None:
    """Else every case would be kept for a reason of its own."""
    assert disk_answer(()) == "only_user"
    assert last_answer(()) == "only_user"
    assert turn_answer([]) == ""
