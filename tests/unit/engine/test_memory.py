"""Whether saved memory may be loaded: every way in which what is there can differ from what it was saved with."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

import pytest
from vm_lifecycle.policy.memory import mismatch
from vm_lifecycle.recoveries import DiskMark, Machine, Manifest, Memory, MemoryFacts

SAVED = int(1.7e18)
SECOND = 10**9
IMAGE = Memory("/save/a.save", 4096, SAVED)
MADE = Machine(7002000, "pc-q35-7.2", "custom Skylake")
A, B = DiskMark("/pool/a", 100, SAVED - SECOND), DiskMark("/pool/b", 200, SAVED - SECOND)
MANIFEST = Manifest("u", "a", 1, IMAGE, MADE, (A, B))
FACTS = MemoryFacts(IMAGE, MADE, (A, B))


@pytest.mark.parametrize(
    "facts",
    [
        FACTS,
        replace(FACTS, disks=(B, A)),
        replace(FACTS, machine=replace(MADE, qemu=8002000)),
        replace(FACTS, machine=Machine()),
        replace(FACTS, memory=None, disks=()),
    ],
)
def test_what_fits(facts: MemoryFacts) -> None:
    """The very disks, in any order, on the same machine, by a QEMU that is not older; and there may be no memory at all."""
    assert mismatch(MANIFEST, facts) == ""


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(FACTS, disks=(A, replace(B, modified_ns=B.modified_ns + 1))), "/pool/b was changed"),
        (replace(FACTS, disks=(A, replace(B, modified_ns=B.modified_ns - 1))), "/pool/b was changed"),
        (replace(FACTS, disks=(replace(A, modified_ns=SAVED + 1), B)), "/pool/a was changed"),
        (replace(FACTS, disks=(A, replace(B, size=201))), "/pool/b was changed"),
        (replace(FACTS, disks=(A, replace(B, size=-1, modified_ns=0))), "/pool/b is not there"),
        (replace(FACTS, disks=(A,)), "/pool/b is not the VM's any more"),
        (replace(FACTS, disks=(A, B, DiskMark("/pool/c", 1, 1))), "/pool/c was added"),
        (replace(FACTS, machine=replace(MADE, machine="pc-i440fx-7.2")), "machine type pc-q35-7.2"),
        (replace(FACTS, machine=replace(MADE, cpu="host-passthrough")), "processor custom Skylake"),
        (replace(FACTS, machine=replace(MADE, qemu=7001009)), "QEMU 7.2.0, and the host has the older 7.1.9"),
        (replace(FACTS, problem="it is cut short"), "it is cut short"),
    ],
)
def test_what_does_not_fit(facts: MemoryFacts, said: str) -> None:
    """A disk of the same path and size that was written to since is another one: by a nanosecond, to whichever side."""
    assert said in mismatch(MANIFEST, facts)


@pytest.mark.parametrize(
    "manifest", [None, replace(MANIFEST, disks=()), replace(MANIFEST, memory=replace(IMAGE, size=1))]
)
@pytest.mark.parametrize(
    ("modified", "said"),
    [(SAVED, ""), (SAVED + SECOND, ""), (SAVED + 3 * SECOND, "/pool/b is newer than the saved memory"), (0, "")],
)
def test_an_image_that_no_manifest_speaks_for(manifest: Optional[Manifest], modified: int, said: str) -> None:
    """Saved by somebody else, or not seen to end: it was written last of all, as far as clocks of file systems tell."""
    found = mismatch(manifest, replace(FACTS, disks=(A, replace(B, modified_ns=modified))))
    assert found == (f"the disk {said}" if said else "")
