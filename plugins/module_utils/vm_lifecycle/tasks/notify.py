# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Handing what waits in the store to the host's hooks. Apart from sweeps, which it can neither break nor delay."""

from __future__ import annotations

from typing import Any, Dict, List

from ..changes import NoticeTried
from ..errors import refuse
from ..policy.notice import trial
from ..ports import Host, Store
from ..removals import Hooks, Notice
from ..times import iso

#: Deliveries of one notice that are tried; a hook that is down for longer has missed it.
MOST_ATTEMPTS = 100


def deliver(store: Store, host: Host, hooks: Hooks) -> List[Dict[str, Any]]:
    """Try every notice that has not arrived; returns each with what went wrong, or "". Without hooks nothing is tried."""
    if not hooks.command and not hooks.webhook:
        return []
    told = []
    for notice in store.notices():
        if notice.delivered_unix or notice.attempts >= MOST_ATTEMPTS:
            continue
        error = host.deliver(hooks, event(notice))
        store.save([NoticeTried(notice.key, int(host.clock().now), error)])
        told.append({**event(notice), "error": error})
    return told


def attempt(host: Host, hooks: Hooks) -> List[Dict[str, Any]]:
    """Hand one test message over; nothing is kept of it. Raises LifecycleError without hooks."""
    if not hooks.command and not hooks.webhook:
        raise refuse(
            "no_hook", "no hook is configured: give alert_command or alert_webhook in vm_lifecycle_cleanup_policy"
        )
    message = event(trial(host.clock().now))
    return [{**message, "error": host.deliver(hooks, message)}]


def event(notice: Notice) -> Dict[str, Any]:
    """What a hook is given: a JSON object."""
    return {
        "event": notice.kind,
        "key": notice.key,
        "vm_uuid": notice.uuid,
        "vm_name": notice.name,
        "message": notice.message,
        "at": iso(notice.queued_unix),
    }
