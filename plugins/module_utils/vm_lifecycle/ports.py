# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three ports through which the engine reads and changes a host. Real adapters and fakes answer the same tests."""

from __future__ import annotations

from datetime import tzinfo
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Collection,
    ContextManager,
    Dict,
    FrozenSet,
    List,
    Mapping,
    Optional,
    Protocol,
    Sequence,
    Tuple,
)

from .frozen import dataclass
from .keeping import Keeping
from .measuring import Measurements, Meter
from .ports_limits import Limiting
from .ports_pressure import Strained, Yielding

if TYPE_CHECKING:
    from .boots import MemoryCost, Need, Off
    from .changes import StoreChange
    from .disks import SavedDomain, Storage, VolumeVerdict
    from .examination import Examination
    from .host_changes import LogOperation
    from .limits import Controllers
    from .model import ClockMemory, ClockReading, Document, Domain, Pressure, Record
    from .recoveries import Configuration, MemoryFacts
    from .removals import Hooks, Intent, Notice, SweepPlan, UndoRecord


class Hypervisor(Limiting, Yielding, Meter, Protocol):
    """libvirt on this host. A call on a UUID that is gone raises DomainGone; a refusal of libvirt raises EffectError."""

    def domains(self) -> List[Domain]:
        """All domains, in bulk, persistent and transient."""

    def domain(self, uuid: str) -> Optional[Domain]:
        """One domain read anew, None when no domain has this UUID."""

    def metadata(self, uuid: str) -> Optional[str]:
        """Text of our metadata element read anew, None for none and for one that can't be read. One call to libvirt."""

    def definition(self, uuid: str) -> str:
        """The domain's inactive XML, without secrets."""

    def saved(self, uuid: str) -> SavedDomain:
        """All that is needed to define the domain again, secrets included."""

    def storage(self, removed: Sequence[UndoRecord] = (), leaving: Sequence[VolumeVerdict] = ()) -> Storage:
        """Every pool volume and every reference to a file, backing chains read. Slow: call it only when needed.

        removed: definitions that libvirt has no more and that count as if it had them; unless it has that UUID again.
        leaving: disks of VMs that are just being removed: those that were raw still are, though no definition says so.
        """

    def write_metadata(self, uuid: str, text: Optional[str]) -> None:
        """Set our metadata element (None removes it), in the persistent definition and, if active, the live one."""

    def set_autostart(self, uuid: str, value: bool) -> None:
        """Set libvirt's autostart flag."""

    def set_actions(self, uuid: str, values: Mapping[str, str]) -> None:
        """Set on_poweroff, on_reboot or on_crash in the persistent definition, and in the live one where QEMU can change it."""

    def request_shutdown(self, uuid: str) -> None:
        """Ask the guest to shut down; returns at once."""

    def power_off(self, uuid: str) -> None:
        """End the domain's process; returns when it has ended. Already off is success."""

    def start(self, uuid: str, paused: bool = False) -> None:
        """Start the domain; memory that was saved is restored by libvirt itself. Already running is success.

        paused: its processors stand still until somebody resumes it. An image that can't be loaded raises EffectError and stays.
        """

    def expect(self, threads: int) -> None:
        """So many threads ask in a moment. Returns at once and never fails; what they need is made ready meanwhile."""

    def off(self, uuid: str) -> Optional[Off]:
        """One domain read anew before it is started, in few calls to libvirt; None when it is not off, or not there."""

    def start_cold(self, uuid: str, paused: bool = False) -> bool:
        """As start, for a domain without saved memory: with some, nothing is done and the answer is False."""

    def needs(self, uuid: str) -> List[Need]:
        """Networks and pools that the persistent definition names, and without which libvirt refuses to start it."""

    def activate(self, need: Need) -> None:
        """Start a network or a pool. Already active is success."""

    def stop_reason(self, uuid: str) -> str:
        """Why the domain is off, as libvirt remembers it: a word of policy.power.STOPS; "unknown" when it has forgotten, or never knew."""

    def addresses(self, uuid: str) -> List[str]:
        """Addresses at which the running guest may answer, best known first: leases, guest agent, ARP. None that are the host's own."""

    def memory_cost(self, uuid: str) -> MemoryCost:
        """What saving the running domain's memory would take, and whether it can be saved."""

    def configuration(self, uuid: str) -> Configuration:
        """The definition as it is kept for recovery: inactive XML without secrets, and a summary for readers."""

    def memory_facts(self, uuid: str, path: str = "") -> MemoryFacts:
        """What is there of its saved memory (libvirt's own, or a file), and what it would be loaded over now."""

    def set_memory_aside(self, uuid: str, directory: str) -> str:
        """Keep libvirt's own saved memory of the domain as a file below directory, durable, and have libvirt drop it.

        Returns the path. Nothing is dropped before the file is durable there.
        """

    def drop_interrupted_memory(self, uuid: str) -> None:
        """Have libvirt drop its own image of a save that was interrupted. Raises EffectError for one that is anything else."""

    def save_memory_to(self, uuid: str, path: str, seconds: float) -> None:
        """Save the running domain's memory into a new file, which stops it; given up as in save_memory."""

    def restore_memory(self, uuid: str, path: str, paused: bool) -> None:
        """Start the domain, which is off, from a file of its own saved memory. The file stays."""

    def define_xml(self, xml: str) -> None:
        """Define a domain that is not there. Raises EffectError name_taken or uuid_taken."""

    def save_memory(self, uuid: str, seconds: float) -> None:
        """Managed save, given up after so many seconds: then the domain runs on, and EffectError save_failed is raised."""

    def undefine(self, uuid: str, keep_nvram: bool, keep_tpm: bool = False) -> None:
        """Remove the definition with its managed save, snapshot and checkpoint metadata, and TPM state and NVRAM unless kept.

        Raises EffectError before anything is done when a daemon can't keep what should be kept.
        """

    def define(self, saved: SavedDomain) -> None:
        """Define a domain again, with its snapshots and its autostart flag. Raises EffectError when its name or UUID is taken."""

    def complete(self, uuid: str, saved: SavedDomain) -> bool:
        """Give a domain the snapshots and the autostart flag that it lacks. Returns whether it lacked any."""

    def delete_volume(self, volume: VolumeVerdict) -> None:
        """Delete a volume through its pool, if it is still the very file that was judged. Already gone is success.

        Without a pool: the file that a domain named, under the same condition.
        """


