"""One call as the judge sees it: what it was asked, what the host was like when it began, and what it may do therefore."""

from __future__ import annotations

import copy
import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.fakes.world import Machine
from tests.scenarios.raw import PROTECTING

from .choices import DEFAULTS, WRONG

State = dict[str, Any]
DAY = 86400


@dataclass
class Call:
    """A running call. start: the host's document when it began."""

    task: str
    arguments: dict[str, Any]
    check: bool
    start: State
    clock_sane: bool
    #: None when the host's configuration is one that nobody may act on.
    policy: dict[str, Any] | None = None
    #: UUID -> when its removal began in this call, and the thread that carries it out.
    begun: dict[str, float] = field(default_factory=dict)
    threads: dict[str, threading.Thread] = field(default_factory=dict)
    #: Those without a person's word, whose number and size are capped.
    unasked: set[str] = field(default_factory=set)
    unasked_bytes: int = 0
    #: UUID -> paths that were shown to whoever confirmed it.
    shown: dict[str, set[str] | None] = field(default_factory=dict)
    effects: int = 0
    undefined: list[str] = field(default_factory=list)
    #: The wall clock was set while it ran; people acted while it ran.
    clock_set: bool = False
    jumped_after: int = -1
    jumped_from: float = 0.0

    @property
    def just_set(self) -> bool:
        """Whether the clock was set after the last look at it, which comes just before the intent is written."""
        return self.effects == self.jumped_after + 1

    disturbed: bool = False

    @property
    def now(self) -> float:
        """When it began."""
        return float(self.start["clock"]["now"])

    @property
    def ignore(self) -> list[str]:
        """Conditions that were lifted."""
        return list(self.arguments.get("ignore") or ())

    @property
    def state(self) -> str:
        """The state that was asked for."""
        return str(self.arguments.get("state", "swept" if self.task == "vm_cleanup" else "present"))

    @property
    def names(self) -> list[str]:
        """VMs that were named."""
        return [item["name"] for item in self.arguments.get("vms", ())]

    def means(self, domain: State) -> bool:
        """Whether a VM was named, by the name that it had when the call began: it may be renamed meanwhile."""
        had = {each["uuid"] for each in self.start["domains"] if each["name"] in self.names}
        return domain["name"] in self.names or domain["uuid"] in had

    def host_closed(self) -> str:
        """Why nothing at all may be removed now."""
        if self.policy is None:
            return "the configuration is wrong"
        if not self.clock_sane:
            return "the clock is insane"
        if self.policy["require_synchronised_clock"] and not self.start["clock"]["synchronised"]:
            return "the clock is not synchronised"
        if not self.policy["cleanup_enabled"] and "disabled" not in self.ignore:
            return "cleanup is disabled"
        return "dry_run_mode is on" if self.policy["dry_run_mode"] else ""

    def timing(self) -> str:
        """Why nothing may begin now."""
        if self.policy is None or self.host_closed():
            return self.host_closed()
        if "window" not in self.ignore and not window_open(self.policy, self.start["zone"], self.now):
            return "the window is closed"
        if "load" not in self.ignore and self.policy["skip_on_low_resources"]:
            for name in ("cpu", "io", "memory"):
                value = self.start["pressure"].get(name)
                if value is not None and value > self.policy[f"max_{name}_pressure"]:
                    return f"{name} pressure is {value}"
        return ""


def begin(machine: Machine, task: str, arguments: dict[str, Any], check: bool, sane: bool) -> Call:
    """A call that begins now."""
    start = copy.deepcopy(machine.state)
    return Call(task, arguments, check, start, sane, policy_of(start, arguments))


def policy_of(state: State, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """The policy that holds: the call's, over what protects in the host's and the defaults, else the host's; a dry run of the host wins."""
    own = state["configuration"].get("cleanup") or {}
    given = arguments.get("policy")
    if own in WRONG or given in WRONG:
        return None
    chosen = own if given is None else {**{name: own[name] for name in PROTECTING if name in own}, **given}
    return {**DEFAULTS, **chosen, "dry_run_mode": bool(chosen.get("dry_run_mode") or own.get("dry_run_mode"))}


def window_open(policy: dict[str, Any], zone: str, now: float) -> bool:
    """Whether the wall of the host shows a time in the window. In an hour that happens twice, nobody is accused."""
    if not policy["cleanup_in_window_only"]:
        return True
    start, end = policy["cleanup_window_start"], policy["cleanup_window_end"]
    if start == end:
        return True
    here = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(policy.get("window_timezone") or zone))
    near = {(here + timedelta(hours=hours)).replace(fold=0).utcoffset() for hours in (-2, 0, 2)}
    if len(near) > 1 or here.replace(fold=0).utcoffset() != here.replace(fold=1).utcoffset():
        return True
    clock = f"{here:%H:%M}"
    return bool(start <= clock < end) if start < end else bool(clock >= start or clock < end)


def scheduled(domain: dict[str, Any]) -> int | None:
    """The deadline that a VM carries."""
    try:
        value = json.loads(domain["metadata"])["persistence"].get("scheduled_cleanup")
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
    return value if isinstance(value, int) else None
