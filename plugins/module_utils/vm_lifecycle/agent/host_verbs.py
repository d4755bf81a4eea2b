# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of a host's boot and shutdown, which its units run and people may run too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from ..errors import EffectError, LifecycleError
from ..run import run

if TYPE_CHECKING:
    import argparse

    from ..ports import World

#: How often a shutdown looks for VMs that have come up since.
MORE_LOOKS = 3


def boot_host(options: argparse.Namespace, world: World) -> Dict[str, Any]:
    """Start what is to start, then hand to the clean-up what was declared to be deleted at boot.

    Deletion comes last: nothing that people wait for waits for it. A run that was interrupted goes on with it.
    """
    from ..tasks import boot

    dry_run = options.dry_run or options.plan
    made, warnings, problem = _lost(options, world, dry_run)
    wish = {"again": options.again, "mark": options.mark, "preview": dry_run}
    result = run(boot.TASK, wish, world, dry_run)
    doomed: List[str] = result.pop("destroy")
    try:
        if doomed:
            _delete(doomed, result, world, dry_run)
    except LifecycleError as error:  # VMs were started, and the result tells of them
        _complain(result, f"nothing was deleted: {'; '.join(map(str, error.problems))}")
    _put_in(result, made)
    result["warnings"] += warnings
    if problem:
        _complain(result, problem)
    try:
        if not dry_run and not result["already_done"]:
            boot.finish(world)
    except EffectError as error:
        _complain(result, f"it is not recorded that this boot's VMs were started: {error.message}")
    return result


def _lost(options: argparse.Namespace, world: World, dry_run: bool) -> Tuple[List[Dict[str, Any]], List[str], str]:
    """Definitions that were lost while the host was down are made again before anything is started; once a boot, too.

    Returns a row for each, warnings, and why it could not be tried: that keeps no other VM down.
    """
    if options.mark or options.again:
        return [], [], ""
    try:
        known = world.store.boot()
        over = known is not None and known.boot_id == world.host.clock().boot_id and known.ended_unix > 0
        kept = {recovery.uuid for recovery in world.store.recoveries().values() if not recovery.removed}
        if over or not kept or kept <= {domain.uuid for domain in world.hypervisor.domains()}:
            return [], [], ""
        from ..tasks.recovery import TASK  # no host waits for it that lost nothing

        found = run(TASK, {"state": "restored", "lost": True}, world, dry_run)
        return found["vms"], found["warnings"], ""
    except (LifecycleError, EffectError) as error:
        return [], [], f"lost definitions were not looked for: {error}"


def _put_in(result: Dict[str, Any], made: List[Dict[str, Any]]) -> None:
    told = {row["uuid"] for row in result["vms"]}
    result["vms"] += [row for row in made if row["uuid"] not in told]
    result["changed"] = result["changed"] or any(row["changed"] for row in made)
    result["failed"] = result["failed"] or any(row.get("failed") for row in made)


def _delete(doomed: List[str], result: Dict[str, Any], world: World, dry_run: bool) -> None:
    """Hand VMs to the clean-up, and put its rows into the result. Raises LifecycleError when it refuses."""
    from ..tasks import cleanup  # few VMs are declared so

    named = [{"uuid": uuid} for uuid in doomed]
    wish = {"vms": named, "ignore": ["expiry", "window"], "at_boot": True, "missing": "skip"}
    swept = run(cleanup.TASK, wish, world, dry_run)
    rows = {row["uuid"]: row for row in swept["vms"]}
    result["vms"] = [rows.get(row["uuid"], _otherwise(row)) if row["uuid"] in doomed else row for row in result["vms"]]
    result["warnings"] += swept["warnings"]
    result["changed"] = result["changed"] or swept["changed"]
    result["failed"] = result["failed"] or (swept["failed"] and swept.get("alert", True))


def _otherwise(row: Dict[str, Any]) -> Dict[str, Any]:
    """A VM that the clean-up does not speak of was started, or declared otherwise, while others were waited for."""
    said = "it was started, or declared otherwise, while the host's VMs were being started"
    return {**row, "reason": "changed_meanwhile", "message": f"{row['name']}: {said}"}


def _complain(result: Dict[str, Any], problem: str) -> None:
    result["warnings"].append(problem)
    result["failed"] = True


def stop_host(options: argparse.Namespace, world: World) -> Dict[str, Any]:
    """Stop what runs, if the host goes down or a person wants it. What that would be is told at any time.

    A VM that was just being started when the host went down runs only when the others are down already, so there is another look.
    """
    from ..tasks import shutdown

    dry_run = options.dry_run or options.plan
    began = world.host.clock().boottime - options.spent  # since libvirt was waited for
    wish = {"now": options.now or dry_run, "spent": options.spent}
    result = run(shutdown.TASK, wish, world, dry_run)
    looks = 0 if dry_run or not result["changed"] else MORE_LOOKS
    try:
        while looks and _came_up(result, world):
            looks -= 1
            spent = world.host.clock().boottime - began
            _take_in(result, run(shutdown.TASK, {**wish, "spent": spent}, world))
    except (LifecycleError, EffectError) as error:  # VMs were stopped, and the result tells of them
        _complain(result, f"whether others came up meanwhile is not known: {error}")
    return result


def _came_up(result: Dict[str, Any], world: World) -> bool:
    """Whether a VM runs that is not just left to the host."""
    left = {row["uuid"] for row in result["vms"] if row["decision"] != "stopped"}
    return any(domain.active and domain.uuid not in left for domain in world.hypervisor.domains())


def _take_in(result: Dict[str, Any], latest: Dict[str, Any]) -> None:
    """What a later look did counts for the VMs that it found."""
    rows = {row["uuid"]: row for row in latest["vms"] if row["decision"] != "kept"}
    result["vms"] = [rows.pop(row["uuid"], row) for row in result["vms"]]
    result["vms"] += rows.values()
    result["failed"] = any(row.get("failed") for row in result["vms"]) or result["failed"]
