# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups of a host's container.

Hosts must not share groups: two libvirt daemons would both create /machine.slice/machine-qemu... in them. So each host
gets a group of its own in every hierarchy before its container starts, and the container sees that group as the root.
Guests get machine scopes in containers with the version 1 layout only, so version 1 is used wherever the machine
has it. What /sys/fs/cgroup lacks is mounted in the supervisor's private mount namespace.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from vmlab.processes import LabError, run, say, wait_until

MOUNTPOINT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Hierarchy:
    """One mounted hierarchy: its mount point, this process's group in it, and its controllers (version 2: none)."""

    mountpoint: Path
    own_group: str
    controllers: str

    def group(self, name: str) -> Path:
        return self.mountpoint / self.own_group.lstrip("/") / name


class ControlGroups:
    """The groups of one host. `unified`: the container must use version 2, because the machine has nothing else."""

    def __init__(self, name: str) -> None:
        self._name = name
        memberships = _memberships()
        self.unified = _only_version_2()
        if not self.unified and not _version_1_mounted(memberships):
            _mount_version_1(memberships)
        self._hierarchies = _mounted(memberships)
        if not self._hierarchies:
            raise LabError(f"no control groups: nothing of the cgroup or cgroup2 type can be mounted on {MOUNTPOINT}")

    def join(self) -> None:
        """Create the groups and move this process, hence its container, into them."""
        for hierarchy in self._hierarchies:
            group = hierarchy.group(self._name)
            group.mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):
                # A new cpuset is empty and admits no process.
                if "cpuset" in hierarchy.controllers and (group / setting).exists():
                    (group / setting).write_text((group.parent / setting).read_text())
            _move(group)

    def leave(self) -> None:
        """Go back to where this process came from and remove the groups with all that the container made in them."""
        for hierarchy in self._hierarchies:
            group = hierarchy.group(self._name)
            _move(group.parent)
            if not wait_until(lambda group=group: _removed(group), 5):  # type: ignore[misc]
                say(f"control group {group} cannot be removed")

    def discard(self) -> None:
        """Remove what a killed supervisor left, wherever in the hierarchies it was started from."""
        for hierarchy in self._hierarchies:
            # Groups of other labs may vanish while they are walked through, which ends a glob.
            found = [Path(each[0]) for each in os.walk(hierarchy.mountpoint) if Path(each[0]).name == self._name]
            for group in found:
                if not wait_until(lambda group=group: _removed(group), 5):  # type: ignore[misc]
                    say(f"control group {group} cannot be removed")


def _memberships() -> list[tuple[str, str]]:
    """(controllers, group) of this process for each hierarchy that the kernel has; version 2 has no controllers."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    return [(line.split(":", 2)[1], line.split(":", 2)[2]) for line in lines]


def _mounts() -> dict[str, tuple[str, str]]:
    """Mount point: (file system type, super options), for everything at and below the usual place."""
    mounts = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        kind = fields[fields.index("-") + 1]
        if fields[4].startswith(str(MOUNTPOINT)):
            mounts[fields[4]] = (kind, fields[-1])
    return mounts


def _only_version_2() -> bool:
    """Whether version 2 has the memory controller: version 1 then cannot have it."""
    controllers = MOUNTPOINT / "cgroup.controllers"
    return controllers.exists() and "memory" in controllers.read_text().split()


def _version_1_mounted(memberships: list[tuple[str, str]]) -> bool:
    mounted = {controllers for controllers, _group in memberships if _mountpoint_of(controllers)}
    return {controllers for controllers, _group in memberships if controllers} <= mounted and "name=systemd" in mounted


def _mountpoint_of(controllers: str) -> Path | None:
    for path, (kind, options) in _mounts().items():
        if not controllers and kind == "cgroup2":
            return Path(path)
        if controllers and kind == "cgroup" and set(controllers.split(",")) <= set(options.split(",")):
            return Path(path)
    return None


def _mount_version_1(memberships: list[tuple[str, str]]) -> None:
    """A private /sys/fs/cgroup with all version 1 hierarchies that the kernel grants, and systemd's own."""
    if not MOUNTPOINT.is_dir():
        run(["mount", "-t", "sysfs", "sysfs", "/sys"])
    run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(MOUNTPOINT)])
    wanted = {controllers for controllers, _group in memberships if controllers} | {"name=systemd"}
    for controllers in sorted(wanted):
        options = f"none,{controllers}" if controllers.startswith("name=") else controllers
        directory = MOUNTPOINT / controllers.removeprefix("name=")
        directory.mkdir()
        try:
            run(["mount", "-t", "cgroup", "-o", options, "cgroup", str(directory)])
        except LabError as error:
            directory.rmdir()
            say(f"control group hierarchy {controllers}: {error}")


def _mounted(memberships: list[tuple[str, str]]) -> list[Hierarchy]:
    groups = dict(memberships)
    found = []
    for controllers in {*groups, "name=systemd"}:
        mountpoint = _mountpoint_of(controllers)
        if mountpoint is not None:
            found.append(Hierarchy(mountpoint, groups.get(controllers, "/"), controllers))
    return found


def _move(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))


def _removed(group: Path) -> bool:
    """Remove a tree of empty groups, deepest first; False while a process is left in it."""
    for directory, _names, _files in os.walk(group, topdown=False):
        try:
            os.rmdir(directory)
        except OSError:
            return False
    return True


if __name__ == "__main__":
    # Started in a mount namespace of its own: the supervisor's hierarchies may not be mounted for anybody else.
    ControlGroups(sys.argv[1]).discard()
