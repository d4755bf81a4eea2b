# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hypervisor port on libvirt-python. UUIDs in, plain data out; every libvirt error becomes one of ours."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Set, Tuple
from xml.etree import ElementTree

from ...errors import DomainGone, EffectError, refuse
from ...metadata import NAMESPACE
from ...model import Domain, FileIdentity, Storage, VolumeVerdict
from .definitions import has_nvram, has_tpm, metadata_element, metadata_text

if TYPE_CHECKING:
    from .storage import StorageReader

try:
    import libvirt
except ImportError:
    libvirt = None

#: virDomainState -> libvirt's own words.
STATES = ("no state", "running", "blocked", "paused", "shutdown", "shutoff", "crashed", "pmsuspended")
#: Undefine flags that came with libvirt 8.9.0 (VIR_DOMAIN_UNDEFINE_TPM); an older daemon refuses them.
TPM_FLAGS_SINCE = 8009000
#: Seconds that the monitor of a QEMU has to answer.
ANSWER_LIMIT = 10.0
#: Prefix of our metadata element in the XML.
PREFIX = "vmops"


def connect(uri: str) -> LibvirtHypervisor:
    """Open this host's libvirt. Raises LifecycleError when the library or the daemon is missing."""
    if libvirt is None:
        raise refuse("missing_library", "install python3-libvirt for the host's Python (libvirt-python on PyPI)")
    libvirt.registerErrorHandler(_ignore, None)  # libvirt prints every error to standard error otherwise
    try:
        return LibvirtHypervisor(libvirt.open(uri))
    except libvirt.libvirtError as error:
        raise refuse("connection_failed", f"{uri}: {error}", field="uri") from error


def _ignore(_context: object, _error: object) -> None:
    """Errors arrive as exceptions too."""


