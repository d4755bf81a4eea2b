"""Between any two effects of a removal a person interferes, in every way that we could think of."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from typing import Any, NamedTuple

import pytest

from tests.fakes.build import build
from tests.fakes.manager import act
from tests.fakes.world import Machine

from .checker import Auditor, inode, protected
from .player import call, interrupted, interrupted_beside

NEW = "00000000-0000-4000-8000-000000000077"
TEMPORARY = {"mode": "temporary", "ttl_hours": 4}
WORLD: dict[str, Any] = {
    "files": {"/pool/base.qcow2": {}, "/pool/a.qcow2": {"backing": "/pool/base.qcow2"}},
    "domains": [
        {
            "name": "ci-1",
            "declared": TEMPORARY,
            "files": [
                "/pool/a.qcow2",
                {"path": "/pool/b.qcow2", "target": "vdb"},
                {"path": "/nvram/ci-1.fd", "role": "nvram", "target": ""},
            ],
        },
        {
            "name": "ci-2",
            "declared": {**TEMPORARY, "cleanup_grace_period": 5},
            "files": ["/pool/c.qcow2"],
            "obeys_after": None,
        },
        {"name": "db1", "declared": {"mode": "permanent"}, "files": ["/pool/db1.qcow2"]},
        {"name": "stranger", "files": ["/pool/stranger.qcow2"]},
    ],
}
SWEEP: dict[str, Any] = {"task": "vm_cleanup"}
PLANNED, CONFIRMED = (
    {"task": "vm_cleanup", "arguments": {"state": state, "plan_id": "job-17"}} for state in ("planned", "confirmed")
)
RESTORED: dict[str, Any] = {"task": "vm_cleanup", "arguments": {"state": "restored", "name": "ci-1"}}
UNDO: dict[str, Any] = {"undo_hours": 1, "cleanup_in_window_only": False}
HOUR: dict[str, Any] = {"advance": 3600}


class Setting(NamedTuple):
    """The host's policy, what happened before, and the call that somebody interferes with."""

    policy: dict[str, Any]
    earlier: tuple[dict[str, Any], ...]
    step: dict[str, Any]


SETTINGS = {
    "sweep": Setting({}, (), SWEEP),
    "undo": Setting(UNDO, (), SWEEP),
    "purge": Setting(UNDO, (SWEEP, HOUR), SWEEP),
    "restore": Setting(UNDO, (SWEEP,), RESTORED),
    "planned": Setting({"require_confirmation": True}, (), PLANNED),
    "confirmed": Setting({"require_confirmation": True}, (PLANNED,), CONFIRMED),
}


def hold(machine: Machine) -> None:
    """Through the engine, which the sweep's own claim may answer with busy."""
    call(machine, {"task": "vm_persistence", "arguments": {"name": "ci-1", "state": "held", "missing": "skip"}})


def declare_permanent(machine: Machine) -> None:
    """The same, for good."""
    call(machine, {"task": "vm_persistence", "arguments": {"name": "ci-1", "missing": "skip"}})


