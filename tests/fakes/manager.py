"""What a person, or a second manager, does to a host behind the engine's back: virsh, qemu-img, cp and ln."""

from __future__ import annotations

import copy
import json
from typing import Any

from .world import CRASHED, DESTROYED, Machine


def act(machine: Machine, deed: dict[str, Any]) -> None:
    """Do one deed: {"do": name, ...arguments}. vm arguments are names."""
    arguments = {key: value for key, value in deed.items() if key != "do"}
    DEEDS[deed["do"]](machine, **arguments)


def start(machine: Machine, vm: str) -> None:
    """virsh start."""
    machine.run(machine.named(vm))


def stop(machine: Machine, vm: str) -> None:
    """virsh destroy."""
    machine.stop(machine.named(vm), *DESTROYED)


def crash(machine: Machine, vm: str) -> None:
    """kill -9 of its process."""
    machine.stop(machine.named(vm), *CRASHED)


def pause(machine: Machine, vm: str) -> None:
    """virsh suspend."""
    machine.named(vm)["state"] = "paused"
    machine.tell(machine.named(vm), ("suspended", 0))


def undefine(machine: Machine, vm: str) -> None:
    """virsh undefine: a running domain goes on as a transient one."""
    domain = machine.named(vm)
    if domain["state"] == "shutoff":
        machine.state["domains"].remove(domain)
    else:
        domain.update(persistent=False, metadata=None, autostart=False)
    machine.tell(domain, ("undefined", 0))


def define(machine: Machine, **domain: Any) -> None:
    """virsh define of a new domain, in the shorthand of world.json. ValueError when name or UUID are taken."""
    from .build import domain_of

    defined = domain_of(machine.state, domain)
    if any(defined[key] == each[key] for each in machine.state["domains"] for key in ("uuid", "name")):
        raise ValueError(f"{defined['name']} or its UUID is defined already")
    machine.state["domains"].append(defined)


def redefine(machine: Machine, vm: str) -> None:
    """virsh define from a template: everything stays but our metadata."""
    machine.named(vm).update(metadata=None, metadata_error="", autostart=False)


def rename(machine: Machine, vm: str, to: str) -> None:
    """virsh domrename."""
    machine.named(vm)["name"] = to


def clone(machine: Machine, vm: str, to: str, uuid: str) -> None:
    """virt-clone without new disks: the metadata is copied too."""
    domain = copy.deepcopy(machine.named(vm))
    domain.update(name=to, uuid=uuid, state="shutoff", live={})
    machine.state["domains"].append(domain)


def set_metadata(machine: Machine, vm: str, text: str | None) -> None:
    """virsh metadata --set."""
    machine.named(vm).update(metadata=text)


def set_habits(machine: Machine, vm: str, habits: str) -> None:
    """virsh set-lifecycle-action."""
    machine.named(vm).update(habits=habits)


def revert(machine: Machine, vm: str) -> None:
    """virsh snapshot-revert: the metadata of an earlier moment comes back, which save_metadata kept."""
    machine.named(vm)["metadata"] = machine.state["kept"][vm]


def save_metadata(machine: Machine, vm: str) -> None:
    """virsh snapshot-create, as far as the metadata goes."""
    machine.state.setdefault("kept", {})[vm] = machine.named(vm)["metadata"]


def edit(machine: Machine, vm: str, **persistence: Any) -> None:
    """A hand changes the declaration inside the metadata, revision untouched."""
    document = json.loads(machine.named(vm)["metadata"])
    document["persistence"].update(persistence)
    machine.named(vm)["metadata"] = json.dumps(document)


def hold(machine: Machine, vm: str) -> None:
    """Another run holds the VM from everything: a higher revision."""
    document = json.loads(machine.named(vm)["metadata"])
    document["revision"] += 1
    document["hold"] = {"scope": "everything", "reason": "audit", "since_unix": int(machine.clock["now"])}
    machine.named(vm)["metadata"] = json.dumps(document)


