# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a declaration becomes: the next VmMetadata document from the previous one, a wish and the time."""

from __future__ import annotations

from typing import List, Optional, Tuple

from ..errors import Problem
from ..frozen import dataclass
from ..metadata import VERSION
from ..model import HOUR, Document
from ..schema import with_defaults
from ..times import iso
from .expiry import LIFE_LIMIT_HOURS, base_of, deadline, exceeds_life_limit, hours_left, life_end
from .habits import BEFORE
from .host_boot import never

#: Options that mean something for one mode only.
ONLY_TEMPORARY = ("ttl_hours", "auto_cleanup", "force_cleanup", "cleanup_grace_period")
ONLY_PERMANENT = ("restart_policy", "max_retries")


@dataclass(frozen=True)
class Subject:
    """The VM that is spoken of. previous: its last valid declaration, if any. autostart: libvirt's flag as it stands."""

    uuid: str
    name: str
    previous: Optional[Document]
    autostart: bool = False


class Refusal(Exception):
    """The wish can't be met; carries the problem."""

    def __init__(self, subject: Subject, code: str, message: str, field: str = "") -> None:
        self.problem = Problem(code, message, subject.name, field)
        super().__init__(message)


def declare(
    subject: Subject, options: Document, policy: Optional[Document], now: int, autostart: Optional[Document] = None
) -> Document:
    """state: present. options are those that were given of VmPersistence; what was omitted takes the seed's default.

    autostart: as for placed, beside state: absent; None leaves the place in the order as it is.
    """
    previous = subject.previous or {}
    earlier = previous.get("persistence")
    persistence = with_defaults("VmPersistence", options)
    persistence["created_at_unix"] = _created_at(subject, earlier, options.get("created_at_unix"), now)
    since = None
    if persistence["mode"] == "temporary":
        base, since = _life(persistence, previous, now)
        persistence["scheduled_cleanup"] = _scheduled(subject, earlier, base, since, persistence["ttl_hours"], now)
    document = {
        "version": VERSION,
        "vm_id": subject.uuid,
        "persistence": persistence,
        "policy": with_defaults("VmLifecyclePolicy", policy) if policy is not None else previous.get("policy"),
        "autostart": previous.get("autostart") if autostart is None else _block(subject, autostart),
        "hold": previous.get("hold"),
        "temporary_since_unix": since,
        "libvirt_autostart_before": previous.get("libvirt_autostart_before", subject.autostart),
        BEFORE: previous.get(BEFORE),
        "limits": previous.get("limits"),
        "panic_device_added": previous.get("panic_device_added"),
    }
    policy_now = document["policy"] or {}
    if policy_now.get("on_host_reboot") == "destroy" and persistence["mode"] == "permanent":
        raise Refusal(
            subject,
            "destroy_needs_temporary",
            "destroy deletes the VM at boot, which only a temporary one may ask for",
            "policy.on_host_reboot",
        )
    return _without_none(document)


def _created_at(subject: Subject, earlier: Optional[Document], given: Optional[int], now: int) -> int:
    if given is not None and given < 0:
        raise Refusal(subject, "invalid_option", f"must be epoch seconds, 0 or more, got {given}", "created_at_unix")
    if given is not None and given > now:
        raise Refusal(subject, "created_in_future", f"{given} lies after the host's time {now}", "created_at_unix")
    if earlier is None:
        return now if given is None else given
    recorded = int(earlier["created_at_unix"])
    if given is not None and given != recorded:
        message = f"it is recorded as {recorded} and can't become {given}"
        raise Refusal(subject, "created_at_fixed", message, "created_at_unix")
    return recorded


def _life(persistence: Document, previous: Document, now: int) -> Tuple[int, int]:
    """Base of the deadline and first base of the VM's life as a temporary one."""
    earlier = previous.get("persistence")
    if earlier is None:
        return persistence["created_at_unix"], persistence["created_at_unix"]
    if earlier["mode"] == "temporary":
        return base_of(earlier), previous.get("temporary_since_unix", base_of(earlier))
    return now, now


def _scheduled(subject: Subject, earlier: Optional[Document], base: int, since: int, ttl: int, now: int) -> int:
    scheduled = deadline(base, ttl)
    if exceeds_life_limit(since, scheduled):
        most = (life_end(since) - base) // HOUR
        fewer = f"give {most} at most, or " if most > 0 else ""
        message = (
            f"{ttl} hours from its base end {iso(scheduled)}, after {_longest(since)}; {fewer}declare mode: permanent"
        )
        raise Refusal(subject, "life_limit", message, "ttl_hours")
    before = earlier.get("scheduled_cleanup") if earlier else None
    if before is not None and scheduled < before and scheduled <= now:
        how = f"vm-lifecycle cleanup {subject.name} --ignore expiry --ignore window, or vm_cleanup with ignore: [expiry, window]"
        message = f"{ttl} hours from its base ended {iso(scheduled)}, before now; to end it now: {how}"
        raise Refusal(subject, "deadline_past", message, "ttl_hours")
    return scheduled


def _longest(since: int) -> str:
    """The end of the longest life of a temporary VM, in words."""
    return f"{iso(life_end(since))}, which is {LIFE_LIMIT_HOURS} hours from its first base and all that a temporary VM gets"


def placed(subject: Subject, options: Document, now: Optional[int]) -> Document:
    """The VM has this place in the order. options are those that were given of VmAutoStartConfig, without vm_name.

    A VM that was not managed is declared as a permanent one. now None: the clock is not believed.
    """
    if subject.previous is not None:
        return {**subject.previous, "autostart": _block(subject, options)}
    if now is None:
        message = "it is not managed yet, and the host's clock can't be right: its creation would be recorded wrongly"
        raise Refusal(subject, "insane_clock", f"{message}; synchronise it, or run vm-lifecycle clock-accept")
    return declare(subject, {}, None, now, options)


