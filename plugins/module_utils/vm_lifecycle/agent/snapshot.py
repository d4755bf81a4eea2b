# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm-lifecycle snapshot, which its timer runs and people may run too."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Dict, Mapping

from ..adapters.textfile import publish
from ..errors import EffectError
from ..run import run
from ..tasks.measured import snapshot_policy
from ..tasks.snapshots import TASK
from ..tasks.targets import wishes
from .metrics import metrics

if TYPE_CHECKING:
    from ..ports import World


def take(options: argparse.Namespace, arguments: Mapping[str, Any], world: World) -> Dict[str, Any]:
    """Put on record what VMs do, and publish it as metrics where the host's policy says so.

    Metrics are of all managed VMs, so that a look at some of them leaves those as they are. Raises EffectError when they can't be written.
    """
    result = run(TASK, arguments, world, options.dry_run)
    whole = not wishes(arguments, (), required=False)
    result["metrics_file"] = None
    if whole and not options.dry_run:
        directory = snapshot_policy(world.host).get("textfile_directory")
        result["metrics_file"] = publish(str(directory), metrics(result)) if directory else None
    return result


def remember_sweep(world: World, result: Dict[str, Any]) -> None:
    """How a sweep of the timer ended is kept: metrics tell of it. What was swept is swept, also when that is not possible."""
    from ..changes import RememberSweep
    from ..tasks.snapshots import sweep_run

    try:
        world.store.save([RememberSweep(sweep_run(result, world.host.clock().now))])
    except EffectError as error:
        result["warnings"].append(f"it is not recorded how the sweep ended: {error.message}")
