# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lab keeps its things: below .build/lab of the checkout that the command lives in."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vmlab.processes import LabError, ProcessIdentity

CHECKOUT = Path(__file__).resolve().parents[3]
STATE_ROOT = CHECKOUT / ".build" / "lab"
RESERVED_NAMES = ("images",)
NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$")


def check_name(kind: str, name: str) -> str:
    """A name that is safe as a host name and as a directory."""
    if not NAME.match(name) or name in RESERVED_NAMES:
        raise LabError(f"{kind} {name!r}: lower case letters, digits and inner hyphens, at most 42 of them")
    return name


def image_cache() -> Path:
    """Directory of built images, shared by labs: $VMOPS_LAB_CACHE, else below the checkout."""
    return Path(os.environ.get("VMOPS_LAB_CACHE") or STATE_ROOT / "images").absolute()


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Readers see the old file or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.chmod(mode)
    temporary.replace(path)


@dataclass(frozen=True)
class Lab:
    """One named set of hosts."""

    name: str

    @property
    def directory(self) -> Path:
        return STATE_ROOT / self.name

    @property
    def key(self) -> Path:
        return self.directory / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    @property
    def inventory(self) -> Path:
        return self.directory / "inventory.yml"

    @property
    def control_directory(self) -> Path:
        """SSH control sockets: a socket's path is limited to 108 bytes, a checkout's path is not."""
        return Path("/tmp") / f"vmops-lab-{hashlib.sha256(str(self.directory).encode()).hexdigest()[:10]}"

    def hosts(self) -> list[Host]:
        """All hosts that the lab has a directory for, running or not, by name."""
        return [Host(self, path.parent.name) for path in sorted(self.directory.glob("hosts/*/spec.json"))]

    def host(self, name: str) -> Host:
        """A host that exists; LabError otherwise."""
        host = Host(self, check_name("host", name))
        if not host.specification.exists():
            raise LabError(f"no host {name} in lab {self.name}: lab up {name}")
        return host


def current_lab() -> Lab:
    """The lab that $VMOPS_LAB names."""
    return Lab(check_name("VMOPS_LAB", os.environ.get("VMOPS_LAB") or "lab"))


@dataclass
class HostState:
    """What a host's supervisor last wrote down. `phase`: starting, running, off or failed."""

    phase: str
    number: int
    group: str
    supervisor: ProcessIdentity
    leader: ProcessIdentity | None
    starts: int
    message: str

    @property
    def address(self) -> str:
        return f"10.77.{self.number}.2"

    @property
    def machine_address(self) -> str:
        """The machine's own end of the link."""
        return f"10.77.{self.number}.1"

    @property
    def machine(self) -> str:
        """Name of the container; its link is `ve-` and this, which must fit in 15 characters."""
        return f"vmlab{self.number}"


@dataclass(frozen=True)
class Host:
    """One host of a lab."""

    lab: Lab
    name: str

    @property
    def directory(self) -> Path:
        return self.lab.directory / "hosts" / self.name

    @property
    def specification(self) -> Path:
        return self.directory / "spec.json"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def state(self) -> HostState | None:
        """The last recorded state; None before the supervisor has written one."""
        try:
            record: dict[str, Any] = json.loads((self.directory / "state.json").read_text())
        except FileNotFoundError:
            return None
        leader = record.pop("leader")
        supervisor = ProcessIdentity(**record.pop("supervisor"))
        return HostState(supervisor=supervisor, leader=ProcessIdentity(**leader) if leader else None, **record)

    def record(self, state: HostState) -> None:
        write_atomically(self.directory / "state.json", json.dumps(asdict(state), indent=1))

    def supervised(self) -> bool:
        """Whether the recorded supervisor still runs."""
        state = self.state()
        return state is not None and state.supervisor.commanded(str(self.directory))

    def tail(self, lines: int = 25) -> str:
        """The end of the console log."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return "(no log)"
