"""Which disks go: one row for each rule, each of which alone keeps a disk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Optional, Tuple

import pytest
from vm_lifecycle.disks import Attachment, FileIdentity, Image, Storage, Volume, VolumeVerdict
from vm_lifecycle.policy import storage as policy
from vm_lifecycle.policy.disk_rules import BESIDE, UNPOOLED
from vm_lifecycle.policy.storage import Usage, narrowed, still_unused, unjudged, verdicts

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
DEVICE = FileIdentity(-1, 64768)
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
    ("a device in a directory", (use(given=image(PATH, DEVICE)), volume(image(PATH, DEVICE))), "unsupported_kind", ()),
    ("a kind that nobody knows", (use(kind="new"), volume()), "unsupported_kind", ()),
    ("a LUN", (use(kind="lun"), volume()), "unsupported_kind", ()),
    ("a directory made into a disk", (use(kind="dir"), volume()), "unsupported_kind", ()),
    ("a whole device", (use(kind="block", given=image("/dev/sdb", DEVICE)),), "unsupported_kind", ()),
    ("a mounted file system's pool", (use(), volume(kind="fs")), "only_user", ()),
    ("a volume of another machine", (use(kind="volume", given=image("pool/a", None)), volume(image("pool/a", None), "rbd")),
     "network_storage", ()),
    ("a directory that another VM's QEMU makes a disk of", (*MINE, use(TWO, image("/pool", OTHER), kind="dir")),
     "in_shared_directory", ("two",)),
    ("its own snapshot's CD-ROM too", (*MINE, use(role="snapshot", target="", read_only=True)), "in_use", ("one",)),
    ("its own snapshot's firmware too", (*MINE, use(role="snapshot", target="")), "in_use", ("one",)),
    ("its own snapshot's shareable disk", (*MINE, use(role="snapshot", shareable=True)), "in_use", ("one",)),
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
    """A disk that was detached stays, and is spoken of if it was to go; one that was attached is kept."""
    assert narrowed((GOES, replace(KEPT, path="/pool/b")), ()) == (
        replace(GOES, remove=False, reason="identity_changed"),
    )
    assert [verdict.remove for verdict in narrowed((), (GOES,))] == [False]


def test_what_nothing_could_be_read_of_is_not_judged() -> None:
    """A VM without disks goes, unless something could not be read: its disks may be what that was about."""
    nothing, unread = Usage(storage()), Usage(storage(problems=("VM one: timed out",)))
    assert unjudged((), nothing) == ""
    assert unjudged((), unread) == "storage_problem"
    assert unjudged((replace(KEPT, reason="removable_medium"),), unread) == ""
    assert unjudged((replace(KEPT, reason="pool_inactive"),), nothing) == "pool_inactive"


@pytest.mark.parametrize(("declared", "pooled"), [(True, False), (False, True), (False, False)])
def test_a_verdict_says_that_a_disk_is_raw(declared: bool, pooled: bool) -> None:
    """By the VM's own word, or by another's, which the view of the pool has heard of."""
    given = replace(image(), raw=declared), replace(image(), raw=pooled)
    (verdict,) = verdicts(ONE, Usage(storage(use(given=given[0]), volume(given[1]))))
    assert verdict.raw is (declared or pooled)


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


# Pool types.


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        *[(kind, "network_storage") for kind in ("netfs", "gluster", "rbd", "sheepdog", "vstorage", "iscsi-direct")],
        *[(kind, "unsupported_kind") for kind in ("disk", "iscsi", "scsi", "mpath", "zfs", "of the future")],
        ("dir", "only_user"),
        ("fs", "only_user"),
    ],
)
def test_pool_types(kind: str, reason: str) -> None:
    """Files of this host's own directories go; what other hosts may use, and what nobody has tried, stays."""
    (found,) = verdicts(ONE, Usage(storage(use(), volume(kind=kind))))
    assert (found.reason, found.remove) == (reason, reason == "only_user")
    for pair in ([volume(kind=kind), volume()], [volume(), volume(kind=kind)]):
        (found,) = verdicts(ONE, Usage(storage(use(), *pair)))
        assert found.reason == reason, "a second pool over the same file makes it no less another host's"


# Logical volumes.

