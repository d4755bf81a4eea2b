# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether saved memory may be loaded: never over disks that changed since, never into another machine."""

from __future__ import annotations

from typing import Optional, Sequence

from ..recoveries import DiskMark, Machine, Manifest, MemoryFacts

#: Seconds by which a disk may seem newer than an image without a manifest: clocks of file systems are coarse.
COARSE = 2.0


def mismatch(manifest: Optional[Manifest], facts: MemoryFacts) -> str:
    """Why the memory must not be loaded, "" when nothing speaks against it, in words that name the file and the rule."""
    if facts.memory is None:
        return ""
    if facts.problem:
        return facts.problem
    if manifest is not None and _is_of(manifest, facts):
        return _machine(manifest.machine, facts.machine) or (
            _disks(manifest.disks, facts.disks) if manifest.disks else _newer(facts)
        )
    return _newer(facts)  # saved by somebody else, or by us and replaced since


def _is_of(manifest: Manifest, facts: MemoryFacts) -> bool:
    """Whether the manifest speaks of this very image. One whose writing was not seen to end has no size yet."""
    known, here = manifest.memory, facts.memory
    return here is not None and known.path in ("", here.path) and known.size in (0, here.size)


def _machine(made: Machine, now: Machine) -> str:
    if made.machine and now.machine and made.machine != now.machine:
        return f"the memory was saved on the machine type {made.machine}, and the VM has {now.machine}"
    if made.cpu and now.cpu and made.cpu != now.cpu:
        return f"the memory was saved with the processor {made.cpu}, and the VM has {now.cpu}"
    if made.qemu and now.qemu and now.qemu < made.qemu:
        return f"the memory was saved by QEMU {_version(made.qemu)}, and the host has the older {_version(now.qemu)}"
    return ""


def _version(number: int) -> str:
    return f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"


def _disks(made: Sequence[DiskMark], now: Sequence[DiskMark]) -> str:
    found = {disk.path: disk for disk in now}
    for disk in made:
        here = found.get(disk.path)
        if here is None:
            return f"the disk {disk.path} is not the VM's any more"
        if here.size < 0:
            return f"the disk {disk.path} is not there"
        if (here.size, here.modified_ns) != (disk.size, disk.modified_ns):
            return f"the disk {disk.path} was changed after the memory was saved"
    more = sorted(set(found) - {disk.path for disk in made})
    return f"the disk {more[0]} was added after the memory was saved" if more else ""


def _newer(facts: MemoryFacts) -> str:
    """Without a manifest: the image was written last of all."""
    for disk in facts.disks:
        if disk.size < 0:
            return f"the disk {disk.path} is not there"
        if facts.memory is not None and disk.modified_ns > facts.memory.modified_ns + COARSE * 1e9:
            return f"the disk {disk.path} is newer than the saved memory"
    return ""
