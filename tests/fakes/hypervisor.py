"""Hypervisor port on a Machine, with libvirt's manners: an undefined domain that runs goes on, transient."""

from __future__ import annotations

import copy
import json
import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from vm_lifecycle.boots import MemoryCost, Need, Off
from vm_lifecycle.disks import Attachment, FileIdentity, Image, SavedDomain, Storage, Volume, VolumeVerdict
from vm_lifecycle.errors import DomainGone, EffectError
from vm_lifecycle.limits import CPU, KINDS, MEMORY, PERIOD, Bounds, DiskUsage, LimitsSeen, Side, Size
from vm_lifecycle.measuring import NOT_READ
from vm_lifecycle.model import Domain
from vm_lifecycle.policy.disk_rules import BESIDE, BLOCK, LOGICAL, UNPOOLED
from vm_lifecycle.pressures import DiskRoom
from vm_lifecycle.recoveries import Configuration, DiskMark, Memory, MemoryFacts
from vm_lifecycle.recoveries import Machine as MachineType
from vm_lifecycle.removals import UndoRecord
from vm_lifecycle.snapshots import Statistics

from .turns import Turns
from .world import DESTROYED, SAVED, Machine

#: What of a domain's document is no part of its definition, as it is when it was just defined.
PASSING: dict[str, Any] = {
    "state": "shutoff", "stops_at": None, "crashes_at": None, "started_at": 0.0, "saved": False, "image": None,
    "off_reason": "unknown", "runs": 1, "reason": "", "live": {},
}  # fmt: skip
#: Stands for two dashes, which no XML comment may hold. JSON reads it as the same text.
DASHES = "-\\u002d"


def identity(state: dict[str, Any], path: str) -> FileIdentity | None:
    """What stat says, symbolic links followed."""
    found = state["files"].get(path)
    if found is None:
        return None
    if "symlink" in found:
        return identity(state, found["symlink"])
    mark = (found["device"], found["inode"])
    names = [f for f in state["files"].values() if "symlink" not in f and (f["device"], f["inode"]) == mark]
    if found["device"] == BLOCK:
        return FileIdentity(*mark)
    return FileIdentity(*mark, found["size"], found["changed_ns"], len(names))


def image(state: dict[str, Any], path: str) -> Image:
    """A file and its backing chain; a loop or a missing lower file is an error of the chain."""
    chain: list[tuple[str, FileIdentity | None]] = []
    error, at = "", _real(state, path)
    seen = {at}
    while at in state["files"]:
        error = error or state["files"][at].get("unreadable", "")
        lower = state["files"][at].get("backing")
        if lower is None:
            break
        chain.append((lower, identity(state, lower)))
        at = _real(state, lower)
        if at in seen or at not in state["files"]:
            error = error or f"{lower}: {'a loop' if at in seen else 'no such file'}"
            break
        seen.add(at)
    seed = bool(state["files"].get(_real(state, path), {}).get("seed"))
    return Image(path, identity(state, path), tuple(chain), error, seed)


def _real(state: dict[str, Any], path: str) -> str:
    found = state["files"].get(path)
    return _real(state, found["symlink"]) if found and "symlink" in found else path