LV = "/dev/vg/a"
KNOWN = replace(DEVICE, serial="abc-def")
GROUP = Volume("default", "logical", "a", image(LV, KNOWN))


def lv(**more: Any) -> Attachment:
    """A VM with the logical volume under the name that device mapper gives it."""
    return use(given=image("/dev/mapper/vg-a", DEVICE), **{"kind": "block", **more})


SNAPSHOT = Volume("default", "logical", "s", image("/dev/vg/s", replace(DEVICE, inode=9, serial="x"), (LV, DEVICE)))
LOGICAL = [
    ("its own", (lv(), GROUP), "only_user", ()),
    ("by pool and volume", (lv(kind="volume"), GROUP), "only_user", ()),
    ("declared a file", (lv(kind="file"), GROUP), "unsupported_kind", ()),
    ("whose UUID nobody knows", (lv(), replace(GROUP, image=image(LV, DEVICE))), "unsupported_kind", ()),
    ("used by another VM", (lv(), GROUP, use(TWO, image("/dev/dm-3", DEVICE), kind="block")), "in_use", ("two",)),
    ("with a snapshot of it", (lv(), GROUP, SNAPSHOT), "backing_file", ("s",)),
    ("read-only", (lv(read_only=True), GROUP), "read_only", ()),
    ("its group is not active", (lv(), replace(GROUP, pool_type="inactive", symlink=True)), "pool_inactive", ()),
    ("also seen by a pool of devices", (lv(), GROUP, replace(GROUP, pool_type="mpath")), "unsupported_kind", ()),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parts", "reason", "used_by"), LOGICAL, ids=[row[0] for row in LOGICAL])
def test_logical_volumes(name: str, parts: Tuple[Any, ...], reason: str, used_by: Tuple[str, ...]) -> None:
    """The same rules, by device number; the verdict carries the UUID by which it is known after a reboot."""
    (found,) = verdicts(ONE, Usage(storage(*parts)))
    assert (found.reason, found.used_by) == (reason, used_by)
    if found.remove:
        assert (found.pool, found.name, found.path, found.identity) == ("default", "a", LV, KNOWN)


LV_GOES = VolumeVerdict(LV, True, "only_user", "default", "a", "vda", (), KNOWN)
RENUMBERED = replace(KNOWN, inode=77)
LV_LAST = [
    ("still its own", (GROUP,), ("only_user", ())),
    ("under another number", (replace(GROUP, image=image(LV, RENUMBERED)),), ("only_user", ())),
    ("another one of that name", (replace(GROUP, image=image(LV, replace(KNOWN, serial="z"))),), ("identity_changed", ())),
    ("another one of that number", (replace(GROUP, image=image(LV, DEVICE)),), ("identity_changed", ())),
    ("used under its new number", (replace(GROUP, image=image(LV, RENUMBERED)),
                                   use(TWO, image("/dev/dm-9", replace(DEVICE, inode=77)))), ("in_use", ("two",))),
    ("with a snapshot by now", (GROUP, SNAPSHOT), ("backing_file", ("s",))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parts", "expected"), LV_LAST, ids=[row[0] for row in LV_LAST])
def test_last_look_at_a_logical_volume(
    name: str, parts: Tuple[Any, ...], expected: Tuple[str, Tuple[str, ...]]
) -> None:
    """Device numbers change with a reboot."""
    assert still_unused(LV_GOES, Usage(storage(*parts))) == expected
    (narrow,) = narrowed((LV_GOES,), (replace(LV_GOES, identity=RENUMBERED),))
    assert narrow.remove


# External snapshots.

BASE, OVER, THIRD = FileIdentity(1, 50, 1, 1), FileIdentity(1, 51, 1, 1), FileIdentity(1, 52, 1, 1)
BASE_IMAGE = image("/pool/base", BASE)
OVER_IMAGE = image("/pool/over", OVER, ("/pool/base", BASE))
TOP_IMAGE = image("/pool/top", THIRD, ("/pool/over", OVER), ("/pool/base", BASE))
NAMED = use(given=BASE_IMAGE, role="snapshot")
CHAIN = (use(given=OVER_IMAGE), NAMED, volume(OVER_IMAGE), volume(BASE_IMAGE))
FOREIGN = FileIdentity(1, 60, 1, 1)
ORDER = ("/pool/top", "/pool/over", "/pool/base")
EXTERNAL = [
    ("base and overlay", CHAIN, {"/pool/over": "only_user", "/pool/base": "only_user"}),
    ("reverted to the base", (use(given=BASE_IMAGE), use(given=OVER_IMAGE, role="snapshot"), *CHAIN[2:]),
     {"/pool/over": "only_user", "/pool/base": "only_user"}),
    ("two snapshots", (use(given=TOP_IMAGE), use(given=OVER_IMAGE, role="snapshot"), NAMED, volume(TOP_IMAGE), *CHAIN[2:]),
     {"/pool/top": "only_user", "/pool/over": "only_user", "/pool/base": "only_user"}),
    ("a level that no snapshot names", (use(given=TOP_IMAGE), NAMED, volume(TOP_IMAGE), *CHAIN[2:]),
     {"/pool/top": "only_user", "/pool/over": "backing_file", "/pool/base": "backing_file"}),
    ("a template that nothing names", (use(given=OVER_IMAGE), *CHAIN[2:]),
     {"/pool/over": "only_user", "/pool/base": "backing_file"}),
    ("somebody else's overlay on the base", (*CHAIN, volume(image("/pool/x", FOREIGN, ("/pool/base", BASE)))),
     {"/pool/over": "only_user", "/pool/base": "backing_file"}),
    ("somebody else has the overlay", (*CHAIN, use(TWO, OVER_IMAGE)), {"/pool/over": "in_use", "/pool/base": "backing_file"}),
    ("a snapshot that names another VM's disk", (*CHAIN, use(TWO, BASE_IMAGE)),
     {"/pool/over": "only_user", "/pool/base": "in_use"}),
    ("another VM's snapshot names it too", (*CHAIN, use(TWO, BASE_IMAGE, role="snapshot")),
     {"/pool/over": "only_user", "/pool/base": "in_snapshot"}),
    ("an overlay in no pool", (*CHAIN[:2], volume(BASE_IMAGE)), {"/pool/over": "not_in_pool", "/pool/base": "backing_file"}),
    ("its memory", (*MINE, use(given=image("/pool/mem", FOREIGN), role="snapshot", target="memory"),
                    volume(image("/pool/mem", FOREIGN))), {PATH: "only_user", "/pool/mem": "only_user"}),
    ("its memory in no pool", (*MINE, use(given=image("/m/mem", FOREIGN), role="snapshot", target="memory")),
     {PATH: "only_user", "/m/mem": "not_in_pool"}),
    ("a snapshot's ISO", (*MINE, use(given=image("/pool/iso", FOREIGN), role="snapshot", target="", read_only=True),
                          volume(image("/pool/iso", FOREIGN))), {PATH: "only_user"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parts", "expected"), EXTERNAL, ids=[row[0] for row in EXTERNAL])
def test_external_snapshots(name: str, parts: Tuple[Any, ...], expected: Dict[str, str]) -> None:
    """What a VM's own snapshots made of its disks goes with it: each overlay before the file that it is built on."""
    found = verdicts(ONE, Usage(storage(*parts)))
    assert {verdict.path: verdict.reason for verdict in found} == expected
    chain = [verdict.path for verdict in found if verdict.remove and verdict.path in ORDER]
    assert chain == [path for path in ORDER if path in chain]


def test_images_in_a_circle_stay() -> None:
    """Each is built on the other, so neither can be the first to go."""
    one, two = image("/pool/1", BASE, ("/pool/2", OVER)), image("/pool/2", OVER, ("/pool/1", BASE), ("/pool/2", OVER))
    parts = (use(given=one), use(given=two, role="snapshot"), volume(one), volume(two))
    assert {v.reason for v in verdicts(ONE, Usage(storage(*parts)))} == {"backing_file"}


def test_doubt_keeps_a_whole_chain() -> None:
    """The overlay that is kept for doubt needs its base: both have to wait."""
    usage = Usage(storage(*CHAIN, problems=("pool x",)))
    assert {v.reason for v in verdicts(ONE, usage)} == {"storage_problem"}


def test_an_overlay_that_is_left_keeps_its_base_at_the_last_look() -> None:
    """Its deletion failed, or was not reached."""
    base = VolumeVerdict("/pool/base", True, "only_user", "default", "base", identity=BASE)
    assert still_unused(base, Usage(storage(*CHAIN[2:]))) == ("backing_file", ("over",))
    assert still_unused(base, Usage(storage(CHAIN[3]))) == ("only_user", ())


# Seed media.


def seed(vm_file: str, uuid: str = ONE, **more: Any) -> Tuple[Attachment, Volume]:
    """A CD-ROM with the label of a seed, and its volume."""
    given = replace(image(f"/pool/{vm_file}", OTHER), seed=more.pop("label", True))
    place = volume(given, **{key: more.pop(key) for key in ("kind", "symlink") if key in more})
    return use(uuid, given, role="cdrom", target="sda", read_only=True, **more), place


SEEDS = [
    ("named after the VM", seed("one-cidata.iso"), "only_user"),
    ("named after the VM alone", seed("one.iso"), "only_user"),
    ("of the VM's snapshot too", (*seed("one.iso"), use(given=seed("one.iso")[0].image, role="snapshot", target="")), "only_user"),
    ("another VM's name", seed("one2-cidata.iso"), "removable_medium"),
    ("a longer word", seed("oneself.iso"), "removable_medium"),
    ("in another script", seed("oneé.iso"), "removable_medium"),
    ("without more", seed("one"), "removable_medium"),
    ("in another case", seed("ONE.iso"), "removable_medium"),
    ("another name", seed("seed.iso"), "removable_medium"),
    ("an ordinary medium", seed("one.iso", label=False), "removable_medium"),
    ("a shared seed", (*seed("one.iso"), seed("one.iso", TWO)[0]), "removable_medium"),
    ("in no pool", seed("one.iso")[:1], "removable_medium"),
    ("in a folder of the pool", seed("one.iso", kind="folder"), "removable_medium"),
    ("on another machine", seed("one.iso", kind="netfs"), "removable_medium"),
    ("a symbolic link", seed("one.iso", symlink=True), "removable_medium"),
    ("its own disk too", (*seed("one.iso"), use(given=seed("one.iso")[0].image)), "removable_medium"),
    ("something is built on it", (*seed("one.iso"), volume(image("/pool/b", FOREIGN, ("/pool/one.iso", OTHER)))),
     "removable_medium"),
    ("a floppy", (replace(seed("one.iso")[0], role="floppy"), seed("one.iso")[1]), "removable_medium"),
    ("its pool is not active", seed("one.iso", kind="inactive"), "pool_inactive"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parts", "reason"), SEEDS, ids=[row[0] for row in SEEDS])
def test_seed_media(name: str, parts: Tuple[Any, ...], reason: str) -> None:
    """A medium that was made for this VM goes with it; any other medium stays."""
    (found,) = verdicts(ONE, Usage(storage(*parts)))
    assert (found.reason, found.remove) == (reason, reason == "only_user")


# Files of no pool.

OUT = Volume("", UNPOOLED, PATH, image())
BESIDE_IT = Volume("", BESIDE, "/pool/b", image("/pool/b", OTHER))
NO_POOL = [
    ("its own", (use(), OUT), "only_user"),
    ("beside others", (use(), OUT, BESIDE_IT), "only_user"),
    ("a neighbour is built on it", (use(), OUT, replace(BESIDE_IT, image=image("/pool/b", OTHER, (PATH, FILE)))), "backing_file"),
    ("a neighbour can't be read", (use(), OUT, replace(BESIDE_IT, image=image("/pool/b", OTHER, error="x"))), "not_in_pool"),
    ("its directory can't be read", (use(), OUT, replace(BESIDE_IT, image=image("/pool/", None, error="x"))), "not_in_pool"),
    ("another directory can't be read", (use(), OUT, replace(BESIDE_IT, image=image("/x/", None, error="x"))), "only_user"),
    ("used by another VM", (use(), OUT, use(TWO)), "in_use"),
    ("by pool and volume", (use(kind="volume"), OUT), "not_in_pool"),
    ("read-only", (use(read_only=True), OUT), "read_only"),
    ("on another machine", (use(), replace(OUT, pool_type="netfs")), "network_storage"),
    ("a symbolic link", (use(), replace(OUT, symlink=True)), "symlink"),
    ("a device", (use(given=image(PATH, DEVICE)), replace(OUT, image=image(PATH, DEVICE))), "unsupported_kind"),
    ("hard-linked", (use(given=image(PATH, replace(FILE, links=2))), replace(OUT, image=image(PATH, replace(FILE, links=2)))),
     "hard_linked"),
    ("in a folder of a pool", (use(), volume(kind="folder")), "not_in_pool"),
    ("in a shared directory", (use(), OUT, SHARED), "in_shared_directory"),
    ("nobody has seen it", (use(),), "not_in_pool"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parts", "reason"), NO_POOL, ids=[row[0] for row in NO_POOL])
def test_files_of_no_pool(name: str, parts: Tuple[Any, ...], reason: str) -> None:
    """With the option, such a file is judged by all other rules; without, it never goes."""
    found = next(v for v in verdicts(ONE, Usage(storage(*parts)), unpooled=True) if v.path == PATH)
    assert (found.reason, found.remove, found.pool) == (reason, reason == "only_user", found.pool)
    assert not any(verdict.remove for verdict in verdicts(ONE, Usage(storage(*parts))))
    if found.remove:
        assert (found.pool, found.name) == ("", "")
        assert next(v for v in verdicts(ONE, Usage(storage(*parts)))).reason == "not_in_pool"


OUT_GOES = VolumeVerdict(PATH, True, "only_user", identity=FILE)
REBOOTED = replace(FILE, device=9)
OUT_LAST = [
    ("nobody names it", (), ("only_user", ())),
    ("under another device number", (use(TWO, image("/other/name", REBOOTED)),), ("in_use", ("two",))),
    ("by its path", (use(TWO, image(PATH, REBOOTED)),), ("in_use", ("two",))),
    ("by its path, unseen", (use(TWO, image(PATH, None)),), ("in_use", ("two",))),
    ("built on, under another number", (volume(image("/pool/b", OTHER, ("/x", REBOOTED))),), ("backing_file", ("b",))),
    ("in a shared directory", (SHARED,), ("in_shared_directory", ("two",))),
    ("another file", (use(TWO, image("/pool/b", OTHER)),), ("only_user", ())),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parts", "expected"), OUT_LAST, ids=[row[0] for row in OUT_LAST])
def test_last_look_at_a_file_of_no_pool(
    name: str, parts: Tuple[Any, ...], expected: Tuple[str, Tuple[str, ...]]
) -> None:
    """Nobody tells where it lies now, so whatever may be a mention of it keeps it."""
    assert still_unused(OUT_GOES, Usage(storage(*parts))) == expected
    assert still_unused(OUT_GOES, Usage(storage(problems=("x",))))[0] == "storage_problem"


def test_last_look_after_a_reboot() -> None:
    """The kernel numbered the devices anew: it is the same file, and its users are found under the new number."""
    moved = volume(image(PATH, REBOOTED))
    assert still_unused(GOES, Usage(storage(moved))) == ("only_user", ())
    assert still_unused(GOES, Usage(storage(moved, use(TWO, image(LINK, REBOOTED))))) == ("in_use", ("two",))
    assert still_unused(GOES, Usage(storage(moved, volume(image("/pool/b", OTHER, (LINK, REBOOTED)))))) == (
        "backing_file",
        ("b",),
    )
    assert [v.remove for v in narrowed((GOES,), (replace(GOES, identity=REBOOTED),))] == [True]
    elsewhere = replace(GOES, name="b.qcow2", path="/pool/b.qcow2")
    assert {(v.path, v.reason) for v in narrowed((GOES,), (elsewhere,))} == {
        (path, "identity_changed") for path in (PATH, "/pool/b.qcow2")
    }


@pytest.mark.parametrize("name", ["", "a\nb", "../a", "ü€𝄞", "-rf", "a" * 4096, "%s", "*"])
def test_hostile_names(name: str) -> None:
    """Names of files and VMs are only ever compared."""
    path = f"/pool/{name}"
    parts = (use(given=image(path, FILE)), volume(image(path, FILE)), use(TWO, image("/pool/b", OTHER), role="share"))
    (found,) = verdicts(ONE, Usage(storage(*parts)))
    assert (found.path, found.remove) == (path, True)
    medium = replace(seed("one.iso")[0], vm=name)
    (judged,) = verdicts(ONE, Usage(storage(medium, seed("one.iso")[1])))
    assert judged.reason == "removable_medium"
