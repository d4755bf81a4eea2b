"""Backing chains of real images, as qemu-img makes and reads them, and as people and guests make them."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from vm_lifecycle.adapters.images import Images, identity

from .conftest import Bench, LibvirtBench


def create(path: Path, *options: str, backing: Path | str | None = None, image_format: str = "qcow2") -> Path:
    """qemu-img create of 1 MiB; the backing file need not exist."""
    below = ["-u", "-F", "qcow2", "-b", str(backing)] if backing is not None else []
    command = ["qemu-img", "create", "-q", "-f", image_format, *options, *below, str(path), "1M"]
    subprocess.run(command, check=True, capture_output=True)
    return path


def paths(path: Path, declared_format: str = "") -> list[str]:
    """Paths below an image; fails when the chain could not be read."""
    found = Images().image(str(path), declared_format)
    assert found.chain_error == ""
    return [below for below, _identity in found.chain]


def told(path: Path) -> set[str]:
    """What qemu-img names below an image that is to be trusted: real paths."""
    command = ["qemu-img", "info", "--backing-chain", "--output=json", str(path)]
    levels = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=path.parent).stdout)
    names = {level["filename"] for level in levels}
    for level in levels:
        data = level.get("format-specific", {}).get("data", {})
        names |= {extent["filename"] for extent in data.get("extents", [])} | {data.get("data-file", str(path))}
    return {os.path.realpath(os.path.join(path.parent, name)) for name in names} - {os.path.realpath(path)}


OPENED: list[str] = []
WATCHING: list[bool] = []


def audit(event: str, arguments: tuple[object, ...]) -> None:
    """Collects what this process opens and starts; an audit hook can't be taken away again."""
    if WATCHING and (event == "subprocess.Popen" or event.startswith(("os.exec", "os.posix_spawn", "os.system"))):
        OPENED.append(event)
    if WATCHING and event == "open" and isinstance(arguments[0], (str, bytes)):
        OPENED.append(os.fsdecode(arguments[0]))


sys.addaudithook(audit)


@contextmanager
def opened() -> Iterator[set[str]]:
    """The set of what was opened and started, filled at the end; fails when that took 5 seconds."""
    found: set[str] = set()
    start = time.monotonic()
    OPENED.clear()
    WATCHING.append(True)
    try:
        yield found
    finally:
        WATCHING.clear()
        found |= set(OPENED)
    assert time.monotonic() - start < 5


def test_alone(tmp_path: Path) -> None:
    """Nothing below a raw file, an empty image, or nothing at all."""
    raw = tmp_path / "raw"
    raw.write_bytes(b"\0" * 512)
    assert paths(raw) == []
    assert paths(create(tmp_path / "a")) == []
    missing = Images().image(str(tmp_path / "missing"))
    assert (missing.identity, missing.chain, missing.chain_error) == (None, (), "")


def test_chain(tmp_path: Path) -> None:
    """All levels, nearest first, each with its identity."""
    base = create(tmp_path / "base")
    middle = create(tmp_path / "middle", backing=base)
    top = create(tmp_path / "top", backing=middle)
    found = Images().image(str(top))
    assert found.chain == ((str(middle), identity(str(middle))), (str(base), identity(str(base))))
    assert found.identity == identity(str(top))


@pytest.mark.parametrize("written", ["base", "./base", "../{name}/base", "{path}/base", "file:{path}/base"])
def test_spelling(tmp_path: Path, written: str) -> None:
    """However the reference is written, it is that file."""
    base = create(tmp_path / "base")
    top = create(tmp_path / "top", backing=written.format(name=tmp_path.name, path=tmp_path))
    found = Images().image(str(top))
    assert [mark for _path, mark in found.chain] == [identity(str(base))]


