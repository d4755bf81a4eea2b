"""What a world's raw state says, read without the engine's code: who may go, who needs which file."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable
from typing import Any

State = dict[str, Any]
Inode = tuple[int, int]
HOUR = 3600
#: What the judge has to know of a VmCleanupPolicy, as it is when nobody says otherwise.
POLICY: dict[str, Any] = {
    "max_concurrent_cleanups": 3, "require_confirmation": False, "dry_run_mode": False, "log_cleanup_operations": True,
    "retention_days": 7, "max_removals": 0, "max_removal_percent": 0, "max_removal_gib": 0, "undo_hours": 0,
    "remove_unpooled_files": False,
}  # fmt: skip
#: What of a host's policy holds beside a call's own.
PROTECTING = (
    "cleanup_enabled", "dry_run_mode", "require_synchronised_clock", "require_confirmation", "max_removals", "max_removal_percent",
    "max_removal_gib", "undo_hours", "require_notice", "notify_before_hours", "alert_command", "alert_webhook",
)  # fmt: skip


def policy_of(state: State, arguments: dict[str, Any]) -> dict[str, Any]:
    """The policy of a call: its own, with what protects in the host's, or else the host's; a dry_run_mode of the host holds for both."""
    host = state["configuration"].get("cleanup")
    host = host if isinstance(host, dict) else {}
    given = arguments.get("policy")
    own = host if given is None else {name: host[name] for name in PROTECTING if name in host}
    found = {**POLICY, **own, **(given or {})}
    return {**found, "dry_run_mode": bool(found["dry_run_mode"] or host.get("dry_run_mode"))}


def carried(domain: dict[str, Any]) -> dict[str, Any]:
    """The declaration inside a domain, {} when there is none that makes sense."""
    try:
        document = json.loads(domain["metadata"] or "{}")
        return document if isinstance(document, dict) and isinstance(document["persistence"], dict) else {}
    except (ValueError, KeyError):
        return {}


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


def needed(state: State, but: str = "", more: Iterable[dict[str, Any]] = ()) -> set[Inode]:
    """Every file that some VM other than but uses, or that another file of a pool is built on.

    more: VMs that are removed and can be brought back. An image outside every pool that no VM uses can't be known of,
    so what it is built on is not counted.
    """
    found: set[Inode] = set()
    for domain in [*state["domains"], *more]:
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


def plain_disks(state: State, domain: dict[str, Any]) -> dict[str, Inode]:
    """Disks of a VM that are ordinary in every way: files of one name in an active directory pool, used as disks only."""
    pools = {pool["path"] for pool in state["pools"] if pool["active"] and pool["type"] == "dir"}
    found: dict[str, Inode] = {}
    for use in domain["files"]:
        path, mark = use["path"], inode(state, use["path"])
        names = [name for name in state["files"] if inode(state, name) == mark]
        roles = {other["role"] for other in domain["files"] if inode(state, other["path"]) == mark}
        plain = use["role"] == "disk" and use["kind"] == "file" and not use["read_only"] and not use["shareable"]
        if mark and plain and names == [path] and roles <= {"disk", "snapshot"} and posixpath.dirname(path) in pools:
            found[path] = mark
    return found


def own_files(state: State, domain: dict[str, Any], more: Iterable[dict[str, Any]] = ()) -> dict[str, Inode]:
    """Disks that must go with a VM: ordinary ones that nothing else uses."""
    others = needed(state, domain["uuid"], more)
    return {path: mark for path, mark in plain_disks(state, domain).items() if mark not in others}


def common_disks(state: State, domain: dict[str, Any], more: Iterable[dict[str, Any]] = ()) -> dict[str, Inode]:
    """Ordinary disks that are an ordinary disk of every VM that uses them, and that nothing is built on."""
    everyone = [*state["domains"], *more]
    below: set[Inode] = set()
    for path in state["files"]:
        below |= reach(state, path) - {inode(state, path) or (0, 0)}
    found = {path: mark for path, mark in plain_disks(state, domain).items() if mark not in below}
    for each in everyone:
        odd = [use["path"] for use in each["files"] if use["path"] not in plain_disks(state, each)]
        odd += [path for path in state["files"] if any(path.startswith(f"{place}/") for place in odd)]
        marks = {inode(state, path) for path in odd}
        found = {path: mark for path, mark in found.items() if mark not in marks}
    return {path: mark for path, mark in found.items() if not state["files"][path].get("open")}


def print_of(state: State, path: str) -> tuple[Any, ...]:
    """What tells whether a file is untouched since it was looked at."""
    found = state["files"].get(path, {})
    return tuple(found.get(key) for key in ("device", "inode", "size", "changed_ns"))


def doubtful(state: State) -> bool:
    """Whether something can't be looked at, so that keeping a disk is right."""
    unreadable = any("unreadable" in entry for entry in state["files"].values())
    broken = any(
        entry.get("backing") is not None and entry["backing"] not in state["files"] for entry in state["files"].values()
    )
    return bool(state["problems"]) or unreadable or broken or not all(pool["active"] for pool in state["pools"])
