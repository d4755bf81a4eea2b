# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made on the host, and what has to become of each VM and each file: the manifest that the judge goes by.

Shares no code with the engine: VMs are defined with libvirt, images made with qemu-img, declarations written as text.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
import uuid as uuids
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import libvirt

IMAGES = Path("/var/lib/libvirt/images")
SECOND = Path("/var/lib/chaos/second")
OUTSIDE = Path("/var/lib/chaos/outside")
NVRAM = Path("/var/lib/libvirt/qemu/nvram")
MANIFEST = Path("/var/lib/chaos/manifest.json")
POLICY = Path("/etc/vm-lifecycle/cleanup.json")
REMOVED, KEPT = "removed", "kept"
#: Seconds that a running guest is given; none of them obeys, so each of these removals takes that long.
GRACE = 2
SIZE = 4 * 2**20


def sh(*words: str, check: bool = True) -> str:
    """Output of a command; its complaint, if it has to succeed and does not."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


def policy(undo_hours: int) -> None:
    """No window, several removals at once, and no end of attempts: a kill counts as one."""
    POLICY.parent.mkdir(exist_ok=True)
    document = {
        "cleanup_enabled": True,
        "cleanup_in_window_only": False,
        "max_concurrent_cleanups": 5,
        "cleanup_batch_size": 20,
        "max_cleanup_attempts": 100,
        "skip_on_low_resources": False,
        "undo_hours": undo_hours,
        "alert_command": ["/usr/local/bin/chaos-hook"],
        "notify_before_hours": 24,
    }
    POLICY.write_text(json.dumps(document), "utf-8")


def second_pool(connection: Any) -> None:
    """A pool besides the default one, there after each boot."""
    for directory in (SECOND, OUTSIDE, NVRAM):
        directory.mkdir(parents=True, exist_ok=True)
    if "second" not in [pool.name() for pool in connection.listAllStoragePools()]:
        xml = f"<pool type='dir'><name>second</name><target><path>{SECOND}</path></target></pool>"
        pool = connection.storagePoolDefineXML(xml)
        pool.setAutostart(1)
        pool.create()


def sha256(path: Path) -> str:
    """Digest of a whole file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Builder:
    """Makes VMs and files, and writes down what has to become of them."""

    def __init__(self, connection: Any, prefix: str, undo: bool) -> None:
        self.connection, self.prefix, self.undo = connection, prefix, undo
        self.vms: dict[str, dict[str, Any]] = {}
        self.files: dict[str, dict[str, Any]] = {}

    def image(self, name: str, fate: str, why: str, backing: Path | None = None, place: Path = IMAGES) -> Path:
        """An image with content of its own; raw or an ISO by its name's end, else qcow2."""
        path = place / f"{self.prefix}-{name}"
        if path.suffix in (".raw", ".iso", ".fd"):
            path.write_bytes(hashlib.sha256(path.name.encode()).digest() * (SIZE // 32))
        else:
            below = ["-b", str(backing), "-F", "qcow2"] if backing else []
            sh("qemu-img", "create", "-q", "-f", "qcow2", *below, str(path), str(SIZE))
            pattern = int(hashlib.sha256(path.name.encode()).hexdigest()[:2], 16)
            sh("qemu-io", "-f", "qcow2", "-c", f"write -q -P {pattern} 0 256k", str(path))
        return self.expect(path, fate, why)

    def expect(self, path: Path, fate: str, why: str) -> Path:
        """What has to become of a file; the later word on it counts."""
        self.files[str(path)] = {"fate": fate, "why": why, "round": self.prefix}
        return path

    def vm(
        self,
        name: str,
        disks: list[str],
        carries: str = "expired",
        running: bool = False,
        os_xml: str = "",
        grace: int = GRACE,
    ) -> Any:
        """A domain; carries: expired, permanent, boots (with its host), held, fresh, ancient (1970) or nothing. grace: seconds."""
        identity, full = str(uuids.uuid4()), f"{self.prefix}-{name}"
        element = ""
        if carries != "nothing":
            text = escape(json.dumps(declaration(identity, carries, grace)))
            element = f"<metadata><v:lifecycle xmlns:v='urn:vmops:lifecycle:1'>{text}</v:lifecycle></metadata>"
        xml = f"""<domain type='qemu'><name>{full}</name><uuid>{identity}</uuid>{element}<memory unit='MiB'>32</memory>
            <os><type arch='x86_64' machine='pc'>hvm</type>{os_xml}</os><features><acpi/></features><devices>
            <emulator>/usr/bin/qemu-system-x86_64</emulator>{"".join(disks)}<memballoon model='none'/>
            </devices></domain>"""
        domain = self.connection.defineXML(xml)
        if running:
            domain.create()
        fate = REMOVED if carries in ("expired", "ancient") else KEPT
        self.vms[identity] = {
            "name": full, "fate": fate, "carries": carries, "round": self.prefix, "undo": self.undo,
        }  # fmt: skip
        return domain

    def finish(self) -> dict[str, Any]:
        """Add to the manifest, with the digest of every file as it is now."""
        for path, expected in self.files.items():
            expected["sha256"] = sha256(Path(path))
        known = json.loads(MANIFEST.read_text("utf-8")) if MANIFEST.exists() else {"vms": {}, "files": {}}
        known["vms"].update(self.vms)
        known["files"].update(self.files)
        MANIFEST.write_text(json.dumps(known, indent=1), "utf-8")
        for pool in self.connection.listAllStoragePools():
            pool.refresh()
        return known


def declaration(identity: str, carries: str, grace: int = GRACE) -> dict[str, Any]:
    """What a declared VM carries, as the format is documented."""
    now = int(time.time())
    created = {"fresh": now, "ancient": 3600}.get(carries, now - 4 * 3600)
    persistence: dict[str, Any] = {"mode": "permanent", "created_at_unix": created}
    if carries == "boots":
        persistence["auto_start"] = True
    elif carries != "permanent":
        persistence = {
            "mode": "temporary",
            "ttl_hours": 2,
            "created_at_unix": created,
            "scheduled_cleanup": created + 2 * 3600,
            "cleanup_grace_period": grace,
        }
    document = {"version": 1, "vm_id": identity, "revision": 1, "persistence": persistence}
    document["policy"] = {"host_shutdown_timeout_seconds": GRACE}
    if carries not in ("permanent", "boots"):
        document["temporary_since_unix"] = created
    if carries == "held":
        document["hold"] = {"scope": "deletion", "reason": "chaos", "since_unix": now - 60}
    return document


def disk(path: Path, target: str = "vda", extra: str = "", device: str = "disk") -> str:
    """A disk of a definition."""
    kind = "qcow2" if path.suffix == ".qcow2" else "raw"
    bus = {"disk": "virtio", "cdrom": "ide"}[device]
    return (
        f"<disk type='file' device='{device}'><driver name='qemu' type='{kind}'/><source file='{path}'/>"
        f"<target dev='{target}' bus='{bus}'/>{extra}</disk>"
    )


def connect() -> Any:
    """The host's libvirt, without its complaints on standard error."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    return libvirt.open("qemu:///system")