def test_symlinks_and_hard_links(tmp_path: Path) -> None:
    """Other names of a file have its identity; a hard link is counted."""
    base = create(tmp_path / "base")
    (tmp_path / "link").symlink_to(base)
    os.link(base, tmp_path / "hard")
    tops = [create(tmp_path / f"top-{name}", backing=tmp_path / name) for name in ("link", "hard")]
    marks = {Images().image(str(top)).chain[0][1] for top in tops}
    assert marks == {identity(str(base))}
    found = identity(str(base))
    assert found is not None
    assert found.links == 2


def test_data_file(tmp_path: Path) -> None:
    """The file that holds an image's content is below it too."""
    data = tmp_path / "data.raw"
    top = create(tmp_path / "top", "-o", f"data_file={data}")
    assert paths(top) == [str(data)]


def test_missing_backing_file(tmp_path: Path) -> None:
    """It is named, without an identity."""
    top = create(tmp_path / "top", backing=tmp_path / "missing")
    assert Images().image(str(top)).chain == ((str(tmp_path / "missing"), None),)


def test_loop(tmp_path: Path) -> None:
    """A chain that bites its tail ends."""
    first, second = tmp_path / "first", tmp_path / "second"
    create(first, backing=second)
    create(second, backing=first)
    found = Images().image(str(first))
    assert {path for path, _mark in found.chain} >= {str(second)}
    assert len(found.chain) <= 3


@pytest.mark.parametrize("content", [b"QFI\xfb" + b"\xff" * 60, b"KDMV" + b"\xff" * 600])
def test_damaged(tmp_path: Path, content: bytes) -> None:
    """An image that can't be read makes the whole chain unreadable."""
    (tmp_path / "bad").write_bytes(content)
    top = create(tmp_path / "top", backing=tmp_path / "bad")
    assert Images().image(str(tmp_path / "bad")).chain_error != ""
    assert Images().image(str(top)).chain_error != ""


MAKERS: dict[str, list[list[str]]] = {
    "qcow2 v2": [["-f", "qcow2", "-o", "compat=0.10", "-F", "qcow2", "-b", "base.qcow2", "top"]],
    "qcow2 v3": [["-f", "qcow2", "-o", "compat=1.1", "-F", "qcow2", "-b", "{path}/base.qcow2", "top"]],
    "three levels": [
        ["-f", "qcow2", "-F", "qcow2", "-b", "base.qcow2", "middle"],
        ["-f", "qcow2", "-o", "cluster_size=2M", "-F", "qcow2", "-b", "../{name}/middle", "top"],
    ],
    "small clusters": [["-f", "qcow2", "-o", "cluster_size=512", "-F", "qcow2", "-b", "base.qcow2", "top"]],
    "raw below": [["-f", "qcow2", "-F", "raw", "-b", "base.raw", "top"]],
    "json": [["-f", "qcow2", "-F", "qcow2", "-b", 'json:{{"file.filename": "{path}/base.qcow2"}}', "top"]],
    "nested json": [
        [
            *["-f", "qcow2", "-F", "qcow2", "-b"],
            'json:{{"driver": "qcow2", "file": {{"driver": "file", "filename": "{path}/base.qcow2"}}}}',
            "top",
        ]
    ],
    "data file": [["-f", "qcow2", "-o", "data_file={path}/data.raw", "-F", "qcow2", "-b", "base.qcow2", "top", "1M"]],
    "QED": [["-f", "qed", "-F", "qcow2", "-b", "base.qcow2", "top"]],
    "qcow": [["-f", "qcow", "-F", "qcow2", "-b", "base.qcow2", "top"]],
    "VMDK with a parent": [
        ["-f", "vmdk", "parent.vmdk", "1M"],
        ["-f", "vmdk", "-F", "vmdk", "-b", "parent.vmdk", "top"],
    ],
    "VMDK of two files": [["-f", "vmdk", "-o", "subformat=monolithicFlat", "top", "1M"]],
    "VMDK of many files": [["-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", "top", "5G"]],
    "compressed VMDK": [["-f", "vmdk", "-o", "subformat=streamOptimized", "top", "1M"]],
    "VHD": [["-f", "vpc", "top", "1M"]],
    "VHDX": [["-f", "vhdx", "top", "1M"]],
    "VDI": [["-f", "vdi", "top", "1M"]],
}


