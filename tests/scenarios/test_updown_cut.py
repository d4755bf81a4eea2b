"""Every boot and every shutdown of the scenarios, cut after each of its effects: in the end the same VMs run."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.world import Machine

from .player import Call, call, directories, interrupted, load, play
from .updown import document_of, untouchable

BOOT: dict[str, Any] = {"task": "boot"}
TOTALS: Counter[str] = Counter()
#: What a person does meanwhile is not repeated when the run is cut, so another outcome is right.
OTHERWISE = ("boot-changed-meanwhile", "shutdown-trouble")


def running(machine: Machine) -> list[str]:
    """Names of the managed VMs that run."""
    return sorted(
        domain["name"] for domain in machine.state["domains"] if domain["state"] != "shutoff" and document_of(domain)
    )


def settled(machine: Machine, step: dict[str, Any]) -> list[str]:
    """What runs once a boot or a shutdown was carried out in full, and the host has booted after a shutdown."""
    for _attempt in range(3):
        machine.advance(1)
        call(machine, step)
    if step["task"] == "shutdown":
        if running(machine) != unstoppable(machine):
            return ["still running", *running(machine)]
        machine.power_cut()
        call(machine, BOOT)
    return running(machine)


def unstoppable(machine: Machine) -> list[str]:
    """Who is left to the host."""
    held = {domain["name"] for domain in machine.state["domains"] if untouchable(domain)}
    return [name for name in running(machine) if name in held]


def cut(made: Call, after: int, variant: str) -> list[str]:
    """What runs in the end after a cut; with the power gone, after the boot that follows."""
    machine = Machine(made.before)
    interrupted(machine, made.step, after, variant)
    if variant == "power":
        return settled(machine, BOOT)
    return settled(machine, made.step)


@pytest.mark.parametrize("directory", directories(), ids=lambda path: path.name)
def test_cut(directory: Path) -> None:
    """Killed, the next run goes on; after a power cut the next boot brings up what ran."""
    machine, steps = load(directory)
    for made in play(machine, copy.deepcopy(steps), []):
        arguments = made.step.get("arguments") or {}
        if made.step["task"] not in ("boot", "shutdown") or set(made.step) & {"kill", "meanwhile", "check"}:
            continue
        if (
            arguments
            or directory.name in OTHERWISE
            or (made.step["task"] == "shutdown" and not made.before["going_down"])
        ):
            continue  # what is done by hand in a running boot is not the next boot's to finish
        whole = settled(Machine(made.before), made.step)
        for after in range(1, made.effects + 1):
            for variant in ("kill", "power"):
                TOTALS[f"{made.step['task']} {variant}"] += 1
                found = cut(made, after, variant)
                lost = set(whole) - set(found)
                assert not lost, f"{made.step['task']}, {variant} after effect {after}: {sorted(lost)} did not come up"


def test_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """The figures are said."""
    with capsys.disabled():
        print(f"\nboots and shutdowns cut: {dict(TOTALS)}")
    assert sum(TOTALS.values()) > 100 or not TOTALS
