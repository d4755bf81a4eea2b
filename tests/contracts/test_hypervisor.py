"""What every hypervisor does: the same cases on the fake and on libvirt's `test` driver."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import libvirt
import pytest
from vm_lifecycle.adapters.libvirt import connections, redefinition
from vm_lifecycle.adapters.libvirt.connections import AHEAD, Connections, SharedLook
from vm_lifecycle.adapters.libvirt.hypervisor import connect
from vm_lifecycle.disks import SavedDomain, Storage, VolumeVerdict
from vm_lifecycle.errors import DomainGone, EffectError, LifecycleError
from vm_lifecycle.measuring import NOT_READ
from vm_lifecycle.policy.storage import Usage, still_unused, verdicts
from vm_lifecycle.ports import Hypervisor
from vm_lifecycle.removals import UndoRecord

from tests.fakes.manager import overlay

from .conftest import Bench, FakeBench, LibvirtBench

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


def test_power_states(bench: Bench) -> None:
    """Of those domains that are asked for and exist, by name; of what was not read nothing is said that could be decided by."""
    c, gone = "00000000-0000-4000-8000-00000000000c", "00000000-0000-4000-8000-00000000000d"
    bench.define(B, "a", running=True)
    bench.define(A, "b")
    bench.create(c, "c")
    bench.hypervisor.write_metadata(A, "text")
    found = bench.hypervisor.power_states([A, gone, c, B])
    assert [(each.uuid, each.name, each.power_state, each.persistent) for each in found] == [
        (B, "a", "running", True),
        (A, "b", "shutoff", True),
        (c, "c", "running", False),
    ]
    assert {(each.metadata, each.metadata_error) for each in found} == {(None, NOT_READ)}
    assert [each.uuid for each in bench.hypervisor.power_states([A])] == [A]
    assert (bench.hypervisor.power_states([]), bench.hypervisor.power_states([gone])) == ([], [])
    bench.hypervisor.power_off(B)
    bench.hypervisor.power_off(c)
    found = bench.hypervisor.power_states([A, B, c])
    assert [(each.name, each.power_state) for each in found] == [("a", "shutoff"), ("b", "shutoff")]


def test_metadata_texts(bench: Bench) -> None:
    """Of all domains that have any, of transient ones never."""
    bench.define(A, "a", running=True)
    bench.define(B, "b")
    bench.create("00000000-0000-4000-8000-00000000000c", "c")
    assert list(bench.hypervisor.metadata_texts()) == []
    bench.hypervisor.write_metadata(B, "")
    assert list(bench.hypervisor.metadata_texts()) == [""]
    bench.hypervisor.write_metadata(A, "text")
    assert sorted(bench.hypervisor.metadata_texts()) == ["", "text"]


def test_no_domain(bench: Bench) -> None:
    """None is an answer, not an error."""
    assert bench.hypervisor.domains() == []
    assert bench.hypervisor.domain(A) is None


GONE: list[Callable[[Hypervisor], Any]] = [
    lambda hypervisor: hypervisor.definition(A),
    lambda hypervisor: hypervisor.saved(A),
    lambda hypervisor: hypervisor.write_metadata(A, "x"),
    lambda hypervisor: hypervisor.set_autostart(A, True),
    lambda hypervisor: hypervisor.request_shutdown(A),
    lambda hypervisor: hypervisor.power_off(A),
    lambda hypervisor: hypervisor.start(A),
    lambda hypervisor: hypervisor.start_cold(A),
    lambda hypervisor: hypervisor.needs(A),
    lambda hypervisor: hypervisor.addresses(A),
    lambda hypervisor: hypervisor.memory_cost(A),
    lambda hypervisor: hypervisor.save_memory(A, 5.0),
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


# Removed VMs, and bringing them back.


def removed(bench: Bench, uuid: str, name: str) -> UndoRecord:
    """A VM that is undefined, as it is remembered."""
    record = UndoRecord(uuid, name, 0, 1, bench.hypervisor.saved(uuid))
    bench.hypervisor.undefine(uuid, True, True)
    return record


def test_define(bench: Bench) -> None:
    """As it was: name, disks, metadata, autostart; and off."""
    path = bench.file("a.img")
    bench.define(A, "a <&--", [path], running=True)
    bench.hypervisor.set_autostart(A, True)
    bench.hypervisor.write_metadata(A, '{"a":"--><&"}')
    bench.hypervisor.power_off(A)
    before, definition = bench.hypervisor.domain(A), bench.hypervisor.definition(A)
    record = removed(bench, A, "a <&--")
    assert record.saved.autostart
    assert bench.hypervisor.domain(A) is None
    bench.hypervisor.define(record.saved)
    assert bench.hypervisor.domain(A) == before
    assert bench.hypervisor.definition(A) == definition


@pytest.mark.parametrize(
    ("uuid", "name", "code"),
    [(A, "other", "uuid_taken"), (A, "a", "uuid_taken"), (B, "a", "name_taken")],
)
@pytest.mark.parametrize("running", [False, True])
def test_define_what_is_taken(bench: Bench, uuid: str, name: str, code: str, running: bool) -> None:
    """Whoever has the name or the UUID now keeps it, and its definition."""
    bench.define(A, "a", [bench.file("a.img")])
    record = removed(bench, A, "a")
    bench.define(uuid, name, [bench.file("b.img")], running=running)
    before = bench.hypervisor.domains(), bench.hypervisor.definition(uuid)
    with pytest.raises(EffectError) as caught:
        bench.hypervisor.define(record.saved)
    assert caught.value.code == code
    assert (bench.hypervisor.domains(), bench.hypervisor.definition(uuid)) == before


def test_removed_vms_count_as_users(bench: Bench) -> None:
    """By the name that they had, unless libvirt has the UUID again."""
    path = bench.file("a.img")
    bench.define(A, "a", [path])
    record = removed(bench, A, "a")
    assert bench.hypervisor.storage().attachments == ()
    (use,) = bench.hypervisor.storage([record]).attachments
    assert (use.uuid, use.vm, use.role, use.image.path, use.image.identity) == (
        A, "a", "disk", path, verdict(bench, "a.img").identity,
    )  # fmt: skip
    bench.define(B, "b", [path])
    found = verdicts(B, Usage(bench.hypervisor.storage([record])))
    assert [(each.reason, each.used_by) for each in found] == [("in_use", ("a",))]
    bench.define(A, "new")
    assert {each.vm for each in bench.hypervisor.storage([record]).attachments} == {"b"}


# Files of no pool.


def outside(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, VolumeVerdict]:
    """A file that lies in no pool, and the verdict on it once its VM is undefined."""
    path = bench.file(str(tmp_path_factory.mktemp("outside") / "a.img"))
    bench.define(A, "a", [path])
    (found,) = verdicts(A, Usage(bench.hypervisor.storage()), unpooled=True)
    bench.hypervisor.undefine(A, False)
    return path, found


def test_a_file_of_no_pool(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It goes by its path, once; again is success."""
    path, found = outside(bench, tmp_path_factory)
    assert (found.remove, found.pool, found.path) == (True, "", path)
    assert still_unused(found, Usage(bench.hypervisor.storage())) == ("only_user", ())
    kept = bench.file(str(Path(path).parent / "b.img"))
    for _time in range(2):
        bench.hypervisor.delete_volume(found)
        assert (bench.exists(path), bench.exists(kept)) == (False, True)


