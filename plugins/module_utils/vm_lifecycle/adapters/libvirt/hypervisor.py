# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hypervisor port on libvirt-python. UUIDs in, plain data out; every libvirt error becomes one of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Collection, Iterator, List, Mapping, Optional, Sequence, Set, Tuple
from xml.etree import ElementTree

from ...errors import DomainGone, EffectError, refuse
from ...metadata import NAMESPACE
from ...model import Domain
from .calls import OFF, Asked, passing, power_state, translated
from .connections import Connections, SharedLook
from .definitions import metadata_element, metadata_text
from .limited import Limited
from .power import set_actions, stop_reason
from .redefinition import Redefining, save
from .starting import Starting

if TYPE_CHECKING:
    from ...boots import MemoryCost
    from ...disks import SavedDomain, Storage, VolumeVerdict
    from ...recoveries import Configuration, MemoryFacts
    from ...removals import UndoRecord
    from ...snapshots import Statistics
    from .reaching import Addresses
    from .storage import StorageReader

try:
    import libvirt
except ImportError:
    libvirt = None

#: Seconds that the monitor of a QEMU has to answer, and those in which libvirt notices that an agent is deaf, and a little more.
ANSWER_LIMIT, AGENT_LIMIT = 10.0, 6.0
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


class LibvirtHypervisor(Starting, Limited, Redefining):
    """libvirt for as many threads as there are: each has a connection of its own, and keeps its handles by UUID."""

    def __init__(self, connection: Any) -> None:
        self._connections = Connections(connection)
        self._looks = SharedLook()
        self._reader: Optional[StorageReader] = None
        self._addresses: Optional[Addresses] = None

    @property
    def _connection(self) -> Any:
        return self._connections.current()

    def domains(self) -> List[Domain]:
        with translated():
            listed = self._connection.listAllDomains()
            handles = self._connections.handles()
            handles.clear()
            handles.update((handle.UUIDString(), handle) for handle in listed)
            # Each of these lists makes a handle for every domain on it, so the short ones are asked for.
            transient = self._listed(libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT)
            autostarted = self._listed(libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
            saved = self._listed(libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
            active = {
                handle.UUIDString(): (stats["state.state"], stats["state.reason"])
                for handle, stats in self._connection.getAllDomainStats(
                    libvirt.VIR_DOMAIN_STATS_STATE, libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
                )
            }
        found = []
        for uuid, handle in handles.items():
            text, problem = _metadata(handle) if uuid not in transient else (None, "")
            if problem == "gone" or (uuid in transient and uuid not in active):
                continue  # it went away while the list was read
            state = active.get(uuid, OFF)
            lasting, flag, kept = uuid not in transient, uuid in autostarted, uuid in saved
            word = power_state(*state)
            found.append(Domain(uuid, handle.name(), word, lasting, flag, text, problem, kept, passing(*state)))
        return sorted(found, key=lambda domain: (domain.name, domain.uuid))

    def _listed(self, flag: int) -> Set[str]:
        return {handle.UUIDString() for handle in self._connection.listAllDomains(flag)}

    def domain(self, uuid: str) -> Optional[Domain]:
        try:
            with translated(uuid):
                handle = self._looked_up(uuid)
                persistent = bool(handle.isPersistent())
                autostart = persistent and bool(handle.autostart())
                saved = bool(handle.hasManagedSaveImage())
                state = handle.state()
        except DomainGone:
            return None
        text, problem = _metadata(handle) if persistent else (None, "")
        if problem == "gone":
            return None
        word = power_state(*state)
        return Domain(uuid, handle.name(), word, persistent, autostart, text, problem, saved, passing(*state))

    def metadata(self, uuid: str) -> Optional[str]:
        with translated(uuid):
            text, problem = _metadata(self._handle(uuid))
        if problem == "gone":
            raise DomainGone(uuid)
        return text

    def metadata_texts(self) -> Iterator[str]:
        with translated():
            for handle in self._connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT):
                text, _problem = _metadata(handle)
                if text is not None:
                    yield text

    def definition(self, uuid: str) -> str:
        with translated(uuid):
            return str(self._handle(uuid).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def saved(self, uuid: str) -> SavedDomain:
        with translated(uuid):
            return save(self._handle(uuid))

    def storage(self, removed: Sequence[UndoRecord] = (), leaving: Sequence[VolumeVerdict] = ()) -> Storage:
        from .storage import StorageReader  # most runs never look at storage, and a module compiles what it imports

        counted = tuple(removed), tuple(leaving)

        def read() -> Storage:  # by one thread at a time
            self._reader = self._reader or StorageReader()
            return self._reader.read(self._connection, *counted)

        with translated():
            return self._looks.look(counted, read)

    def write_metadata(self, uuid: str, text: Optional[str]) -> None:
        with translated(uuid):
            handle = self._handle(uuid)
            flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
            if handle.isActive():
                flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
            element = None if text is None else metadata_element(text)
            prefix = None if text is None else PREFIX
            handle.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, element, prefix, NAMESPACE, flags)

    def set_autostart(self, uuid: str, value: bool) -> None:
        with translated(uuid):
            self._handle(uuid).setAutostart(1 if value else 0)

    def set_actions(self, uuid: str, values: Mapping[str, str]) -> None:
        with translated(uuid):
            set_actions(self._handle(uuid), values)

    def request_shutdown(self, uuid: str) -> None:
        """libvirt asks the guest agent first, if there is one, and may wait for it without limit: then the power button it is."""
        asked = Asked(self._connections.uri, uuid, lambda handle: handle.shutdown())
        if not asked.ended(AGENT_LIMIT):
            button = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
            asked = Asked(self._connections.uri, uuid, lambda handle: handle.shutdownFlags(button))
        if not asked.ended(ANSWER_LIMIT):
            raise EffectError("effect_failed", f"the monitor of its process did not answer in {ANSWER_LIMIT} s")
        asked.answer()

    def power_off(self, uuid: str) -> None:
        with translated(uuid):
            handle = self._handle(uuid)
            try:
                handle.destroy()
            except libvirt.libvirtError:
                if handle.isActive():
                    raise

    def stop_reason(self, uuid: str) -> str:
        with translated(uuid):
            return stop_reason(self._handle(uuid))

    def addresses(self, uuid: str) -> List[str]:
        with translated(uuid):
            return self._asking().of(self._handle(uuid))

    def statistics(self, uuids: Collection[str]) -> List[Statistics]:
        from .statistics import statistics

        with translated():
            return statistics(self._connection, self._handle, self._asking(), uuids)

    def _asking(self) -> Addresses:
        from .reaching import Addresses  # for VMs that are waited for

        self._addresses = self._addresses or Addresses(self._connections.uri)
        return self._addresses

    def memory_cost(self, uuid: str) -> MemoryCost:
        from .saving import memory_cost  # when the host goes down

        with translated(uuid):
            return memory_cost(self._handle(uuid), self._connections.uri)

    def save_memory(self, uuid: str, seconds: float) -> None:
        from .saving import save_memory

        with translated(uuid):
            save_memory(self._handle(uuid), self._connections.uri, seconds)

    def configuration(self, uuid: str) -> Configuration:
        from .configurations import configuration

        with translated(uuid):
            return configuration(self._handle(uuid))

    def memory_facts(self, uuid: str, path: str = "") -> MemoryFacts:
        from .memory import memory_facts

        with translated(uuid):
            return memory_facts(self._connection, self._connections.uri, uuid, path)

    def set_memory_aside(self, uuid: str, directory: str) -> str:
        from .memory import set_memory_aside

        with translated(uuid):
            return set_memory_aside(self._handle(uuid), self._connections.uri, directory)

    def drop_interrupted_memory(self, uuid: str) -> None:
        from .memory import drop_interrupted_memory

        with translated(uuid):
            drop_interrupted_memory(self._handle(uuid), self._connections.uri)

    def save_memory_to(self, uuid: str, path: str, seconds: float) -> None:
        from .saving import save_memory_to

        with translated(uuid):
            save_memory_to(self._handle(uuid), self._connections.uri, path, seconds)

    def restore_memory(self, uuid: str, path: str, paused: bool) -> None:
        from .memory import restore_memory

        with translated(uuid):
            restore_memory(self._connection, self._handle(uuid), path, paused)

    def delete_volume(self, volume: VolumeVerdict) -> None:
        from .deletion import delete  # as for storage: only runs that delete need it

        with translated():
            delete(self._connection, volume, self._reader.raw if self._reader else frozenset())

    def _handle(self, uuid: str) -> Any:
        known = self._connections.handles().get(uuid)
        return self._looked_up(uuid) if known is None else known

    def _looked_up(self, uuid: str) -> Any:
        """Its handle anew, which says whether it is off at this moment."""
        handle = self._connections.handles()[uuid] = self._connection.lookupByUUIDString(uuid)
        return handle

    def close(self) -> None:
        """End every connection."""
        self._connections.close()


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
