"""What people, other managers and bad luck do to a host, chosen by small numbers; and what that excuses later."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

from tests.fakes import manager
from tests.fakes.build import use_of
from tests.fakes.world import EMPTY_STORE, Machine
from tests.scenarios.raw import inode, reach

from .judge import Judge

State = dict[str, Any]


class People:
    """Acts on a machine, and tells the judge what an engine must respect from then on."""

    def __init__(self, machine: Machine, judge: Judge) -> None:
        self.machine, self.judge = machine, judge
        #: VMs as they once were, by UUID; VMs that a person undefined while a run went on.
        self.museum: dict[str, State] = {each["uuid"]: copy.deepcopy(each) for each in machine.state["domains"]}
        self.undefined: list[State] = []
        self.newcomers = 0

    def act(self, deed: tuple[str, int, int]) -> None:
        """Do one deed, if there is something left to do it to."""
        word, first, second = deed
        state = self.machine.state
        if not state["domains"] and word not in HOST:
            return
        self.judge.count("deeds")
        for call in self.judge.calls:
            call.disturbed = True
        if word in HOST:
            HOST[word](self, first)
        elif word in VMS:
            vm = state["domains"][first % len(state["domains"])]
            before = vm["metadata"]
            VMS[word](self, vm, second)
            if vm["metadata"] != before:
                self._tampered(vm)
        elif state["files"]:
            path = sorted(state["files"])[second % len(state["files"])]
            if "symlink" not in state["files"][path]:
                self.judge.excused |= reach(state, path)
                FILES[word](self, state["domains"][first % len(state["domains"])], path)
                self.judge.excused |= reach(state, path)

    def _tampered(self, vm: State) -> None:
        """Metadata that is not newer than what was declared, and is something else, keeps the VM until it is declared."""
        record = self.machine.store["records"].get(vm["uuid"])
        text = vm["metadata"]
        if record is None or text is None or record["digest"] == hashlib.sha256(text.encode()).hexdigest():
            self.judge.fixed.pop(vm["uuid"], None) if record else None
            return
        document = json.loads(text) if text != "{" else {}
        if document.get("revision", 0) <= record["revision"]:
            self.judge.fixed[vm["uuid"]] = (text, "its metadata was changed by hand")

    def define(self, vm: State) -> None:
        """virsh define, of a VM whose name and UUID are free."""
        state = self.machine.state
        if any(vm[key] == each[key] for each in state["domains"] for key in ("uuid", "name")):
            return
        begun = state["store"]["intents"].get(vm["uuid"])  # with its UUID, what is left of the removed VM is theirs
        for use in (*vm["files"], *(begun["volumes"] if begun else ())):
            self.judge.excused |= reach(state, use["path"])
        state["domains"].append({**copy.deepcopy(vm), "state": "shutoff", "stops_at": None, "persistent": True})
        self._tampered(vm)
        if any(vm["uuid"] in call.undefined for call in self.judge.calls):
            self.judge.back.add(vm["uuid"])

    def gone(self, number: int) -> State | None:
        """A VM that once was and is not any more."""
        lost = [vm for uuid, vm in sorted(self.museum.items()) if self.machine.find(uuid) is None]
        return lost[number % len(lost)] if lost else None

    def settle(self, cut: bool) -> None:
        """A call is over. One that was cut between arming and undefining can't tell a person's undefine from its own."""
        for vm in self.undefined if cut else ():
            self.excuse_armed(vm)
        self.undefined = []

    def excuse_armed(self, vm: State) -> None:
        """The accepted gap: an armed removal, and a person who undefines the VM before the next sweep."""
        store, uuid = self.machine.store, vm["uuid"]
        intent = store["intents"].get(uuid)
        if intent is None or not intent["armed"]:
            return
        files = {mark for use in vm["files"] if (mark := inode(self.machine.state, use["path"]))}
        if intent["undo_until"] and uuid in store["undo"]:
            until = store["undo"][uuid]["until_unix"]
            self.judge.kept[uuid] = {"until": until, "domain": vm, "files": files, "own": {}, "purging": False}
        else:
            self.judge.released |= files


def undefine(people: People, vm: State, _number: int) -> None:
    """virsh undefine; what had begun is a person's affair from now on."""
    people.museum[vm["uuid"]] = copy.deepcopy(vm)
    if vm["uuid"] in people.machine.store["undo"] and vm["uuid"] in people.judge.half_back:
        # its restore never ended: it is as removed as before, and can be brought back for as long
        people.judge.kept[vm["uuid"]] = {**people.judge.half_back[vm["uuid"]], "purging": False}
    people.undefined.append(copy.deepcopy(vm)) if people.judge.calls else people.excuse_armed(vm)
    manager.undefine(people.machine, vm["name"])


def rename(people: People, vm: State, number: int) -> None:
    """virsh domrename."""
    to = f"{vm['name'][:12]}-{number}"
    if all(each["name"] != to for each in people.machine.state["domains"]):
        vm["name"] = to


def clone(people: People, vm: State, number: int) -> None:
    """virt-clone without new disks."""
    uuid = f"00000000-0000-4000-9000-{number:012}"
    people.define({**copy.deepcopy(vm), "name": f"clone{number}", "uuid": uuid})


def save(people: People, vm: State, _number: int) -> None:
    """virsh snapshot-create, as far as the definition goes."""
    people.museum[vm["uuid"]] = copy.deepcopy(vm)


def revert(people: People, vm: State, _number: int) -> None:
    """virsh snapshot-revert, likewise."""
    if vm["uuid"] in people.museum and vm["persistent"]:
        vm.update(metadata=people.museum[vm["uuid"]]["metadata"], metadata_error="")