def reprieve(machine: Machine, vm: str) -> None:
    """Another run declares that the VM comes back at boot: a higher revision."""
    document = json.loads(machine.named(vm)["metadata"])
    document["revision"] += 1
    document["policy"]["on_host_reboot"] = "start"
    machine.named(vm)["metadata"] = json.dumps(document)


def edit_later(machine: Machine, vm: str) -> None:
    """Another run renews the VM: a higher revision, and a later deadline."""
    document = json.loads(machine.named(vm)["metadata"])
    document["revision"] += 1
    document["persistence"]["scheduled_cleanup"] += 3600
    machine.named(vm)["metadata"] = json.dumps(document)


def make_permanent(machine: Machine, vm: str) -> None:
    """Another host's or another version's engine declares the VM permanent: a higher revision."""
    document = json.loads(machine.named(vm)["metadata"])
    document["revision"] += 1
    document["persistence"]["mode"] = "permanent"
    document["persistence"].pop("scheduled_cleanup", None)
    machine.named(vm)["metadata"] = json.dumps(document)


def replace_file(machine: Machine, path: str) -> None:
    """mv other.qcow2 path: the same name, another file."""
    from .build import file_of

    machine.state["files"][path] = file_of(machine.state, {"inode": machine.new_inode()})


def write_file(machine: Machine, path: str) -> None:
    """Something writes to the file: another size and ctime."""
    found = machine.state["files"][path]
    found.update(size=found["size"] + 1, changed_ns=found["changed_ns"] + 1)


def overlay(machine: Machine, path: str, on: str) -> None:
    """qemu-img create -b."""
    from .build import file_of

    machine.state["files"][path] = file_of(machine.state, {"inode": machine.new_inode(), "backing": on})


def hard_link(machine: Machine, path: str, to: str) -> None:
    """ln."""
    machine.state["files"][path]["changed_ns"] += 1
    machine.state["files"][to] = dict(machine.state["files"][path])


def delete_file(machine: Machine, path: str) -> None:
    """rm."""
    del machine.state["files"][path]


def attach(machine: Machine, vm: str, path: str) -> None:
    """virsh attach-disk --config."""
    from .build import use_of

    machine.named(vm)["files"].append(use_of(path))


def pool(machine: Machine, name: str, active: bool) -> None:
    """virsh pool-start and pool-destroy."""
    next(each for each in machine.state["pools"] if each["name"] == name)["active"] = active


def limit(machine: Machine, vm: str, kind: str, amount: Any = 0, live: bool = False) -> None:
    """virsh memtune or schedinfo --global: an amount for the definition, and for the running VM if live; 0 lifts it."""
    domain = machine.named(vm)
    for where in ("limits", "live") if live else ("limits",):
        domain[where] = {key: value for key, value in domain[where].items() if key != kind}
        if amount:
            domain[where][kind] = amount


def resize(machine: Machine, vm: str, **size: int) -> None:
    """virsh edit: another memory_mib, or number of processors."""
    machine.named(vm).update(size)


def resume(machine: Machine, vm: str) -> None:
    """virsh resume."""
    machine.named(vm)["state"] = "running"
    machine.tell(machine.named(vm), ("resumed", 0))


def fill(machine: Machine, vm: str, gib: float) -> None:
    """The VM's disks take so many GiB of their storage."""
    machine.named(vm)["disk_usage"] = [int(gib * 2**30), machine.named(vm)["disk_usage"][1]]


def controllers(machine: Machine, **missing: Any) -> None:
    """The host can apply limits, but for what is said to be missing."""
    machine.state["controllers"] = missing


def press(machine: Machine, **pressure: float) -> None:
    """The host comes under pressure: per cent of the last minute by cpu, io, memory."""
    machine.state["pressure"] = pressure


def strain(machine: Machine, **memory: float) -> None:
    """The host's memory: per cent of the last ten seconds in which processes waited for it, and of it what is available."""
    machine.state["memory"] = memory


