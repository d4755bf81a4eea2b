"""What others may write, byte by byte: metadata, XML, disk headers, the store, configuration, command lines.

Each target takes bytes and hands them to the code that reads such things on a host. It raises for whatever is no clear answer: an
exception that nobody catches there, or an answer that contradicts itself. tests/fuzz/guided.py feeds them by coverage,
tests/fuzz/test_inputs.py by hypothesis.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from vm_lifecycle.adapters.durable_files import JsonFiles
from vm_lifecycle.adapters.image_headers import is_seed, references
from vm_lifecycle.adapters.libvirt import definitions, panic_device
from vm_lifecycle.adapters.libvirt.configurations import summary
from vm_lifecycle.adapters.linux_host import LinuxHost, printable
from vm_lifecycle.adapters.recovery_rows import decode_manifest
from vm_lifecycle.adapters.removal_rows import decode_intent, decode_undo
from vm_lifecycle.adapters.sqlite_store import SqliteStore
from vm_lifecycle.agent import arguments
from vm_lifecycle.changes import Remember, RememberSchedule
from vm_lifecycle.disks import SavedDomain, VolumeVerdict
from vm_lifecycle.errors import EffectError, LifecycleError
from vm_lifecycle.host_changes import LogOperation
from vm_lifecycle.metadata import digest, encode, read
from vm_lifecycle.model import Domain, Record
from vm_lifecycle.policy import cleanup_policy
from vm_lifecycle.policy.host_boot import decide, place
from vm_lifecycle.removals import Intent, UndoRecord
from vm_lifecycle.report import described
from vm_lifecycle.tasks import host as host_tasks
from vm_lifecycle.tasks.measured import snapshot_problems

UUID = "00000000-0000-4000-8000-000000000001"
BOOT = "11111111-1111-4111-8111-111111111111"
NOW = 1795575600
DOCUMENT: dict[str, Any] = {
    "version": 1, "vm_id": UUID, "revision": 1,
    "persistence": {"mode": "temporary", "created_at_unix": NOW, "scheduled_cleanup": NOW + 3600},
}  # fmt: skip
TEXT = json.dumps(DOCUMENT)
RECORD = Record(
    UUID, "vm", 1, digest(TEXT) or "", read(Domain(UUID, "vm", "shutoff", True, False, TEXT), None).document
)
VERDICT = VolumeVerdict("/pool/a", True, "only_user", "default", "a", "vda")
INTENT = Intent(UUID, "vm", "d", "<domain/>", (VERDICT,))
UNDO = UndoRecord(UUID, "vm", NOW, NOW + 1, SavedDomain("<domain/>"), document=DOCUMENT, volumes=(VERDICT,))
#: What ElementTree and libvirt's readers raise for XML; each caller in adapters/libvirt takes these for "can't be read".
UNREADABLE = (ElementTree.ParseError, ValueError)


def metadata(data: bytes) -> None:
    """The metadata of a domain, as libvirt hands it over, with and without a record of it."""
    text = data.decode("utf-8", "surrogateescape")
    domain = Domain(UUID, "vm", "shutoff", True, False, text)
    for record in (None, RECORD):
        declaration = read(domain, record)
        assert declaration.valid or declaration.detail is not None
        if not declaration.valid:
            continue
        document = declaration.document
        assert document["vm_id"] == UUID
        again = read(Domain(UUID, "vm", "shutoff", True, False, encode(document)), None)
        assert again.valid and again.document == document, again
        decide(domain, document, None, BOOT)
        place(domain, document)
        described(domain, document, record, None, frozenset(), NOW)


def element(data: bytes) -> None:
    """Our element, as it stands in a domain's XML."""
    with contextlib.suppress(*UNREADABLE):
        text = definitions.metadata_text(data.decode("utf-8", "replace"))
        assert definitions.metadata_text(definitions.metadata_element(text)) == text


def definition(data: bytes) -> None:
    """A domain's XML, or a snapshot's."""
    xml = data.decode("utf-8", "replace")

    def path(pool: str, volume: str) -> str | None:
        return None if len(pool) % 2 else f"/{pool}/{volume}"

    readers: list[Callable[[str], object]] = [
        lambda text: definitions.domain_files(text, path), lambda text: definitions.snapshot_files(text, path),
        definitions.qemu_arguments, definitions.has_nvram, definitions.has_tpm, lambda text: definitions.parents_first([text, text]),
        panic_device.has_panic_device, summary,
    ]  # fmt: skip
    for reader in readers:
        with contextlib.suppress(*UNREADABLE):
            reader(xml)


def header(data: bytes) -> None:
    """The beginning of a disk image, which a guest writes."""
    with contextlib.suppress(ValueError):
        for found in references(io.BytesIO(data)):
            assert found.name, "a file without a name"
    is_seed(io.BytesIO(data))


def journal(data: bytes) -> None:
    """A file of a removal that has begun, of one that can be undone, or of saved memory: understood, or told as damaged."""
    with tempfile.TemporaryDirectory() as place:
        for decode in (decode_intent, decode_undo, decode_manifest):
            directory = Path(place, decode.__name__)
            directory.mkdir()
            (directory / f"{UUID}.json").write_bytes(data)
            files: JsonFiles[Any] = JsonFiles(directory, decode)
            found, damaged = files.look()
            assert len(found) + len(damaged) == 1