class Store(Measurements, Keeping, Protocol):
    """What happened on this host. Raises EffectError store_unusable when the state can't be read or written.

    uuids: of these VMs only, at most some hundreds; None for all.
    """

    def records(self, uuids: Optional[Collection[str]] = None) -> Dict[str, Record]:
        """Records by UUID."""

    def schedules(self) -> Dict[str, Document]:
        """All VmCleanupSchedules by UUID."""

    def clock(self) -> ClockMemory:
        """The clock's memory; the zero value when there is none."""

    def plans(self) -> List[SweepPlan]:
        """Plans that wait for confirmation or were confirmed, oldest first."""

    def notices(self) -> List[Notice]:
        """Messages for hooks, delivered ones included, oldest first."""

    def pools(self) -> Dict[str, int]:
        """Storage pools that this host is known to have, as in RememberPools."""

    def save(self, changes: Sequence[StoreChange]) -> None:
        """Make all changes durable, or none of them."""

    def operations(self, limit: int) -> List[LogOperation]:
        """The newest lines of the operation log, newest first."""

    def intents(self) -> List[Intent]:
        """Removals that have begun and not ended."""

    def damage(self) -> List[str]:
        """What of the state can't be understood and is passed over, in words; [] on a sound host."""

    def write_intent(self, intent: Intent) -> None:
        """Make an intent durable, in place of an earlier one of the same VM."""

    def drop_intent(self, uuid: str) -> None:
        """The removal has ended, or was rolled back."""

    def undo_records(self) -> List[UndoRecord]:
        """VMs that were removed and can be brought back."""

    def write_undo(self, record: UndoRecord) -> None:
        """Make an undo record durable, in place of an earlier one of the same VM."""

    def drop_undo(self, uuid: str) -> None:
        """The VM is back, or its disks are gone too."""


class Jobs(Protocol):
    """Work that goes on in threads while its owner waits for whatever ends first."""

    def submit(self, key: str, job: Callable[[], Any]) -> None:
        """Begin a job at once. It never raises Exception: what went wrong is its result."""

    def wait(self, seconds: Optional[float]) -> List[Tuple[str, Any]]:
        """(key, result) of jobs that ended and were not told yet. Waits for one; [] when seconds have passed without any."""


class Host(Strained, Protocol):
    """The machine itself."""

    def clock(self) -> ClockReading:
        """All clocks, now."""

    def zone(self, name: str = "") -> tzinfo:
        """A time zone by its IANA name; without one the host's own. Raises LifecycleError for a name that it does not know."""

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def claim(self, uuid: str) -> ContextManager[bool]:
        """Hold a VM against other runs while the context lasts; yields False when another run holds it. Raises EffectError on entry."""

    def features(self) -> FrozenSet[str]:
        """Features whose units are enabled: cleanup, boot, supervisor, snapshots."""

    def configuration(self, name: str) -> Optional[Mapping[str, object]]:
        """/etc/vm-lifecycle/<name>.json, None when there is none. Raises LifecycleError when it can't be read."""

    def pressure(self) -> Pressure:
        """How much processes waited for processor, input and output, and memory in the last minute."""

    def parallel(self, jobs: Sequence[Callable[[], None]], workers: int) -> None:
        """Run all jobs, at most workers of them at once; returns when all have ended. No job raises Exception."""

    def jobs(self) -> ContextManager[Jobs]:
        """A place for jobs. When the context ends, those that still go on are left to end by themselves."""

    def answers_ssh(self, address: str) -> bool:
        """Whether an SSH server answers there with its banner, within a few seconds. Nobody logs in."""

    def going_down(self) -> bool:
        """Whether the machine is about to reboot or to power off."""

    def stop_budget(self) -> float:
        """Seconds that systemd leaves vm-lifecycle-host.service for stopping VMs; infinity when nothing limits it."""

    def controllers(self) -> Controllers:
        """Whether libvirt can apply limits on this machine. Read once libvirt has answered, since its daemon is looked at, too."""

    def examination(self) -> Examination:
        """What the machine's own settings say about who starts and stops VMs. What can't be looked at is said in it."""

    def journal(self, line: LogOperation) -> None:
        """One operation in the host's journal, with fields to search by. Never fails: the store has it too."""

    def deliver(self, hooks: Hooks, event: Mapping[str, object]) -> str:
        """Hand an event, a JSON object, to the hooks, within their time limit. Returns what went wrong, or ""."""

    def progress(self, message: str) -> None:
        """Say what is going on to whoever watches a long run. Never fails."""


@dataclass(frozen=True)
class World:
    """The three ports together."""

    hypervisor: Hypervisor
    store: Store
    host: Host
