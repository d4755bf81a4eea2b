"""The pages about boots and shutdowns: the pictures on them are what the engine prints of the hosts declared there."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
import yaml
from vm_lifecycle.agent import pictures, text
from vm_lifecycle.agent.svg import timeline_svg
from vm_lifecycle.agent.trees import plan_tree
from vm_lifecycle.policy import host_boot
from vm_lifecycle.reasons_order import BOOT_REASONS
from vm_lifecycle.run import run
from vm_lifecycle.tasks import boot, doctor, shutdown
from vm_lifecycle.tasks.boot_timeline import last_boot

from tests.fakes.build import build
from tests.fakes.world import Machine, ports

from .player import HERE, directories, load, play

DOCS = HERE.parents[1] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    """Samples of a page."""
    return [sample for kind, sample in BLOCK.findall((DOCS / page).read_text("utf-8")) if kind == language]


def printed(page: str, command: str) -> str:
    """What a page says that a command prints."""
    found = [sample for sample in blocks(page, "console") if sample.startswith(f"# {command}\n")]
    return found[0].removeprefix(f"# {command}\n").rstrip("\n")


def declared_by(page: str) -> dict[str, dict[str, Any]]:
    """VMs that a page declares, by name."""
    variables = yaml.safe_load(next(sample for sample in blocks(page, "yaml") if "vm_lifecycle_vms" in sample))
    return {given["name"]: given for given in variables["vm_lifecycle_vms"]}


def host(vms: dict[str, dict[str, Any]], *others: dict[str, Any]) -> Machine:
    """A host on which these VMs are declared; one without auto_start ran before."""
    domains = []
    for given in vms.values():
        wanted = ("policy", "auto_start", "mode", "ttl_hours")
        declared: dict[str, Any] = {"policy": {}, **{key: given[key] for key in wanted if key in given}}
        if "autostart" in given:
            declared["autostart"] = {"vm_name": given["name"], **given["autostart"]}
        last: dict[str, Any] = {} if "auto_start" in given else {"last": {}}
        domains.append({"name": given["name"], "state": "shutoff", "declared": declared, **last})
    return Machine(build({"features": ["boot", "supervisor"], "domains": [*domains, *others]}))


def test_the_boot_page() -> None:
    """Its plan and its timeline."""
    machine = host(declared_by("boot-order.md"))
    world = ports(machine)
    plan = {**run(boot.TASK, {}, world, dry_run=True), "next_boot": True}
    assert printed("boot-order.md", "vm-lifecycle boot --plan") == plan_tree(plan)
    run(boot.TASK, {}, world)
    boot.finish(world)
    assert printed("boot-order.md", "vm-lifecycle boot --timeline") == pictures.timeline(last_boot(world.store))


def test_the_first_page() -> None:
    """Its timeline."""
    world = ports(host(declared_by("../README.md")))
    run(boot.TASK, {}, world)
    boot.finish(world)
    assert printed("../README.md", "vm-lifecycle boot --timeline") == pictures.timeline(last_boot(world.store))


def test_the_shutdown_page() -> None:
    """Its plan, with a place in the order for each VM as on the other page, and a VM that nobody declared."""
    vms, more = declared_by("boot-order.md"), declared_by("host-shutdown.md")
    machine = host({name: {**vms[name], **more.get(name, {})} for name in vms}, {"name": "legacy"})
    for domain in machine.state["domains"]:
        domain["state"] = "shutoff" if domain["name"] == "old" else "running"
    result = run(shutdown.TASK, {"now": True}, ports(machine), dry_run=True)
    assert printed("host-shutdown.md", "vm-lifecycle shutdown --plan") == text.shutdown(result)


@pytest.mark.parametrize(
    "directory", [path for path in directories() if path.name.startswith("boot-")], ids=lambda path: path.name
)
def test_every_boot_has_its_picture(directory: Any) -> None:
    """Whatever happens in the scenarios can be drawn."""
    machine, steps = load(directory)
    play(machine, steps, [])
    world = ports(machine)
    last = last_boot(world.store)
    assert pictures.timeline(last)
    if last["boot"] is not None:
        ends = {row["name"]: row["start"] for row in last["vms"]}
        path = last["critical_path"]
        assert ends[path[-1]]["ended_seconds"] == max(row["ended_seconds"] for row in ends.values()) if path else True
        assert all(ends[later]["turn_seconds"] == ends[earlier]["ended_seconds"] for earlier, later in pairwise(path))
        assert timeline_svg(last).count("<g>") == len(last["vms"])
    assert plan_tree(run(boot.TASK, {"preview": True}, world, dry_run=True))
    assert text.shutdown(run(shutdown.TASK, {"now": True}, world, dry_run=True))


def test_the_doctor_page() -> None:
    """Its findings, on a host after a rename, whose libvirt-guests acts too; and those of a host that is well."""
    place = {"vm_name": "web1", "depends_on": ["db1"]}
    names = {"db2": {}, "web1": {"autostart": place}}
    domains = [{"name": name, "state": "shutoff", "declared": declared} for name, declared in names.items()]
    units = {
        "vm-lifecycle-host.service": {"state": "active", "enabled": True},
        "libvirt-guests.service": {
            "state": "active",
            "enabled": True,
            "commands": "/usr/lib/libvirt/libvirt-guests.sh",
        },
    }
    whole = {"features": ["boot", "supervisor"], "domains": domains, "examination": {"units": units}}
    result = run(doctor.TASK, {}, ports(Machine(build(whole))))
    assert printed("doctor.md", "vm-lifecycle doctor") == text.doctor(result)
    well = run(doctor.TASK, {}, ports(Machine(build({"features": ["boot", "supervisor"]}))))
    assert f"# vm-lifecycle doctor\n{text.doctor(well)}\n" in blocks("doctor.md", "console")


def test_big_hosts_are_drawn() -> None:
    """200 VMs in a row, and a moment."""
    chain = [
        {
            "name": f"vm{number:03}", "state": "shutoff",
            "declared": {"auto_start": True, "autostart": {"vm_name": f"vm{number:03}", "start_order": number, "wait_for_ssh": False}},
        }
        for number in range(200)
    ]  # fmt: skip
    world = ports(Machine(build({"features": ["boot"], "domains": chain})))
    run(boot.TASK, {}, world)
    last = last_boot(world.store)
    assert last["critical_path"] == [domain["name"] for domain in chain]
    assert pictures.timeline(last).count("●") == 200 + 1 and timeline_svg(last)


def test_a_run_again_is_drawn_alone() -> None:
    """Not mixed with what an earlier run of the same boot wrote, whose times count from another moment."""
    machine = host(declared_by("boot-order.md"))
    world = ports(machine)
    run(boot.TASK, {}, world)
    boot.finish(world)
    machine.advance(3600.0)
    machine.named("web1").update(state="shutoff")
    machine.named("lab")["metadata"] = None
    run(boot.TASK, {"again": True}, world)
    last = last_boot(world.store)
    assert [row["name"] for row in last["vms"]] == ["cache", "db1", "web1"]
    assert last["boot"]["seconds"] < 60 and last["boot"]["began_at"].startswith("2026-11-25T04:00")


#: What differs from a VM that nobody ever saw, so that a question is answered by its code: (domain, policy, rest of the declaration).
Answer = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
ANSWERS: dict[str, Answer] = {
    "held_everything": ({}, {}, {"hold": "everything"}),
    "not_rebooted_yet": ({"last": None}, {"on_host_reboot": "destroy"}, {"mode": "temporary", "auto_start": False}),
    "started_since": ({"last": {}, "state": "running"}, {"on_host_reboot": "destroy"}, {"mode": "temporary"}),
    "destroy_at_boot": (
        {"last": {}, "state": "shutoff"},
        {"on_host_reboot": "destroy"},
        {"mode": "temporary", "auto_start": False},
    ),
    "keep_stopped": ({}, {"on_host_reboot": "keep-stopped"}, {}),
    "start_disabled": ({}, {}, {"autostart": {"vm_name": "vm", "enabled": False}}),
    "already_running": ({"state": "running"}, {}, {}),
    "auto_start": ({}, {}, {"auto_start": True}),
    "autostart": ({}, {}, {"autostart": {"vm_name": "vm"}}),
    "was_running": ({"last": {}}, {}, {}),
    "saved_memory": ({"saved": True}, {}, {}),
    "was_stopped": ({"last": {"state": "shutoff", "reason": "guest"}}, {}, {}),
    "never_seen": ({}, {}, {}),
}


@pytest.mark.parametrize("code", ANSWERS)
def test_the_order_of_the_questions(code: str) -> None:
    """A VM to which this answer and all that come after it apply has this one: the table of the page is in the right order."""
    codes = [each for each in BOOT_REASONS if each in ANSWERS]
    domain: dict[str, Any] = {"name": "vm", "state": "shutoff"}
    policy: dict[str, Any] = {}
    declared: dict[str, Any] = {}
    for each in reversed(codes[codes.index(code) :]):
        domain.update(ANSWERS[each][0])
        policy.update(ANSWERS[each][1])
        declared.update(ANSWERS[each][2])
    if domain.get("last", {}) is None:
        del domain["last"]
    machine = Machine(build({"domains": [{**domain, "declared": {**declared, "policy": policy}}]}))
    seen = boot.observe(boot.Request(1), ports(machine))
    assert [decision.reason for decision in boot.decisions(seen).values()] == [code]
    assert code in host_boot.STARTING or boot.decisions(seen).popitem()[1].action != "start"


def test_every_question_of_the_table_is_asked() -> None:
    """All but those that come later in a boot."""
    assert set(BOOT_REASONS) - set(ANSWERS) == {"stopped_since", "dependency_failed"}
