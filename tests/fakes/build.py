"""From the shorthand of world.json to the whole document of a Machine. Times in hours are relative to now."""

from __future__ import annotations

import copy
import json
from typing import Any

from vm_lifecycle.metadata import digest

from .world import EMPTY_STORE

#: 2026-11-25T03:00:00Z, inside the default window.
NOW = 1795575600
HOUR = 3600
PERSISTENCE = {
    "mode": "permanent", "auto_start": False, "restart_policy": "always", "max_retries": 5, "ttl_hours": 24,
    "auto_cleanup": True, "force_cleanup": False, "cleanup_grace_period": 60,
}  # fmt: skip


def uuid_of(number: int) -> str:
    """A UUID that people can read: 1 is 00000000-0000-4000-8000-000000000001."""
    return f"00000000-0000-4000-8000-{number:012}"


def build(short: dict[str, Any]) -> dict[str, Any]:
    """The whole document. Left out: a sane clock at NOW, UTC, one directory pool, an empty store but for mirrors."""
    now = short.get("now", NOW)
    state: dict[str, Any] = {
        "clock": {"now": float(now), "boottime": 5000.0, "boot_id": "boot", "synchronised": True,
                  **short.get("clock", {})},
        "zone": short.get("zone", "UTC"),
        "features": short.get("features", ["cleanup"]),
        "configuration": copy.deepcopy(short.get("configuration", {})),
        "domains": [],
        "files": {},
        "pools": [{"name": "default", "type": "dir", "path": "/pool", "active": True, **pool}
                  for pool in short.get("pools", [{}])],
        "problems": list(short.get("problems", [])),
        "store": {**copy.deepcopy(EMPTY_STORE), **copy.deepcopy(short.get("store", {}))},
        "claims": list(short.get("claims", [])),
        "refuse": dict(short.get("refuse", {})),
        "pressure": dict(short.get("pressure", {})),
        "networks": [{"active": True, "autostart": True, **network} for network in short.get("networks", [])],
        "going_down": short.get("going_down", False), "stop_budget": short.get("stop_budget", 1e9),
        "examination": copy.deepcopy(short.get("examination", {})),
        "controllers": dict(short.get("controllers", {})),
        "memory": dict(short.get("memory", {})), "room": dict(short.get("room", {})),
        "free_mib": short.get("free_mib", 10000), "images": dict(short.get("images", {})), "qemu": 7002000,
    }  # fmt: skip
    for path, given in short.get("files", {}).items():
        state["files"][path] = file_of(state, given)
    for domain in short.get("domains", []):
        state["domains"].append(domain_of(state, domain))
    return state


