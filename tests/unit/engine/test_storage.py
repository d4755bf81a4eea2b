"""Which disks go: one row for each rule, each of which alone keeps a disk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional, Tuple

import pytest
from vm_lifecycle.model import Attachment, FileIdentity, Image, Storage, Volume, VolumeVerdict
from vm_lifecycle.policy import storage as policy
from vm_lifecycle.policy.storage import Usage, narrowed, still_unused, verdicts

ONE, TWO = "uuid-one", "uuid-two"
FILE = FileIdentity(1, 10, 1024, 5)
PATH = "/pool/a.qcow2"


def image(path: str = PATH, identity: Optional[FileIdentity] = FILE, *chain: Any, error: str = "") -> Image:
    """An image; chain holds (path, identity)."""
    return Image(path, identity, tuple(chain), error)


def use(uuid: str = ONE, given: Optional[Image] = None, role: str = "disk", **more: Any) -> Attachment:
    """A disk of the VM in question, unless something else is said."""
    return Attachment(uuid, "one" if uuid == ONE else "two", role, given or image(), **{"target": "vda", **more})


def volume(given: Optional[Image] = None, kind: str = "dir", **more: Any) -> Volume:
    """The disk's volume."""
    given = given or image()
    return Volume("default", kind, given.path.rsplit("/", 1)[-1], given, **more)


def storage(*parts: Any, problems: Tuple[str, ...] = ()) -> Storage:
    """Volumes and attachments as they come; the pool answers."""
    volumes = tuple(part for part in parts if isinstance(part, Volume))
    attachments = tuple(part for part in parts if isinstance(part, Attachment))
    return Storage(volumes, attachments, ("default",), problems)


