"""Who comes up when the host has booted: the truth table in full, against a second statement of it."""

from __future__ import annotations

import itertools
from typing import Any, Dict, Optional

import pytest
from vm_lifecycle.boots import LastState
from vm_lifecycle.model import Domain
from vm_lifecycle.policy import host_boot

BOOT = "boot"
PLACES: Dict[str, Optional[Dict[str, Any]]] = {
    "none": None, "enabled": {"vm_name": "vm"}, "disabled": {"vm_name": "vm", "enabled": False},
}  # fmt: skip
LAST: Dict[str, Optional[LastState]] = {
    "unknown": None,
    "ran": LastState("u", "vm", "running", "", 1, "earlier"),
    "was off": LastState("u", "vm", "shutoff", "guest", 1, "earlier"),
    "new": LastState("u", "vm", "shutoff", "unknown", 1, BOOT),
    # the supervisor looked before the boot did
    "went down in order": LastState("u", "vm", "shutoff", "host_shutdown", 1, BOOT, "running"),
    "lost power": LastState("u", "vm", "shutoff", "host_down", 1, BOOT, "running"),
    "was off, seen": LastState("u", "vm", "shutoff", "guest", 1, BOOT, "shutoff"),
    # a person had the host's VMs stopped in order
    "stopped in order": LastState("u", "vm", "running", "host_shutdown", 1, BOOT),
}
RAN = ("ran", "went down in order", "lost power", "stopped in order")


def document(mode: str, auto_start: bool, policy: Optional[str], place: str, hold: str) -> Dict[str, Any]:
    """A declaration."""
    found: Dict[str, Any] = {"persistence": {"mode": mode, "auto_start": auto_start}}
    if policy:
        found["policy"] = {"on_host_reboot": policy}
    if PLACES[place] is not None:
        found["autostart"] = PLACES[place]
    if hold:
        found["hold"] = {"scope": hold}
    return found


def wanted(
    mode: str, auto_start: bool, policy: Optional[str], place: str, hold: str, known: str, saved: bool, active: bool
) -> str:
    """The table as the documentation tells it."""
    if hold == "everything":
        return "leave"
    if policy == "destroy" and mode == "temporary":
        return "leave" if active or known in ("unknown", "new", "stopped in order") else "destroy"
    if policy == "keep-stopped" or place == "disabled":
        return "leave"
    saved = saved or active
    asked = mode == "permanent" and (auto_start or place == "enabled")
    return "start" if asked or saved or known in RAN else "leave"


CASES = [
    case
    for case in itertools.product(
        ("permanent", "temporary"), (False, True), (None, "start", "keep-stopped", "destroy"), PLACES,
        ("", "deletion", "everything"), LAST, (False, True),
    )
    if not (case[0] == "temporary" and case[1]) and not (case[0] == "permanent" and case[2] == "destroy")
]  # fmt: skip


@pytest.mark.parametrize("active", [False, True])
def test_truth_table(active: bool) -> None:
    """Every combination; one that runs already is waited for unless it is to be left alone."""
    for mode, auto_start, policy, place, hold, known, saved in CASES:
        domain = Domain("u", "vm", "running" if active else "shutoff", saved=saved)
        found = host_boot.decide(domain, document(mode, auto_start, policy, place, hold), LAST[known], BOOT)
        expected = wanted(mode, auto_start, policy, place, hold, known, saved, active)
        assert found.action == expected, (mode, auto_start, policy, place, hold, known, saved)
        assert (found.reason == "already_running") == (active and found.action == "start")
        assert (found.reason in host_boot.STARTING) == (found.action == "start")
    assert len(CASES) > 300


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("permanent", False, None, "none", ""), ""),
        (("permanent", True, "keep-stopped", "none", ""), "never started"),
        (("permanent", True, None, "disabled", ""), "not started"),
        (("temporary", False, "destroy", "none", ""), "deleted"),
        (("temporary", False, None, "enabled", ""), ""),
    ],
)
def test_never(given: Any, expected: str) -> None:
    """Who is never started at boot, in words."""
    said = host_boot.never(document(*given))
    assert expected in said
    assert bool(said) == bool(expected)


def test_place() -> None:
    """Without a declared place a VM comes last and nobody waits for its SSH; with one the schema's defaults hold."""
    domain = Domain("u", "vm", "shutoff")
    last = host_boot.place(domain, document("permanent", True, None, "none", ""))
    assert last.order == float("inf") and not last.wait_for_ssh and last.depends_on == ()
    declared = host_boot.place(domain, document("permanent", True, None, "enabled", ""))
    assert (declared.order, declared.wait_for_ssh, declared.ssh_timeout) == (0.0, True, 300.0)
    assert (declared.on_failure, declared.retries) == ("retry", 3)


@pytest.mark.parametrize(
    "last",
    [
        # As the shutdown left it; as the supervisor's first look in this boot made of that; as a person had it stopped in this boot.
        LastState("u", "vm", "running", "host_shutdown", 1, "earlier"),
        LastState("u", "vm", "shutoff", "host_shutdown", 1, BOOT, "running"),
        LastState("u", "vm", "running", "host_shutdown", 1, BOOT),
    ],
)
def test_went_down_in_order(last: LastState) -> None:
    """A VM that went down with its host comes back, whoever looked at it first."""
    found = host_boot.decide(Domain("u", "vm", "shutoff"), document("permanent", False, None, "none", ""), last, BOOT)
    assert found == host_boot.AtBoot("start", "was_running")