DEEDS: dict[str, Any] = {
    "hold": hold,
    "declare permanent": declare_permanent,
    "another sweep": lambda machine: call(machine, SWEEP),
    "another sweep, killed": lambda machine: interrupted_beside(machine, SWEEP, 2),
    "start": {"do": "start", "vm": "ci-1"},
    "stop": {"do": "stop", "vm": "ci-1"},
    "pause": {"do": "pause", "vm": "ci-1"},
    "undefine": {"do": "undefine", "vm": "ci-1"},
    "redefine": {"do": "redefine", "vm": "ci-1"},
    "rename": {"do": "rename", "vm": "ci-1", "to": "renamed"},
    "make permanent elsewhere": {"do": "make_permanent", "vm": "ci-1"},
    "make the next one permanent": {"do": "make_permanent", "vm": "ci-2"},
    "damage the metadata": {"do": "set_metadata", "vm": "ci-1", "text": "{"},
    "edit the deadline": {"do": "edit", "vm": "ci-1", "scheduled_cleanup": 1},
    "same name": {"do": "define", "name": "ci-1", "uuid": NEW, "files": ["/pool/other.qcow2"]},
    "same UUID": {"do": "define", "name": "ci-1", "uuid": 1, "files": ["/pool/a.qcow2", "/pool/b.qcow2"]},
    "use the first disk": {"do": "define", "name": "new", "uuid": NEW, "files": ["/pool/a.qcow2"]},
    "use the second disk": {"do": "define", "name": "new", "uuid": NEW, "files": ["/pool/b.qcow2"]},
    "use the NVRAM": {
        "do": "define",
        "name": "new",
        "uuid": NEW,
        "files": [{"path": "/nvram/ci-1.fd", "role": "nvram"}],
    },
    "attach the disk to another": {"do": "attach", "vm": "db1", "path": "/pool/b.qcow2"},
    "clone": {"do": "clone", "vm": "ci-1", "to": "clone", "uuid": NEW},
    "overlay on the first disk": {"do": "overlay", "path": "/pool/over.qcow2", "on": "/pool/a.qcow2"},
    "overlay on the second disk": {"do": "overlay", "path": "/pool/over.qcow2", "on": "/pool/b.qcow2"},
    "replace the first disk": {"do": "replace_file", "path": "/pool/a.qcow2"},
    "replace the second disk": {"do": "replace_file", "path": "/pool/b.qcow2"},
    "write to the disk": {"do": "write_file", "path": "/pool/b.qcow2"},
    "hard link the disk": {"do": "hard_link", "path": "/pool/b.qcow2", "to": "/backup/b.qcow2"},
    "delete the disk": {"do": "delete_file", "path": "/pool/b.qcow2"},
    "stop the pool": {"do": "pool", "name": "default", "active": False},
    "fill the disk": {"do": "break_store"},
    "lose the store": {"do": "lose_store"},
    "stop sweeps": {"do": "configure", "cleanup_enabled": False},
    "turn the clock": {"do": "set_clock", "now": 1858647600.0, "synchronised": False},
    "refuse to undefine": {"do": "refuse", "what": "undefine", "message": "internal error"},
    "refuse to delete": {"do": "refuse", "what": "delete_volume", "message": "busy"},
    "refuse to look": {"do": "refuse", "what": "storage", "message": "cannot open"},
}
TOTALS: Counter[str] = Counter()


def do(machine: Machine, deed: Any) -> bool:
    """Do a deed; False when there is nothing left to do it to."""
    try:
        act(machine, deed) if isinstance(deed, dict) else deed(machine)
    except (KeyError, ValueError):
        return False
    return True


def sweeps(machine: Machine, auditor: Auditor) -> None:
    """Two further sweeps, a minute apart, on a host that is in order again."""
    machine.after_effect = None
    machine.state["refuse"].clear()
    machine.store["problem"] = ""
    for _number in range(2):
        machine.advance(60)
        auditor.begin(SWEEP)
        call(machine, SWEEP)


def begun(setting: Setting) -> tuple[Machine, Auditor]:
    """A watched host just before the call that somebody interferes with."""
    machine, auditor = Machine(build({**WORLD, "configuration": {"cleanup": setting.policy}})), Auditor()
    machine.before_effect = auditor
    for step in setting.earlier:
        if "advance" in step:
            machine.advance(step["advance"])
        else:
            auditor.begin(step)
            call(machine, step)
    auditor.begin(setting.step)
    return machine, auditor