class LibvirtHypervisor:
    """One connection. Handles are kept by UUID, which saves a lookup for each step."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._handles: Dict[str, Any] = {}
        self._reader: Optional[StorageReader] = None

    def domains(self) -> List[Domain]:
        with _translated():
            listed = self._connection.listAllDomains()
            self._handles = {handle.UUIDString(): handle for handle in listed}
            persistent = self._listed(libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
            autostarted = self._listed(libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
            states = {
                handle.UUIDString(): STATES[stats["state.state"]]
                for handle, stats in self._connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
            }
        found = []
        for uuid, handle in self._handles.items():
            text, problem = _metadata(handle) if uuid in persistent else (None, "")
            state = states.get(uuid)
            if state is None or problem == "gone":
                continue  # it went away while the list was read
            found.append(Domain(uuid, handle.name(), state, uuid in persistent, uuid in autostarted, text, problem))
        return sorted(found, key=lambda domain: (domain.name, domain.uuid))

    def _listed(self, flag: int) -> Set[str]:
        return {handle.UUIDString() for handle in self._connection.listAllDomains(flag)}

    def domain(self, uuid: str) -> Optional[Domain]:
        try:
            with _translated(uuid):
                handle = self._connection.lookupByUUIDString(uuid)
                self._handles[uuid] = handle
                persistent = bool(handle.isPersistent())
                autostart = persistent and bool(handle.autostart())
                state = STATES[handle.state()[0]]
        except DomainGone:
            return None
        text, problem = _metadata(handle) if persistent else (None, "")
        if problem == "gone":
            return None
        return Domain(uuid, handle.name(), state, persistent, autostart, text, problem)

    def metadata(self, uuid: str) -> Optional[str]:
        with _translated(uuid):
            text, problem = _metadata(self._handle(uuid))
        if problem == "gone":
            raise DomainGone(uuid)
        return text

    def definition(self, uuid: str) -> str:
        with _translated(uuid):
            xml: str = self._handle(uuid).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            return xml

    def storage(self) -> Storage:
        from .storage import StorageReader  # most runs never look at storage, and a module compiles what it imports

        with _translated():
            self._reader = self._reader or StorageReader(self._connection)
            return self._reader.read()

    def write_metadata(self, uuid: str, text: Optional[str]) -> None:
        with _translated(uuid):
            handle = self._handle(uuid)
            flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
            if handle.isActive():
                flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
            element = None if text is None else metadata_element(text)
            prefix = None if text is None else PREFIX
            handle.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, element, prefix, NAMESPACE, flags)

    def set_autostart(self, uuid: str, value: bool) -> None:
        with _translated(uuid):
            self._handle(uuid).setAutostart(1 if value else 0)

    def request_shutdown(self, uuid: str) -> None:
        """In a thread and a connection of its own: the monitor of a QEMU that hangs never answers.

        libvirt waits for it without limit, and a connection that waits in one thread serves no other.
        """
        failed: List[EffectError] = []
        with _translated(uuid):
            uri = self._connection.getURI()

        def ask() -> None:
            try:
                with _translated(uuid):
                    own = libvirt.open(uri)
                    own.lookupByUUIDString(uuid).shutdown()
                    own.close()
            except EffectError as error:
                failed.append(error)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(ANSWER_LIMIT)
        if asking.is_alive():
            raise EffectError("effect_failed", f"the monitor of its process did not answer in {ANSWER_LIMIT} s")
        if failed:
            raise failed[0]

    def power_off(self, uuid: str) -> None:
        with _translated(uuid):
            handle = self._handle(uuid)
            try:
                handle.destroy()
            except libvirt.libvirtError:
                if handle.isActive():
                    raise

    def undefine(self, uuid: str, keep_nvram: bool) -> None:
        with _translated(uuid):
            handle = self._handle(uuid)
            definition = handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
            handle.undefineFlags(self._undefine_flags(handle, keep_nvram))
            self._give_back_if_running(uuid, definition)
        self._handles.pop(uuid, None)

    def _give_back_if_running(self, uuid: str, definition: str) -> None:
        """libvirt undefines a domain that was started meanwhile and leaves it running, transient: it gets its own back."""
        try:
            running = self._connection.lookupByUUIDString(uuid).isActive()
        except libvirt.libvirtError:
            return
        if running:
            self._connection.defineXML(definition)
            raise EffectError("changed_meanwhile", "the VM was started while it was being removed")

    def _undefine_flags(self, handle: Any, keep_nvram: bool) -> int:
        """Only flags that the domain needs: drivers and older daemons refuse those that they don't know."""
        xml = handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        flags: int = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        if has_nvram(xml):
            flags |= libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM if keep_nvram else libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        if has_tpm(xml) and self._connection.getLibVersion() >= TPM_FLAGS_SINCE:
            flags |= getattr(libvirt, "VIR_DOMAIN_UNDEFINE_TPM", 32)
        if _has_checkpoints(handle):
            flags |= libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        return flags

    def delete_volume(self, volume: VolumeVerdict) -> None:
        with _translated():
            pool = self._connection.storagePoolLookupByName(volume.pool)
            if not pool.isActive():
                raise EffectError("effect_failed", f"pool {volume.pool} is not active")
            directory = ElementTree.fromstring(pool.XMLDesc()).findtext("target/path") or ""
            path = os.path.join(directory, volume.name)
            if not os.path.lexists(path):
                return
            if os.path.islink(path) or _identity(path) != volume.identity:
                raise EffectError("changed_meanwhile", f"{path} is not the file any more that was judged")
            if _is_locked(path):
                raise EffectError("open_elsewhere", f"a process has {path} open")
            _volume(pool, volume.name).delete(0)

    def _handle(self, uuid: str) -> Any:
        if uuid not in self._handles:
            self._handles[uuid] = self._connection.lookupByUUIDString(uuid)
        return self._handles[uuid]

    def close(self) -> None:
        """End the connection."""
        self._handles.clear()
        self._connection.close()


def _identity(path: str) -> Optional[FileIdentity]:
    from ..images import identity  # as for storage: only runs that delete need it

    try:
        return identity(path)
    except OSError as error:
        raise EffectError("effect_failed", str(error)) from error


def _is_locked(path: str) -> bool:
    from ..open_files import is_locked

    try:
        return is_locked(path)
    except OSError as error:
        raise EffectError("effect_failed", f"{path}: {error}") from error


def _volume(pool: Any, name: str) -> Any:
    """A volume that the pool may not know yet, because its file was made behind the pool's back."""
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError:
        pool.refresh()
        return pool.storageVolLookupByName(name)


def _metadata(handle: Any) -> Tuple[Optional[str], str]:
    """(text, problem) of our element in the persistent definition; problem "gone" when the domain went away."""
    try:
        element = handle.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    except libvirt.libvirtError as error:
        code = error.get_error_code()
        if code == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None, ""
        return None, "gone" if code == libvirt.VIR_ERR_NO_DOMAIN else str(error)
    try:
        return metadata_text(element), ""
    except (ValueError, ElementTree.ParseError) as error:
        return None, f"the element can't be read: {error}"


def _has_checkpoints(handle: Any) -> bool:
    try:
        return bool(handle.listAllCheckpoints())
    except libvirt.libvirtError:
        return False  # a driver without checkpoints has none


@contextmanager
def _translated(uuid: str = "") -> Iterator[None]:
    try:
        yield
    except UnicodeError as error:  # the name of a volume need not be text
        raise EffectError("effect_failed", str(error)) from error
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            raise DomainGone(uuid) from error
        raise EffectError("effect_failed", str(error)) from error
