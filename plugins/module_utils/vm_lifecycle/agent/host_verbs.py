# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of a host's boot and shutdown, which its units run and people may run too."""

from __future__ import annotations

import argparse
from typing import Any, Dict, List

from ..ports import World
from ..run import run
from ..tasks import boot, cleanup, shutdown
from ..tasks import recovery as recoveries


def boot_host(options: argparse.Namespace, world: World) -> Dict[str, Any]:
    """Start what is to start, then hand to the clean-up what was declared to be deleted at boot.

    Deletion comes last: nothing that people wait for waits for it. A run that was interrupted goes on with it.
    """
    wish = {"again": options.again, "mark": options.mark, "preview": options.plan}
    dry_run = options.dry_run or options.plan
    made = _lost(options, world, dry_run)
    result = run(boot.TASK, wish, world, dry_run)
    doomed: List[str] = result.pop("destroy")
    if doomed:
        named = [{"uuid": uuid} for uuid in doomed]
        wish = {"vms": named, "ignore": ["expiry", "window"], "at_boot": True, "missing": "skip"}
        swept = run(cleanup.TASK, wish, world, dry_run)
        rows = {row["uuid"]: row for row in swept["vms"]}
        result["vms"] = [rows.get(row["uuid"], row) if row["uuid"] in doomed else row for row in result["vms"]]
        result["warnings"] += swept["warnings"]
        result["changed"] = result["changed"] or swept["changed"]
        result["failed"] = result["failed"] or (swept["failed"] and swept.get("alert", True))
    result["vms"] += [row for row in made if row["uuid"] not in {each["uuid"] for each in result["vms"]}]
    result["changed"] = result["changed"] or any(row["changed"] for row in made)
    result["failed"] = result["failed"] or any(row.get("failed") for row in made)
    if not dry_run:
        boot.finish(world)
    return result


def _lost(options: argparse.Namespace, world: World, dry_run: bool) -> List[Dict[str, Any]]:
    """Definitions that were lost while the host was down are made again before anything is started; once a boot, too."""
    known = world.store.boot()
    over = known is not None and known.boot_id == world.host.clock().boot_id and known.ended_unix > 0
    if options.mark or options.again or over:
        return []
    kept = [recovery.uuid for recovery in world.store.recoveries().values() if not recovery.removed]
    if not kept or set(kept) <= {domain.uuid for domain in world.hypervisor.domains()}:
        return []
    rows: List[Dict[str, Any]] = run(recoveries.TASK, {"state": "restored", "lost": True}, world, dry_run)["vms"]
    return rows


def stop_host(options: argparse.Namespace, world: World) -> Dict[str, Any]:
    """Stop what runs, if the host goes down or a person wants it."""
    return run(shutdown.TASK, {"now": options.now}, world, options.dry_run or options.plan)