def interfere(setting: Setting, deed: Any, after: int, cut: bool) -> tuple[list[str], int]:
    """Violations when the deed happens after an effect of the call, or between its end by a kill and the next sweep."""
    machine, auditor = begun(setting)
    first = len(machine.effects)
    mark: dict[str, Any] = {}

    def watch(at: Machine, number: int) -> None:
        if number == first + after and not mark:
            mark["effects"] = True  # a deed that runs the engine causes effects of its own
            mark["done"] = do(at, deed)
            mark["state"] = copy.deepcopy(at.state)

    if cut:
        interrupted(machine, setting.step, after, "kill")
        watch(machine, first + after)
    else:
        machine.after_effect = watch
        call(machine, setting.step)
    armed = any(intent["armed"] for intent in machine.store["intents"].values())
    if not mark.get("done") or (cut and armed and deed == DEEDS["undefine"]):
        # Once a run was killed with its removal armed, nobody can tell a person's undefine from the run's own.
        return [], 0
    if setting.step == PLANNED:
        machine.after_effect = None
        auditor.begin(CONFIRMED)
        call(machine, CONFIRMED)
    sweeps(machine, auditor)
    found = losses(mark["state"], machine.state, auditor)
    if setting.policy == UNDO and setting.step == SWEEP:
        machine.advance(3600)
        sweeps(machine, auditor)
        found += losses(mark["state"], machine.state, auditor)
    return auditor.violations + found, 1


def losses(middle: dict[str, Any], after: dict[str, Any], auditor: Auditor) -> list[str]:
    """What a VM that was protected when the deed was done has lost since then."""
    found = []
    for domain in middle["domains"]:
        here = next((each for each in after["domains"] if each["uuid"] == domain["uuid"]), None)
        safe = domain["persistent"] and protected(domain, after["clock"]["now"], False)
        if safe and here is None:
            found.append(f"{domain['name']} is gone")
        for use in domain["files"] if here is not None or safe else ():
            mark = inode(middle, use["path"])
            if mark and inode(after, use["path"]) != mark:
                found.append(f"{use['path']} of {domain['name']} is lost")
    back = {domain["uuid"] for domain in after["domains"]}
    for uuid, kept in auditor.kept.items():
        if uuid not in back and uuid not in after["store"]["undo"] and not kept.over(after["clock"]["now"]):
            found.append(f"{kept.domain['name']} can't be brought back")
    gone = {domain["uuid"] for domain in auditor.undefined}
    return found + [
        f"{intent['name']}: its intent is left, and the VM was never undefined"
        for uuid, intent in after["store"]["intents"].items()
        if uuid not in gone
    ]


#: Defects that are known, as (deed, setting), each with its reason; strict, so that a repair is noticed.
KNOWN: dict[tuple[str, str], str] = {}
CASES = [
    pytest.param(*case, marks=pytest.mark.xfail(strict=True, reason=KNOWN[case])) if case in KNOWN else case
    for case in itertools.product(DEEDS, SETTINGS)
]


@pytest.mark.parametrize(("deed", "setting"), CASES)
def test_interference(deed: str, setting: str) -> None:
    """Invariants 1 to 5 hold, whatever a person does at whatever moment."""
    counting, _auditor = begun(SETTINGS[setting])
    first = len(counting.effects)
    call(counting, SETTINGS[setting].step)
    found = []
    for after in range(1, len(counting.effects) - first + 1):
        # a plain sweep in full; of the others every second combination, which is enough to meet each step
        for cut in (False, True) if setting == "sweep" else ((after + len(deed)) % 2 == 0,):
            violations, counted = interfere(SETTINGS[setting], DEEDS[deed], after, cut)
            TOTALS["interventions"] += counted
            kind = "after the kill at" if cut else "after"
            found += [f"{setting}: {deed} {kind} effect {after}: {text}" for text in violations]
    TOTALS["deeds"] += 1
    assert not found, "\n".join(found)


def test_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """The figures are said."""
    with capsys.disabled():
        print(f"\nadversarial sweep: {dict(TOTALS)}")
    assert TOTALS["interventions"] > 2000 or TOTALS["deeds"] < len(DEEDS) * len(SETTINGS)
