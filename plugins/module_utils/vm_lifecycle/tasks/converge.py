# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a domain carries to what it should carry: the actions that declare, hold, release, renew or forget one VM."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, List, Mapping, Optional, Tuple

from .. import metadata
from ..actions import Action, DropRecord, Guard, KeepRecord, RemoveMetadata, SetActions, SetAutostart, WriteMetadata
from ..model import Document, Domain, Record
from ..plans import Entry
from ..policy import declaration as policy
from ..policy import habits
from ..policy.host_boot import doomed
from . import limiting

#: State of vm_persistence, and those of vm_autostart -> the word for what was done.
WORDS = {
    "present": "declared",
    "held": "held",
    "released": "released",
    "renewed": "renewed",
    "placed": "placed in the order",
    "displaced": "taken out of the order",
    "settled": "settled",
}


def converge(
    domain: Domain, record: Optional[Record], state: str, wish: Mapping[str, Any], now: int, seen_at: int
) -> Entry:
    """The entry of one VM. seen_at: now, or 0 when the clock is not believed. Raises policy.Refusal for a wish unmet.

    wish: options, policy, autostart, hold, reason, if_less_than_hours, repair; boot and supervisor: whether those units are
    enabled; habits: what libvirt does when the guest ends, None when nobody has to know; and, if the VM's limits were looked
    at, seen and controllers; panic_device: whether it has one, if that was looked at.
    """
    carried = metadata.read(domain, record)
    if state == "absent":
        return _forget(domain, record, carried, wish)
    previous, remarks = _previous(domain, record, carried, bool(wish.get("repair")), state)
    subject = policy.Subject(domain.uuid, domain.name, previous, domain.autostart)
    if state == "displaced" and previous is None:
        return Entry(domain.uuid, domain.name, "unchanged", "unchanged", f"{domain.name}: unchanged")
    if not domain.persistent:
        raise policy.Refusal(subject, "transient_domain", "it has no persistent definition to keep a declaration in")
    document, said = _document(subject, state, wish, now, bool(seen_at))
    values: Mapping[str, str] = {}
    if wish.get("habits") is not None and state in ("present", "placed"):
        document, values = habits.settled(document, wish["habits"], bool(wish.get("supervisor")))
        if values:
            reason = "so that only restart_policy restarts it" if habits.BEFORE in document else "as it was before"
            said = [*said, f"{domain.name}: {habits.said(values, wish['habits'])}, {reason}"]
    entry = _written(domain, record, carried, document, state, wish, (*remarks, *said), seen_at)
    return with_actions(entry, domain, carried.digest, values) if values else entry


def with_actions(entry: Entry, domain: Domain, digest: Optional[str], values: Mapping[str, str]) -> Entry:
    """The entry, with what libvirt does when the guest ends. What it was is on record before it is changed, and until it is put back."""
    written = [isinstance(action, WriteMetadata) for action in entry.actions]
    recorded = habits.BEFORE in (entry.after or {})
    place = written.index(True) + 1 if recorded and any(written) else 0
    guard = None if place else Guard(domain.uuid, digest)
    actions = (*entry.actions[:place], SetActions(domain.uuid, dict(values), guard), *entry.actions[place:])
    word = WORDS["present"] if entry.decision == "unchanged" else entry.decision
    message = entry.message if entry.decision == "settled" else f"{domain.name}: {word}"
    return replace(entry, actions=actions, decision=word, reason=word, message=message)


def _document(
    subject: policy.Subject, state: str, wish: Mapping[str, Any], now: int, clock_sane: bool
) -> Tuple[Document, List[str]]:
    """The declaration as it will be, and remarks on it."""
    if state == "present":
        document = policy.declare(subject, wish["options"], wish.get("policy"), now, wish.get("autostart"))
        return document, policy.remarks(subject, wish["options"], document, now, wish.get("autostart"))
    if state == "placed":
        document = policy.placed(subject, wish["options"], now if clock_sane else None)
        said = policy.order_remarks(subject, wish["options"], document)
        return document, said + policy.flag_remarks(subject, document, bool(wish.get("boot")))
    if state == "displaced":
        return policy.displaced(subject), []
    if state == "held":
        return policy.hold(subject, wish.get("hold") or "deletion", wish.get("reason") or "", now), []
    if state == "released":
        return policy.release(subject), []
    return policy.renew(subject, now, wish.get("if_less_than_hours")), []


def _previous(
    domain: Domain, record: Optional[Record], carried: metadata.Declaration, repair: bool, state: str
) -> Tuple[Optional[Document], List[str]]:
    """The declaration to go on from: the domain's own, or what the store knows when the domain's is gone or wrong."""
    if carried.valid:
        return carried.document, []
    remembered = (record.document or None) if record else None
    name = domain.name
    if carried.reason == "not_managed":
        if remembered is None:
            return None, []
        return remembered, [
            f"{name}: its metadata was gone, as after a redefinition; what the store knows was restored"
        ]
    if carried.reason in ("metadata_reverted", "metadata_edited"):
        return remembered, [f"{name}: {carried.detail}; what was last declared was taken instead [{carried.reason}]"]
    if carried.reason == "metadata_cloned":
        return remembered, [f"{name}: it is a clone, {carried.detail}; it is declared anew [metadata_cloned]"]
    if not repair:
        subject = policy.Subject(domain.uuid, domain.name, None)
        how = f"-m vmops.lifecycle.vm_persistence -a 'uuid={domain.uuid} mode=permanent repair=true'"
        message = f"{carried.detail} [{carried.reason}]; declare it again to replace it, with what is meant: ansible HOST -b {how}"
        raise policy.Refusal(subject, "repair_needed", message, "metadata")
    return remembered, [f"{name}: its metadata was not valid and is replaced: {carried.detail}"]


