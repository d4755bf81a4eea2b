# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which VMs a call speaks of: one by name or uuid, or a list whose items override the call's own options."""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from ..errors import LifecycleError, Problem, refuse
from ..frozen import dataclass
from ..model import Document, Domain

#: URIs that mean this host's own libvirt.
LOCAL_URIS = ("qemu:///system", "qemu:///session")
#: Conditions of a clean-up that a call may lift for VMs that it names.
IGNORABLE = ("expiry", "window", "load", "disabled")


@dataclass(frozen=True)
class Wish:
    """One VM as it was named, and the options that hold for it."""

    name: Optional[str]
    uuid: Optional[str]
    options: Document
    #: Options that were said of this very VM, not inherited from the call.
    own: FrozenSet[str] = frozenset()

    @property
    def label(self) -> str:
        """The VM in messages."""
        return self.name or self.uuid or "?"


def check_uri(document: Mapping[str, Any]) -> None:
    """Refuse any libvirt but this host's own."""
    uri = document.get("uri")
    if uri is not None and uri not in LOCAL_URIS:
        raise refuse("remote_uri", f"{uri} is not one of {', '.join(LOCAL_URIS)}", field="uri")


def wishes(document: Mapping[str, Any], inherited: Sequence[str], required: bool) -> List[Wish]:
    """Every VM that a call names. inherited: options of the call that are defaults of each item."""
    check_uri(document)
    common = {key: document[key] for key in inherited if document.get(key) is not None}
    single = {key: document[key] for key in ("name", "uuid") if document.get(key) is not None}
    listed = document.get("vms")
    if single and listed is not None:
        raise refuse("ambiguous_target", "give either name and uuid, or vms", field="vms")
    if single:
        return _decode([{**single}], common, single=True)
    if listed is not None:
        return _decode(listed, common)
    if required:
        raise refuse("no_target", f"state {document.get('state', 'present')} needs name, uuid or vms", field="name")
    return []


def _decode(items: Sequence[Mapping[str, Any]], common: Document, single: bool = False) -> List[Wish]:
    problems: List[Problem] = []
    found: List[Wish] = []
    seen: Dict[str, str] = {}
    for index, item in enumerate(items):
        given = {key: value for key, value in item.items() if value is not None}
        name, text = given.pop("name", None), given.pop("uuid", None)
        place = f"vms[{index}]"
        prefix = "" if single else f"{place}."
        if not name and not text:
            problems.append(Problem("no_target", "needs a name or a uuid", "", place))
            continue
        identity, problem = _uuid(text, name or text, f"{prefix}uuid")
        problems.extend(problem)
        for key in filter(None, (name, identity)):
            if key in seen:
                problems.append(Problem("duplicate_vm", f"named in {seen[key]} and in {place}", key))
            seen[key] = place
        own = frozenset(common) | frozenset(given) if single else frozenset(given)
        found.append(Wish(name, identity, {**common, **given}, own))
    if problems:
        raise LifecycleError(problems)
    return found


def _uuid(text: Optional[str], label: str, field: str) -> Tuple[Optional[str], List[Problem]]:
    if text is None:
        return None, []
    import uuid as uuids  # for calls that name VMs by it

    try:
        return str(uuids.UUID(text)), []
    except (ValueError, AttributeError):
        return None, [Problem("invalid_option", f"{text!r} is not a UUID", label, field)]


def resolve(
    named: Sequence[Wish], domains: Sequence[Domain], known: Optional[Mapping[str, str]] = None
) -> Tuple[List[Tuple[Wish, str, str]], List[Wish], List[Problem]]:
    """Match wishes to this host: (wish, uuid, name) of those found, those unknown, and contradictions.

    known: further UUIDs and names that may be spoken of although no domain has them (interrupted removals).
    """
    known = known or {}
    by_uuid = {**known, **{domain.uuid: domain.name for domain in domains}}
    by_name = {name: uuid for uuid, name in known.items()}
    by_name.update({domain.name: domain.uuid for domain in domains})
    found: List[Tuple[Wish, str, str]] = []
    unknown: List[Wish] = []
    problems: List[Problem] = []
    taken: Dict[str, str] = {}
    for wish in named:
        uuid = wish.uuid if wish.uuid in by_uuid else by_name.get(wish.name or "")
        if uuid is None:
            unknown.append(wish)
            continue
        if wish.uuid not in (None, uuid):
            problems.append(Problem("name_uuid_mismatch", f"its UUID is {uuid}, not {wish.uuid}", wish.label, "uuid"))
        if wish.name not in (None, by_uuid[uuid]):
            message = f"the UUID {uuid} belongs to {by_uuid[uuid]}, not to {wish.name}"
            problems.append(Problem("name_uuid_mismatch", message, wish.label, "uuid"))
        if uuid in taken:
            problems.append(Problem("duplicate_vm", f"{taken[uuid]} and {wish.label} are the same VM", wish.label))
        taken[uuid] = wish.label
        found.append((wish, uuid, by_uuid[uuid]))
    return found, unknown, problems


def unknown_problems(unknown: Sequence[Wish]) -> List[Problem]:
    """Problems for VMs that a call with missing: fail named and the host does not have."""
    message = "this host has no such VM; see vm-lifecycle status, or give missing: skip to a module to go on without it"
    return [Problem("unknown_vm", message, wish.label) for wish in unknown]
