"""Judges every effect at its moment, from the raw document of the host and a memory of its own; no code of the engine."""

from __future__ import annotations

import threading
from typing import Any

from tests.fakes.world import Machine
from tests.scenarios.raw import inode, needed, own_files, protected, reach

from .call import DAY, Call, State, scheduled
from .clock import ClockModel
from .permits import reasons_against

HARM = ("request_shutdown", "power_off", "undefine")
#: What each task may do at all.
ALLOWED = {
    "vm_lifecycle_info": (),
    "notify": ("save",),
    "vm_persistence": ("save", "write_metadata", "set_autostart", "set_limit", "set_actions", "set_panic_device"),
}
#: Why a VM stays that was brought back, whatever its metadata says, since a kill may come before the hold is written.
RESTORED = (None, "it was restored and nobody released it")
Mark = tuple[int, int]


class Judge:
    """calls: those that are running, the innermost last. violations: what broke an invariant, in words."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self.clock = ClockModel()
        #: Files that belong to VMs which the engine undefined, and may go; those that must go; and why some may stay.
        self.released: set[Mark] = set()
        self.owed: dict[str, Mark] = {}
        self.excused: set[Mark] = set()
        #: VMs that were removed for an undo: UUID -> {until, domain, files, own, purging}.
        self.kept: dict[str, dict[str, Any]] = {}
        #: What was kept of VMs that were brought back, as long as their undo records are there: a restore may stop half-way.
        self.half_back: dict[str, dict[str, Any]] = {}
        #: VMs that nobody may remove until they are declared anew: UUID -> (metadata text, why).
        self.fixed: dict[str, tuple[str | None, str]] = {}
        #: VMs that a person defined again in the middle of their removal: whether that is known by then or not, they may stay.
        self.back: set[str] = set()
        #: plan id -> UUID -> (deadline, paths that go); UUID -> [(when, deadline, paths)]; notices: (UUID, deadline) -> when.
        self.plans: dict[str, dict[str, tuple[int | None, set[str]]]] = {}
        self.confirmed: dict[str, list[tuple[float, int | None, set[str] | None]]] = {}
        self.told: dict[tuple[str, int], float] = {}
        self.nvram: list[tuple[str, Mark]] = []
        self.counts: dict[str, int] = {}

    def count(self, what: str) -> None:
        """One more of something, for the figures at the end."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def blame(self, text: str) -> None:
        """Note a violation."""
        self.violations.append(text)

    def __call__(self, machine: Machine, kind: str, subject: Any) -> None:
        """An effect is about to happen."""
        self.settle_nvram(machine.state)
        call = self.calls[-1]
        call.effects += 1
        if call.check:
            self.blame(f"{kind} in check mode")
        if kind not in ALLOWED.get(call.task, (kind,)):
            self.blame(f"{kind} by {call.task}")
        if kind == "save":
            if any(type(change).__name__ == "RememberClock" for change in subject):
                self.clock.remember(call.start["clock"])
        elif kind in HARM:
            self._harm(machine.state, call, kind, subject)
        elif kind == "write_intent":
            self._intent(machine, call, subject)
        elif kind == "write_undo":
            self.half_back.pop(subject.uuid, None)  # it speaks of another removal from now on
        elif kind == "delete_volume":
            self._delete(machine.state, call, subject)
        elif kind in ("define", "drop_undo", "write_metadata", "set_autostart"):
            getattr(self, f"_{kind}")(machine, call, subject)

    def _harm(self, state: State, call: Call, kind: str, domain: dict[str, Any]) -> None:
        uuid, name = domain["uuid"], domain["name"]
        if uuid not in call.begun:
            self.blame(f"{kind} of {name}, whose removal did not begin in this call")
        elif protected(domain, max(call.begun.get(uuid, 0), state["clock"]["now"]), "expiry" in call.ignore):
            self.blame(f"{kind} of the protected VM {name}")
        if uuid in call.start["claims"]:
            self.blame(f"{kind} of {name}, which another run holds")
        if kind == "undefine":
            self._undefine(state, call, domain)

    def _undefine(self, state: State, call: Call, domain: dict[str, Any]) -> None:
        uuid = domain["uuid"]
        if domain["state"] != "shutoff":
            self.count("undefined while it ran")
            return  # libvirt goes on with it, and gives it its definition back
        self.count("removals")
        call.undefined.append(uuid)
        others = self.needed(state, uuid)
        own = {path: mark for path, mark in own_files(state, domain).items() if mark not in others}
        files = {mark for use in domain["files"] if (mark := inode(state, use["path"]))}
        hours = call.policy["undo_hours"] if call.policy else 0
        self.nvram = [
            (use["path"], mark) for use in domain["files"]
            if use["role"] == "nvram" and (mark := inode(state, use["path"])) and (hours or mark in others)
        ]  # fmt: skip
        if hours:
            self.count("removals for an undo")
            until = int(call.now) + hours * 3600
            self.kept[uuid] = {"until": until, "domain": dict(domain), "files": files, "own": own, "purging": False}
            if state["store"]["undo"].get(uuid) is None:
                self.blame(f"{domain['name']} goes without an undo record")
        else:
            self.released |= files
            self.owed.update(own)

    def settle_nvram(self, state: State) -> None:
        """NVRAM that others use, or that an undo needs, is still there after the undefinition."""
        for path, mark in self.nvram:
            if inode(state, path) != mark and mark not in self.excused:
                self.blame(f"{path} went, and is needed")
        self.nvram = []

    def needed(self, state: State, but: str = "") -> set[Mark]:
        """Files in use, those of VMs that can be brought back included."""
        found = needed(state, but)
        for uuid, kept in self.kept.items():
            if uuid != but and not kept["purging"]:
                for use in kept["domain"]["files"]:
                    found |= reach(state, use["path"])
        return found

    def _delete(self, state: State, call: Call, path: str) -> None:
        self.count("deleted volumes")
        mark = inode(state, path)
        if call.host_closed():
            self.blame(f"{path} was deleted although {call.host_closed()}")
        if mark not in self.released:
            self.blame(f"{path} was deleted and belongs to no VM that was removed for good")
        if mark in self.needed(state):
            self.blame(f"{path} was deleted and is in use")
        self._delete_by(state, call, path)

    def _delete_by(self, state: State, call: Call, path: str) -> None:
        """The removal in the thread that deletes: within its caps, and only what its confirmation showed."""
        here = threading.current_thread()
        for uuid in [each for each, thread in call.threads.items() if thread is here][-1:]:
            shown = call.shown.get(uuid)
            if shown is not None and path not in shown:
                self.blame(f"{path} was deleted, and who confirmed it was not shown that")
            if uuid in call.unasked:
                call.unasked_bytes += state["files"][path].get("size", 0)
        limit = (call.policy or {}).get("max_removal_gib", 0) * 2**30
        if limit and call.unasked_bytes > limit + 2**20:
            self.blame(f"{call.unasked_bytes} bytes were deleted over max_removal_gib without a confirmation")

    def _intent(self, machine: Machine, call: Call, intent: Any) -> None:
        uuid = intent.uuid
        if intent.purge and not intent.armed:
            return  # nothing goes yet, and its undo record stays
        if intent.purge:
            self._purge(call, uuid, intent.name)
        elif not intent.armed:
            self._begin(machine, call, uuid, intent.name)
        elif uuid not in call.begun:
            self.blame(f"{intent.name} was armed before it began")

    def _purge(self, call: Call, uuid: str, name: str) -> None:
        kept = self.kept.get(uuid)
        self.count("purges")
        if call.timing():
            self.blame(f"{name} was purged although {call.timing()}")
        if kept is None:
            self.blame(f"{name} was purged and is not kept")
            return
        if call.state != "purged" and (call.state != "swept" or call.now < kept["until"]):
            self.blame(f"{name} was purged before its time")
        if call.state == "purged" and not call.means(kept["domain"]):
            self.blame(f"{name} was purged and was not named")
        self.released |= kept["files"]
        self.owed.update(kept["own"])
        kept["purging"] = True
        call.threads[uuid] = threading.current_thread()

    def _begin(self, machine: Machine, call: Call, uuid: str, name: str) -> None:
        """A removal begins: everything that had to allow it."""
        self.count("removals begun")
        call.begun[uuid] = call.jumped_from if call.just_set else machine.clock["now"]
        call.threads[uuid] = threading.current_thread()
        for why in reasons_against(self, machine, call, uuid):
            self.blame(f"the removal of {name} began although {why}")

    def _define(self, machine: Machine, call: Call, domain: dict[str, Any]) -> None:
        uuid = domain["uuid"]
        kept = self.kept.pop(uuid, None)
        self.count("restores")
        if kept is None or call.state != "restored" or not call.means(domain):
            self.blame(f"{domain['name']} was brought back, and nobody asked for it")
            return
        self.released -= kept["files"]
        if domain["files"] != kept["domain"]["files"] or domain["metadata"] != kept["domain"]["metadata"]:
            self.blame(f"{domain['name']} came back as another VM")
        for path, mark in kept["own"].items():
            if inode(machine.state, path) != mark:
                self.blame(f"{domain['name']} came back without {path}")
        self.half_back[uuid] = kept
        self.fixed[uuid] = RESTORED

    def _drop_undo(self, machine: Machine, call: Call, uuid: str) -> None:
        here = machine.find(uuid)
        if uuid in self.kept and here is None and not self.kept[uuid]["purging"]:
            self.blame(f"the undo record of {self.kept[uuid]['domain']['name']} went, and its VM is not back")
        self.kept.pop(uuid, None)
        self.half_back.pop(uuid, None)

    def _write_metadata(self, machine: Machine, call: Call, domain: dict[str, Any]) -> None:
        if domain["uuid"] in call.start["claims"]:
            self.blame(f"{domain['name']} was declared while another run holds it")
        if call.task == "vm_persistence" and not call.clock_sane and call.state in ("present", "renewed"):
            self.blame(f"{domain['name']} was declared with an insane clock")
        half_back = self.fixed.get(domain["uuid"]) == RESTORED
        if call.state != "restored":  # a sweep finishes what an interrupted call began
            half_back = domain["uuid"] in self.half_back
        if call.task == "vm_cleanup" and not half_back:
            self.blame(f"a sweep declared {domain['name']}")
        if call.task == "vm_persistence":
            self.fixed.pop(domain["uuid"], None)
            if not call.means(domain):
                self.blame(f"{domain['name']} was declared and was not named")

    def _set_autostart(self, machine: Machine, call: Call, domain: dict[str, Any]) -> None:
        if call.task != "vm_persistence" or not call.means(domain):
            self.blame(f"autostart of {domain['name']} was changed")

    def confirm(self, call: Call) -> None:
        """A person confirms a stored plan, or some of its VMs."""
        plan = call.start["store"]["plans"].get(call.arguments.get("plan_id"))
        if plan is None or call.check or not 0 <= call.now - plan["created_unix"] < DAY:
            return
        seen = self.plans.get(plan["plan_id"], {})
        for vm in plan["vms"]:
            domain = next((each for each in call.start["domains"] if each["uuid"] == vm["uuid"]), None)
            if domain is None or (call.names and not call.means(domain)):
                continue
            deadline, paths = seen.get(vm["uuid"], (scheduled(domain), None))
            self.confirmed.setdefault(vm["uuid"], []).append((call.now, deadline, paths))
            self.count("confirmed")