def leave_room(machine: Machine, place: str, mib: float) -> None:
    """So many MiB are free on a file system. Below one, the VMs that run there are refused space at their next write, which is now."""
    machine.state["room"][place] = mib
    for domain in machine.state["domains"]:
        if mib < 1 and domain["place"] == place and domain["state"] == "running":
            domain.update(state="paused", starved=True)
            machine.tell(domain, ("suspended", 2), ("starved", -1))


def drop_pool(machine: Machine, name: str) -> None:
    """virsh pool-undefine: libvirt knows the pool no more, its files stay."""
    machine.state["pools"] = [pool for pool in machine.state["pools"] if pool["name"] != name]


def notify(machine: Machine) -> None:
    """vm-lifecycle notify, as its unit runs it after each sweep."""
    from vm_lifecycle.tasks.notify import deliver
    from vm_lifecycle.tasks.observe import cleanup_policy

    from .world import ports

    world = ports(machine)
    deliver(world.store, world.host, cleanup_policy(world.host).hooks)


def look(machine: Machine) -> None:
    """The supervisor compares the host with its records."""
    from vm_lifecycle.recorder import Recorder

    from .world import ports

    Recorder(ports(machine)).look()


def lose_definition(machine: Machine, vm: str) -> None:
    """The file of a definition is lost while the host is down: nobody removed the VM."""
    machine.state["domains"].remove(machine.named(vm))


def change_machine(machine: Machine, vm: str, to: str) -> None:
    """virsh edit: another machine type."""
    machine.named(vm)["machine"] = to


def damage_image(machine: Machine, vm: str, problem: str) -> None:
    """What libvirt saved of a VM's memory is cut short, or overwritten."""
    machine.named(vm)["image"]["problem"] = problem


def lose_store(machine: Machine) -> None:
    """The database is deleted, or corrupt and set aside; intents are files of their own."""
    machine.store.update(records={}, schedules={}, clock=None, operations=[])


def break_store(machine: Machine, problem: str = "no space left on device") -> None:
    """The disk is full, or read-only; an empty problem mends it."""
    machine.store["problem"] = problem


def refuse(machine: Machine, what: str, message: str = "") -> None:
    """libvirt refuses one kind of call from now on; an empty message ends that."""
    machine.state["refuse"][what] = message


def configure(machine: Machine, **document: Any) -> None:
    """The role writes /etc/vm-lifecycle/cleanup.json."""
    machine.state["configuration"]["cleanup"] = document


def network(machine: Machine, name: str, active: bool) -> None:
    """virsh net-start and net-destroy."""
    next(each for each in machine.state["networks"] if each["name"] == name)["active"] = active


def reboot(machine: Machine, down: float = 60.0) -> None:
    """The host reboots and is down for so many seconds."""
    machine.power_cut(down)


def go_down(machine: Machine) -> None:
    """systemctl reboot, up to where units are stopped."""
    machine.state["going_down"] = True


def soft_reboot(machine: Machine) -> None:
    """The rest of systemctl soft-reboot: every process was ended, the kernel goes on, and with it the boot's identity."""
    for domain in list(machine.state["domains"]):
        machine.stop(domain)
    machine.state["going_down"] = False


def set_clock(machine: Machine, **clock: Any) -> None:
    """date --set: now, or synchronised."""
    machine.clock.update(clock)


def claim(machine: Machine, vm: str) -> None:
    """Another run takes the VM."""
    machine.state["claims"].append(machine.named(vm)["uuid"])


def let_go(machine: Machine) -> None:
    """Other runs are done."""
    machine.state["claims"].clear()


DEEDS: dict[str, Any] = {
    deed.__name__: deed
    for deed in (
        start, stop, crash, pause, undefine, define, redefine, rename, clone, set_metadata, set_habits, revert, save_metadata, edit,
        make_permanent, hold, edit_later, reprieve, replace_file, write_file, overlay, hard_link, delete_file, attach, pool, lose_store,
        break_store, refuse, configure, reboot, soft_reboot, go_down, set_clock, claim, let_go, press, drop_pool, notify, network,
        look, lose_definition, change_machine, damage_image, limit, resize, controllers, resume, fill, strain,
        leave_room,
    )
}  # fmt: skip
