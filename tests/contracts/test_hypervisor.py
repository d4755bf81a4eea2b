"""What every hypervisor does: the same cases on the fake and on libvirt's `test` driver."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from vm_lifecycle.adapters.libvirt.hypervisor import connect
from vm_lifecycle.errors import DomainGone, EffectError, LifecycleError
from vm_lifecycle.model import VolumeVerdict
from vm_lifecycle.ports import Hypervisor

from .conftest import Bench, FakeBench

A, B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
TEXTS = ["", "{}", '{"a":"<&>\\"\'"}', "]]>", "two\nlines", "ü€𝄞", "  spaces  ", "x" * 300_000]


def test_domains(bench: Bench) -> None:
    """All of them, by name, with what a run needs to know."""
    bench.define(B, "b", running=True)
    bench.define(A, "a")
    bench.create("00000000-0000-4000-8000-00000000000c", "c")
    found = bench.hypervisor.domains()
    assert [(each.name, each.power_state, each.active, each.persistent) for each in found] == [
        ("a", "shutoff", False, True),
        ("b", "running", True, True),
        ("c", "running", True, False),
    ]
    assert [(each.uuid, each.autostart, each.metadata, each.metadata_error) for each in found[:2]] == [
        (A, False, None, ""),
        (B, False, None, ""),
    ]
    assert [bench.hypervisor.domain(each.uuid) for each in found] == found


def test_no_domain(bench: Bench) -> None:
    """None is an answer, not an error."""
    assert bench.hypervisor.domains() == []
    assert bench.hypervisor.domain(A) is None


GONE: list[Callable[[Hypervisor], Any]] = [
    lambda hypervisor: hypervisor.definition(A),
    lambda hypervisor: hypervisor.write_metadata(A, "x"),
    lambda hypervisor: hypervisor.set_autostart(A, True),
    lambda hypervisor: hypervisor.request_shutdown(A),
    lambda hypervisor: hypervisor.power_off(A),
    lambda hypervisor: hypervisor.undefine(A, False),
]


@pytest.mark.parametrize("verb", GONE)
def test_gone(bench: Bench, verb: Callable[[Hypervisor], Any]) -> None:
    """Every verb says so, with the code of a failed effect."""
    with pytest.raises(DomainGone) as caught:
        verb(bench.hypervisor)
    assert caught.value.code == "effect_failed"


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_metadata(bench: Bench, text: str, running: bool) -> None:
    """Any text comes back as it was, in bulk and alone; None removes it, twice too."""
    bench.define(A, "a", running=running)
    bench.hypervisor.write_metadata(A, text)
    assert [domain.metadata for domain in bench.hypervisor.domains()] == [text]
    found = bench.hypervisor.domain(A)
    assert found is not None
    assert found.metadata == text
    bench.hypervisor.write_metadata(A, "other")
    assert [domain.metadata for domain in bench.hypervisor.domains()] == ["other"]
    bench.hypervisor.write_metadata(A, None)
    assert [domain.metadata for domain in bench.hypervisor.domains()] == [None]


def test_metadata_of_a_transient_domain(bench: Bench) -> None:
    """It has no persistent definition."""
    bench.create(A, "a")
    with pytest.raises(EffectError):
        bench.hypervisor.write_metadata(A, "x")
    assert [domain.metadata for domain in bench.hypervisor.domains()] == [None]


def test_autostart(bench: Bench) -> None:
    """On and off, and again."""
    bench.define(A, "a")
    for value in (True, True, False):
        bench.hypervisor.set_autostart(A, value)
        assert [domain.autostart for domain in bench.hypervisor.domains()] == [value]


def test_power_off(bench: Bench) -> None:
    """Off is off, and off again is no error; a transient domain is gone with its process."""
    bench.define(A, "a", running=True)
    bench.create(B, "b")
    for _time in range(2):
        bench.hypervisor.power_off(A)
        assert [(each.name, each.active) for each in bench.hypervisor.domains() if each.uuid == A] == [("a", False)]
    bench.hypervisor.power_off(B)
    assert bench.hypervisor.domain(B) is None


def test_shutdown_of_a_domain_that_is_off(bench: Bench) -> None:
    """There is no guest to ask."""
    bench.define(A, "a")
    with pytest.raises(EffectError):
        bench.hypervisor.request_shutdown(A)


def test_undefine(bench: Bench) -> None:
    """The definition goes, the disks stay; a second time there is no domain."""
    path = bench.file("a.qcow2")
    bench.define(A, "a", [path])
    bench.hypervisor.write_metadata(A, "x")
    bench.hypervisor.undefine(A, False)
    assert bench.hypervisor.domain(A) is None
    assert [volume.image.path for volume in bench.hypervisor.storage().volumes if volume.pool == "bench"] == [path]
    with pytest.raises(DomainGone):
        bench.hypervisor.undefine(A, False)


def test_undefine_of_a_running_domain(bench: Bench) -> None:
    """It is refused, and the domain is as it was: libvirt alone would leave it running, transient."""
    bench.define(A, "a", running=True)
    bench.hypervisor.write_metadata(A, "{}")
    with pytest.raises(EffectError) as caught:
        bench.hypervisor.undefine(A, False)
    assert caught.value.code == "changed_meanwhile"
    found = bench.hypervisor.domain(A)
    assert found is not None
    assert (found.active, found.persistent, found.metadata) == (True, True, "{}")


def test_definition(bench: Bench) -> None:
    """XML with name, UUID and disks."""
    path = bench.file("a.qcow2")
    bench.define(A, "a <&", [path])
    xml = bench.hypervisor.definition(A)
    assert "<name>a &lt;&amp;</name>" in xml
    assert A in xml
    assert path in xml


def test_storage(bench: Bench) -> None:
    """Volumes with their identities, uses with theirs; a file that is missing has none."""
    one, two = bench.file("one.img"), bench.file("two.img")
    bench.define(A, "a", [one, "/nowhere/x.img"])
    bench.define(B, "b", [one], running=True)
    found = bench.hypervisor.storage()
    volumes = {volume.name: volume for volume in found.volumes if volume.pool == "bench"}
    assert {name: (volume.pool_type, volume.image.path) for name, volume in volumes.items()} == {
        "one.img": ("dir", one),
        "two.img": ("dir", two),
    }
    assert all(volume.image.identity is not None and volume.image.identity.links == 1 for volume in volumes.values())
    assert volumes["one.img"].image.identity != volumes["two.img"].image.identity
    uses = {(use.vm, use.image.path, use.role, use.image.identity is None) for use in found.attachments}
    assert uses == {("a", one, "disk", False), ("a", "/nowhere/x.img", "disk", True), ("b", one, "disk", False)}
    assert {use.image.identity for use in found.attachments if use.image.path == one} == {
        volumes["one.img"].image.identity
    }
    assert "bench" in found.pools


def verdict(bench: Bench, name: str) -> VolumeVerdict:
    """A volume as it is now, judged to go."""
    volume = next(each for each in bench.hypervisor.storage().volumes if (each.pool, each.name) == ("bench", name))
    return VolumeVerdict(volume.image.path, True, "only_user", "bench", name, identity=volume.image.identity)


def test_delete_what_is_gone(bench: Bench) -> None:
    """Already gone is success."""
    bench.file("a.img")
    judged = verdict(bench, "a.img")
    bench.hypervisor.delete_volume(replace(judged, name="never.img"))
    names = [volume.name for volume in bench.hypervisor.storage().volumes if volume.pool == "bench"]
    assert names == ["a.img"]


@pytest.mark.parametrize("field", ["inode", "size", "changed_ns", "links"])
def test_delete_what_has_changed(bench: Bench, field: str) -> None:
    """Only the very file that was judged. (Its device may have another number after a reboot.)"""
    bench.file("a.img")
    judged = verdict(bench, "a.img")
    assert judged.identity is not None
    changed = replace(judged.identity, **{field: getattr(judged.identity, field) + 1})
    with pytest.raises(EffectError) as caught:
        bench.hypervisor.delete_volume(replace(judged, identity=changed))
    assert caught.value.code == "changed_meanwhile"
    assert verdict(bench, "a.img") == judged


def test_delete_from_no_pool(bench: Bench) -> None:
    """A pool that does not exist can't delete."""
    bench.file("a.img")
    with pytest.raises(EffectError) as caught:
        bench.hypervisor.delete_volume(replace(verdict(bench, "a.img"), pool="other"))
    assert caught.value.code == "effect_failed"


