# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages for the host's hooks: a VM that will be removed, a plan that waits, a removal that failed."""

from __future__ import annotations

from typing import Mapping, Optional, Sequence

from ..model import HOUR, Document
from ..removals import Notice, SweepPlan
from ..times import iso
from .cleanup_policy import CleanupPolicy


def key_of(uuid: str, scheduled: int) -> str:
    """One notice for each deadline: a VM that is renewed gets another."""
    return f"expiring:{uuid}:{scheduled}"


def expiring(
    uuid: str, name: str, persistence: Document, policy: CleanupPolicy, known: Mapping[str, Notice], now: float
) -> Optional[Notice]:
    """The notice that is due for a temporary VM; None when it is too early, or when it was queued before."""
    hours, scheduled = policy.limit("notify_before_hours"), persistence.get("scheduled_cleanup")
    if not hours or scheduled is None or not persistence["auto_cleanup"] or now < scheduled - hours * HOUR:
        return None
    key = key_of(uuid, scheduled)
    if key in known:
        return None
    message = f"{name} expires {iso(scheduled)}; renew or hold it, or it will be removed"
    return Notice(key, "expiring", uuid, name, message, int(now))


def arrived_long_enough_ago(notice: Optional[Notice], policy: CleanupPolicy, now: float) -> bool:
    """Whether whoever was told had the time that was promised."""
    if notice is None or not notice.delivered_unix:
        return False
    return now >= notice.delivered_unix + policy.limit("notify_before_hours") * HOUR


def failure(uuid: str, name: str, error: str, now: float, attempt: str = "") -> Notice:
    """A removal failed, or, without a UUID, a sweep as a whole."""
    what = f"removing {name}" if uuid else name
    return Notice(
        f"failed:{uuid}:{attempt or int(now)}",
        "failed",
        uuid,
        name,
        f"{what} failed: {error}",
        int(now),
    )


def confirmation(plan: SweepPlan, why: str) -> Notice:
    """A plan waits for a person."""
    names = ", ".join(vm.name for vm in plan.vms[:10]) + (" and others" if len(plan.vms) > 10 else "")
    message = f"{len(plan.vms)} VMs wait for a confirmation of {plan.plan_id}, {why}: {names}"
    return Notice(
        f"plan:{plan.plan_id}:{plan.created_unix}", "confirmation", "", plan.plan_id, message, plan.created_unix
    )


def trial(now: float) -> Notice:
    """A message that asks for nothing: whether the hooks get what they are sent."""
    return Notice(
        f"test:{int(now)}", "test", "", "this host", "vm-lifecycle notify --test was run on this host", int(now)
    )


def by_key(notices: Sequence[Notice]) -> Mapping[str, Notice]:
    """Notices by their keys."""
    return {notice.key: notice for notice in notices}
