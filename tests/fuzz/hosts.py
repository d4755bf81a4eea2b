"""The hosts that a story begins on, in the shorthand of tests/fakes/build.py."""

from __future__ import annotations

from typing import Any

from tests.fakes.build import NOW, build, domain_of, file_of
from tests.fakes.world import Machine

from .choices import GIB

#: Inside the default window; before the clocks of Berlin go forward; before they go back.
BEGINNINGS = (NOW, 1806192000, 1824940800)
ZONES = ("UTC", "Europe/Berlin")
NVRAM = "/var/lib/libvirt/qemu/nvram/"
SHORT = {"mode": "temporary", "ttl_hours": 4}
FRESH = {**SHORT, "created": 1}


def disk(name: str, gib: int = 1) -> dict[str, Any]:
    """A volume of the default pool, for files."""
    return {f"/pool/{name}.qcow2": {"size": gib * GIB}}


def vm(name: str, declared: dict[str, Any] | None, *files: Any, **more: Any) -> dict[str, Any]:
    """A VM with a disk of its own name, and further files."""
    given: dict[str, Any] = {"name": name, "files": [f"/pool/{name}.qcow2", *files], **more}
    if declared is not None:
        given["declared"] = declared
    return given


def second(path: str, **more: Any) -> dict[str, Any]:
    """A further disk of a VM."""
    return {"path": path, "target": "vdb", **more}


def few() -> dict[str, Any]:
    """One of each kind."""
    return {
        "files": {**disk("ci-1"), **disk("ci-2", 2), **disk("db1"), **disk("stranger"), **disk("ci-1b")},
        "domains": [
            vm("ci-1", SHORT, second("/pool/ci-1b.qcow2"), {"path": NVRAM + "ci-1.fd", "role": "nvram", "target": ""}),
            vm("ci-2", SHORT, obeys_after=None),
            vm("ci-3", FRESH, state="shutoff"),
            vm("ci-4", {**SHORT, "force_cleanup": True}),
            vm("db1", {"mode": "permanent"}),
            vm("stranger", None),
            vm("held", {**SHORT, "hold": "deletion"}),
        ],
    }


def shared() -> dict[str, Any]:
    """VMs that share disks in every way, files outside pools, and a second pool."""
    base = "/pool/base.qcow2"
    return {
        "pools": [{}, {"name": "second", "path": "/second"}],
        "files": {base: {"size": GIB}, "/pool/a.qcow2": {"backing": base}, "/pool/b.qcow2": {"backing": base},
                  "/pool/both.qcow2": {}, "/pool/c.qcow2": {}, "/second/c.qcow2": {"backing": "/pool/c.qcow2"},
                  "/else/d.qcow2": {}, "/pool/template.iso": {}},
        "domains": [
            vm("a", SHORT, second("/pool/both.qcow2")),
            vm("b", SHORT, second("/pool/both.qcow2"), {"path": "/pool/template.iso", "role": "cdrom", "target": "sda"}),
            vm("c", SHORT, second("/else/d.qcow2")),
            vm("base", {"mode": "permanent"}, state="shutoff"),
            vm("e", FRESH, second("/second/c.qcow2"), {"path": NVRAM + "shared.fd", "role": "nvram", "target": ""}),
            vm("f", {**SHORT, "auto_cleanup": False}, {"path": NVRAM + "shared.fd", "role": "nvram", "target": ""}),
            vm("g", SHORT, second("/pool/public.qcow2", shareable=True), {"path": "/pool/ro.qcow2", "target": "vdc", "read_only": True}),
        ],
    }  # fmt: skip


def many() -> dict[str, Any]:
    """Enough VMs for caps in per cent, for batches and for removals at once."""
    names = [f"n{number}" for number in range(10)]
    files: dict[str, Any] = {}
    for name in names:
        files.update(disk(name))
    domains = [vm(name, SHORT, obeys_after=2.0 + number) for number, name in enumerate(names)]
    return {"files": files, "domains": [*domains, vm("p", {"mode": "permanent"}), vm("q", FRESH), vm("x", None)]}


KINDS = (few, shared, many)


def host(kind: int, beginning: int, zone: int, policy: dict[str, Any]) -> dict[str, Any]:
    """The document of a Machine."""
    short = KINDS[kind]()
    short.update(now=BEGINNINGS[beginning], zone=ZONES[zone], configuration={"cleanup": policy})
    return build(short)


def newborn(machine: Machine, number: int, kind: str) -> None:
    """virsh define of a new VM with disks of its own, and something of others."""
    state, name = machine.state, f"job{number}"
    own = f"/pool/{name}.qcow2"
    files: list[Any] = [own]
    state["files"][own] = file_of(state, {"inode": machine.new_inode(), "size": GIB})
    if kind == "two disks":
        files.append(second(f"/pool/{name}-data.qcow2"))
    elif kind == "overlay":
        state["files"][own]["backing"] = "/pool/golden.qcow2"
        state["files"].setdefault("/pool/golden.qcow2", file_of(state, {"inode": machine.new_inode()}))
    elif kind == "second user":
        files.append(second("/pool/common.qcow2"))
    elif kind == "nvram":
        files.append({"path": f"{NVRAM}{name}.fd", "role": "nvram", "target": ""})
    elif kind == "unpooled":
        files.append(second(f"/elsewhere/{name}.img"))
    elif kind == "seed":
        seed = {"path": f"/pool/{name}-seed.iso", "role": "cdrom", "target": "sda", "read_only": True}
        state["files"][seed["path"]] = file_of(state, {"inode": machine.new_inode(), "seed": True})
        files.append(seed)
    for use in files:
        path = use if isinstance(use, str) else use["path"]
        state["files"].setdefault(path, file_of(state, {"inode": machine.new_inode()}))
    obeys = None if kind == "obeys never" else 3.0
    given = {"name": name, "uuid": 500 + number, "files": files, "obeys_after": obeys}
    state["domains"].append(domain_of(state, given))