def database(data: bytes) -> None:
    """A database of which single bytes or whole pieces are others: each pair of bytes is a place, each third what stands there."""
    with tempfile.TemporaryDirectory() as place:
        state = Path(place, "state")
        shutil.copytree(_whole(), state)
        content = bytearray((state / "state.db").read_bytes())
        for number in range(0, len(data) - 2, 3):
            content[int.from_bytes(data[number : number + 2], "big") % len(content)] = data[number + 2]
        (state / "state.db").write_bytes(content)
        store = SqliteStore(state)
        reads: list[Callable[[], object]] = [
            store.records, store.schedules, store.clock, store.plans, store.notices, store.pools, store.states, store.starts,
            store.boot, store.restarts, store.pressed, store.recoveries, store.counters, store.sweep, store.damage,
            lambda: store.operations(10), lambda: store.snapshots(3),
        ]  # fmt: skip
        for each in (*reads, lambda: store.save([Remember(RECORD)]), *reads):
            with contextlib.suppress(EffectError):
                each()


_TEMPLATE: list[tempfile.TemporaryDirectory[str]] = []


def _whole() -> Path:
    """A sound store, made once."""
    if not _TEMPLATE:
        _TEMPLATE.append(tempfile.TemporaryDirectory())
        store = SqliteStore(Path(_TEMPLATE[0].name) / "state")
        line = LogOperation(NOW, UUID, "vm", "remove", "done")
        store.save([Remember(RECORD), RememberSchedule(UUID, {"cleanup_status": "pending"}), line])
        with contextlib.closing(sqlite3.connect(str(Path(_TEMPLATE[0].name) / "state" / "state.db"))) as opened:
            opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Path(_TEMPLATE[0].name) / "state"


def configuration(data: bytes) -> None:
    """A file of /etc/vm-lifecycle."""
    with tempfile.TemporaryDirectory() as place:
        for name in ("cleanup", "boot", "snapshots", "pressure"):
            Path(place, f"{name}.json").write_bytes(data)
        host = LinuxHost(Path(place, "claims"), Path(place))
        try:
            document = host.configuration("cleanup") or {}
            policy, problems = cleanup_policy.decode(document, UTC, "x")
            assert (policy is None) == bool(problems)
            snapshot_problems(document, "x")
            host_tasks.boot_policy(host)
        except LifecycleError as error:
            assert str(error)
        host_tasks.lenient_boot_policy(host)


def command_line(data: bytes) -> None:
    """Words behind vm-lifecycle: options, or a usage message. Nothing is carried out."""
    words = [printable(word) for word in data.decode("utf-8", "replace").split("\0")]
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            options = arguments.parsed(words)
    except SystemExit as end:
        assert end.code in (0, 2) and said.getvalue()
        return
    assert arguments.document(options)["uri"]


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (metadata, element, definition, header, journal, database, configuration, command_line)
}


def seeds(target: str) -> list[bytes]:
    """Sound inputs to begin with."""
    domain = (
        b"<domain><name>vm</name><os><nvram>/n</nvram></os><devices><disk type='file' device='disk'><source file='/a'/>"
        b"<backingStore type='file'><source file='/b'/></backingStore><target dev='vda'/></disk><disk type='volume'>"
        b"<source pool='default' volume='v'/></disk><tpm><backend type='emulator'/></tpm><panic model='isa'/></devices>"
        b"<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg value='file=/x,,y'/>"
        b"</qemu:commandline></domain>"
    )
    qcow2 = (
        b"QFI\xfb"
        + (3).to_bytes(4, "big")
        + (104).to_bytes(8, "big")
        + (4).to_bytes(4, "big")
        + bytes(84)
        + b"base"
        + bytes(64)
    )
    vmdk = b'# Disk DescriptorFile\nversion=1\nRW 4192256 SPARSE "a-s001.vmdk"\nparentFileNameHint="base.vmdk"\n'
    found = {
        "metadata": [TEXT.encode()],
        "element": [b"<lifecycle xmlns='urn:vmops:lifecycle:1'>{}</lifecycle>"],
        "definition": [domain, b"<domainsnapshot><name>s</name><disks><disk name='vda'/></disks>" + domain + b"</domainsnapshot>"],
        "header": [qcow2, vmdk, b"QED\0" + bytes(64), b"KDMV" + bytes(512)],
        "journal": [json.dumps(asdict(INTENT)).encode(), json.dumps(asdict(UNDO)).encode()],
        "database": [b"\0\x10\xff", bytes(range(240))],
        "configuration": [b'{"cleanup_window_start": "22:00", "window_timezone": "Europe/Berlin"}', b'{"max_concurrent_starts": 3}'],
        "command_line": [
            b"cleanup\0--dry-run\0--json\0vm1", b"boot\0--again", b"hold\0--reason\0x\0--\0-vm", b"renew\0--if-less-than\x008\0vm",
        ],
    }  # fmt: skip
    return found[target]
