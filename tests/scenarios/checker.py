"""Judges what a run did to a world by the project's invariants, from the raw state and without the engine's code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.fakes.world import Machine

from .consent import Consent
from .raw import (
    HOUR,
    Inode,
    State,
    carried,
    common_disks,
    doubtful,
    inode,
    needed,
    own_files,
    policy_of,
    print_of,
    protected,
)
from .updown import STOPPING, state_lost, verdict

__all__ = ["Auditor", "inode", "own_files", "protected"]


@dataclass
class Kept:
    """A VM that was removed and can be brought back: its document, until when, and the disks that are its own."""

    domain: dict[str, Any]
    until: float
    own: dict[str, Inode]
    #: A person asked for its disks to go at once.
    asked: bool = False

    def over(self, now: float) -> bool:
        """Whether its disks may go."""
        return self.asked or now >= self.until


@dataclass
class Auditor:
    """Watches every effect just before it happens. violations: what broke an invariant."""

    removes: bool = False
    lifted: bool = False
    violations: list[str] = field(default_factory=list)
    #: Domains that the engine itself undefined, and the files that it may delete since then.
    undefined: list[dict[str, Any]] = field(default_factory=list)
    released: set[Inode] = field(default_factory=set)
    #: Files that must be gone, unless somebody needs or touched them, or still there, once the removals are over.
    owed: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    shared: dict[str, Inode] = field(default_factory=dict)
    #: Removed VMs that can be brought back, those that came back by the engine, and how often disks went later.
    kept: dict[str, Kept] = field(default_factory=dict)
    restored: set[str] = field(default_factory=set)
    purged: list[str] = field(default_factory=list)
    consent: Consent = field(default_factory=Consent)
    policy: dict[str, Any] = field(default_factory=dict)
    #: Whether every line of the log, and every completed schedule, is still there to be counted.
    complete: bool = True
    _step: dict[str, Any] = field(default_factory=dict)
    _opened: bool = False
    _started: float = 0.0
    _begun: set[str] = field(default_factory=set)
    #: VMs that this call defined.
    _made: set[str] = field(default_factory=set)
    #: Disks of removed VMs that were not the same any more when the call was planned.
    _changed: dict[str, list[str]] = field(default_factory=dict)

    def begin(self, step: dict[str, Any]) -> None:
        """What the next call may do."""
        self._step, self._opened, self._made = step, False, set()
        self.removes = step["task"] in ("vm_cleanup", "boot")
        self.lifted = "expiry" in step.get("arguments", {}).get("ignore", ()) or step["task"] == "boot"

    def __call__(self, machine: Machine, kind: str, subject: Any) -> None:
        state = machine.state
        if not self._opened:
            self._open(state)
        harms = kind in ("request_shutdown", "power_off", "undefine", "delete_volume")
        if kind in ("start", "save_memory") or (harms and kind != "delete_volume"):
            said = verdict(state, self._step, kind, subject)
            self._blame(bool(said), said)
        if self._step.get("task") == "shutdown" and kind in STOPPING:
            return
        if self._step.get("task") == "vm_recovery":
            self._recovering(kind, subject)
            return
        if harms and kind != "delete_volume":
            harms = not self.removes or protected(subject, state["clock"]["now"], self.lifted)
            self._blame(harms, f"{kind} of the protected VM {subject['name']}")
        self._blame(harms and not self.removes, f"{kind} by a call that may remove nothing")
        watch = getattr(self, f"_{kind}", None)
        if watch is not None:
            watch(machine, subject)

    def _recovering(self, kind: str, subject: Any) -> None:
        """A recovery makes VMs that are missing, and takes away again only what it made itself; it deletes nothing."""
        if kind == "define":
            self._made.add(subject["uuid"])
        self._blame(
            kind == "undefine" and subject["uuid"] not in self._made, "undefine by a recovery, which did not make it"
        )
        self._blame(kind in ("delete_volume", "request_shutdown", "power_off"), f"{kind} by a recovery")

    def _blame(self, wrong: bool, text: str) -> None:
        if wrong:
            self.violations.append(text)

    def _open(self, state: State) -> None:
        """The first effect of a call: nothing was waited for yet, so this is the moment at which it was planned."""
        arguments = self._step.get("arguments") or {}
        word = arguments.get("state", "swept")
        self._opened, self._started, self._begun = True, state["clock"]["now"], set()
        self.policy = policy_of(state, arguments)
        self.complete &= self.policy["log_cleanup_operations"] and self.policy["retention_days"] >= 2
        self.removes &= word not in ("planned", "restored") and not self.policy["dry_run_mode"]
        self.consent.open(state, self.policy, arguments)
        named = {item.get(key) for item in [arguments, *arguments.get("vms", ())] for key in ("name", "uuid")}
        self._changed = {
            uuid: [path for path, mark in kept.own.items() if inode(state, path) != mark]
            for uuid, kept in self.kept.items()
        }
        for uuid, kept in self.kept.items():
            kept.asked |= word == "purged" and bool(named & {uuid, kept.domain["name"]})

    def others(self, state: State, but: str = "") -> list[dict[str, Any]]:
        """VMs that are removed, can be brought back, and don't exist again."""
        here = {domain["uuid"] for domain in state["domains"]}
        return [kept.domain for uuid, kept in self.kept.items() if uuid not in here and uuid != but]

    def _save(self, machine: Machine, changes: Any) -> None:
        for change in changes:
            self.consent.stored(machine.state, getattr(change, "plan", None), self.others(machine.state))

    def _write_intent(self, machine: Machine, intent: Any) -> None:
        """A removal begins: how many of this run are going on, by the claims that they hold."""
        if not intent.armed:
            self._begun.add(intent.uuid)
        going, most = self._begun & machine.held, self.policy["max_concurrent_cleanups"]
        self._blame(len(going) > most, f"{len(going)} removals at once, and {most} are allowed")

    def _undefine(self, machine: Machine, domain: dict[str, Any]) -> None:
        state, uuid = machine.state, domain["uuid"]
        self._blame(domain["state"] != "shutoff", f"undefine of the running VM {domain['name']}")
        own = own_files(state, domain, self.others(state))
        self.violations += self.consent.spent(state, domain, own)
        others = needed(state, uuid, self.others(state))
        self.undefined.append(dict(domain))
        marks = {use["path"]: inode(state, use["path"]) for use in domain["files"]}
        self.released |= {mark for mark in marks.values() if mark}
        self.shared.update({path: mark for path, mark in marks.items() if mark and mark in others})
        # a disk that several VMs have goes with the last of them
        self.owed.update(
            {path: print_of(state, path) for path in {**own, **common_disks(state, domain, self.others(state))}}
        )
        if self.policy["undo_hours"]:
            self._blame(uuid not in state["store"]["undo"], f"undefine of {domain['name']} without an undo record")
            self.kept[uuid] = Kept(dict(domain), self._started + self.policy["undo_hours"] * HOUR, own)

    def _delete_volume(self, machine: Machine, path: str) -> None:
        state = machine.state
        mark, now = inode(state, path), state["clock"]["now"]
        self._blame(mark not in self.released, f"{path} was deleted and belongs to no VM that was undefined")
        here = {domain["uuid"] for domain in state["domains"]}
        waits = [kept.domain for uuid, kept in self.kept.items() if uuid not in here and not kept.over(now)]
        self._blame(mark in needed(state, "", waits), f"{path} was deleted and is in use")
        own = {mark for kept in self.kept.values() for mark in kept.own.values()}
        self._blame(mark not in own and not self.consent.covers(mark), f"{path} was deleted and not confirmed")

    def _define(self, machine: Machine, domain: dict[str, Any]) -> None:
        """A removed VM comes back, with its disks."""
        kept = self.kept.get(domain["uuid"])
        asked = (self._step.get("arguments") or {}).get("state") == "restored"
        lost = state_lost(machine.state, domain["uuid"]) and self._step.get("task") == "boot"
        self._blame((kept is None or not asked) and not lost, f"{domain['name']} was defined, and nobody asked for it")
        for path in self._changed.get(domain["uuid"], ()):
            self._blame(True, f"{domain['name']} came back without its disk {path}")
        self.restored.add(domain["uuid"])

    def _drop_undo(self, machine: Machine, uuid: str) -> None:
        kept = self.kept.get(uuid)
        if kept is None:
            return  # its VM was never undefined
        back = machine.find(uuid) is not None
        over = kept.over(machine.state["clock"]["now"])
        self._blame(not back and not over, f"the undo record of {kept.domain['name']} was dropped before its time")
        if not back:
            self.purged.append(uuid)
        del self.kept[uuid]

    def harm(self, before: State, after: State) -> list[str]:
        """What must never happen, finished or not."""
        found = list(self.violations)
        gone = {domain["uuid"] for domain in self.undefined}
        for domain in before["domains"]:
            found += self._domain(before, after, domain, domain["uuid"] in gone)
        back = {domain["uuid"] for domain in after["domains"]}
        for uuid, kept in self.kept.items():
            if uuid in back or kept.over(after["clock"]["now"]):
                continue
            found += self._files(before, after, kept.domain)
            if uuid not in after["store"]["undo"]:
                found.append(f"{kept.domain['name']} can't be brought back")
        for domain in after["domains"]:
            if domain["uuid"] in self.restored and not _safe(after, domain):
                found.append(f"{domain['name']} was restored and is not held")
        used = {use["path"] for domain in after["domains"] for use in domain["files"]}
        return found + [
            f"{path} is lost and was shared"
            for path, mark in self.shared.items()
            if path in used and inode(after, path) != mark
        ]

    def settle(self, before: State, after: State) -> list[str]:
        """All violations between a world and what became of it, once everything is quiet."""
        found = self.harm(before, after)
        users = needed(after, "", self.others(after))
        for path, seen in self.owed.items():
            if print_of(after, path) == seen and inode(after, path) not in users and not doubtful(after):
                found.append(f"{path} leaked")
        return found + self._books(after)

    def _domain(self, before: State, after: State, domain: dict[str, Any], gone: bool) -> list[str]:
        here = any(each["uuid"] == domain["uuid"] for each in after["domains"])
        found = [f"{domain['name']} is gone"] if not here and not gone and domain["persistent"] else []
        return found + (self._files(before, after, domain) if here or not gone else [])

    def _files(self, before: State, after: State, domain: dict[str, Any]) -> list[str]:
        marks = {use["path"]: inode(before, use["path"]) for use in domain["files"]}
        return [
            f"{path} of {domain['name']} is lost" for path, mark in marks.items() if mark and inode(after, path) != mark
        ]

    def _books(self, after: State) -> list[str]:
        """One completed schedule and one finished removal in the log for each VM that is gone; no intent left."""
        found = []
        back = {domain["uuid"] for domain in after["domains"]}
        for domain in self.undefined:
            uuid = domain["uuid"]
            if uuid in back:  # a person, or an undo, defined it again
                continue
            lines = [line for line in after["store"]["operations"] if line["uuid"] == uuid]
            done = [line for line in lines if (line["operation"], line["outcome"]) == ("remove", "done")]
            times = sum(each["uuid"] == uuid for each in self.undefined) + self.purged.count(uuid)
            status = after["store"]["schedules"].get(uuid, {}).get("cleanup_status")
            right = (len(done) == times and status == "completed") if self.complete else len(done) <= times
            if not right:
                found.append(f"{domain['name']}: {len(done)} removals of {times} in the log, schedule {status}")
        return found + [f"intent of {intent['name']} left" for intent in after["store"]["intents"].values()]


def _safe(after: State, domain: dict[str, Any]) -> bool:
    """Whether no sweep removes the VM: it is held, or carries older metadata than the store knows, or was declared anew."""
    known = after["store"]["records"].get(domain["uuid"], {}).get("revision", 0)
    document = carried(domain)
    return "hold" in document or document.get("revision", 0) < known or protected(domain, after["clock"]["now"], False)
