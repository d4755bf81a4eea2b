"""Judges what a run did to a world by the project's invariants, from the raw state and without the engine's code."""

from __future__ import annotations

import json
import posixpath
from typing import Any

from tests.fakes.world import Machine

State = dict[str, Any]
Inode = tuple[int, int]


def protected(domain: dict[str, Any], now: float, expiry_lifted: bool) -> bool:
    """Whether nobody may remove this VM: unless it is plainly ours, temporary, over, and free to go."""
    if not domain["persistent"] or domain["metadata_error"] or not domain["metadata"]:
        return True
    try:
        document = json.loads(domain["metadata"])
        persistence = document["persistence"]
        return not (
            document["version"] == 1
            and document["vm_id"] == domain["uuid"]
            and document["revision"] >= 1
            and persistence["mode"] == "temporary"
            and "hold" not in document
            and persistence.get("auto_cleanup", True) is True
            and (expiry_lifted or persistence["scheduled_cleanup"] <= now)
        )
    except (ValueError, KeyError, TypeError):
        return True


def inode(state: State, path: str) -> Inode | None:
    """Device and inode behind a path."""
    found = state["files"].get(path)
    if found is None:
        return None
    return inode(state, found["symlink"]) if "symlink" in found else (found["device"], found["inode"])


def reach(state: State, path: str) -> set[Inode]:
    """A file and all that it is built on."""
    found: set[Inode] = set()
    at: str | None = path
    while at is not None:
        entry = state["files"].get(at)
        while entry and "symlink" in entry:
            entry = state["files"].get(entry["symlink"])
        mark = (entry["device"], entry["inode"]) if entry else None
        if entry is None or mark is None or mark in found:
            break
        found.add(mark)
        at = entry.get("backing")
    return found


def needed(state: State, but: str = "") -> set[Inode]:
    """Every file that some VM other than but uses, or that another file of a pool is built on.

    An image outside every pool that no VM uses can't be known of, so what it is built on is not counted.
    """
    found: set[Inode] = set()
    for domain in state["domains"]:
        if domain["uuid"] != but:
            for use in domain["files"]:
                found |= reach(state, use["path"])
                if use["role"] == "share":
                    found |= {
                        inode(state, path) or (0, 0)
                        for path in state["files"]
                        if posixpath.dirname(path) == use["path"]
                    }
    found |= {inode(state, path) or (0, 0) for path, entry in state["files"].items() if entry.get("open")}
    pools = {pool["path"] for pool in state["pools"]}
    for path in state["files"]:
        if posixpath.dirname(path) in pools:
            found |= reach(state, path) - {inode(state, path) or (0, 0)}
    return found


def own_files(state: State, domain: dict[str, Any]) -> dict[str, Inode]:
    """Disks that must go with a VM: plain volumes of an active directory pool that nothing else uses."""
    pools = {pool["path"] for pool in state["pools"] if pool["active"] and pool["type"] == "dir"}
    others = needed(state, domain["uuid"])
    found: dict[str, Inode] = {}
    for use in domain["files"]:
        path, mark = use["path"], inode(state, use["path"])
        names = [name for name in state["files"] if inode(state, name) == mark]
        roles = {other["role"] for other in domain["files"] if inode(state, other["path"]) == mark}
        plain = use["role"] == "disk" and use["kind"] == "file" and not use["read_only"] and not use["shareable"]
        alone = mark not in others and names == [path] and roles <= {"disk", "snapshot"}
        if mark and plain and alone and posixpath.dirname(path) in pools:
            found[path] = mark
    return found


def doubtful(state: State) -> bool:
    """Whether something can't be looked at, so that keeping a disk is right."""
    unreadable = any("unreadable" in entry for entry in state["files"].values())
    broken = any(
        entry.get("backing") is not None and entry["backing"] not in state["files"] for entry in state["files"].values()
    )
    return bool(state["problems"]) or unreadable or broken or not all(pool["active"] for pool in state["pools"])