class FakeHypervisor:
    """Answers from the document; effects change it."""

    def __init__(self, machine: Machine, turns: Turns | None = None) -> None:
        self._machine = machine
        self._turns = turns or Turns(machine.advance, lambda: float(machine.clock["boottime"]))

    def domains(self) -> list[Domain]:
        self._machine.refuse("domains")
        found = [_domain(domain) for domain in self._machine.state["domains"]]
        return sorted(found, key=lambda domain: (domain.name, domain.uuid))

    def power_states(self, uuids: Collection[str]) -> list[Domain]:
        self._machine.refuse("power_states")
        found = [_domain(domain) for domain in self._machine.state["domains"] if domain["uuid"] in uuids]
        known = [
            Domain(each.uuid, each.name, each.power_state, each.persistent, metadata_error=NOT_READ) for each in found
        ]
        return sorted(known, key=lambda domain: (domain.name, domain.uuid))

    def domain(self, uuid: str) -> Domain | None:
        self._machine.refuse("domain")
        found = self._machine.find(uuid)
        return _domain(found) if found else None

    def metadata(self, uuid: str) -> str | None:
        self._machine.refuse("metadata")
        return _domain(self._get(uuid)).metadata

    def metadata_texts(self) -> Iterator[str]:
        self._machine.refuse("metadata_texts")
        found = [_domain(domain).metadata for domain in self._machine.state["domains"]]
        yield from (text for text in found if text is not None)

    def definition(self, uuid: str) -> str:
        self._machine.refuse("definition")
        domain = self._get(uuid)
        disks = "".join(f"<disk><source file={_quoted(disk['path'])}/></disk>" for disk in domain["files"])
        disks += "<panic/>" * domain["panic"]
        name, habits = escape(domain["name"]), domain.get("habits", "") + _tuning(domain["limits"])
        return f"<domain><name>{name}</name><uuid>{uuid}</uuid>{habits}<devices>{disks}</devices></domain>"

    def saved(self, uuid: str) -> SavedDomain:
        """The XML is the domain's document itself, in a comment: a fake has no other use for it."""
        kept = json.dumps(self._get(uuid), sort_keys=True)
        return SavedDomain(
            f"{self.definition(uuid)}<!--{kept.replace('--', DASHES)}-->", (), self._get(uuid)["autostart"]
        )

    def _require_free(self, domain: dict[str, Any]) -> None:
        if self._machine.find(domain["uuid"]) is not None:
            raise EffectError("uuid_taken", f"a VM has the UUID {domain['uuid']}")
        if any(each["name"] == domain["name"] for each in self._machine.state["domains"]):
            raise EffectError("name_taken", f"a VM has the name {domain['name']}")

    def define(self, saved: SavedDomain) -> None:
        domain = _of(saved)
        self._require_free(domain)
        with self._machine.effect("define", domain["name"], domain):
            self._machine.state["domains"].append({**domain, "state": "shutoff", "stops_at": None, "saved": False})

    def complete(self, uuid: str, saved: SavedDomain) -> bool:
        """A fake is defined whole."""
        if self._get(uuid)["autostart"] or not saved.autostart:
            return False
        self.set_autostart(uuid, True)
        return True

    def storage(self, removed: Sequence[UndoRecord] = (), leaving: Sequence[VolumeVerdict] = ()) -> Storage:
        self._machine.refuse("storage")
        state = self._machine.state
        gone = [_of(record.saved) for record in removed if self._machine.find(record.uuid) is None]
        volumes = [
            _volume(state, pool, path)
            for pool in state["pools"]
            for path in sorted(state["files"])
            if path.startswith(pool["path"].rstrip("/") + "/") and (pool["active"] or pool["type"] in ("dir", LOGICAL))
        ]
        attachments = [
            Attachment(domain["uuid"], domain["name"], use["role"], image(state, use["path"]), use["target"],
                       use["kind"], use["read_only"], use["shareable"])
            for domain in [*state["domains"], *gone]
            for use in domain["files"]
        ]  # fmt: skip
        volumes += list(_unpooled(state, attachments))
        pools = tuple(pool["name"] for pool in state["pools"] if pool["active"])
        inactive = tuple(pool["name"] for pool in state["pools"] if not pool["active"])
        return Storage(tuple(volumes), tuple(attachments), pools, tuple(state["problems"]), inactive)

    def write_metadata(self, uuid: str, text: str | None) -> None:
        domain = self._get(uuid)
        if not domain["persistent"]:
            raise EffectError("effect_failed", "a transient domain has no persistent definition")
        with self._machine.effect("write_metadata", domain["name"] + (" none" if text is None else ""), domain):
            domain["metadata"], domain["metadata_error"] = text, ""

    def set_autostart(self, uuid: str, value: bool) -> None:
        domain = self._get(uuid)
        with self._machine.effect("set_autostart", f"{domain['name']} {str(value).lower()}", domain):
            domain["autostart"] = value

    def set_actions(self, uuid: str, values: Mapping[str, str]) -> None:
        domain = self._get(uuid)
        said = " ".join(f"{name}={value}" for name, value in values.items())
        with self._machine.effect("set_actions", f"{domain['name']} {said}", domain):
            root = ElementTree.fromstring(f"<habits>{domain['habits']}</habits>")
            kept = {each.tag: each.text for each in root}
            domain["habits"] = "".join(f"<{name}>{value}</{name}>" for name, value in {**kept, **values}.items())

    def limits(self, uuid: str) -> LimitsSeen:
        self._machine.refuse("limits")
        domain, missing = self._get(uuid), self._machine.state["controllers"]
        size = Size(
            domain["memory_mib"] * 1024,
            domain["processors"],
            disks=len(domain["files"]),
            locked_for=domain["locked_for"],
        )
        persistent = Side(size, _bounds(domain["limits"]))
        if domain["state"] == "shutoff":
            return LimitsSeen(persistent)
        refused = {kind: f"cgroup {kind} controller is not mounted" for kind in KINDS if missing.get(kind)}
        return LimitsSeen(persistent, Side(size, _bounds(domain["live"])), refused)

    def set_limit(self, uuid: str, kind: str, amount: int, persistent: bool) -> None:
        domain, where = self._get(uuid), "limits" if persistent else "live"
        if domain["state"] == "shutoff" and not persistent:
            raise EffectError("changed_meanwhile", "the VM does not run any more")
        if self._machine.state["controllers"].get(kind) and not persistent:
            raise EffectError("limit_refused", f"cgroup {kind} controller is not mounted")
        side = "persistent" if persistent else "live"
        with self._machine.effect("set_limit", f"{domain['name']} {kind} {side} {amount or 'none'}", domain):
            domain[where] = {key: value for key, value in domain[where].items() if key != kind}
            if amount:
                domain[where][kind] = amount

    def has_panic_device(self, uuid: str) -> bool:
        self._machine.refuse("has_panic_device")
        return bool(self._get(uuid)["panic"])

    def set_panic_device(self, uuid: str, present: bool) -> None:
        domain = self._get(uuid)
        if domain["panic"] == present:
            return
        with self._machine.effect("set_panic_device", f"{domain['name']} {str(present).lower()}", domain):
            domain["panic"] = present

    def disk_usage(self, uuid: str) -> DiskUsage | None:
        self._machine.refuse("disk_usage")
        domain = self._get(uuid)
        return None if domain["state"] == "shutoff" else DiskUsage(*domain["disk_usage"])

    def pause(self, uuid: str) -> None:
        domain = self._get(uuid)
        if domain["state"] in ("shutoff", "paused"):
            return
        with self._machine.effect("pause", domain["name"], domain):
            domain["state"] = "paused"
            self._machine.tell(domain, ("suspended", 0))

    def resume(self, uuid: str) -> None:
        domain = self._get(uuid)
        if domain["state"] != "paused":
            return
        with self._machine.effect("resume", domain["name"], domain):
            domain.update(state="running", starved=False)
            self._machine.tell(domain, ("resumed", 0))

    def disk_room(self, uuid: str) -> DiskRoom:
        self._machine.refuse("disk_room")
        domain = self._get(uuid)
        free = self._machine.state["room"].get(domain["place"])
        full = domain["state"] == "paused" and domain["starved"]
        return DiskRoom(full=full) if free is None else DiskRoom(domain["place"], float(free), full)

    def request_shutdown(self, uuid: str) -> None:
        domain = self._get(uuid)
        if domain["state"] == "shutoff":
            raise EffectError("effect_failed", "domain is not running")
        with self._machine.effect("request_shutdown", domain["name"], domain):
            if domain["obeys_after"] is not None:
                domain["stops_at"] = self._machine.clock["boottime"] + domain["obeys_after"]
            self._machine.tell(domain, ("powerdown", -1))

    def power_off(self, uuid: str) -> None:
        domain = self._get(uuid)
        if domain["state"] == "shutoff":
            return
        with self._machine.effect("power_off", domain["name"], domain):
            self._machine.stop(domain, *DESTROYED)

    def start(self, uuid: str, paused: bool = False) -> None:
        domain = self._get(uuid)
        if domain["state"] != "shutoff":
            return
        self._turns.sleep(domain["start_seconds"])
        if domain["saved"] and domain["unloadable"]:
            raise EffectError("effect_failed", domain["unloadable"])
        self._require_applicable(domain)
        if domain["start_fails"]:
            domain["start_fails"] -= 1
            raise EffectError("effect_failed", "internal error: process exited while connecting to monitor")
        with self._machine.effect(
            "start", domain["name"] + (" from its memory" if domain["saved"] else "") + " paused" * paused, domain
        ):
            self._machine.run(domain)
            domain["state"] = "paused" if paused else "running"

    def _require_applicable(self, domain: dict[str, Any]) -> None:
        """A limit in a definition that the host can't apply keeps the domain from starting."""
        host = self._machine.state["controllers"]
        for kind in domain["limits"]:
            if host.get(kind):
                raise EffectError("effect_failed", f"unsupported configuration: {host[kind]}")
        if domain["limits"].get(MEMORY, 0) > host.get("lockable_kib", domain["limits"].get(MEMORY, 0)):
            raise EffectError("effect_failed", "cannot limit locked memory of process: Operation not permitted")

    def expect(self, threads: int) -> None:
        assert threads >= 0

    def off(self, uuid: str) -> Off | None:
        found = self.domain(uuid)
        if found is None or found.power_state != "shutoff":
            return None
        return Off(found.metadata, tuple(need for need in self.needs(uuid) if not need.active))

    def start_cold(self, uuid: str, paused: bool = False) -> bool:
        if self._get(uuid)["saved"]:
            return False
        self.start(uuid, paused)
        return True

    def needs(self, uuid: str) -> list[Need]:
        networks = {network["name"]: network for network in self._machine.state["networks"]}
        return [
            Need("network", name, networks[name]["active"], networks[name]["autostart"])
            if name in networks
            else Need("network", name, active=False, known=False)
            for name in self._get(uuid)["needs"]
        ]

    def activate(self, need: Need) -> None:
        network = next(each for each in self._machine.state["networks"] if each["name"] == need.name)
        if network["active"]:
            return
        with self._machine.effect("activate", f"{need.kind} {need.name}", network):
            network["active"] = True

    def stop_reason(self, uuid: str) -> str:
        domain = self._get(uuid)
        return str(domain.get("off_reason", "unknown")) if domain["state"] == "shutoff" else "unknown"

    def addresses(self, uuid: str) -> list[str]:
        domain = self._get(uuid)
        return [domain["address"]] if domain["address"] and domain["state"] == "running" else []

    def statistics(self, uuids: Collection[str]) -> list[Statistics]:
        self._machine.refuse("statistics")
        return [self._measured(domain) for domain in self._machine.state["domains"] if domain["uuid"] in uuids]

    def _measured(self, domain: dict[str, Any]) -> Statistics:
        """Its processor is as busy as its document says since it was started."""
        on, guest = domain["state"] != "shutoff", domain["guest"]
        uptime = float(self._machine.clock["boottime"] - domain["started_at"]) if on else None
        own = [identity(self._machine.state, use["path"]) for use in domain["files"] if use["role"] == "disk"]
        return Statistics(
            domain["uuid"], domain["state"], domain["reason"], domain["runs"] if on else -1, uptime,
            int((uptime or 0) * domain["load"] * 1e9) if on else None, domain["processors"],
            domain["resident_mib"] * 2**20 if on else 0,
            guest[0] * 2**20 if guest and on else None, guest[1] if guest and on else 0,
            sum(found.size for found in own if found is not None), tuple(domain["macs"]),
            tuple(self.addresses(domain["uuid"])),
        )  # fmt: skip

    def definition_mark(self, domain: Domain) -> object | None:
        """Whatever differs in it: it can always be told here, unless a test says otherwise."""
        if self._machine.state["refuse"].get("definition_mark"):
            return None
        kept = self._get(domain.uuid)
        return json.dumps({key: kept[key] for key in kept if key not in PASSING}, sort_keys=True)

    def memory_cost(self, uuid: str) -> MemoryCost:
        self._machine.refuse("memory_cost")
        domain = self._get(uuid)
        return MemoryCost(domain["memory_mib"], self._machine.state["free_mib"], domain["unsavable"])

    def _image(self) -> dict[str, Any]:
        return {"size": 4096, "modified_ns": int(self._machine.clock["now"] * 1e9), "problem": ""}

    def configuration(self, uuid: str) -> Configuration:
        self._machine.refuse("configuration")
        domain = self._get(uuid)
        kept = {key: value for key, value in domain.items() if key not in (*PASSING, "secrets")}
        text = json.dumps(kept, sort_keys=True).replace("--", DASHES)
        disks = [use["path"] for use in kept["files"]]
        return Configuration(
            f"{self.definition(uuid)}<!--{text}-->",
            "secrets" in domain,
            {"name": kept["name"], "uuid": uuid, "disks": disks},
        )

    def define_xml(self, xml: str) -> None:
        domain = {**_of(SavedDomain(xml)), **copy.deepcopy(PASSING)}
        self._require_free(domain)
        with self._machine.effect("define", domain["name"], domain):
            self._machine.state["domains"].append(domain)

    def memory_facts(self, uuid: str, path: str = "") -> MemoryFacts:
        self._machine.refuse("memory_facts")
        domain, state = self._get(uuid), self._machine.state
        image = state["images"].get(path) if path else domain["image"] if domain["saved"] else None
        memory = (
            Memory(path or f"/save/{domain['name']}.save", image["size"], image["modified_ns"], not path)
            if image
            else None
        )
        disks = []
        for use in domain["files"]:
            if use["role"] == "disk" and not use["read_only"]:
                found = identity(state, use["path"])
                disks.append(DiskMark(use["path"], found.size if found else -1, found.changed_ns if found else 0))
        made = MachineType(state["qemu"], domain["machine"], "")
        return MemoryFacts(
            memory, made, tuple(disks), image["problem"] if image else "", bool(image and image.get("interrupted"))
        )

    def drop_interrupted_memory(self, uuid: str) -> None:
        domain = self._get(uuid)
        if not domain["image"].get("interrupted"):
            raise EffectError("effect_failed", "the saved memory is whole, and is not dropped")
        with self._machine.effect("drop_interrupted_memory", domain["name"], domain):
            domain.update(saved=False, image=None)

    def set_memory_aside(self, uuid: str, directory: str) -> str:
        domain = self._get(uuid)
        path = f"{directory}/{uuid}-{self._machine.clock['now']:.0f}.save"
        with self._machine.effect("set_memory_aside", domain["name"], domain):
            self._machine.state["images"][path] = domain["image"]
            domain.update(saved=False, image=None)
        return path

    def save_memory_to(self, uuid: str, path: str, seconds: float) -> None:
        domain = self._get(uuid)
        if path in self._machine.state["images"]:
            raise EffectError("save_failed", f"{path} exists")
        with self._machine.effect("save_memory_to", f"{domain['name']} {path}", domain):
            self._machine.stop(domain, *SAVED)
            self._machine.state["images"][path] = self._image()

    def restore_memory(self, uuid: str, path: str, paused: bool) -> None:
        domain = self._get(uuid)
        with self._machine.effect("restore_memory", f"{domain['name']} {path}{' paused' * paused}", domain):
            self._machine.run(domain)
            domain["state"] = "paused" if paused else "running"

    def save_memory(self, uuid: str, seconds: float) -> None:
        domain = self._get(uuid)
        self._turns.sleep(min(domain["save_seconds"], seconds))
        if domain["save_seconds"] > seconds:
            raise EffectError("save_failed", f"saving took more than {seconds:.0f} s")
        with self._machine.effect("save_memory", domain["name"], domain):
            self._machine.stop(domain, *SAVED)
            domain.update(saved=True, image=self._image())

    def undefine(self, uuid: str, keep_nvram: bool, keep_tpm: bool = False) -> None:
        domain = self._get(uuid)
        if not domain["persistent"]:
            raise EffectError("effect_failed", "cannot undefine a transient domain")
        if keep_tpm and domain.get("tpm"):
            self._machine.refuse("keep_tpm")
        with self._machine.effect("undefine", domain["name"] + (" keeping nvram" if keep_nvram else ""), domain):
            state = self._machine.state
            for use in domain["files"]:
                if use["role"] == "nvram" and not keep_nvram:
                    state["files"].pop(use["path"], None)
            if domain["state"] == "shutoff":
                state["domains"].remove(domain)
                return
        # libvirt would leave it running, transient; the adapter gives it its definition back
        raise EffectError("changed_meanwhile", "the VM was started while it was being removed")

    def delete_volume(self, volume: VolumeVerdict) -> None:
        if not volume.pool:
            beside = _unpooled(
                self._machine.state, [Attachment("", "", "disk", image(self._machine.state, volume.path), "-")]
            )
            if any(each.image.chain_error or _is_on(each.image, volume) for each in beside if each.pool_type == BESIDE):
                raise EffectError("changed_meanwhile", f"something may be built on {volume.path}")
            self._delete(volume.path, volume.path, volume)
            return
        state = self._machine.state
        pool = next((pool for pool in state["pools"] if pool["name"] == volume.pool), None)
        if pool is None or not pool["active"]:
            raise EffectError("effect_failed", f"pool {volume.pool} is not active")
        path = posixpath.join(pool["path"], volume.name)
        self._delete(path, f"{volume.pool}/{volume.name}", volume)

    def _delete(self, path: str, name: str, volume: VolumeVerdict) -> None:
        state = self._machine.state
        if path not in state["files"]:
            return
        now = identity(state, path)
        if now is not None and now.device == BLOCK:
            now = replace(now, serial=state["files"][path]["serial"])
        same = now is not None and volume.identity is not None and now.lasting == volume.identity.lasting
        if "symlink" in state["files"][path] or not same:
            raise EffectError("changed_meanwhile", f"{path} is not the file any more that was judged")
        if state["files"][path].get("open"):
            raise EffectError("open_elsewhere", f"a process has {path} open")
        with self._machine.effect("delete_volume", name, path):
            del state["files"][path]

    def _get(self, uuid: str) -> dict[str, Any]:
        found = self._machine.find(uuid)
        if found is None:
            raise DomainGone(uuid)
        return found


