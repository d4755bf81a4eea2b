"""What a domain's metadata is worth, alone and against the store."""

from __future__ import annotations

import json
from typing import Any, Dict, Optional

import pytest
from vm_lifecycle import metadata
from vm_lifecycle.model import Domain, Record

UUID = "00000000-0000-4000-8000-000000000001"
WHOLE: Dict[str, Any] = {
    "version": 1, "vm_id": UUID, "revision": 3, "persistence": {"mode": "temporary", "created_at_unix": 5, "scheduled_cleanup": 9},
}  # fmt: skip


def text(persistence: Optional[Dict[str, Any]] = None, **changes: Any) -> str:
    """A metadata text, changed."""
    document = {**WHOLE, "persistence": {**WHOLE["persistence"], **(persistence or {})}, **changes}
    return metadata.encode({key: value for key, value in document.items() if value is not None})


def record(revision: int, given: str, **changes: Any) -> Record:
    """What the store remembers of it."""
    return Record(UUID, "a", revision, metadata.digest(given) or "", {**WHOLE, **changes})


ROWS: list[tuple[Optional[str], Optional[Record], str]] = [
    (None, None, "not_managed"),
    (None, record(3, text()), "not_managed"),
    (text(), None, ""),
    (text(), record(3, text()), ""),
    (text(revision=4), record(3, text()), ""),
    (text(revision=2), record(3, text()), "metadata_reverted"),
    (text({"ttl_hours": 5}), record(3, text()), "metadata_edited"),
    (json.dumps(json.loads(text()), indent=1), record(3, text()), "metadata_edited"),
    ("", None, "metadata_not_json"),
    ("{", None, "metadata_not_json"),
    ("nonsense", record(3, text()), "metadata_not_json"),
    ('{"version": NaN}', None, "metadata_not_json"),
    ('{"version": Infinity}', None, "metadata_not_json"),
    ("[" * 100000, None, "metadata_not_json"),
    ('{"a": "\\ud800"}', None, "metadata_not_json"),
    ("[]", None, "metadata_invalid"),
    ("null", None, "metadata_invalid"),
    ("{}", None, "metadata_invalid"),
    (text(version=2), None, "metadata_newer"),
    (text(version=99, vm_id=None), None, "metadata_newer"),
    (text(version=True), None, "metadata_invalid"),
    (text(version="2"), None, "metadata_invalid"),
    (text(version=0), None, "metadata_invalid"),
    (text(version=None), None, "metadata_invalid"),
    (text(revision=0), None, "metadata_invalid"),
    (text(revision=True), None, "metadata_invalid"),
    (text(vm_id=""), None, "metadata_invalid"),
    (text(extra=1), None, "metadata_invalid"),
    (text({"ttl_hours": 0}), None, "metadata_invalid"),
    (text({"scheduled_cleanup": 9.5}), None, "metadata_invalid"),
    (text(persistence={"mode": "temporary", "scheduled_cleanup": None}), None, "metadata_invalid"),
    (text({"scheduled_cleanup": 10**17}), None, "metadata_invalid"),
    (text({"created_at_unix": -1}), None, "metadata_invalid"),
    (text(hold={"since_unix": 10**17}), None, "metadata_invalid"),
    (text(temporary_since_unix=-5), None, "metadata_invalid"),
    (text({"scheduled_cleanup": 2**70}), None, "metadata_invalid"),
    (text(vm_id="00000000-0000-4000-8000-000000000002"), None, "metadata_cloned"),
    (text(vm_id="other", revision=9), record(3, text()), "metadata_cloned"),
]


@pytest.mark.parametrize(("given", "known", "reason"), ROWS)
def test_read(given: Optional[str], known: Optional[Record], reason: str) -> None:
    """A reason of its own for each way to be wrong."""
    declaration = metadata.read(Domain(UUID, "a", "running", metadata=given), known)
    assert declaration.reason == reason
    assert declaration.valid is (reason == "")
    assert declaration.digest == metadata.digest(given)
    assert bool(declaration.detail) is (reason not in ("", "not_managed"))


def test_unreadable() -> None:
    """Never the same as none."""
    declaration = metadata.read(Domain(UUID, "a", "running", metadata_error="I/O error"), None)
    assert (declaration.reason, declaration.detail, declaration.revision) == ("metadata_unreadable", "I/O error", 0)


@pytest.mark.parametrize(
    ("given", "revision"), [(text(), 3), (text(revision=None), 0), (text(revision="x"), 0), ("{}", 0)]
)
def test_revision(given: str, revision: int) -> None:
    """0 when it can't be told."""
    assert metadata.read(Domain(UUID, "a", "running", metadata=given), None).revision == revision


def test_defaults_are_filled_in() -> None:
    """A document that is valid without them is as good as one with them."""
    given = text(hold={"since_unix": 7}, policy={})
    document = metadata.read(Domain(UUID, "a", "running", metadata=given), None).document
    assert document["persistence"]["auto_cleanup"] is True
    assert document["persistence"]["ttl_hours"] == 24
    assert document["hold"] == {"since_unix": 7, "scope": "deletion", "reason": ""}
    assert document["policy"]["on_host_reboot"] == "start"


def test_what_the_store_knows_is_taken_from_there() -> None:
    """The same digest is the same document."""
    known = record(3, text(), hold={"since_unix": 1, "scope": "deletion", "reason": ""})
    assert metadata.read(Domain(UUID, "a", "running", metadata=text()), known).document is known.document


def test_a_record_without_its_document() -> None:
    """Damage of the store is no word on what was declared."""
    known = Record(UUID, "a", 3, metadata.digest(text()) or "", {})
    assert metadata.read(Domain(UUID, "a", "running", metadata=text()), known).reason == "metadata_edited"


def test_encode() -> None:
    """The same document is the same text, in ASCII, whatever it holds."""
    one = metadata.encode({"b": "ü]]>\n&", "a": 1})
    assert one == metadata.encode({"a": 1, "b": "ü]]>\n&"})
    assert one.isascii()
    assert json.loads(one) == {"a": 1, "b": "ü]]>\n&"}


def test_digest() -> None:
    """Damaged text has one too."""
    assert metadata.digest(None) is None
    assert metadata.digest("\ud800") != metadata.digest("")
