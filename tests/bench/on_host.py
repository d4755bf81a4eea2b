# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the benchmark that runs on the host, with the host's own Python. Copied there by run.py.

usage: on_host.py define COUNT | reset | declared | versions | marginal COUNT REPEATS | payloads REPEATS OURS OTHER [keep]

Results are JSON on standard output; times are in seconds. The domains are called bench-0001 and so on; nothing else on
the host is touched but the store of the collection, which reset removes.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import libvirt

URI = "qemu:///system"
PREFIX = "bench-"
NAMESPACE = "urn:vmops:lifecycle:1"
STORE = Path("/var/lib/vm-lifecycle")
DECLARATION = {"mode": "temporary", "ttl_hours": 72}

DOMAIN = """\
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{identity}</uuid>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/{name}.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='network'><source network='default'/><model type='virtio'/></interface>
    <serial type='pty'/>
  </devices>
</domain>
"""


def names(count: int) -> list[str]:
    return [f"{PREFIX}{number:04}" for number in range(1, count + 1)]


def ours_on(connection: Any) -> list[Any]:
    return [domain for domain in connection.listAllDomains() if domain.name().startswith(PREFIX)]


def define(connection: Any, count: int) -> None:
    """The host has exactly count domains of the benchmark, without any declaration."""
    for domain in ours_on(connection):
        domain.undefine()
    for name in names(count):
        identity = uuid.uuid5(uuid.NAMESPACE_DNS, name)
        connection.defineXML(DOMAIN.format(name=name, identity=identity))


def reset(connection: Any) -> None:
    """As if nothing had ever been declared: no metadata, no autostart flag, no store."""
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    for domain in ours_on(connection):
        if NAMESPACE in domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE):
            domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, None, None, NAMESPACE, flags)
        if domain.autostart():
            domain.setAutostart(0)
    shutil.rmtree(STORE, ignore_errors=True)


def declared(connection: Any) -> tuple[int, int]:
    """Domains with the autostart flag, and with our metadata."""
    domains = ours_on(connection)
    texts = [domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) for domain in domains]
    return sum(domain.autostart() for domain in domains), sum(NAMESPACE in text for text in texts)


def seconds(work: Callable[[], object]) -> float:
    """Time of one call; the garbage of what came before is collected first."""
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def run_engine(count: int) -> None:
    """The module's work from its arguments to its result: connection, reads, plan, writes, store and report."""
    from vm_lifecycle.adapters.world import open_world
    from vm_lifecycle.run import run
    from vm_lifecycle.tasks.persistence import TASK

    result = run(TASK, {**DECLARATION, "vms": [{"name": name} for name in names(count)]}, open_world(URI))
    assert len(result["vms"]) == count and not result["failed"], result


def run_raw(texts: dict[str, str], write: bool) -> None:
    """The same reads, and the same writes if write is set, as short as libvirt-python allows. texts: UUID -> metadata."""
    connection = libvirt.open(URI)
    domains = connection.listAllDomains()
    flagged = {domain.UUIDString() for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)}
    states = {
        domain.UUIDString(): stats["state.state"]
        for domain, stats in connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
    }
    kind, flags = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_CONFIG
    for domain in domains:
        identity = domain.UUIDString()
        assert identity in states and identity not in flagged
        try:
            found = domain.metadata(kind, NAMESPACE, flags)
        except libvirt.libvirtError:
            found = None
        if write:
            domain.setMetadata(kind, texts[identity], "vmops", NAMESPACE, flags)
        else:
            assert found is not None
    connection.close()


def marginal(connection: Any, count: int, repeats: int) -> dict[str, list[float]]:
    """Samples of four kinds, interleaved: fresh and unchanged, by the engine and raw, on all count domains."""
    sys.path.insert(0, str(Path(__file__).parent))
    kind, flags = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_CONFIG
    reset(connection)
    run_engine(count)  # imports are done and the texts are known from here on
    texts = {domain.UUIDString(): domain.metadata(kind, NAMESPACE, flags) for domain in ours_on(connection)}
    samples: dict[str, list[float]] = {"ours_fresh": [], "raw_fresh": [], "ours_unchanged": [], "raw_unchanged": []}
    for _each in range(repeats):
        reset(connection)
        samples["ours_fresh"].append(seconds(lambda: run_engine(count)))
        samples["ours_unchanged"].append(seconds(lambda: run_engine(count)))
        samples["raw_unchanged"].append(seconds(lambda: run_raw(texts, write=False)))
        reset(connection)
        samples["raw_fresh"].append(seconds(lambda: run_raw(texts, write=True)))
    return samples


def execute(payload: str, changed: bool | None) -> None:
    """Run a module as Ansible runs it on the host: the self-contained file that it had sent."""
    done = subprocess.run([sys.executable, payload], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert changed in (None, json.loads(done.stdout)["changed"]), done.stdout


def payloads(connection: Any, repeats: int, ours: str, other: str, fresh: bool) -> dict[str, list[float]]:
    """Samples of two modules, interleaved; both change the VM each time, or neither does."""
    samples: dict[str, list[float]] = {"ours": [], "other": []}
    reset(connection)
    execute(ours, None)
    execute(other, None)
    for _each in range(repeats):
        for name, payload in (("ours", ours), ("other", other)):
            if fresh:
                reset(connection)
            samples[name].append(seconds(partial(execute, payload, fresh)))
    return samples


def versions(connection: Any) -> dict[str, str]:
    """What the figures depend on."""
    system = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text("utf-8").splitlines() if "=" in line)
    return {
        "host": system["PRETTY_NAME"].strip('"'),
        "python": platform.python_version(),
        "libvirt": dotted(connection.getLibVersion()),
        "qemu": dotted(connection.getVersion()),
    }


def dotted(number: int) -> str:
    return f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"


def main(arguments: list[str]) -> None:
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    connection = libvirt.open(URI)
    verb, rest = arguments[0], arguments[1:]
    result: object = None
    if verb == "define":
        define(connection, int(rest[0]))
    elif verb == "reset":
        reset(connection)
    elif verb == "declared":
        result = declared(connection)
    elif verb == "versions":
        result = versions(connection)
    elif verb == "marginal":
        result = marginal(connection, int(rest[0]), int(rest[1]))
    elif verb == "payloads":
        result = payloads(connection, int(rest[0]), rest[1], rest[2], fresh="keep" not in rest[3:])
    else:
        raise SystemExit(f"unknown verb {verb}")
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    os.umask(0o077)
    main(sys.argv[1:])