def _bounds(limits: dict[str, Any]) -> Bounds:
    """Limits as a domain's document has them: KiB, and microseconds or [microseconds, period]."""
    cpu = limits.get(CPU)
    return Bounds(limits.get(MEMORY), None if cpu is None else tuple(cpu) if isinstance(cpu, list) else (cpu, PERIOD))


def _volume(state: dict[str, Any], pool: dict[str, Any], path: str) -> Volume:
    """A file at or below a pool's directory; of a volume group, a device with what the group knows it by."""
    name = posixpath.relpath(path, pool["path"])
    kind = pool["type"] if pool["active"] else "inactive"
    found = image(state, path)
    if kind == LOGICAL and found.identity is not None and "serial" in state["files"][path]:
        found = replace(found, identity=replace(found.identity, serial=state["files"][path]["serial"]))
    return Volume(pool["name"], "folder" if "/" in name else kind, name, found, "symlink" in state["files"][path])


def _unpooled(state: dict[str, Any], attachments: list[Attachment]) -> Iterator[Volume]:
    """Disks that lie in no pool, and the files beside them."""
    directories = [pool["path"].rstrip("/") + "/" for pool in state["pools"]]
    for path in dict.fromkeys(use.image.path for use in attachments if use.role in ("disk", "snapshot") and use.target):
        found = image(state, path)
        if (
            found.identity is None
            or found.identity.device == BLOCK
            or _real(state, path).startswith(tuple(directories))
        ):
            continue
        yield Volume("", UNPOOLED, path, found, "symlink" in state["files"][path])
        for other in sorted(state["files"]):
            if other != path and posixpath.dirname(other) == posixpath.dirname(path):
                yield Volume("", BESIDE, other, image(state, other))