@pytest.mark.parametrize("commands", MAKERS.values(), ids=MAKERS)
def test_as_qemu_reads_it(tmp_path: Path, commands: list[list[str]]) -> None:
    """The chain is what qemu-img finds, and only files of the chain are opened for it."""
    create(tmp_path / "base.qcow2")
    (tmp_path / "base.raw").write_bytes(b"\0" * (1 << 20))
    for command in commands:
        words = [word.format(path=tmp_path, name=tmp_path.name) for word in command]
        subprocess.run(["qemu-img", "create", "-q", *words], check=True, capture_output=True, cwd=tmp_path)
    top = tmp_path / "top"
    expected = told(top)
    with opened() as files:
        found = paths(top)
    assert {os.path.realpath(path) for path in found} == expected
    assert len(found) == len(expected)
    assert {os.path.realpath(path) for path in files} <= {str(top), *expected}


def qcow2(name: bytes, offset: int = 512, length: int | None = None, version: int = 2, features: int = 0) -> bytes:
    """A first cluster, whatever it names, and no more."""
    said = len(name) if length is None else length
    head = b"QFI\xfb" + struct.pack(">IQIIQ", version, offset, said, 16, 1 << 20).ljust(68, b"\0")
    head += struct.pack(">QQQII", features, 0, 0, 4, 104)
    return head.ljust(512, b"\0") + name.ljust(65024, b"\0")


def qed(offset: int, length: int) -> bytes:
    """A header that claims a backing file."""
    return (b"QED\0" + struct.pack("<IIIQ", 65536, 4, 1, 1)).ljust(56, b"\0") + struct.pack("<II", offset, length)


def sparse(start: int, length: int, descriptor: bytes = b"", capacity: int = 2048) -> bytes:
    """A sparse VMDK with a descriptor inside."""
    head = b"KDMV" + struct.pack("<IIQQQQ", 1, 3, capacity, 128, start, length)
    return head.ljust(512, b"\0") + descriptor.ljust(512, b"\0")


DESCRIPTOR = b'# Disk DescriptorFile\nversion=1\nCID=1\ncreateType="monolithicFlat"\n'

