# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VmStateSnapshot: from what libvirt measures of a VM, and its last reading, to the document."""

from __future__ import annotations

import math
from typing import Mapping, Optional

from ..boots import BootRun, LastState, StartRecord
from ..frozen import dataclass
from ..model import ClockReading, Domain
from ..restarts import RestartRecord
from ..snapshots import Counters, Sample, Statistics
from ..times import iso

MIB, GIB = 2**20, 2**30
#: Two readings within so many seconds are one: counters are kept in steps of ten milliseconds.
SHORTEST = 1.0
#: Seconds for which what the guest told of its memory is believed.
TOLD_LIMIT = 600.0
#: libvirt's word for a state -> the schema's. Why it is so may say otherwise.
STATES: Mapping[str, str] = {
    "running": "running",
    "blocked": "running",
    "paused": "paused",
    "pmsuspended": "paused",
    "shutdown": "stopping",
    "shutoff": "stopped",
    "crashed": "error",
    "no state": "error",
}
#: Why a VM is in its state, as Statistics.reason -> the schema's word for it, whatever the state is.
REASONS: Mapping[str, str] = {"io_error": "error", "starting": "starting", "crashed": "error", "failed": "error"}


@dataclass(frozen=True)
class Known:
    """What is on record of a VM. starting: a boot or the supervisor is about to start it. died: its process did. restarts: how often."""

    starting: bool = False
    died: bool = False
    restarts: int = 0


def known(
    last: Optional[LastState],
    start: Optional[StartRecord],
    run: Optional[BootRun],
    boot_id: str,
    restart: Optional[RestartRecord] = None,
) -> Known:
    """What the records say of a VM in this boot of the host.

    A boot marks all that it will start before it starts the first; what it is through with has a start of this boot.
    """
    restarts = restart.restart_count if restart is not None else 0
    again = restart is not None and restart.phase == "starting" and restart.boot_id == boot_id
    if last is None or last.boot_id != boot_id:
        return Known(again, restarts=restarts)
    goes_on = run is not None and run.boot_id == boot_id and not run.ended_unix
    through = start is not None and start.boot_id == boot_id
    first = last.reason == "starting" and goes_on and not through
    return Known(again or first, last.reason == "failed", restarts)


def state(found: Statistics, on_record: Known) -> str:
    """The schema's word for a VM's state. What is on record counts only for one that is off."""
    if found.state == "shutoff" and on_record.starting:
        return "starting"
    if found.reason in REASONS:
        return REASONS[found.reason]
    if found.state == "shutoff" and on_record.died:
        return "error"
    return STATES.get(found.state, "error")


def sample(
    domain: Domain, found: Statistics, last: Optional[Counters], moment: ClockReading, on_record: Known
) -> Sample:
    """A VM's snapshot at a moment, just after which it was measured."""
    counters = _counters(found, last, moment)
    memory = _memory(found, moment.now)
    document = {
        "vm_name": domain.name,
        "snapshot_time": iso(moment.now),
        "vm_state": state(found, on_record),
        "cpu_usage_percent": counters.cpu_percent,
        "memory_usage_mb": math.ceil(memory / MIB),
        "disk_usage_gb": math.ceil(found.disks / GIB),
        "ip_addresses": list(found.addresses),
        "mac_addresses": list(found.macs),
        "uptime_seconds": int(counters.uptime),
        "restart_count": on_record.restarts,
    }
    return Sample(found.uuid, int(moment.now), document, counters, memory, found.disks)


def _memory(found: Statistics, now: float) -> int:
    """Bytes in use. A guest whose balloon does not report any more has told something that was true once."""
    if found.run < 0:
        return 0
    fresh = found.told_unix > 0 and abs(now - found.told_unix) <= TOLD_LIMIT
    if found.guest_used is not None and fresh:
        return max(found.guest_used, 0)
    return max(found.resident, 0)


def _counters(found: Statistics, last: Optional[Counters], moment: ClockReading) -> Counters:
    """This reading, with the rate since the last one of the same run; in the first one, since its process was started."""
    if found.run < 0:
        return Counters(found.uuid, -1, moment.boot_id, moment.boottime)
    same = last is not None and (last.run, last.boot_id) == (found.run, moment.boot_id)
    elapsed = moment.boottime - last.boottime if last is not None and same else 0.0
    if last is not None and same and 0.0 <= elapsed < SHORTEST:
        return last
    uptime = _uptime(found, last if same else None, elapsed)
    used = found.cpu_ns or 0
    if last is not None and same and found.cpu_ns is not None and used >= last.cpu_ns and elapsed > 0:
        percent = _percent(used - last.cpu_ns, elapsed, found.processors)
    else:
        percent = _percent(used, uptime, found.processors)
    return Counters(found.uuid, found.run, moment.boot_id, moment.boottime, used, percent, uptime)


def _uptime(found: Statistics, last: Optional[Counters], elapsed: float) -> float:
    """Seconds since it was started; where nobody tells, since it was first seen in this run."""
    if found.uptime is not None:
        return max(found.uptime, 0.0)
    return last.uptime + max(elapsed, 0.0) if last is not None else 0.0


def _percent(used_ns: int, seconds: float, processors: int) -> float:
    """Share of all its processors. QEMU's own threads count, so that it may come to more than all of them: then all."""
    if seconds <= 0:
        return 0.0
    return round(min(max(used_ns / 1e9 / seconds / max(processors, 1), 0.0), 1.0) * 100, 2)