def edit(_people: People, vm: State, number: int) -> None:
    """A hand changes the deadline, revision untouched."""
    if "persistence" in (vm["metadata"] or ""):
        document = json.loads(vm["metadata"])
        document["persistence"]["scheduled_cleanup"] = number + 1
        vm["metadata"] = json.dumps(document)


def permanent(people: People, vm: State, _number: int) -> None:
    """Another engine declares it permanent."""
    if "persistence" in (vm["metadata"] or ""):
        manager.make_permanent(people.machine, vm["name"])


def autostart(_people: People, vm: State, number: int) -> None:
    """virsh autostart."""
    vm["autostart"] = bool(number % 2)


def claim(people: People, vm: State, _number: int) -> None:
    """Another run takes the VM."""
    if not people.judge.calls:
        people.machine.state["claims"].append(vm["uuid"])


def overlay(people: People, vm: State, path: str) -> None:
    """qemu-img create -b."""
    manager.overlay(people.machine, f"/pool/over-{vm['name'][:8]}", path)


def link(people: People, vm: State, path: str) -> None:
    """ln."""
    manager.hard_link(people.machine, path, f"/links/{vm['name'][:8]}")


def newcomer(people: People, vm: State, path: str) -> None:
    """virsh define of a VM of somebody else's, on a disk that is there."""
    people.newcomers += 1
    uuid = f"00000000-0000-4000-a000-{people.newcomers:012}"
    people.define({**vm, "uuid": uuid, "name": f"new{people.newcomers}", "metadata": None, "files": [use_of(path)]})


def again(people: People, number: int) -> None:
    """virsh define of a VM that is gone, as it was."""
    vm = people.gone(number)
    if vm is not None:
        people.define(vm)


def namesake(people: People, number: int) -> None:
    """Another VM takes the name of one that is gone."""
    vm = people.gone(number)
    if vm is not None:
        people.newcomers += 1
        uuid = f"00000000-0000-4000-a000-{people.newcomers:012}"
        people.define({**vm, "uuid": uuid, "metadata": None, "files": []})


def twin(people: People, number: int) -> None:
    """Another VM takes the UUID of one that is gone, and its first disk."""
    vm = people.gone(number)
    if vm is not None:
        people.define({**vm, "name": f"twin{number}", "metadata": None, "files": vm["files"][:1]})


def pools(active: bool) -> Any:
    """virsh pool-start and pool-destroy."""

    def change(people: People, number: int) -> None:
        known = people.machine.state["pools"]
        known[number % len(known)]["active"] = active

    return change


def places(people: People, number: int) -> None:
    """Other runs hold places for removals."""
    if not people.judge.calls:
        people.machine.state["claims"] += [f"removal-{each}" for each in range(number % 3 + 1)]


def lose_store(people: People, _number: int) -> None:
    """The database is gone; files of intents and of undo records are not."""
    judge, store = people.judge, people.machine.store
    store.update({key: copy.deepcopy(value) for key, value in EMPTY_STORE.items() if key not in ("intents", "undo")})
    judge.clock.forget()
    for memory in (judge.fixed, judge.plans):
        memory.clear()
    for spent in (judge.confirmed, judge.told) if not judge.calls else ():  # a run that goes on has read them
        spent.clear()


def press(people: People, number: int) -> None:
    """The host comes under pressure."""
    people.machine.state["pressure"] = {("cpu", "io", "memory")[number % 3]: 60.0 + number * 2}


def unreadable(people: People, number: int) -> None:
    """The header of an image can't be read."""
    files = [file for _path, file in sorted(people.machine.state["files"].items()) if "symlink" not in file]
    if files:
        files[number % len(files)]["unreadable"] = "not an image"


def readable(people: People, _number: int) -> None:
    """All can be read again."""
    for file in people.machine.state["files"].values():
        file.pop("unreadable", None)


VMS: dict[str, Any] = {
    "start": lambda _people, vm, _number: vm.update(state="running"),
    "stop": lambda people, vm, _number: people.machine.stop(vm),
    "pause": lambda _people, vm, _number: vm.update(state="paused" if vm["state"] == "running" else vm["state"]),
    "redefine": lambda _people, vm, _number: vm.update(metadata=None, autostart=False),
    "garble": lambda _people, vm, _number: vm.update(metadata="{" if vm["persistent"] else None),
    "newer": lambda _people, vm, _number: vm.update(metadata='{"version": 2}' if vm["persistent"] else None),
    "undefine": undefine, "rename": rename, "clone": clone, "save": save, "revert": revert, "edit": edit,
    "permanent": permanent, "autostart": autostart, "claim": claim,
}  # fmt: skip
FILES: dict[str, Any] = {
    "replace": lambda people, _vm, path: manager.replace_file(people.machine, path),
    "write": lambda people, _vm, path: manager.write_file(people.machine, path),
    "delete": lambda people, _vm, path: manager.delete_file(people.machine, path),
    "attach": lambda people, vm, path: manager.attach(people.machine, vm["name"], path),
    "overlay": overlay, "link": link, "newcomer": newcomer,
}  # fmt: skip
HOST: dict[str, Any] = {
    "again": again, "namesake": namesake, "twin": twin, "pool off": pools(False), "pool on": pools(True),
    "places": places, "let go": lambda people, _number: people.machine.state["claims"].clear(),
    "lose store": lose_store, "press": press, "unreadable": unreadable, "readable": readable,
    "break store": lambda people, _number: manager.break_store(people.machine),
    "mend store": lambda people, _number: manager.break_store(people.machine, ""),
    "relax": lambda people, _number: people.machine.state["pressure"].clear(),
}  # fmt: skip
