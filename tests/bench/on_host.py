# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the benchmark that runs on the host, with the host's own Python. Copied there by run.py.

usage: on_host.py define COUNT | reset | declared | versions | marginal COUNT REPEATS | payloads REPEATS OURS OTHER [keep]
       on_host.py sweeps COUNT REPEATS | sweep | raw-sweep COUNT

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


def declare_spread(count: int) -> None:
    """Every VM has a deadline of its own, as VMs have that were made one by one; none of them is near."""
    from vm_lifecycle.adapters.world import open_world
    from vm_lifecycle.run import run
    from vm_lifecycle.tasks.persistence import TASK

    now = int(time.time())
    vms = [{"name": name, "created_at_unix": now - 7 * number} for number, name in enumerate(names(count))]
    result = run(TASK, {"mode": "temporary", "ttl_hours": 720, "vms": vms}, open_world(URI))
    assert len(result["vms"]) == count and not result["failed"], result


def run_sweep(count: int) -> None:
    """The engine's sweep of the whole host from its arguments to its result: nothing is due, so nothing may change."""
    from vm_lifecycle.adapters.world import open_world
    from vm_lifecycle.run import run
    from vm_lifecycle.tasks.cleanup import TASK

    result = run(TASK, {}, open_world(URI))
    reasons = {(row["decision"], row["reason"]) for row in result["vms"]}
    assert len(result["vms"]) == count and reasons == {("kept", "not_expired")}, (len(result["vms"]), reasons)
    assert not result["changed"] and not result["failed"], result["counts"]


def run_raw_sweep(count: int) -> None:
    """What any sweep needs at the least: the list of domains, and the metadata of each."""
    connection = libvirt.open(URI)
    kind, flags = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_CONFIG
    found = [domain.metadata(kind, NAMESPACE, flags) for domain in connection.listAllDomains()]
    assert len(found) == count and all(found), len(found)
    connection.close()


def sweeps(connection: Any, count: int, repeats: int) -> dict[str, list[float]]:
    """Samples of sweeps over count declared domains, interleaved: in this process, and as a command each.

    Both commands start the same interpreter; the processes differ in what they import and do.
    """
    sys.path.insert(0, str(Path(__file__).parent))
    reset(connection)
    declare_spread(count)
    run_sweep(count)  # imports are done from here on
    own = [sys.executable, __file__]
    samples: dict[str, list[float]] = {"ours": [], "raw": [], "ours_command": [], "raw_command": []}
    for _each in range(repeats):
        samples["ours"].append(seconds(partial(run_sweep, count)))
        samples["raw"].append(seconds(partial(run_raw_sweep, count)))
        samples["ours_command"].append(seconds(partial(called, [*own, "sweep"], f"{count} kept")))
        samples["raw_command"].append(seconds(partial(called, [*own, "raw-sweep", str(count)], "null")))
    return samples


def called(words: list[str], said: str) -> None:
    """Run a command, which must say this."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert said in done.stdout, done.stdout[-2000:]


def sweep_command() -> None:
    """What the installed command does for `vm-lifecycle cleanup`."""
    sys.path.insert(0, str(Path(__file__).parent))
    from vm_lifecycle.agent.cli import main as command

    sys.exit(command(["cleanup"]))


def execute(payload: str, changed: bool | None) -> None:
    """Run a module as Ansible runs it on the host: the self-contained file that it had sent."""
    done = subprocess.run([sys.executable, payload], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert changed in (None, json.loads(done.stdout).get("changed", False)), done.stdout


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
    verb, rest = arguments[0], arguments[1:]
    if verb == "sweep":
        sweep_command()
    if verb == "raw-sweep":  # it opens a connection of its own, and must not pay for a second one
        run_raw_sweep(int(rest[0]))
        sys.stdout.write("null")
        return
    connection = libvirt.open(URI)
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
    elif verb == "sweeps":
        result = sweeps(connection, int(rest[0]), int(rest[1]))
    elif verb == "payloads":
        result = payloads(connection, int(rest[0]), rest[1], rest[2], fresh="keep" not in rest[3:])
    else:
        raise SystemExit(f"unknown verb {verb}")
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    os.umask(0o077)
    main(sys.argv[1:])