@pytest.mark.parametrize("field", ["inode", "size", "changed_ns", "links"])
def test_a_file_of_no_pool_that_has_changed(bench: Bench, tmp_path_factory: pytest.TempPathFactory, field: str) -> None:
    """Only the very file that was judged; its device may have another number after a reboot."""
    path, found = outside(bench, tmp_path_factory)
    assert found.identity is not None
    changed = replace(found.identity, **{field: getattr(found.identity, field) + 1})
    with pytest.raises(EffectError) as caught:
        bench.hypervisor.delete_volume(replace(found, identity=changed))
    assert caught.value.code == "changed_meanwhile"
    with pytest.raises(EffectError):
        bench.hypervisor.delete_volume(replace(found, identity=None))
    assert bench.exists(path)
    bench.hypervisor.delete_volume(replace(found, identity=replace(found.identity, device=found.identity.device + 1)))
    assert not bench.exists(path)


def test_a_file_of_no_pool_that_something_is_built_on(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An overlay beside it, which no VM names: made before the plan, or after the VM is gone."""
    path, found = outside(bench, tmp_path_factory)
    top = str(Path(path).parent / "top")
    if isinstance(bench, FakeBench):
        overlay(bench.machine, top, path)
    else:
        command = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", path, top, "1M"]
        subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(EffectError) as caught:
        bench.hypervisor.delete_volume(found)
    assert caught.value.code == "changed_meanwhile"
    assert bench.exists(path)
    bench.define(A, "a", [path])
    (again,) = verdicts(A, Usage(bench.hypervisor.storage()), unpooled=True)
    assert (again.reason, again.used_by) == ("backing_file", (top,))


# libvirt's own.


def test_snapshots_come_back(own: LibvirtBench) -> None:
    """Each below its parent, and the same one current."""
    own.define(A, "a", [own.file("a.img")])
    handle = own.connection.lookupByUUIDString(A)
    for name in ("one", "two", "three"):
        handle.snapshotCreateXML(f"<domainsnapshot><name>{name}</name></domainsnapshot>", 0)
    handle.snapshotCreateXML(
        handle.snapshotLookupByName("one").getXMLDesc(), libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE | 2
    )
    before = [(each.getName(), each.getXMLDesc()) for each in handle.listAllSnapshots()]
    record = removed(own, A, "a")
    own.hypervisor.define(record.saved)
    handle = own.connection.lookupByUUIDString(A)
    assert sorted((each.getName(), each.getXMLDesc()) for each in handle.listAllSnapshots()) == sorted(before)
    assert handle.snapshotCurrent().getName() == "one"


def half_undefined(handle: libvirt.virDomain, _flags: int) -> None:
    """As libvirt's QEMU driver does it when NVRAM, say, can't be removed: what it knew of snapshots is dropped by then."""
    for each in handle.listAllSnapshots():
        each.delete()  # the test driver has no more of them
    raise libvirt.libvirtError("failed to remove nvram")


@pytest.mark.parametrize("again", [True, False])
def test_an_undefinition_that_fails_loses_no_snapshots(
    own: LibvirtBench, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """The undo record that has them goes when the VM stays. What can't be put back is said."""
    own.define(A, "a", [own.file("a.img")])
    handle = own.connection.lookupByUUIDString(A)
    for name in ("one", "two"):
        handle.snapshotCreateXML(f"<domainsnapshot><name>{name}</name></domainsnapshot>", 0)
    before = sorted(each.getXMLDesc() for each in handle.listAllSnapshots())

    def refused(*_given: object) -> None:
        raise libvirt.libvirtError("no")

    monkeypatch.setattr(libvirt.virDomain, "undefineFlags", half_undefined)
    if not again:
        monkeypatch.setattr(libvirt.virDomain, "snapshotCreateXML", refused)
    with pytest.raises(EffectError, match="nvram" if again else "nvram.*could not take its snapshots back"):
        own.hypervisor.undefine(A, True)
    monkeypatch.undo()
    assert sorted(each.getXMLDesc() for each in handle.listAllSnapshots()) == (before if again else [])
    assert not again or handle.snapshotCurrent().getName() == "two"


def test_what_can_not_come_back_whole_stays_away(own: LibvirtBench) -> None:
    """A snapshot that libvirt refuses: the next attempt finds everything as it was."""
    own.define(A, "a")
    record = removed(own, A, "a")
    with pytest.raises(EffectError) as caught:
        own.hypervisor.define(replace(record.saved, snapshots=("<domainsnapshot/>",)))
    assert caught.value.code == "effect_failed"
    assert own.hypervisor.domain(A) is None
    with pytest.raises(EffectError):
        own.hypervisor.define(replace(record.saved, xml="<domain"))
    own.hypervisor.define(record.saved)


def test_what_a_removed_vm_hides_is_doubt(own: LibvirtBench) -> None:
    """A record that can't be read may name any file."""
    record = UndoRecord(A, "a", 0, 1, SavedDomain("<domain"))
    assert any("VM a" in problem for problem in own.hypervisor.storage([record]).problems)


@pytest.mark.parametrize(("version", "keep", "flag"), [(8009000, True, 64), (9000000, False, 32), (8008000, False, 0)])
def test_tpm_flags(version: int, keep: bool, flag: int) -> None:
    """As libvirt's header numbers them."""
    assert redefinition.tpm_flag(version, keep) == flag
    assert getattr(libvirt, "VIR_DOMAIN_UNDEFINE_TPM", 32) == 32
    assert getattr(libvirt, "VIR_DOMAIN_UNDEFINE_KEEP_TPM", 64) == 64


def test_an_old_libvirt_keeps_no_tpm() -> None:
    """It is said before anything is done."""
    with pytest.raises(EffectError):
        redefinition.tpm_flag(8008000, True)


def test_a_connection_a_thread(own: LibvirtBench) -> None:
    """A thread that waits for a QEMU that does not answer holds up no other one."""
    own.define(A, "a")
    connections = Connections(libvirt.open("test:///default"))
    seen: dict[str, Any] = {"main": connections.current()}

    def work(name: str) -> None:
        seen[name] = connections.current()
        assert connections.current() is seen[name]
        seen[name + " sees"] = [each.name() for each in seen[name].listAllDomains()]
        own.hypervisor.set_autostart(A, True)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
        thread.join()
    assert len({id(seen[name]) for name in ("main", "one", "two")}) == 3
    assert seen["one sees"] == seen["two sees"] == ["a"]
    assert connections.current() is seen["main"]
    assert [domain.autostart for domain in own.hypervisor.domains()] == [True]
    connections.close()


def test_who_waits_shares_a_look_that_began_later() -> None:
    """Never one that had begun before, and never one that counted other removed VMs."""
    shared, began, go = SharedLook(), threading.Event(), threading.Event()
    made: list[str] = []
    lock = threading.Lock()

    def read(name: str) -> Storage:
        with lock:
            made.append(name)
        if name == "first":
            began.set()
            assert go.wait(10)
        return Storage(problems=(name,))

    got: dict[str, str] = {}

    def ask(name: str, counted: tuple[str, ...] = ()) -> None:
        got[name] = shared.look(counted, lambda: read(name)).problems[0]

    threads = [threading.Thread(target=ask, args=("first",))]
    threads[0].start()
    assert began.wait(10)
    threads += [threading.Thread(target=ask, args=(name,)) for name in ("a", "b", "c")]
    threads += [threading.Thread(target=ask, args=("other", ("x",)))]
    for thread in threads[1:]:
        thread.start()
    while len(shared._turn._waiters) < 4:  # type: ignore[attr-defined]  # all of them wait for the first look
        time.sleep(0.001)
    go.set()
    for thread in threads:
        thread.join(10)
    assert (got["first"], got["other"]) == ("first", "other")
    assert "first" not in {got[name] for name in "abc"}
    assert len(made) < 5, "nobody shared a look"
    assert set(got) == {"first", "a", "b", "c", "other"}
    assert shared.look((), lambda: read("late")).problems == ("late",)


def test_a_look_that_fails_is_nobody_elses() -> None:
    """The next one asks for himself."""
    shared = SharedLook()

    def fail() -> Storage:
        raise EffectError("effect_failed", "x")

    with pytest.raises(EffectError):
        shared.look((), fail)
    assert shared.look((), Storage) == Storage()


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


@pytest.mark.parametrize("fails", [False, True])
def test_connections_that_are_opened_ahead(own: LibvirtBench, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    """As many as were expected, each for one thread; who finds none that could be opened opens its own."""
    own.define(A, "a")
    opened: list[str] = []
    found: list[str] = []
    connect = libvirt.open

    def counted(uri: str) -> libvirt.virConnect:
        name = threading.current_thread().name
        opened.append(name.split()[0])
        if fails and name.startswith("open"):
            raise libvirt.libvirtError("too many clients")
        return connect(uri)

    def look() -> None:
        seen = own.hypervisor.domain(A)
        found.append(seen.name if seen is not None else "")

    monkeypatch.setattr(libvirt, "open", counted)
    own.hypervisor.expect(2)
    for _number in range(3):
        asking = threading.Thread(target=look, name="asking")
        asking.start()
        asking.join()
    assert found == ["a"] * 3
    assert sorted(opened) == ["asking"] * (3 if fails else 1) + ["open"] * 2
    look()  # the thread that began has its own
    assert len(opened) == (5 if fails else 3)


def test_few_connections_are_opened_ahead(own: LibvirtBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are expected: a process has so many descriptors. Those that nobody asked for are closed with the others."""
    own.define(A, "a")
    opened: list[libvirt.virConnect] = []
    connect = libvirt.open

    def counted(uri: str) -> libvirt.virConnect:
        opened.append(connect(uri))
        return opened[-1]

    monkeypatch.setattr(libvirt, "open", counted)
    own_connections = Connections(connect("test:///default"))
    own_connections.open_ahead(1000)
    own_connections.close()
    assert len(opened) == AHEAD
    for each in opened:
        with pytest.raises(libvirt.libvirtError):
            each.getURI()


@pytest.mark.parametrize("fails", [False, True])
def test_nobody_waits_for_a_connection_that_does_not_come(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    """Neither for one whose thread could not be started, nor, at the end, for one that nobody used and that takes for ever."""
    hypervisor = connect("test:///default")
    found: list[int] = []
    begin, reach, never = threading.Thread.start, libvirt.open, threading.Event()

    def started(thread: threading.Thread) -> None:
        if fails and thread.name == "open 1":
            raise RuntimeError("can't start new thread")
        begin(thread)

    def stuck(uri: str) -> libvirt.virConnect:
        if threading.current_thread().name == "open 1":
            never.wait()
        return reach(uri)

    def look() -> None:
        found.append(len(hypervisor.domains()))

    monkeypatch.setattr(threading.Thread, "start", started)
    monkeypatch.setattr(libvirt, "open", stuck)
    monkeypatch.setattr(connections, "UNUSED_LIMIT", 0.2, raising=False)
    hypervisor.expect(3)
    asking = [threading.Thread(target=look, daemon=True) for _number in range(3 if fails else 1)]
    ending = threading.Thread(target=hypervisor.close, daemon=True)
    for thread in (*asking, ending):
        thread.start()
        thread.join(10.0)
    assert found == [1] * len(asking)
    assert not ending.is_alive()
    never.set()