def file_of(state: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A file; {"hard_link_of": path} shares that file's inode."""
    if "symlink" in given:
        return dict(given)
    if "hard_link_of" in given:
        return dict(state["files"][given["hard_link_of"]])
    inode = given.get("inode", 100 + len(state["files"]))
    return {"device": 1, "inode": inode, "size": 1024, "changed_ns": 1000 + inode, "backing": None, **given}


def use_of(given: str | dict[str, Any]) -> dict[str, Any]:
    """A reference to a file: a path, or a path with its role and so on."""
    whole = {"path": given} if isinstance(given, str) else given
    return {"role": "disk", "target": "vda", "kind": "file", "read_only": False, "shareable": False, **whole}


def domain_of(state: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A domain. uuid: a number. declared: shorthand of declaration; recorded: false when the store does not know it.

    load: share of one processor that it uses; guest: [MiB in use, epoch seconds at which it said so]; reason: as Statistics.reason.
    restart: where it is between a stop and its restart. pressed: what was done to it because its host is short of something.
    place: the file system of its disks; starved: QEMU was refused space there, and stopped it.
    last: what it was last seen to be, in the boot before this one unless said otherwise.
    files: what it refers to, created as needed, but for {"absent": true}.
    """
    number = given.get("uuid", len(state["domains"]) + 1)
    uuid = number if isinstance(number, str) else uuid_of(number)
    domain: dict[str, Any] = {
        "uuid": uuid, "name": given["name"], "state": given.get("state", "running"),
        "persistent": given.get("persistent", True), "autostart": given.get("autostart", False),
        "metadata": given.get("metadata"), "metadata_error": given.get("metadata_error", ""),
        "obeys_after": given.get("obeys_after", 3.0), "stops_at": None, "files": [],
        "saved": given.get("saved", False), "start_seconds": given.get("start_seconds", 1.0), "start_fails": given.get("start_fails", 0),
        "address": given.get("address", f"10.0.0.{number}"), "ssh_after": given.get("ssh_after", 4.0), "started_at": 0.0,
        "crashes_after": given.get("crashes_after"), "crashes_at": None, "needs": given.get("needs", []),
        "memory_mib": given.get("memory_mib", 512), "save_seconds": given.get("save_seconds", 2.0),
        "unsavable": given.get("unsavable", ""), "unloadable": given.get("unloadable", ""),
        "machine": given.get("machine", "pc-q35-7.2"),
        "image": {"size": 4096, "modified_ns": int(state["clock"]["now"] * 1e9) - HOUR, "problem": "", **given.get("image", {})}
        if given.get("saved") else None, "habits": given.get("habits", ""),
        **({"secrets": True} if given.get("secrets") else {}),
        "load": given.get("load", 0.0), "processors": given.get("processors", 1), "resident_mib": given.get("resident_mib", 100),
        "guest": given.get("guest"), "reason": given.get("reason", ""), "runs": 1,
        "macs": given.get("macs", [f"52:54:00:00:00:{number:02x}"] if isinstance(number, int) else []),
        "panic": given.get("panic", False), "disk_usage": given.get("disk_usage", [0, 0]), "locked_for": given.get("locked_for", ""),
        "limits": dict(given.get("limits", {})), "place": given.get("place", "/vms"), "starved": given.get("starved", False),
        "live": dict(given.get("live", given.get("limits", {}))) if given.get("state", "running") != "shutoff" else {},
    }  # fmt: skip
    for use in given.get("files", []):
        whole = use_of(use)
        if not whole.pop("absent", False) and whole["path"] not in state["files"]:
            state["files"][whole["path"]] = file_of(state, {})
        domain["files"].append(whole)
    if "declared" in given:
        document = declaration(uuid, given["declared"], int(state["clock"]["now"]))
        domain["metadata"] = json.dumps(document, sort_keys=True, separators=(",", ":"))
        if given.get("recorded", True):
            state["store"]["records"][uuid] = record_of(domain, document, int(state["clock"]["now"]))
    if "last" in given:
        state["store"]["states"][uuid] = {
            "uuid": uuid, "name": domain["name"], "state": "running", "reason": "", "boot_id": "boot-",
            "at_unix": int(state["clock"]["now"]) - HOUR, "before": "", **given["last"],
        }  # fmt: skip
    if "pressed" in given:
        state["store"]["pressed"][uuid] = {
            "uuid": uuid, "name": domain["name"], "cause": "memory", "deed": "suspend", "place": "", "boot_id": "boot", "message": "",
            "at_unix": int(state["clock"]["now"]) - HOUR, **given["pressed"],
        }  # fmt: skip
    if "restart" in given:
        state["store"]["restarts"][uuid] = {
            "uuid": uuid, "name": domain["name"], "phase": "up", "restart_count": 0, "in_row": 0, "delay": 0.0, "due": 0.0,
            "since": 0.0, "boot_id": "boot", "reason": "", "message": "", "at_unix": int(state["clock"]["now"]) - HOUR,
            **given["restart"],
        }  # fmt: skip
    return domain


def declaration(uuid: str, short: dict[str, Any], now: int) -> dict[str, Any]:
    """A VmMetadata document. created: hours before now; hold: a scope; the rest is VmPersistence."""
    given = dict(short)
    created = now - int(given.pop("created", 10) * HOUR)
    extras: dict[str, Any] = {
        key: given.pop(key)
        for key in ("policy", "autostart", "revision", "vm_id", "libvirt_actions_before")
        if key in given
    }
    hold = given.pop("hold", None)
    persistence = {**PERSISTENCE, "created_at_unix": created, **given}
    document: dict[str, Any] = {
        "version": 1, "vm_id": uuid, "revision": 1, "persistence": persistence, "libvirt_autostart_before": False,
        **extras,
    }  # fmt: skip
    if persistence["mode"] == "temporary":
        persistence.setdefault("scheduled_cleanup", created + persistence["ttl_hours"] * HOUR)
        document["temporary_since_unix"] = created
    if hold:
        document["hold"] = {"scope": hold, "reason": "audit", "since_unix": now - HOUR}
    return document


def record_of(domain: dict[str, Any], document: dict[str, Any], now: int) -> dict[str, Any]:
    """The store's mirror of a declaration."""
    return {
        "uuid": domain["uuid"], "name": domain["name"], "revision": document["revision"],
        "digest": digest(domain["metadata"]), "document": document, "power_state": domain["state"],
        "last_state_change": now - HOUR,
    }  # fmt: skip
