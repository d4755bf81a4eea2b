# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a domain out of libvirt so that it can come back as it was, and bringing it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Sequence
from xml.etree import ElementTree

from ...errors import EffectError
from .calls import translated
from .definitions import has_nvram, has_tpm, parents_first

if TYPE_CHECKING:
    from ...disks import SavedDomain
    from .connections import Connections

try:
    import libvirt
except ImportError:
    libvirt = None

#: Undefine flags that came with libvirt 8.9.0 (VIR_DOMAIN_UNDEFINE_TPM); an older daemon refuses them.
TPM_FLAGS_SINCE = 8009000
REMOVE_TPM, KEEP_TPM = 32, 64
#: Comment before the XML of the snapshot that is the current one.
CURRENT = "<!-- current -->\n"


def undefine_flags(handle: Any, version: int, keep_nvram: bool, keep_tpm: bool) -> int:
    """Only flags that the domain needs: drivers and older daemons refuse those that they don't know. version: the daemon's.

    Raises EffectError when the daemon can't keep what should be kept.
    """
    xml = handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    flags: int = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    if has_nvram(xml):
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM if keep_nvram else libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    if has_tpm(xml):
        flags |= tpm_flag(version, keep_tpm)
    if _has_checkpoints(handle):
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    return flags


def undefine(connection: Any, handle: Any, keep_nvram: bool, keep_tpm: bool) -> None:
    """Remove a definition. libvirt undefines a domain that was started meanwhile and leaves it running, transient: it gets its own back.

    Raises EffectError changed_meanwhile then, and libvirtError. A domain that stays keeps its snapshots.
    """
    definition = handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
    uuid, snapshots = handle.UUIDString(), _snapshots(handle)
    flags = undefine_flags(handle, connection.getLibVersion(), keep_nvram, keep_tpm)
    try:
        handle.undefineFlags(flags)
    except libvirt.libvirtError as error:
        _put_back(handle, snapshots, error)
        raise
    try:
        running = connection.lookupByUUIDString(uuid).isActive()
    except libvirt.libvirtError:
        return
    if running:
        connection.defineXML(definition)
        raise EffectError("changed_meanwhile", "the VM was started while it was being removed")


def tpm_flag(version: int, keep: bool) -> int:
    """The flag that says what becomes of TPM state. Raises EffectError when a daemon of that version can't keep it.

    A daemon from before these flags removes it without being told.
    """
    if version >= TPM_FLAGS_SINCE:
        return KEEP_TPM if keep else REMOVE_TPM
    if keep:
        raise EffectError(
            "effect_failed", "this libvirt can't keep the state of a TPM: that takes version 8.9 or newer"
        )
    return 0


def _has_checkpoints(handle: Any) -> bool:
    try:
        return bool(handle.listAllCheckpoints())
    except libvirt.libvirtError:
        return False  # a driver without checkpoints has none


def _put_back(handle: Any, snapshots: List[str], error: Exception) -> None:
    """libvirt drops what it knows of snapshots before files that it may not be able to remove, such as NVRAM."""
    try:
        missing = _missing(handle, snapshots)
    except libvirt.libvirtError:
        return  # the domain went
    try:
        _redefine(handle, missing)
    except libvirt.libvirtError as lost:
        said = f"{error}; it is still there, and libvirt could not take its snapshots back: {lost}"
        raise EffectError("effect_failed", said) from lost


def _missing(handle: Any, snapshots: Sequence[str]) -> List[str]:
    """XML of those that a domain does not have."""
    there = {each.getName() for each in handle.listAllSnapshots()} if snapshots else set()
    return [xml for xml in snapshots if ElementTree.fromstring(xml).findtext("name", "") not in there]


def _redefine(handle: Any, snapshots: Sequence[str]) -> None:
    """The snapshot that is the current one by now stays that."""
    for xml in snapshots:
        marked = xml.startswith(CURRENT) and not handle.hasCurrentSnapshot()
        current = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT if marked else 0
        handle.snapshotCreateXML(xml, libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE | current)


def _snapshots(handle: Any) -> List[str]:
    """XML of its snapshots, parents first. The current one is marked, which libvirt's own XML does not do."""
    found = handle.listAllSnapshots()
    current = handle.snapshotCurrent().getName() if found and handle.hasCurrentSnapshot() else None
    return parents_first([
        (CURRENT if each.getName() == current else "") + each.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE)
        for each in found
    ])  # fmt: skip


def save(handle: Any) -> SavedDomain:
    """All that define needs."""
    snapshots = _snapshots(handle)
    xml = handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
    from ...disks import SavedDomain  # of removals alone

    return SavedDomain(xml, tuple(snapshots), bool(handle.autostart()))


def define(connection: Any, saved: SavedDomain) -> None:
    """Define a domain with its snapshots and its autostart flag. Raises EffectError, libvirtError and ParseError.

    What can't be brought back whole stays removed, with all of its files, and can be tried again.
    """
    _require_free(connection, saved.xml)
    handle = connection.defineXML(saved.xml)
    try:
        complete(handle, saved)
    except libvirt.libvirtError:
        handle.undefineFlags(undefine_flags(handle, connection.getLibVersion(), keep_nvram=True, keep_tpm=True))
        raise


def complete(handle: Any, saved: SavedDomain) -> bool:
    """Snapshots and autostart flag for a domain that lacks some of them. Raises libvirtError and ParseError.

    What is there stays as it is. Returns whether anything was missing.
    """
    missing = _missing(handle, saved.snapshots)
    _redefine(handle, missing)
    switched = saved.autostart and not handle.autostart()
    if switched:
        handle.setAutostart(1)
    return bool(missing or switched)


def define_xml(connection: Any, xml: str) -> None:
    """Define a domain that is not there. Raises EffectError, libvirtError and ParseError."""
    _require_free(connection, xml)
    connection.defineXML(xml)


def _require_free(connection: Any, xml: str) -> None:
    """libvirt takes a definition of a UUID that it has for a change of that domain."""
    root = ElementTree.fromstring(xml)
    uuid, name = _plain(root.findtext("uuid", "")), root.findtext("name", "")
    for handle in connection.listAllDomains():
        if handle.UUIDString() == uuid:
            raise EffectError("uuid_taken", f"the VM {handle.name()} has the UUID {uuid} now")
        if handle.name() == name:
            raise EffectError("name_taken", f"the VM {handle.UUIDString()} has the name {name} now")


def _plain(uuid: str) -> str:
    """A UUID as libvirt writes it, which reads others, too."""
    from uuid import UUID  # when a VM is defined, and every run imports this file

    try:
        return str(UUID(uuid.strip()))
    except ValueError:
        return uuid


class Redefining:
    """To be mixed into what has the handles of domains."""

    _connections: Connections

    def _handle(self, uuid: str) -> Any:
        raise NotImplementedError

    def undefine(self, uuid: str, keep_nvram: bool, keep_tpm: bool = False) -> None:
        """See Hypervisor."""
        with translated(uuid):
            undefine(self._connections.current(), self._handle(uuid), keep_nvram, keep_tpm)
        self._connections.handles().pop(uuid, None)

    def define(self, saved: SavedDomain) -> None:
        """See Hypervisor."""
        with translated():
            define(self._connections.current(), saved)

    def complete(self, uuid: str, saved: SavedDomain) -> bool:
        """See Hypervisor."""
        with translated(uuid):
            return complete(self._handle(uuid), saved)

    def define_xml(self, xml: str) -> None:
        """See Hypervisor."""
        with translated():
            define_xml(self._connections.current(), xml)