def _is_on(upper: Image, volume: VolumeVerdict) -> bool:
    return any(lower is not None and volume.identity is not None and lower.lasting == volume.identity.lasting
               for _path, lower in upper.chain)  # fmt: skip


def _domain(domain: dict[str, Any]) -> Domain:
    persistent = domain["persistent"]
    return Domain(
        domain["uuid"], domain["name"], domain["state"], persistent, domain["autostart"],
        domain["metadata"] if persistent and not domain["metadata_error"] else None,
        domain["metadata_error"] if persistent else "", domain["saved"], domain.get("passing", False),
    )  # fmt: skip


def _of(saved: SavedDomain) -> dict[str, Any]:
    """The document of a domain that was saved."""
    found: dict[str, Any] = json.loads(saved.xml.split("<!--", 1)[1].rsplit("-->", 1)[0].replace(DASHES, "--"))
    return found


def _tuning(limits: dict[str, Any]) -> str:
    memory = f"<memtune><hard_limit unit='KiB'>{limits[MEMORY]}</hard_limit></memtune>" if MEMORY in limits else ""
    return memory + ("<cputune><global_quota>100000</global_quota></cputune>" if CPU in limits else "")


def _quoted(text: str) -> str:
    return '"' + escape(text, {'"': "&quot;"}) + '"'