OTHER = FileIdentity(1, 11, 1, 1)
LINK = "/elsewhere/link"
MINE = (use(), volume())
ROWS = [
    ("its own volume", (use(), volume()), "only_user", ()),
    ("its own, twice attached", (use(), use(target="vdb"), volume()), "only_user", ()),
    ("its own, in its own snapshot", (use(), use(role="snapshot"), volume()), "only_user", ()),
    ("by pool and volume", (use(kind="volume"), volume()), "only_user", ()),
    ("through a symlink of its own", (use(given=image(LINK)), volume()), "only_user", ()),
    ("a CD-ROM", (use(role="cdrom"), volume()), "removable_medium", ()),
    ("a floppy", (use(role="floppy"), volume()), "removable_medium", ()),
    ("read-only", (use(read_only=True), volume()), "read_only", ()),
    ("shareable", (use(shareable=True), volume()), "shareable", ()),
    ("a block device", (use(kind="block"), volume()), "unsupported_kind", ()),
    ("a network disk", (use(kind="network"),), "network_storage", ()),
    ("no such file", (use(given=image(PATH, None)), volume()), "missing", ()),
    ("no volume", (use(),), "not_in_pool", ()),
    ("another file of that name", (use(), volume(image(PATH, OTHER))), "not_in_pool", ()),
    ("a file in place of a logical volume", (use(), volume(kind="logical")), "unsupported_kind", ()),
    ("a network file system", (use(), volume(kind="netfs")), "network_storage", ()),
    ("an inactive pool", (use(), volume(kind="inactive")), "pool_inactive", ()),
    ("a symlink in the pool", (use(), volume(symlink=True)), "symlink", ()),
    ("hard-linked", (use(given=image(PATH, replace(FILE, links=2))), volume(image(PATH, replace(FILE, links=2)))),
     "hard_linked", ()),
    ("used by another VM", (*MINE, use(TWO)), "in_use", ("two",)),
    ("used under another path", (*MINE, use(TWO, image(LINK))), "in_use", ("two",)),
    ("another VM's CD-ROM", (*MINE, use(TWO, role="cdrom")), "in_use", ("two",)),
    ("another VM's kernel", (*MINE, use(TWO, role="kernel")), "in_use", ("two",)),
    ("another VM's NVRAM", (*MINE, use(TWO, role="nvram")), "in_use", ("two",)),
    ("mentioned by another VM", (*MINE, use(TWO, role="other")), "in_use", ("two",)),
    ("in another VM's snapshot", (*MINE, use(TWO, role="snapshot")), "in_snapshot", ("two",)),
    ("in snapshot and in use", (*MINE, use(TWO, role="snapshot"), use("uuid-3")), "in_snapshot", ("two",)),
    ("its own kernel too", (*MINE, use(role="kernel")), "in_use", ("one",)),
    ("its own CD-ROM too", (*MINE, use(role="cdrom", target="sda")), "in_use", ("one",)),
    ("its own shareable too", (*MINE, use(shareable=True, target="vdb")), "in_use", ("one",)),
    ("below another VM's disk", (*MINE, use(TWO, image("/pool/b", OTHER, (PATH, FILE)))), "backing_file", ("two",)),
    ("below another volume", (*MINE, volume(image("/pool/b", OTHER, (PATH, FILE)))), "backing_file", ("b",)),
    ("deep below another volume", (*MINE, volume(image("/pool/b", OTHER, ("/x", None), (PATH, FILE)))),
     "backing_file", ("b",)),
    ("below under another path", (*MINE, use(TWO, image("/pool/b", OTHER, (LINK, FILE)))), "backing_file", ("two",)),
    ("below its own other disk", (*MINE, use(given=image("/pool/b", OTHER, (PATH, FILE)), target="vdb")),
     "backing_file", ()),
    ("some chain is unreadable", (*MINE, volume(image("/pool/b", OTHER, error="not qcow2"))), "chain_unreadable", ()),
    ("its own chain is unreadable", (use(given=image(error="x")), volume()), "chain_unreadable", ()),
    ("two missing files of one path", (use(given=image(PATH, None)), use(TWO, image(PATH, None))), "missing", ()),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parts", "reason", "used_by"), ROWS, ids=[row[0] for row in ROWS])
def test_verdict(name: str, parts: Tuple[Any, ...], reason: str, used_by: Tuple[str, ...]) -> None:
    """The verdict on the disk, with its users."""
    found = next(v for v in verdicts(ONE, Usage(storage(*parts))) if v.identity == parts[0].image.identity)
    assert (found.reason, found.used_by) == (reason, used_by)
    assert found.remove is (reason == "only_user")


def test_a_problem_keeps_every_disk() -> None:
    """Somebody that could not be looked at may be a user."""
    usage = Usage(storage(*MINE, problems=("pool nfs: stale",)))
    assert [verdict.reason for verdict in verdicts(ONE, usage)] == ["storage_problem"]
    assert policy.obstacles(usage) == ("pool nfs: stale: no disk is removed",)
    unreadable = Usage(storage(*MINE, volume(image("/pool/b", OTHER, error="bad"))))
    assert policy.obstacles(unreadable) == ("the backing chain of /pool/b can't be read: no disk is removed",)
    assert policy.obstacles(Usage(storage(*MINE))) == ()


def test_backing_files_are_listed_and_kept() -> None:
    """Everything that the disk is built on stays, with its users."""
    base, other = FileIdentity(1, 20), FileIdentity(1, 21)
    parts = (
        use(given=image(PATH, FILE, ("/pool/base", base), ("/far/root", other))),
        volume(image(PATH, FILE, ("/pool/base", base), ("/far/root", other))),
        volume(image("/pool/base", base, ("/far/root", other))),
        use(TWO, image("/far/root", other)),
    )
    found = {verdict.path: verdict for verdict in verdicts(ONE, Usage(storage(*parts)))}
    assert found[PATH].reason == "only_user"
    assert found["/pool/base"].reason == found["/far/root"].reason == "backing_file"
    assert (found["/pool/base"].pool, found["/pool/base"].name) == ("default", "base")
    assert "two" in found["/far/root"].used_by


def test_a_backing_file_that_is_attached_too_is_kept() -> None:
    """A disk on which another disk of the same VM is built."""
    lower = FileIdentity(1, 30)
    parts = (use(given=image(PATH, FILE, ("/pool/low", lower))), volume(), use(given=image("/pool/low", lower), target="vdb"),
             volume(image("/pool/low", lower)))  # fmt: skip
    assert {v.path: v.remove for v in verdicts(ONE, Usage(storage(*parts)))} == {PATH: True, "/pool/low": False}


KEPT = VolumeVerdict(PATH, False, "in_use", "default", "a.qcow2", "vda", ("two",), FILE)
GOES = VolumeVerdict(PATH, True, "only_user", "default", "a.qcow2", "vda", (), FILE)
NEW = replace(GOES, identity=OTHER)


@pytest.mark.parametrize(
    ("planned", "fresh", "removed", "reason"),
    [
        (GOES, GOES, True, "only_user"),
        (GOES, KEPT, False, "in_use"),
        (KEPT, GOES, False, "in_use"),
        (KEPT, KEPT, False, "in_use"),
        (GOES, NEW, False, "identity_changed"),
        (replace(GOES, identity=None), GOES, False, "identity_changed"),
        (GOES, replace(GOES, identity=replace(FILE, size=9)), True, "only_user"),
        (GOES, replace(KEPT, identity=None, reason="missing"), False, "missing"),
    ],
)
def test_narrowed(planned: VolumeVerdict, fresh: VolumeVerdict, removed: bool, reason: str) -> None:
    """A disk may only move from removed to kept; the guest itself may have written to it meanwhile."""
    found = narrowed((planned,), (fresh,))
    assert [(verdict.remove, verdict.reason) for verdict in found] == [(removed, reason)]


def test_narrowed_lists_what_is_there_now() -> None:
    """A disk that was detached is not spoken of, one that was attached is kept."""
    assert narrowed((GOES,), ()) == ()
    assert [verdict.remove for verdict in narrowed((), (GOES,))] == [False]


LAST = [
    ("still its own", (volume(),), ("only_user", ())),
    ("gone", (), ("already_gone", ())),
    ("another file", (volume(image(PATH, OTHER)),), ("identity_changed", ())),
    ("written to", (volume(image(PATH, replace(FILE, changed_ns=6))),), ("identity_changed", ())),
    ("hard-linked meanwhile", (volume(image(PATH, replace(FILE, links=2))),), ("identity_changed", ())),
    ("used by another VM", (volume(), use(TWO)), ("in_use", ("two",))),
    ("used under another path", (volume(), use(TWO, image(LINK), role="kernel")), ("in_use", ("two",))),
    ("built on", (volume(), volume(image("/pool/b", OTHER, (PATH, FILE)))), ("backing_file", ("b",))),
    (
        "a VM's disk is built on",
        (volume(), use(TWO, image("/pool/b", OTHER, (PATH, FILE)))),
        ("backing_file", ("two",)),
    ),
    ("an unreadable chain", (volume(), volume(image("/pool/b", OTHER, error="bad"))), ("chain_unreadable", ())),
]


@pytest.mark.parametrize(("name", "parts", "expected"), LAST)
def test_last_look(name: str, parts: Tuple[Any, ...], expected: Tuple[str, Tuple[str, ...]]) -> None:
    """After the VM is undefined, nobody may refer to the file, and it must be the very file."""
    assert still_unused(GOES, Usage(storage(*parts))) == expected


def test_last_look_without_the_pool() -> None:
    """A pool that does not answer is no proof that the file is gone."""
    assert still_unused(GOES, Usage(Storage(inactive_pools=("default",)))) == ("pool_inactive", ())
    assert still_unused(GOES, Usage(Storage())) == ("not_in_pool", ())  # nobody defines it any more
    assert still_unused(GOES, Usage(storage(volume(), problems=("x",))))[0] == "storage_problem"


OWN = "/var/lib/libvirt/qemu/nvram/a.fd"
NVRAM = [
    ("libvirt's own file, this VM's alone", image(OWN, FILE), (), False),
    ("it was never started", image(OWN, None), (), False),
    ("another VM has another", image(OWN, FILE), (use(TWO, image("/nvram/b", OTHER), role="nvram"),), False),
    ("another VM has the same", image(OWN, FILE), (use(TWO, image(OWN, FILE), role="nvram"),), True),
    ("another VM names it otherwise", image(OWN, FILE), (use(TWO, image("/other/name", FILE), role="other"),), True),
    ("it is this VM's disk too", image(OWN, FILE), (use(ONE, image(OWN, FILE)),), True),
    ("something is built on it", image(OWN, FILE), (use(TWO, image("/b", OTHER, (OWN, FILE))),), True),
    ("a file of the firmware's package", image("/usr/share/OVMF/OVMF_VARS.fd", FILE), (), True),
    ("a file elsewhere, in disguise", image("/var/lib/libvirt/qemu/nvram/../../images/a", FILE), (), True),
    ("it has another name", image(OWN, replace(FILE, links=2)), (), True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "others", "kept"), NVRAM, ids=[row[0] for row in NVRAM])
def test_nvram(name: str, given: Image, others: Tuple[Attachment, ...], kept: bool) -> None:
    """Undefining deletes NVRAM by its path, whatever lies there: only libvirt's own files go."""
    usage = Usage(storage(use(given=given, role="nvram"), *others))
    assert policy.must_keep_nvram(ONE, usage) is kept
    assert not policy.must_keep_nvram("uuid-3", usage)


SHARED = use(TWO, image("/pool", OTHER), role="share")


def test_a_shared_directory_keeps_what_lies_in_it() -> None:
    """Another VM may use any file below a directory that it is given."""
    (found,) = verdicts(ONE, Usage(storage(*MINE, SHARED)))
    assert (found.remove, found.reason, found.used_by) == (False, "in_shared_directory", ("two",))
    (found,) = verdicts(ONE, Usage(storage(*MINE, use(TWO, image("/po", OTHER), role="share"))))
    assert found.remove


@pytest.mark.parametrize("reason", ["chain_unreadable", "storage_problem", "pool_inactive"])
def test_doubt(reason: str) -> None:
    """What speaks of the host makes a VM wait; what speaks of the disk does not."""
    (found,) = verdicts(ONE, Usage(storage(*MINE)))
    assert policy.doubtful((found,)) == ""
    assert policy.doubtful((found, replace(found, remove=False, reason="read_only"))) == ""
    assert policy.doubtful((found, replace(found, remove=False, reason=reason))) == reason


def test_several_pools_over_one_file() -> None:
    """The pool that may delete it counts, in whatever order libvirt lists them."""
    views = [
        replace(volume(), pool="outer", pool_type="folder", name="sub/a"),
        replace(volume(), pool="other", pool_type="inactive"),
        replace(volume(), pool="linked", symlink=True),
        volume(),
    ]
    for order in (views, views[::-1]):
        (found,) = verdicts(ONE, Usage(storage(use(), *order)))
        assert (found.remove, found.pool) == (True, volume().pool)


def test_what_is_not_there_may_be_out_of_sight() -> None:
    """A disk that nobody can find while something can't be looked at is a matter of doubt, not of absence."""
    gone = use(given=image(PATH, None, error="its directory is empty"))
    assert verdicts(ONE, Usage(storage(gone)))[0].reason == "chain_unreadable"
    lost = use(given=image(PATH, None))
    assert verdicts(ONE, Usage(storage(lost)))[0].reason == "missing"
    assert verdicts(ONE, Usage(storage(lost, problems=("pool x",))))[0].reason == "storage_problem"
    assert verdicts(ONE, Usage(storage(use(), problems=("pool x",))))[0].reason == "storage_problem"
    assert still_unused(GOES, Usage(Storage(pools=("default",), problems=("x",)))) == ("storage_problem", ())


def test_last_look_at_shared_directories() -> None:
    """One may be given after the plan was made."""
    assert still_unused(GOES, Usage(storage(volume(), SHARED))) == ("in_shared_directory", ("two",))


def test_nvram_in_doubt() -> None:
    """What can't be looked at may use it too; a snapshot of the VM itself is no other user."""
    own = use(given=image(OWN, FILE), role="nvram")
    assert policy.must_keep_nvram(ONE, Usage(storage(own, problems=("x",))))
    assert not policy.must_keep_nvram(ONE, Usage(storage(own, use(given=image(OWN, FILE), role="snapshot"))))
