# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of a domain: read from its XML, and from the control groups of its process; set as libvirt's parameters."""

from __future__ import annotations

from typing import Any, Dict, Optional
from xml.etree import ElementTree

from ...errors import EffectError
from ...limits import CPU, MEMORY, PERIOD, Bounds, LimitsSeen, Side, Size

try:
    import libvirt
except ImportError:
    libvirt = None

#: libvirt's values for no limit, of memory in KiB and of processor time; and from where on an amount of memory is none,
#: since the kernel rounds it.
NO_LIMIT, NO_QUOTA, UNLIMITED = (1 << 53) - 1, -1, 1 << 52
#: Units of sizes in libvirt's XML, in bytes; KiB is what it writes itself.
UNITS = {"b": 1, "bytes": 1, "KB": 1000, "KiB": 1 << 10, "k": 1 << 10, "MB": 10**6, "MiB": 1 << 20, "M": 1 << 20,
         "GB": 10**9, "GiB": 1 << 30, "G": 1 << 30, "TB": 10**12, "TiB": 1 << 40, "T": 1 << 40}  # fmt: skip
#: Devices for which QEMU, or the kernel for it, locks the guest's memory.
LOCKING = {
    "devices/hostdev[@type='pci']": "a device of the host",
    "devices/hostdev[@type='mdev']": "a device of the host",
    "devices/interface[@type='hostdev']": "a network card of the host",
    "devices/interface[@type='vdpa']": "a vDPA network card",
    "memoryBacking/locked": "<locked/> in its definition",
    "launchSecurity": "its launch security",
}


def limits_of(handle: Any) -> LimitsSeen:
    """Both definitions of a domain. Raises libvirtError, ElementTree.ParseError."""
    persistent = _side(handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    if not handle.isActive():
        return LimitsSeen(persistent)
    live, refused = _side(handle.XMLDesc(0)), {}
    found: Dict[str, Any] = {}
    for kind, read in ((MEMORY, _memory_now), (CPU, _cpu_now)):
        try:
            found[kind] = read(handle)
        except libvirt.libvirtError as error:
            if not handle.isActive():
                return LimitsSeen(persistent)  # it stopped while it was read
            refused[kind] = _words(error)
    return LimitsSeen(persistent, Side(live.size, Bounds(found.get(MEMORY), found.get(CPU))), refused)


def _words(error: Any) -> str:
    return str(error.get_error_message() or error)


def _side(xml: str) -> Side:
    root = ElementTree.fromstring(xml)
    memory = _kib(root.find("memtune/hard_limit"))
    quota, period = _number(root, "cputune/global_quota"), _number(root, "cputune/global_period") or PERIOD
    return Side(size(root), Bounds(memory if 0 < memory < UNLIMITED else None, (quota, period) if quota > 0 else None))


def size(root: ElementTree.Element) -> Size:
    """How large the domain is by a definition of it."""
    devices = root.find("devices")
    devices = ElementTree.Element("devices") if devices is None else devices
    video = sum(
        int(model.get(name, 0)) for model in devices.findall("video/model") for name in ("vram", "ram", "vram64")
    )
    helpers = len(devices.findall("tpm/backend[@type='emulator']"))
    helpers += len(devices.findall("filesystem/driver[@type='virtiofs']"))
    return Size(
        memory_kib=max(_kib(root.find("maxMemory")), _kib(root.find("memory"))),
        processors=max(_number(root, "vcpu"), 1),
        video_kib=video,
        disks=sum(disk.get("device", "disk") in ("disk", "lun") for disk in devices.findall("disk")),
        helpers=helpers,
        emulated=root.get("type") == "qemu",
        locked_for=next((reason for path, reason in LOCKING.items() if root.find(path) is not None), ""),
    )


def _kib(element: Optional[ElementTree.Element]) -> int:
    if element is None:
        return 0
    return int((element.text or "0").strip()) * UNITS[element.get("unit", "KiB")] // 1024


def _number(root: ElementTree.Element, path: str) -> int:
    return int((root.findtext(path) or "0").strip())


def _memory_now(handle: Any) -> Optional[int]:
    amount = int(handle.memoryParameters(libvirt.VIR_DOMAIN_AFFECT_LIVE).get("hard_limit", UNLIMITED))
    return amount if 0 < amount < UNLIMITED else None


def _cpu_now(handle: Any) -> Any:
    found = handle.schedulerParametersFlags(libvirt.VIR_DOMAIN_AFFECT_LIVE)
    if "global_quota" not in found:
        raise libvirt.libvirtError("its libvirt has no quota for a domain as a whole")
    quota, period = int(found["global_quota"]), int(found.get("global_period") or PERIOD)
    return (quota, period) if 0 < quota < UNLIMITED else None


def set_limit(handle: Any, kind: str, amount: int, persistent: bool) -> None:
    """Set or lift (0) a limit. Raises EffectError, libvirtError."""
    if not persistent and not handle.isActive():
        raise EffectError("changed_meanwhile", "the VM does not run any more")
    flag = libvirt.VIR_DOMAIN_AFFECT_CONFIG if persistent else libvirt.VIR_DOMAIN_AFFECT_LIVE
    try:
        if kind == MEMORY:
            handle.setMemoryParameters({"hard_limit": amount or NO_LIMIT}, flag)
        else:
            handle.setSchedulerParametersFlags(_quota(amount, persistent), flag)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN or error.get_error_domain() == libvirt.VIR_FROM_RPC:
            raise
        where = "its definition" if persistent else "the running VM"
        raise EffectError("limit_refused", f"{kind} limit of {where}: {_words(error)}") from error


def _quota(amount: int, persistent: bool) -> Dict[str, int]:
    """A period that stays behind in a definition would keep the domain from starting as a quota does, so both go."""
    if amount:
        return {"global_period": PERIOD, "global_quota": amount}
    return {"global_period": 0, "global_quota": 0} if persistent else {"global_quota": NO_QUOTA}
