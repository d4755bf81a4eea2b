# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declaration that travels inside a domain: a VmMetadata document as JSON text, read with suspicion."""

from __future__ import annotations

import json
from dataclasses import field
from typing import Any, List, Optional

from ._generated.defaults import ADDITIONAL
from .frozen import dataclass
from .model import Document, Domain, Record
from .schema import violations, with_defaults
from .sha256 import sha256

NAMESPACE = "urn:vmops:lifecycle:1"
VERSION = 1

#: The last moment that is taken for a time: the year 9000, well inside what calendars can compute with.
LATEST = 221845392000


def encode(document: Document) -> str:
    """Canonical text: the same document is always the same text, and pure ASCII, so any XML can carry it.

    Options that were added to the policy's schema are written apart, so that each block is valid by its own.
    """
    policy = document.get("policy")
    if policy:
        from ._generated.schemas import SCHEMAS  # whoever only reads needs none

        names = SCHEMAS[ADDITIONAL["VmLifecyclePolicy"]]["properties"]
        added = {name: value for name, value in policy.items() if name in names}
        own = {name: value for name, value in policy.items() if name not in names}
        document = {**document, "policy": own, **({"policy_additional": added} if added else {})}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(text: Optional[str]) -> Optional[str]:
    """Digest of a metadata text, None for none. surrogatepass: damaged text has a digest too."""
    return None if text is None else sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Declaration:
    """What a domain's metadata turned out to be. reason is empty when it is valid, else a code of reasons.DECISIONS."""

    reason: str
    detail: str = ""
    digest: Optional[str] = None
    document: Document = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether the document may be acted on."""
        return not self.reason

    @property
    def revision(self) -> int:
        """The revision that the domain carries, 0 when it can't be told."""
        value = self.document.get("revision", 0)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0


def read(domain: Domain, record: Optional[Record]) -> Declaration:
    """Decide what a domain's metadata is worth, against what the store remembers of the same UUID."""
    if domain.metadata_error:
        return Declaration("metadata_unreadable", domain.metadata_error)
    if domain.metadata is None:
        return Declaration("not_managed", "")
    mark = digest(domain.metadata)
    if record and record.document and record.digest == mark:  # written or accepted by us before, so valid
        return Declaration("", "", mark, record.document)
    declaration = _validated(domain, mark)
    if not declaration.valid or record is None:
        return declaration
    return _compared(declaration, record)


def _validated(domain: Domain, mark: Optional[str]) -> Declaration:
    try:
        document = json.loads(domain.metadata or "", parse_constant=_no_constant)
        json.dumps(document, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is text that nobody can print
    except (ValueError, RecursionError) as error:
        return Declaration("metadata_not_json", f"not JSON: {error}", mark)
    if not isinstance(document, dict):
        return Declaration("metadata_invalid", "not a JSON object", mark)
    version = document.get("version")
    if isinstance(version, int) and not isinstance(version, bool) and version > VERSION:
        return Declaration("metadata_newer", f"version {version} is newer than {VERSION}", mark, document)
    broken = violations("VmMetadata", document)
    if broken:
        return Declaration("metadata_invalid", f"{broken[0].field}: {broken[0].rule}", mark, document)
    persistence = document["persistence"]
    if persistence.get("mode", "permanent") == "temporary" and "scheduled_cleanup" not in persistence:
        return Declaration("metadata_invalid", "a temporary VM without scheduled_cleanup", mark, document)
    document = _complete(document)
    if not all(0 <= moment <= LATEST for moment in _moments(document)):
        return Declaration("metadata_invalid", "it names a time that no calendar has", mark, document)
    if document["vm_id"] != domain.uuid:
        return Declaration("metadata_cloned", f"it names the VM {document['vm_id']}", mark, document)
    return Declaration("", "", mark, document)


def _complete(document: Document) -> Document:
    """The document with the schemas' defaults filled in: it is valid without them, and the engine relies on them."""
    whole = {**document, "persistence": with_defaults("VmPersistence", document["persistence"])}
    added = whole.pop("policy_additional", {})
    if whole.get("policy") is not None:
        whole["policy"] = {**whole["policy"], **added}
    for block, schema in (("policy", "VmLifecyclePolicy"), ("autostart", "VmAutoStartConfig"), ("hold", "VmHold")):
        if whole.get(block) is not None:
            whole[block] = with_defaults(schema, whole[block])
    return whole


def _moments(document: Document) -> List[int]:
    """Every time in a document, in epoch seconds."""
    persistence = document["persistence"]
    found = [persistence["created_at_unix"], persistence.get("scheduled_cleanup"), persistence.get("last_state_change")]
    found += [document.get("temporary_since_unix"), document.get("hold", {}).get("since_unix")]
    return [moment for moment in found if moment is not None]


def _compared(declaration: Declaration, record: Record) -> Declaration:
    if declaration.revision < record.revision:
        reason = "metadata_reverted"
        detail = f"revision {declaration.revision} is older than {record.revision}"
    elif declaration.revision == record.revision:
        reason, detail = "metadata_edited", f"revision {record.revision} has other content than was declared"
    else:
        return declaration
    return Declaration(reason, detail, declaration.digest, declaration.document)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