BROKEN = {
    "cut qcow2": qcow2(b"base")[:40],
    "cut qcow2 v3": qcow2(b"", 0, version=3)[:90],
    "cut before the name": qcow2(b"base")[:512],
    "cut extensions": qcow2(b"", 0)[:74],
    "endless name": qcow2(b"base", length=2**32 - 1),
    "long name": qcow2(b"b" * 1024),
    "name outside the cluster": qcow2(b"base", offset=65536),
    "name outside the world": qcow2(b"base", offset=2**64 - 1),
    "unknown feature": qcow2(b"base", version=3, features=1 << 40),
    "data file without a name": qcow2(b"", 0, version=3, features=4),
    "endless extension": qcow2(b"", 0)[:72] + struct.pack(">II", 0xE2792ACA, 2**32 - 1) + bytes(65000),
    "qcow2 of version 9": qcow2(b"base", version=9),
    "cut qcow": qcow2(b"base", version=1)[:30],
    "endless name in qcow": (qcow2(b"base", version=1, length=2**32 - 1)[:32] + b"\x10").ljust(600, b"\0"),
    "cut QED": qed(64, 4)[:20],
    "QED that ends too early": qed(64, 4),
    "endless name in QED": qed(64, 2**32 - 1).ljust(65536, b"\0"),
    "cut VMDK": b"KDMV\1\0\0\0",
    "cut COWD": b"COWD\1\0\0\0",
    "VMDK's descriptor outside": sparse(2**63, 2**63),
    "VMDK's descriptor too large": sparse(1, 2**32),
    "parent without an end": sparse(1, 1, b'parentFileNameHint="abc'),
    "cut descriptor": b"# Disk DescriptorFile\nversion=1\n",
    "extent without a name": DESCRIPTOR + b"RW 2048 FLAT\n",
    "extent without an end": DESCRIPTOR + b'RW 2048 FLAT "abc\n',
    "large descriptor": DESCRIPTOR + b"#" * (1 << 20),
    "many extents": DESCRIPTOR + b'RW 1 FLAT "a" 0\n' * 5000,
    "broken json": qcow2(b"json:{"),
    "json of nothing": qcow2(b"json:{}"),
    "json of a node": qcow2(b'json:{"driver":"qcow2","file":"node"}'),
    "deep json": qcow2(b'json:{"a":' + b"[" * 1000),
    "json of a directory": qcow2(b'json:{"driver":"vvfat","dir":"/etc","filename":"x"}'),
    "json with a NUL": qcow2(b'json:{"filename":"/a\\u0000b"}'),
    "a directory": qcow2(b"fat:/etc"),
    "a filter": qcow2(b"blkdebug:/etc/passwd:/etc/shadow"),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_hostile(tmp_path: Path, content: bytes) -> None:
    """What can't be followed is an error, soon, and nothing else is opened or started."""
    image = tmp_path / "image"
    image.write_bytes(content)
    with opened() as files:
        found = Images().image(str(image))
    assert found.chain_error.startswith(f"{image}: ")
    assert found.chain == ()
    assert files == {str(image)}


NAMING: dict[str, Callable[[bytes], bytes]] = {
    "qcow2": qcow2,
    "qcow": lambda name: qcow2(name, version=1)[:32] + b"\x10" + qcow2(name)[33:],
    "QED": lambda name: (qed(64, len(name)) + name).ljust(65536, b"\0"),
    "extent": lambda name: DESCRIPTOR + b'RW 2048 FLAT "' + name + b'" 0\n',
    "padded extent": lambda name: (DESCRIPTOR + b'RW 2048 FLAT "' + name + b'" 0\r\n').ljust(4096, b"\0"),
    "parent": lambda name: DESCRIPTOR + b'parentFileNameHint="' + name + b'"\n',
    "embedded parent": lambda name: sparse(1, 1, b'parentFileNameHint="' + name + b'"\n'),
    "embedded extent": lambda name: sparse(1, 1, DESCRIPTOR + b'RW 1 FLAT "' + name + b'" 0\n', 0),
}


@pytest.mark.parametrize("kind", ["fifo", "/dev/zero"])
@pytest.mark.parametrize("naming", NAMING.values(), ids=NAMING)
def test_what_is_named_is_not_opened(tmp_path: Path, naming: Callable[[bytes], bytes], kind: str) -> None:
    """A guest that names a pipe or a device has it in its chain, and nobody reads from it."""
    os.mkfifo(tmp_path / "fifo")
    image, named = tmp_path / "image", os.path.join(tmp_path, kind)
    image.write_bytes(naming(kind.encode()))
    with opened() as files:
        found = Images().image(str(image))
    assert (found.chain, found.chain_error) == (((named, identity(named)),), "")
    assert files == {str(image)}
    with opened() as files:
        assert Images().image(named).chain_error == ""
    assert files == set()


def test_contents_are_no_headers(tmp_path: Path) -> None:
    """A guest writes extents, data files and raw backing files: QEMU doesn't look for headers there, and so no one does."""
    (tmp_path / "content").write_bytes(b"QFI\xfb" + b"\xff" * 600)
    flat, overlay, split = (tmp_path / name for name in ("flat", "overlay", "split"))
    flat.write_bytes(NAMING["extent"](b"content"))
    command = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "content", str(overlay), "1M"]
    subprocess.run(command, check=True)
    create(split, "-o", f"data_file={tmp_path}/data")
    (tmp_path / "data").write_bytes(b"QFI\xfb" + b"\xff" * 600)
    assert paths(flat) == paths(overlay) == [str(tmp_path / "content")]
    assert paths(split) == [str(tmp_path / "data")]


