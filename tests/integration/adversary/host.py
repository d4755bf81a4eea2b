# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a lab host as root: sets odd hosts up with libvirt and qemu-img, and sweeps with the installed command."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
import uuid as uuids
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional
from xml.sax.saxutils import escape, quoteattr

import libvirt

sys.path.insert(0, "/usr/local/lib/vm-lifecycle/current")

IMAGES = Path("/var/lib/libvirt/images")
STATE = Path("/var/lib/vm-lifecycle")
OUTSIDE = Path("/var/lib/adversary")
libvirt.registerErrorHandler(lambda _context, _error: None, None)
connection = libvirt.open("qemu:///system")


def sh(*words: str, check: bool = True) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{words}: {done.stderr}")
    return done.stdout


def reset() -> None:
    """An empty host: no domain, no pool but default, no state, a policy without a window, whatever else the machine does."""
    for domain in connection.listAllDomains():
        with contextlib.suppress(libvirt.libvirtError):
            domain.destroy()
        with contextlib.suppress(libvirt.libvirtError):
            domain.undefineFlags(1 | 2 | 8 | 16)
    for pool in connection.listAllStoragePools():
        if pool.name() != "default":
            with contextlib.suppress(libvirt.libvirtError):
                pool.destroy()
            pool.undefine()
    pool = connection.storagePoolLookupByName("default")
    for directory in (IMAGES, OUTSIDE, STATE):
        for path in directory.glob("*") if directory.exists() else ():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    OUTSIDE.mkdir(exist_ok=True)
    if not pool.isActive():
        pool.create()
    pool.refresh()
    Path("/etc/vm-lifecycle").mkdir(exist_ok=True)
    Path("/etc/vm-lifecycle/cleanup.json").write_text(
        json.dumps({"cleanup_enabled": True, "cleanup_in_window_only": False, "skip_on_low_resources": False})
    )


def disk(
    name: str,
    size: str = "8M",
    image_format: str = "qcow2",
    backing: Optional[str] = None,
    backing_format: str = "qcow2",
    directory: Path = IMAGES,
) -> Path:
    path = directory / name
    command = ["qemu-img", "create", "-q", "-f", image_format]
    if backing:
        command += ["-b", backing, "-F", backing_format, "-u"]
    sh(*command, str(path), size)
    return path


def disk_xml(
    path: Any,
    image_format: str = "qcow2",
    target: str = "vda",
    extra: str = "",
    kind: str = "file",
    device: str = "disk",
) -> str:
    """A disk of a definition; kind is file or block."""
    source = {"file": "file", "block": "dev"}[kind]
    bus = {"disk": "virtio", "cdrom": "ide", "floppy": "fdc"}[device]
    return (
        f"<disk type='{kind}' device='{device}'><driver name='qemu' type='{image_format}'/>"
        f"<source {source}={quoteattr(str(path))}/><target dev='{target}' bus='{bus}'/>{extra}</disk>"
    )


def document(uuid: str, **changes: Any) -> Dict[str, Any]:
    now = int(time.time())
    persistence = {
        "mode": "temporary",
        "ttl_hours": 1,
        "created_at_unix": now - 10800,
        "scheduled_cleanup": now - 7200,
        "force_cleanup": True,
        "cleanup_grace_period": 60,
    }
    persistence.update(changes.pop("persistence", {}))
    return {
        "version": 1,
        "vm_id": uuid,
        "revision": 1,
        "temporary_since_unix": now - 10800,
        "persistence": persistence,
        **changes,
    }


def define(
    name: str,
    disks: str = "",
    metadata: Any = "temporary",
    os_xml: str = "",
    devices: str = "",
    uuid: str = "",
    tail: str = "",
    root: str = "",
) -> Any:
    """metadata: "temporary" (expired), None, a dict of changes, or raw text."""
    uuid = uuid or str(uuids.uuid4())
    if metadata == "temporary":
        metadata = json.dumps(document(uuid))
    elif isinstance(metadata, dict):
        metadata = json.dumps(document(uuid, **metadata))
    element = f"<v:lifecycle xmlns:v='urn:vmops:lifecycle:1'>{escape(metadata or '')}</v:lifecycle>"
    xml = f"""<domain type='qemu'{root}><name>{escape(name)}</name><uuid>{uuid}</uuid>
        <metadata>{"" if metadata is None else element}</metadata><memory unit='MiB'>64</memory>
        <os><type arch='x86_64' machine='pc'>hvm</type>{os_xml}</os><features><acpi/></features>
        <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{disks}<memballoon model='none'/>{devices}</devices>
        {tail}</domain>"""
    return connection.defineXML(xml)


def sweep(*words: str, timeout: int = 120) -> Dict[str, Any]:
    began = time.time()
    result: Dict[str, Any]
    done = subprocess.run(
        ["vm-lifecycle", "cleanup", "--json", *words], capture_output=True, text=True, timeout=timeout, check=False
    )
    try:
        result = json.loads(done.stdout)
    except ValueError:
        result = {"crash": done.stderr[-1500:]}
    result.update(rc=done.returncode, seconds=round(time.time() - began, 1))
    return result


def mark_and_sweep(*words: str) -> Dict[str, Any]:
    """The first sweep makes the store know the VMs, the second one removes."""
    first = sweep()
    result = sweep(*words)
    result["first"] = first
    return result


def short(result: Dict[str, Any]) -> str:
    """A result in a line, for messages."""
    rows = [f"{row['name']}={row['decision']}/{row['reason']}" for row in result.get("vms", [])]
    return f"rc={result['rc']} {rows or result.get('msg') or result.get('crash')}"


def domains() -> List[str]:
    return sorted(line for line in sh("virsh", "list", "--all", "--name").split("\n") if line)


def files() -> List[str]:
    return sorted(path.name for path in IMAGES.iterdir())


def world() -> Any:
    from vm_lifecycle.adapters.world import open_world

    return open_world("qemu:///system")


def removal(hooked: Any) -> Dict[str, Any]:
    """A sweep in this process, on a world whose ports a case has changed to act between two steps."""
    from vm_lifecycle.run import run
    from vm_lifecycle.tasks import cleanup

    result: Dict[str, Any] = run(cleanup.TASK, {}, hooked)
    return {"rc": 0, "seconds": 0, **result}


def write_metadata(domain: Any, declared: Dict[str, Any]) -> None:
    """Declare as another tool would, in the persistent definition."""
    element = f"<lifecycle>{escape(json.dumps(declared))}</lifecycle>"
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, element, "vmops", "urn:vmops:lifecycle:1", 2)


#: Every case, in the order of the files.
CASES: List[Callable[[], None]] = []


def case(function: Callable[[], None]) -> Callable[[], None]:
    """Put a function on the list of cases."""
    CASES.append(function)
    return function


def firmware(path: Path, template: str = "") -> str:
    """UEFI firmware whose variables are in path."""
    attribute = f" template='{template}'" if template else ""
    return f"<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader><nvram{attribute}>{path}</nvram>"