class Auditor:
    """Watches every effect just before it happens. violations: what broke an invariant."""

    def __init__(self) -> None:
        self.removes = self.lifted = False
        self.violations: list[str] = []
        #: Domains that the engine itself undefined, and the files that it may delete since then.
        self.undefined: list[dict[str, Any]] = []
        self.released: set[Inode] = set()
        #: Files that must be gone, or still there, once the removals are over.
        self.owed: dict[str, Inode] = {}
        self.shared: dict[str, Inode] = {}

    def begin(self, step: dict[str, Any]) -> None:
        """What the next call may do."""
        self.removes = step["task"] == "vm_cleanup"
        self.lifted = "expiry" in step.get("arguments", {}).get("ignore", ())

    def __call__(self, machine: Machine, kind: str, subject: Any) -> None:
        state = machine.state
        harms = kind in ("request_shutdown", "power_off", "undefine")
        if harms and (not self.removes or protected(subject, state["clock"]["now"], self.lifted)):
            self.violations.append(f"{kind} of the protected VM {subject['name']}")
        if kind == "undefine":
            self._undefine(state, subject)
        if kind == "delete_volume":
            mark = inode(state, subject)
            if mark not in self.released:
                self.violations.append(f"{subject} was deleted and belongs to no VM that was undefined")
            if mark in needed(state):
                self.violations.append(f"{subject} was deleted and is in use")

    def _undefine(self, state: State, domain: dict[str, Any]) -> None:
        if domain["state"] != "shutoff":
            self.violations.append(f"undefine of the running VM {domain['name']}")
        self.undefined.append(dict(domain))
        self.owed.update(own_files(state, domain))
        others = needed(state, domain["uuid"])
        for use in domain["files"]:
            mark = inode(state, use["path"])
            if mark:
                self.released.add(mark)
            if mark and mark in others:
                self.shared[use["path"]] = mark

    def settle(self, before: State, after: State) -> list[str]:
        """All violations between a world and what became of it, once everything is quiet."""
        found = list(self.violations)
        gone = {domain["uuid"] for domain in self.undefined}
        for domain in before["domains"]:
            found += self._domain(before, after, domain, domain["uuid"] in gone)
        used = {use["path"] for domain in after["domains"] for use in domain["files"]}
        for path, mark in self.shared.items():
            if path in used and inode(after, path) != mark:
                found.append(f"{path} is lost and was shared")
        for path, mark in self.owed.items():
            # A disk that two VMs shared when they were planned may stay although both are gone: that is said in the row.
            users = sum(path in [use["path"] for use in domain["files"]] for domain in self.undefined)
            if inode(after, path) == mark and mark not in needed(after) and users == 1 and not doubtful(after):
                found.append(f"{path} leaked")
        return found + self._books(after)

    def _domain(self, before: State, after: State, domain: dict[str, Any], gone: bool) -> list[str]:
        found = []
        here = next((each for each in after["domains"] if each["uuid"] == domain["uuid"]), None)
        if here is None and not gone and domain["persistent"]:
            found.append(f"{domain['name']} is gone")
        if here is not None or not gone:
            for use in domain["files"]:
                mark = inode(before, use["path"])
                if mark and inode(after, use["path"]) != mark:
                    found.append(f"{use['path']} of {domain['name']} is lost")
        return found

    def _books(self, after: State) -> list[str]:
        """One completed schedule and one finished removal in the log for each VM that is gone; no intent left."""
        found = []
        back = {domain["uuid"] for domain in after["domains"]}
        for domain in self.undefined:
            uuid = domain["uuid"]
            if uuid in back:  # a person defined it again
                continue
            lines = [line for line in after["store"]["operations"] if line["uuid"] == uuid]
            done = [line for line in lines if (line["operation"], line["outcome"]) == ("remove", "done")]
            times = sum(each["uuid"] == uuid for each in self.undefined)
            status = after["store"]["schedules"].get(uuid, {}).get("cleanup_status")
            if len(done) != times or status != "completed":
                found.append(f"{domain['name']}: {len(done)} removals of {times} in the log, schedule {status}")
        return found + [f"intent of {intent['name']} left" for intent in after["store"]["intents"].values()]