FOLLOWED = {
    "file:///a/b": ["/a/b"],
    "file:///a/b%20c": ["/a/b%20c", "/a/b c"],
    "host_device:/a/b": ["/a/b"],
    'json:{"driver":"nbd","server":{"type":"inet","host":"192.0.2.1","port":"1"}}': [],
    'json:{"driver":"raw","file.driver":"rbd","file.pool":"a","file.image":"b"}': [],
    'json:{"file":{"driver":"https","url":"https://192.0.2.1/a"}}': [],
    'json:{"driver":"qcow2","file":{"filename":"/a"},"data-file.filename":"/b"}': ["/a", "/b"],
    "https://192.0.2.1/a": [],
    "rbd:pool/image": [],
    "gluster+tcp://192.0.2.1/a": [],
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_names(tmp_path: Path, name: str) -> None:
    """Names that aren't plain paths."""
    (tmp_path / "image").write_bytes(qcow2(name.encode()))
    assert paths(tmp_path / "image") == FOLLOWED[name]


def test_itself(tmp_path: Path) -> None:
    """An image that names itself, by whichever name, has nothing below."""
    (tmp_path / "link").symlink_to(tmp_path / "image")
    for name in (b"image", b"./image", b"link"):
        (tmp_path / "image").write_bytes(qcow2(name))
        assert paths(tmp_path / "image") == []


def test_remote(tmp_path: Path) -> None:
    """Another machine's file is none of this one, and nobody calls there."""
    top = create(tmp_path / "top", backing="nbd://192.0.2.1:10809/x")
    assert paths(top) == []


def test_a_guest_can_write_what_it_likes_into_a_raw_disk(tmp_path: Path) -> None:
    """A disk that the domain declares raw has no chain, whatever its first bytes say."""
    base = create(tmp_path / "base")
    disguised = create(tmp_path / "disguised", backing=base)
    assert paths(disguised, "raw") == []
    assert paths(disguised) == [str(base)]


def test_a_changed_image_is_read_again(tmp_path: Path) -> None:
    """What was read is remembered only for the very same file."""
    images = Images()
    base, other = create(tmp_path / "base"), create(tmp_path / "other")
    top = create(tmp_path / "top", backing=base)
    assert [path for path, _mark in images.image(str(top)).chain] == [str(base)]
    subprocess.run(["qemu-img", "rebase", "-u", "-F", "qcow2", "-b", str(other), str(top)], check=True)
    assert [path for path, _mark in images.image(str(top)).chain] == [str(other)]


def test_odd_names(tmp_path: Path) -> None:
    """Names that look like options, and hold spaces, quotes and newlines."""
    folder = tmp_path / "a 'b' \"c\""
    folder.mkdir()
    for name in ("-f", "new\nline", "ü€", "with space"):
        base = create(folder / name)
        top = create(folder / f"top of {name}", backing=base)
        assert paths(top) == [str(base)]


def test_chains_in_the_view_of_a_host(bench: Bench, tmp_path: Path) -> None:
    """Overlays that a pool does not know of are seen, on volumes and attachments alike."""
    base, top = tmp_path / "base", tmp_path / "top"
    if isinstance(bench, LibvirtBench):
        create(base)
        create(top, backing=base)
    else:
        machine = bench.machine  # type: ignore[attr-defined]
        from tests.fakes.manager import overlay

        bench.file("base")
        overlay(machine, str(top), str(base))
    bench.define("00000000-0000-4000-8000-00000000000a", "a", [str(top)])
    found = bench.hypervisor.storage()
    assert [[path for path, _mark in use.image.chain] for use in found.attachments] == [[str(base)]]
    assert {
        volume.name: [path for path, _mark in volume.image.chain] for volume in found.volumes if volume.pool == "bench"
    } == {
        "base": [],
        "top": [str(base)],
    }
