# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nouns of recovery: a VM as it can be made again, and what its saved memory was made with."""

from __future__ import annotations

from dataclasses import field
from typing import Optional, Tuple

from .frozen import dataclass
from .model import Document


@dataclass(frozen=True)
class DiskMark:
    """A disk at one moment: path, size in bytes, modification time in nanoseconds. size -1: it is not there."""

    path: str
    size: int
    modified_ns: int


@dataclass(frozen=True)
class Memory:
    """A file with a VM's saved memory. managed: it is libvirt's own, which the next start takes, whoever starts the VM."""

    path: str
    size: int = 0
    modified_ns: int = 0
    managed: bool = True


@dataclass(frozen=True)
class Machine:
    """What a memory image fits to. qemu: version as libvirt tells it, such as 7002000; 0 for not known. cpu: mode and model."""

    qemu: int = 0
    machine: str = ""
    cpu: str = ""


@dataclass(frozen=True)
class Manifest:
    """What a memory image was made with. It lies in a file of its own, by UUID, so that a lost database loses none."""

    uuid: str
    name: str
    made_unix: int
    memory: Memory
    machine: Machine
    #: Its writable disks when the memory had been saved; empty when that was not seen any more.
    disks: Tuple[DiskMark, ...] = ()


@dataclass(frozen=True)
class MemoryFacts:
    """What is there now of a VM's saved memory, and what it would be loaded over. memory None: there is none.

    problem: why the image can't be read, "" when its beginning is sound. interrupted: saving it was, so it is no memory at all.
    """

    memory: Optional[Memory]
    machine: Machine
    disks: Tuple[DiskMark, ...] = ()
    problem: str = ""
    interrupted: bool = False


@dataclass(frozen=True)
class Configuration:
    """A VM's definition as it is kept. xml: inactive, without secrets; summary: for readers, as in VmRecoveryState."""

    xml: str
    omitted_secrets: bool = False
    summary: Document = field(default_factory=dict)


@dataclass(frozen=True)
class Recovery:
    """What is kept of a managed VM, to make it again: its configuration, and the moment at which it was seen."""

    uuid: str
    name: str
    created_unix: int
    checkpoint_unix: int
    configuration: Configuration
    #: Saved memory outside libvirt's own place, by somebody's wish; libvirt's own is looked for when it is needed.
    memory: Optional[Memory] = None
    #: A person removed the VM: it is made again when somebody asks for it, and not by itself.
    removed: bool = False