def test_a_symlink_in_a_pool_is_marked_and_not_deleted(bench: Bench) -> None:
    """Its file belongs elsewhere."""
    path = bench.file("a.img")
    link = bench.directory / "link.img"
    if isinstance(bench, FakeBench):
        bench.machine.state["files"][str(link)] = {"symlink": path}
    else:
        link.symlink_to(path)
    marked = {volume.name: volume.symlink for volume in bench.hypervisor.storage().volumes if volume.pool == "bench"}
    assert marked == {"a.img": False, "link.img": True}
    with pytest.raises(EffectError) as caught:
        bench.hypervisor.delete_volume(verdict(bench, "link.img"))
    assert caught.value.code == "changed_meanwhile"


# libvirt's own.


def test_no_daemon(tmp_path: Path) -> None:
    """A message with the URI, and the code that callers know."""
    with pytest.raises(LifecycleError) as caught:
        connect(f"qemu+unix:///system?socket={tmp_path}/nowhere")
    assert [problem.code for problem in caught.value.problems] == ["connection_failed"]


BLOCKED = """
import sys
sys.modules["libvirt"] = None
from vm_lifecycle.adapters.libvirt.hypervisor import connect
from vm_lifecycle.errors import LifecycleError
try:
    connect("qemu:///system")
except LifecycleError as error:
    print(error.problems[0].code, error.problems[0].message)
"""


def test_no_library() -> None:
    """A host without python3-libvirt is told so, by package name."""
    engine = str(Path(__file__).parents[2] / "plugins" / "module_utils")
    environment = {**os.environ, "PYTHONPATH": engine}
    said = subprocess.run([sys.executable, "-c", BLOCKED], env=environment, capture_output=True, text=True, check=True)
    code, message = said.stdout.split(" ", 1)
    assert code == "missing_library"
    assert "python3-libvirt" in message
