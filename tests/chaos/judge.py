# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host is as it has to be after chaos. Pure: a manifest of what was to happen, and the facts of what did.

manifest: {vms: {uuid: {name, fate}}, files: {path: {fate, why, sha256}}}; fate is "removed", "kept", "gone_by_hand" or "either";
by_hand: how often people have defined an expired VM anew, which may be one removal more each time.
facts: what main.py facts found on the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

REMOVED, KEPT = "removed", "kept"
#: A person undefined it: it is not there, and its disks are not ours to delete.
GONE_BY_HAND = "gone_by_hand"
#: Nobody confirmed what was asked for it.
EITHER = "either"


@dataclass(frozen=True)
class Violation:
    """Something that is not as it has to be. kind: a word to count by."""

    kind: str
    what: str


def judge(manifest: dict[str, Any], facts: dict[str, Any], waiting: frozenset[str] = frozenset()) -> list[Violation]:
    """All violations. waiting: UUIDs of VMs that were removed for now, and whose disks wait for an undo."""
    manifest = resolved(manifest, facts)
    return [
        *_vms(manifest, facts),
        *_files(manifest, facts, waiting),
        *_books(manifest, facts, waiting),
        *_promises(manifest, facts),
    ]


def resolved(manifest: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """A VM that may be there or not (a hold that nobody confirmed) has all of its disk, or none is left of both."""
    vms = {
        uuid: {**vm, "fate": KEPT if uuid in facts["domains"] else REMOVED} if vm["fate"] == EITHER else vm
        for uuid, vm in manifest["vms"].items()
    }
    fates = {vm["name"]: vm["fate"] for vm in vms.values()}
    files = {
        path: {**each, "fate": fates[each["vm"]]} if each["fate"] == EITHER else each
        for path, each in manifest["files"].items()
    }
    return {"vms": vms, "files": files}


def _promises(manifest: dict[str, Any], facts: dict[str, Any]) -> Iterator[Violation]:
    """What was declared and confirmed is declared; who has to be told was told; units end well and the record is right."""
    for uuid, vm in manifest["vms"].items():
        if vm.get("declared") and facts["declared"].get(uuid) != vm["declared"]:
            yield Violation(
                "declaration_lost", f"{vm['name']}: {vm['declared']}, and it says {facts['declared'].get(uuid)}"
            )
        if vm["carries"] == "fresh" and uuid not in facts["told"]:
            yield Violation("notice_lost", f"nobody was told that {vm['name']} expires")
    for name, result in facts["units"].items():
        if result != "success":
            yield Violation("unit_failed", f"{name}: {result}")
    for text in facts["states_wrong"]:
        yield Violation("state_wrong", text)


def _vms(manifest: dict[str, Any], facts: dict[str, Any]) -> Iterator[Violation]:
    """Every expired VM is gone, and only those; nothing has appeared."""
    for uuid, vm in manifest["vms"].items():
        there = facts["domains"].get(uuid)
        if vm["fate"] == KEPT and there != vm["name"]:
            yield Violation("wrongly_removed", f"{vm['name']} has to stay ({vm['carries']}): {there or 'gone'}")
        if vm["fate"] == REMOVED and there is not None:
            yield Violation("not_removed", f"{vm['name']} is still there")
        if vm["fate"] == GONE_BY_HAND and there is not None:
            yield Violation("came_back", f"{vm['name']} was undefined by hand, and is there")
    for uuid, name in facts["domains"].items():
        if uuid not in manifest["vms"]:
            yield Violation("unknown_vm", f"{name} ({uuid}) came from nowhere")


def _files(manifest: dict[str, Any], facts: dict[str, Any], waiting: frozenset[str]) -> Iterator[Violation]:
    """What stays is the same to the bit; what goes is gone, or all there while an undo is possible."""
    rounds = {manifest["vms"][uuid]["round"] for uuid in waiting}
    for path, expected in manifest["files"].items():
        digest = facts["files"].get(path)
        if expected["fate"] == KEPT and digest != expected["sha256"]:
            yield Violation("damaged_disk", f"{path} ({expected['why']}): {'altered' if digest else 'gone'}")
        if expected["fate"] != REMOVED or path.endswith(".save"):  # a memory image does not outlive an undefinition
            continue
        if expected["round"] in rounds and digest != expected["sha256"]:
            yield Violation("undo_disk_lost", f"{path} ({expected['why']}): {'altered' if digest else 'gone'}")
        if expected["round"] not in rounds and digest is not None:
            yield Violation("leaked_volume", f"{path} ({expected['why']}) is still there")


def _books(manifest: dict[str, Any], facts: dict[str, Any], waiting: frozenset[str]) -> Iterator[Violation]:
    """Schedules are closed, no record of a removal is left open, and nothing was removed twice."""
    for uuid, vm in manifest["vms"].items():
        status, done = facts["schedules"].get(uuid), facts["removals_done"].get(uuid, 0)
        if vm["fate"] == REMOVED and uuid not in facts["domains"]:
            if status != "completed":
                yield Violation("schedule_open", f"the schedule of {vm['name']} is {status}")
            # with an undo there are two: the removal, and later that of the disks
            most = 2 if vm.get("undo") and uuid not in waiting else 1
            most += vm.get("by_hand", 0)
            if not 1 <= done <= most:
                yield Violation("removal_count", f"the removal of {vm['name']} was finished {done} times")
        elif vm["fate"] == GONE_BY_HAND and done:
            yield Violation("wrong_history", f"{vm['name']} was undefined by hand, and its history says removed")
        elif vm["fate"] == KEPT and (status == "completed" or done):
            yield Violation("wrong_history", f"{vm['name']} stays, and its history says removed")
    for name in facts["intents"]:
        yield Violation("intent_left", name)
    for uuid in facts["undo"]:
        if uuid not in waiting:
            yield Violation("undo_left", manifest["vms"].get(uuid, {}).get("name", uuid))
    for uuid in waiting - frozenset(facts["undo"]):
        yield Violation("undo_record_lost", manifest["vms"][uuid]["name"])
    for name in facts["set_aside"]:
        yield Violation("store_damaged", name)
