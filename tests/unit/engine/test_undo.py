"""Whether a removed VM's disks are as they were."""

from __future__ import annotations

from dataclasses import replace
from typing import List, Tuple

import pytest
from vm_lifecycle.disks import Attachment, FileIdentity, Image, SavedDomain, Storage, Volume, VolumeVerdict
from vm_lifecycle.policy.storage import Usage
from vm_lifecycle.policy.undo import changed_disks, sharers
from vm_lifecycle.removals import UndoRecord

UUID = "00000000-0000-4000-8000-000000000001"
OWN, BASE = FileIdentity(1, 2, 512, 7), FileIdentity(1, 3, 512, 7)


def record() -> UndoRecord:
    """A disk of its own, and a base that it shared."""
    disks = (
        VolumeVerdict("/p/own", True, "only_user", "p", "own", "vda", identity=OWN),
        VolumeVerdict("/p/base", False, "backing_file", "p", "base", identity=BASE),
        VolumeVerdict("/p/never", False, "missing", "", "", "vdb"),
    )
    return UndoRecord(UUID, "ci-1", 0, 3600, SavedDomain("<domain/>"), "digest", {}, disks)


def volume(name: str, identity: FileIdentity) -> Volume:
    """A volume of the pool."""
    return Volume("p", "dir", name, Image(f"/p/{name}", identity))


def uses(uuid: str, vm: str) -> Attachment:
    """A VM that has the disk."""
    return Attachment(uuid, vm, "disk", Image("/p/own", OWN), "vda")


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        (Storage((volume("own", OWN), volume("base", BASE)), (uses(UUID, "ci-1"),)), []),
        (Storage((volume("own", FileIdentity(9, 2, 512, 7)), volume("base", BASE))), []),
        (Storage((volume("own", OWN), volume("base", FileIdentity(1, 8, 9, 9)))), []),
        (Storage((volume("own", OWN),)), ["/p/base is missing"]),
        (Storage((volume("base", BASE),)), ["/p/own is missing"]),
        (Storage((volume("own", FileIdentity(1, 2, 512, 8)), volume("base", BASE))),
         ["/p/own is not the file any more that it was"]),
        (Storage((volume("own", OWN), volume("base", BASE)), (uses("other", "new"),)), ["/p/own is used by new now"]),
    ],
)  # fmt: skip
def test_changed_disks(storage: Storage, said: List[str]) -> None:
    """Device numbers may change with a reboot, the rest may not; a shared base may have been written to."""
    assert changed_disks(record(), Usage(storage)) == said


SHARER, STRANGER = "00000000-0000-4000-8000-000000000002", "00000000-0000-4000-8000-000000000003"
WRITTEN = FileIdentity(1, 2, 1024, 9)


@pytest.mark.parametrize(
    ("now", "user", "removed", "said"),
    [
        (OWN, SHARER, (), []),
        (OWN, STRANGER, (), ["/p/own is used by other now"]),
        (OWN, STRANGER, (STRANGER,), []),
        (WRITTEN, SHARER, (), []),
        (WRITTEN, STRANGER, (STRANGER,), []),
        (FileIdentity(1, 8, 512, 7), SHARER, (), ["/p/own is not the file any more that it was"]),
    ],
)
def test_changed_disks_that_were_shared(
    now: FileIdentity, user: str, removed: Tuple[str, ...], said: List[str]
) -> None:
    """Those who shared a disk may have it, and may have written to it; removed VMs use nothing."""
    shared = replace(record(), sharers={"/p/own": [SHARER]})
    use = Attachment(user, "other", "disk", Image("/p/own", now), "vda")
    usage = Usage(Storage((volume("own", now), volume("base", BASE)), (use,)))
    assert changed_disks(shared, usage, frozenset(removed)) == said


def test_sharers() -> None:
    """Other VMs that have the file or are built on it, a file of no VM that is, and the VM itself by another role."""
    own, base = (
        VolumeVerdict("/p/own", True, "only_user", identity=OWN),
        VolumeVerdict("/p/base", False, "in_use", identity=BASE),
    )
    built = (("/p/base", BASE),)
    uses = (
        uses_as(UUID, "disk", Image("/p/own", OWN, built)),
        uses_as(UUID, "disk", Image("/p/base", BASE)),
        uses_as(SHARER, "disk", Image("/p/base", BASE)),
        uses_as(STRANGER, "snapshot", Image("/p/top", FileIdentity(1, 9), built)),
    )
    volumes = (volume("own", OWN), volume("base", BASE))
    assert sharers(UUID, (own, base), Usage(Storage(volumes, uses))) == {"/p/base": [SHARER, STRANGER]}
    loose = Volume("p", "dir", "loose", Image("/p/loose", FileIdentity(1, 10), built))
    kernel = uses_as(UUID, "kernel", Image("/p/own", OWN))
    found = sharers(UUID, (own, base), Usage(Storage((*volumes, loose), (*uses, kernel))))
    assert found == {"/p/own": [UUID], "/p/base": ["", SHARER, STRANGER]}


def uses_as(uuid: str, role: str, image: Image) -> Attachment:
    """A VM that has a file in a role."""
    return Attachment(uuid, uuid[-1], role, image, "vda" if role in ("disk", "snapshot") else "")
