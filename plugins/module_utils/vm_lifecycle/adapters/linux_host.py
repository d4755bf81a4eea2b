# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine: its clocks, time zone, claims between processes, configuration files and enabled units."""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from datetime import datetime, timezone, tzinfo
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Callable, FrozenSet, Iterator, List, Mapping, Optional, Sequence

from ..errors import EffectError, refuse
from ..model import ClockReading, Pressure
from .timekeeping import synchronised

if TYPE_CHECKING:
    from ..examination import Examination
    from ..host_changes import LogOperation
    from ..limits import Controllers
    from ..ports import Jobs
    from ..pressures import MemoryRoom
    from ..removals import Hooks

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: In it a unit is told by systemd which boot this is. Its sandbox may have a /proc of its own, and on a host that is a container
#: that one has the machine's boot, not the container's.
BOOT_ID_VARIABLE, BOOT_ID_DIGITS = "VM_LIFECYCLE_BOOT_ID", re.compile("[0-9a-f]{32}")
PRESSURE = Path("/proc/pressure")
#: Feature -> the link that systemd makes when its unit is enabled.
UNIT_LINKS = {
    "cleanup": "timers.target.wants/vm-lifecycle-cleanup.timer",
    "boot": "multi-user.target.wants/vm-lifecycle-boot.service",
    "supervisor": "multi-user.target.wants/vm-lifecycle-supervisor.service",
    "snapshots": "timers.target.wants/vm-lifecycle-snapshot.timer",
}


def _boot_id() -> str:
    told = os.environ.get(BOOT_ID_VARIABLE, "").replace("-", "").lower()
    if not BOOT_ID_DIGITS.fullmatch(told):
        return _kernels(BOOT_ID)
    return "-".join((told[:8], told[8:12], told[12:16], told[16:20], told[20:]))  # systemd leaves out the dashes


@cache
def _kernels(path: Path) -> str:
    """What the kernel says in a file that stays the same as long as this process lives."""
    return path.read_text("ascii").strip()


class LinuxHost:
    """Host port on Linux. claims, configuration and units are directories, so that a test can use its own."""

    def __init__(self, claims: Path, configuration: Path, units: Path = Path("/etc/systemd/system")) -> None:
        self._claims = claims
        self._configuration = configuration
        self._units = units

    def clock(self) -> ClockReading:
        boottime = time.clock_gettime(time.CLOCK_BOOTTIME)
        return ClockReading(
            now=time.time(),
            boottime=boottime,
            boot_id=_boot_id(),
            synchronised=synchronised(int(boottime)),
        )

    def zone(self, name: str = "") -> tzinfo:
        """A zone by name, or the host's own: from /etc/localtime, without that file the present offset, as a fallback."""
        if name:
            try:
                return named_zone(name)
            except ValueError as error:
                raise refuse("invalid_option", str(error), field="window_timezone") from error
        try:
            from zoneinfo import ZoneInfo

            with open("/etc/localtime", "rb") as stream:
                return ZoneInfo.from_file(stream, key="localtime")
        except (OSError, ValueError):
            return datetime.now().astimezone().tzinfo or timezone.utc

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    @contextmanager
    def claim(self, uuid: str) -> Iterator[bool]:
        """A kernel lock on the VM's file: it dies with its holder, so a killed run leaves nothing behind."""
        path = self._claims / f"{uuid}.lock"
        try:
            self._claims.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = _lock(path)
        except OSError as error:
            raise EffectError("effect_failed", f"a lock can't be taken, see to that path: {error}") from error
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                with suppress(OSError):  # a file that stays locks nobody out
                    path.unlink(missing_ok=True)
                os.close(descriptor)

    def features(self) -> FrozenSet[str]:
        return frozenset(feature for feature, link in UNIT_LINKS.items() if os.path.lexists(self._units / link))

    def configuration(self, name: str) -> Optional[Mapping[str, object]]:
        path = self._configuration / f"{name}.json"
        try:
            document = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise refuse("invalid_configuration", f"{path}: {error}") from error
        if not isinstance(document, dict):
            raise refuse("invalid_configuration", f"{path}: not a JSON object")
        return document

    def pressure(self) -> Pressure:
        from .memory_room import waited  # of clean-ups alone

        return Pressure(*(waited(PRESSURE / name, "avg60") for name in ("cpu", "io", "memory")))

    def memory(self) -> MemoryRoom:
        from .memory_room import memory_room  # of a supervisor alone

        return memory_room()

    def parallel(self, jobs: Sequence[Callable[[], None]], workers: int) -> None:
        """The caller works, too, and takes the first job: its thread has a connection to libvirt already."""
        if not jobs:
            return
        waiting = deque(jobs[1:])
        raised: List[BaseException] = []

        def work() -> None:
            while waiting:
                try:
                    job = waiting.popleft()
                except IndexError:  # another worker took it
                    return
                job()

        def help_out() -> None:
            try:
                work()
            except BaseException as error:  # told in the caller's thread
                raised.append(error)

        helpers = [threading.Thread(target=help_out) for _number in range(min(workers, len(jobs)) - 1)]
        for helper in helpers:
            helper.start()
        try:
            jobs[0]()
            work()
        finally:  # interrupted by a person: removals that have begun end in order, no other one begins
            waiting.clear()
            for helper in helpers:
                helper.join()
        if raised:
            raise raised[0]

    @contextmanager
    def jobs(self) -> Iterator[Jobs]:
        from .jobs import ThreadJobs  # of boots and shutdowns alone, and so is all of machine

        yield ThreadJobs()

    def answers_ssh(self, address: str) -> bool:
        from .machine import answers_ssh

        return answers_ssh(address)

    def going_down(self) -> bool:
        from .machine import going_down

        return going_down()

    def stop_budget(self) -> float:
        from .machine import stop_budget

        return stop_budget()

    def controllers(self) -> Controllers:
        from .controllers import controllers  # of declarations and of doctor alone

        return controllers()

    def examination(self) -> Examination:
        from .examination import examine

        return examine()

    def journal(self, line: LogOperation) -> None:
        from .journal import write  # most calls of a module write nothing

        write(line)

    def deliver(self, hooks: Hooks, event: Mapping[str, object]) -> str:
        from .hooks import deliver  # one verb of the command alone tells anybody

        return deliver(hooks, event)

    def progress(self, message: str) -> None:
        """Modules have nobody to tell; the command line has its own host, see agent."""


def named_zone(name: str) -> tzinfo:
    """A time zone of the IANA database, such as Europe/Berlin. Raises ValueError."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"{name!r} is not a time zone that this host knows (is tzdata installed?)") from error


def _lock(path: Path) -> Optional[int]:
    """A descriptor that holds the lock, None when another process has it.

    The holder removes the file before it lets go, so a lock that was won on a removed file counts for nothing.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        try:
            if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)


class TalkingHost(LinuxHost):
    """A host that says on standard error, which is the journal for a unit, what a run is doing."""

    def progress(self, message: str) -> None:
        from .journal import status

        status(printable(message))
        with suppress(OSError, ValueError):  # whoever read it has left, and what goes on goes on
            sys.stderr.write(f"{printable(message)}\n")
            sys.stderr.flush()


def printable(text: str) -> str:
    """Text for a terminal or a log: a VM's name may hold escape sequences and newlines, which must not act there."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
