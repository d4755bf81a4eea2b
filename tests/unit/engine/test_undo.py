"""Whether a removed VM's disks are as they were."""

from __future__ import annotations

from typing import List

import pytest
from vm_lifecycle.disks import Attachment, FileIdentity, Image, SavedDomain, Storage, Volume, VolumeVerdict
from vm_lifecycle.policy.storage import Usage
from vm_lifecycle.policy.undo import changed_disks
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
