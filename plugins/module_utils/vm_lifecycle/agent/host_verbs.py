# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of a host's boot and shutdown, which its units run and people may run too."""

from __future__ import annotations

import argparse
from typing import Any, Dict, List

from ..errors import EffectError, LifecycleError
from ..ports import World
from ..run import run
from ..tasks import boot, cleanup, shutdown


def boot_host(options: argparse.Namespace, world: World) -> Dict[str, Any]:
    """Start what is to start, then hand to the clean-up what was declared to be deleted at boot.

    Deletion comes last: nothing that people wait for waits for it. A run that was interrupted goes on with it.
    """
    dry_run = options.dry_run or options.plan
    wish = {"again": options.again, "mark": options.mark, "preview": dry_run}
    result = run(boot.TASK, wish, world, dry_run)
    doomed: List[str] = result.pop("destroy")
    try:
        if doomed:
            _delete(doomed, result, world, dry_run)
    except LifecycleError as error:  # VMs were started, and the result tells of them
        _complain(result, f"nothing was deleted: {'; '.join(map(str, error.problems))}")
    try:
        if not dry_run:
            boot.finish(world)
    except EffectError as error:
        _complain(result, f"it is not recorded that this boot's VMs were started: {error.message}")
    return result


def _delete(doomed: List[str], result: Dict[str, Any], world: World, dry_run: bool) -> None:
    """Hand VMs to the clean-up, and put its rows into the result. Raises LifecycleError when it refuses."""
    named = [{"uuid": uuid} for uuid in doomed]
    wish = {"vms": named, "ignore": ["expiry", "window"], "at_boot": True, "missing": "skip"}
    swept = run(cleanup.TASK, wish, world, dry_run)
    rows = {row["uuid"]: row for row in swept["vms"]}
    result["vms"] = [rows.get(row["uuid"], row) if row["uuid"] in doomed else row for row in result["vms"]]
    result["warnings"] += swept["warnings"]
    result["changed"] = result["changed"] or swept["changed"]
    result["failed"] = result["failed"] or (swept["failed"] and swept.get("alert", True))


def _complain(result: Dict[str, Any], problem: str) -> None:
    result["warnings"].append(problem)
    result["failed"] = True


def stop_host(options: argparse.Namespace, world: World) -> Dict[str, Any]:
    """Stop what runs, if the host goes down or a person wants it."""
    return run(shutdown.TASK, {"now": options.now}, world, options.dry_run or options.plan)