def _written(
    domain: Domain,
    record: Optional[Record],
    carried: metadata.Declaration,
    document: Document,
    state: str,
    wish: Mapping[str, Any],
    remarks: Tuple[str, ...],
    seen_at: int,
) -> Entry:
    before = carried.document if carried.valid else None
    guard = Guard(domain.uuid, carried.digest)
    actions: List[Action] = []
    altered = limiting.Alterations()
    if state == "present":
        document, altered = limiting.altered(document, wish)
    text = domain.metadata
    if before is None or _content(before) != _content(document):
        revision = max(carried.revision, record.revision if record else 0) + 1
        document = {**_content(document), "revision": revision}
        text = metadata.encode(document)
        actions.append(WriteMetadata(guard, text))
    else:
        document = before
    flag = policy.flag(document, bool(wish.get("boot")))
    if flag != domain.autostart and state in ("present", "placed"):
        actions.append(SetAutostart(domain.uuid, flag))
    actions = limiting.around(domain.uuid, actions, altered, guard)
    if altered.panic_device and domain.active:
        remarks = (*remarks, f"{domain.name}: its panic device counts from its next start on")
    seen = observed_record(domain, record, document, metadata.digest(text) or "", seen_at)
    if seen != record:
        actions.append(KeepRecord(seen, doomed(document) and not (before is not None and doomed(before))))
    word = WORDS[state] if actions and not (len(actions) == 1 and seen != record) else "unchanged"
    entry = Entry(
        domain.uuid, domain.name, word, word, f"{domain.name}: {word}", tuple(actions),
        before=before, after=document, warnings=remarks,
    )  # fmt: skip
    return limiting.shown(entry, altered)


def resettled(domain: Domain, record: Optional[Record], current: habits.Actions, supervisor: bool, now: int) -> Entry:
    """What a VM's declaration, which is valid, and libvirt's own actions become when the supervisor comes or goes."""
    carried = metadata.read(domain, record)
    document, values = habits.settled(carried.document, current, supervisor)
    entry = _written(domain, record, carried, document, "settled", {}, (), now)
    if not entry.changes and not values:
        return replace(entry, actions=())
    entry = replace(
        entry, message=f"{domain.name}: {habits.said(values, current) or 'nothing is to be put back any more'}"
    )
    return with_actions(entry, domain, carried.digest, values) if values else entry


def _content(document: Document) -> Document:
    """A declaration without its revision: what has to differ for a new one to be written."""
    return {key: value for key, value in document.items() if key != "revision"}


def observed_record(domain: Domain, record: Optional[Record], document: Document, digest: str, seen_at: int) -> Record:
    """What the store should know of a VM now; its state's moment is kept while the state is the same."""
    same = record is not None and record.power_state == domain.power_state
    since = record.last_state_change if record is not None and same else seen_at
    return Record(domain.uuid, domain.name, int(document["revision"]), digest, document, domain.power_state, since)


def _forget(domain: Domain, record: Optional[Record], carried: metadata.Declaration, wish: Mapping[str, Any]) -> Entry:
    """state: absent. Our metadata goes, whatever it holds; what was changed of libvirt's own goes back to what it was; the VM stays.

    What somebody else changed stays; with the boot unit enabled the flag may still be as it was without.
    """
    actions: List[Action] = []
    document = carried.document if carried.valid else (record.document if record else {})
    altered = limiting.Alterations()
    if domain.metadata is not None or domain.metadata_error:
        _document, altered = limiting.altered({**document, "policy": None}, wish)
        before = document.get("libvirt_autostart_before")
        ours = {policy.flag(document, enabled) for enabled in (False, bool(wish.get("boot")))} if document else set()
        if before is not None and domain.autostart in ours and before != domain.autostart:
            actions.append(SetAutostart(domain.uuid, before))
        guard = Guard(domain.uuid, carried.digest)
        values = habits.put_back(document.get(habits.BEFORE), wish.get("habits") or {})
        if values:
            actions.append(SetActions(domain.uuid, values, guard))
        actions = limiting.around(domain.uuid, [*actions, RemoveMetadata(guard)], altered, guard)
    word = "forgotten" if actions else "unchanged"
    if actions or (record is not None and record.document):
        revision = max(carried.revision, record.revision if record else 0)
        actions.append(DropRecord(domain.uuid, domain.name, revision))
    entry = Entry(
        domain.uuid, domain.name, word, word, f"{domain.name}: {word}", tuple(actions), before=document or None
    )
    return limiting.shown(entry, altered)