def displaced(subject: Subject) -> Document:
    """The VM has no place in the order any more."""
    return {key: value for key, value in _managed(subject).items() if key != "autostart"}


def _block(subject: Subject, options: Document) -> Optional[Document]:
    """The VmAutoStartConfig, complete; None for state: absent."""
    given = {key: value for key, value in options.items() if key != "state"}
    if options.get("state", "present") == "absent":
        return None
    if given.get("vm_name", subject.name) != subject.name:
        raise Refusal(
            subject, "invalid_option", f"its name is another one than {given['vm_name']}", "autostart.vm_name"
        )
    return with_defaults("VmAutoStartConfig", {**given, "vm_name": subject.name})


def hold(subject: Subject, scope: str, reason: str, now: int) -> Document:
    """state: held. The same hold again keeps its moment."""
    document = _managed(subject)
    earlier = document.get("hold")
    if earlier and (earlier["scope"], earlier["reason"]) == (scope, reason):
        return document
    return {**document, "hold": {"scope": scope, "reason": reason, "since_unix": now}}


def release(subject: Subject) -> Document:
    """state: released."""
    return {key: value for key, value in _managed(subject).items() if key != "hold"}


def renew(subject: Subject, now: int, if_less_than_hours: Optional[int]) -> Document:
    """state: renewed. The base becomes now, unless more than if_less_than_hours are left."""
    document = _managed(subject)
    persistence = document["persistence"]
    if persistence["mode"] != "temporary":
        message = "it is permanent and has no deadline; for one declare mode: temporary and ttl_hours"
        raise Refusal(subject, "not_temporary", message, "state")
    left = hours_left(persistence, now)
    if if_less_than_hours is not None and left is not None and left >= if_less_than_hours:
        return document
    scheduled = deadline(now, persistence["ttl_hours"])
    since = document.get("temporary_since_unix", base_of(persistence))
    if exceeds_life_limit(since, scheduled):
        message = f"renewed, it would live until {iso(scheduled)}, after {_longest(since)}; declare fewer ttl_hours, or mode: permanent"
        raise Refusal(subject, "life_limit", message, "state")
    return {**document, "persistence": {**persistence, "scheduled_cleanup": scheduled}}


def _managed(subject: Subject) -> Document:
    if subject.previous is None:
        message = "no lifecycle was declared for it; declare it first, with vm_persistence or in vm_lifecycle_vms"
        raise Refusal(subject, "not_managed", message, "state")
    return dict(subject.previous)


def remarks(
    subject: Subject, options: Document, document: Document, now: int, autostart: Optional[Document] = None
) -> List[str]:
    """Warnings about a declaration that is carried out: options without effect, and surprises."""
    persistence = document["persistence"]
    policy = document.get("policy") or {}
    temporary = persistence["mode"] == "temporary"
    said = []
    for name in ONLY_PERMANENT if temporary else ONLY_TEMPORARY:
        if name in options:
            said.append(f"{name} has no effect on a {persistence['mode']} VM")
    if persistence["max_retries"] < 0:
        said.append("max_retries below 0 counts as 0: never restarted")
    if subject.previous is None and temporary and persistence["scheduled_cleanup"] <= now:
        said.append("its deadline is past already: the next sweep in the window removes it")
    if subject.autostart and not persistence["auto_start"] and (temporary or "auto_start" not in options):
        said.append("libvirt's autostart flag was on and is turned off; state absent puts it back")
    if policy.get("on_host_reboot") == "keep-stopped" and persistence["auto_start"]:
        said.append("policy.on_host_reboot keep-stopped overrides auto_start at host boot")
    return [f"{subject.name}: {text}" for text in said] + order_remarks(subject, autostart or {}, document)


def order_remarks(subject: Subject, options: Document, document: Document) -> List[str]:
    """Warnings about a place in the order that is declared, or that was: what has no effect, or another one than hoped."""
    if document.get("autostart") is None:
        return []
    block, persistence = with_defaults("VmAutoStartConfig", document["autostart"]), document["persistence"]
    earlier = (subject.previous or {}).get("autostart")
    said = []
    if "ssh_timeout_seconds" in options and not block["wait_for_ssh"]:
        said.append("ssh_timeout_seconds has no effect without wait_for_ssh")
    if "max_start_retries" in options and block["on_start_failure"] != "retry":
        said.append(f"max_start_retries has no effect with on_start_failure {block['on_start_failure']}")
    if persistence["auto_start"] and not block["enabled"]:
        said.append("its place in the order is not enabled, which overrides auto_start at host boot")
    if block["enabled"] and never(document):
        said.append(f"its place in the order has no effect, since it {never(document)}")
    elif block["enabled"] and persistence["mode"] == "temporary" and earlier != document["autostart"]:
        said.append(
            "it is temporary, so its place only orders it: it starts at host boot if it ran when its host went down"
        )
    return [f"{subject.name}: {text}" for text in said]


def flag(document: Document, boot: bool) -> bool:
    """What libvirt's autostart flag has to be. boot: whether the boot unit is enabled, which then starts the VM."""
    return bool(document["persistence"]["auto_start"]) and not boot


def flag_remarks(subject: Subject, document: Document, boot: bool) -> List[str]:
    """A warning when a VM that libvirt started at host boot gets a place in the order that no unit acts on."""
    if boot or not subject.autostart or flag(document, boot):
        return []
    text = "libvirt's autostart flag was on and is turned off; without the boot unit only auto_start starts it at host boot"
    return [f"{subject.name}: {text}"]


def _without_none(document: Document) -> Document:
    return {key: value for key, value in document.items() if value is not None}
