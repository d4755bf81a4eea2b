# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet as JSON and as CSV, for machines and for spreadsheets. Pure.

A name may be what a spreadsheet takes for a formula, or what ends a script of a page; neither may act.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from datetime import datetime
from typing import Any, Dict, List, Sequence

from .attention import KINDS, Concern
from .fleet import Host, Vm
from .views import totals

#: A cell that begins with one of these is a formula to some spreadsheets.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
COLUMNS = (
    "host", "problem", "vm", "uuid", "power_state", "mode", "expires_at", "removed_from", "hold", "hold_reason", "problems",
    "decision", "reason", "message", "restarts", "cpu_percent", "memory_mib", "disk_gib", "uptime_seconds", "addresses",
)  # fmt: skip


def iso(at: Any) -> str:
    """2026-11-26T12:00:00Z"""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else ""


def as_json(hosts: Sequence[Host], found: Sequence[Concern], now: datetime, title: str) -> str:
    """The whole fleet. No < is left in it, so that it may stand in a page."""

    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return iso(value)
        raise TypeError(f"{type(value).__name__} has no JSON")

    whole = {
        "version": 1,
        "title": title,
        "made_at": iso(now),
        "totals": totals(hosts, now),
        "concerns": [{**asdict(each), "severity": KINDS[each.kind].severity} for each in found],
        "hosts": [asdict(host) for host in hosts],
    }
    return json.dumps(whole, default=plain, indent=1).replace("<", "\\u003c") + "\n"


def as_csv(hosts: Sequence[Host]) -> str:
    """A line a VM; a host without any has a line of its own, since a host that says nothing must not be missed."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writeheader()
    for host in hosts:
        told = {"host": host.name, "problem": f"{host.problem}: {host.message}" if host.problem else ""}
        rows: List[Dict[str, Any]] = [{**told, **_row(vm)} for vm in host.vms] or [told]
        for row in rows:
            writer.writerow({name: cell(value) for name, value in row.items()})
    return text.getvalue()


def cell(value: Any) -> str:
    """A text that no spreadsheet calculates."""
    text = str(value)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) and not isinstance(value, (int, float)) else text


def _row(vm: Vm) -> Dict[str, Any]:
    use = vm.use
    measured = (
        {"cpu_percent": use.cpu, "memory_mib": use.memory, "disk_gib": use.disk, "uptime_seconds": use.uptime}
        if use
        else {}
    )
    return {
        "vm": vm.name, "uuid": vm.uuid, "power_state": vm.power_state, "mode": vm.mode, "expires_at": iso(vm.deadline),
        "removed_from": iso(vm.removed_from), "hold": vm.hold, "hold_reason": vm.hold_reason, "problems": " ".join(vm.problems),
        "decision": vm.decision, "reason": vm.reason, "message": vm.message, "restarts": vm.restarts, **measured,
        "addresses": " ".join(vm.addresses),
    }  # fmt: skip
