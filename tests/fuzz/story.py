"""One host through many calls: plays what the state machine drew, with the judge at every effect and after every call."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import Any

from vm_lifecycle.errors import ERRORS, EffectError
from vm_lifecycle.reasons import DECISIONS

from tests.fakes.world import EFFECTS, Machine, PowerCut
from tests.scenarios.player import call as play

from .call import Call, begin, scheduled
from .deeds import People
from .hosts import host
from .judge import Judge

Trouble = tuple[Any, ...]
NO_TROUBLE: Trouble = ("none",)
ASKED = ("planned", "unconfirmed", "over_cap")


class Story:
    """machine is the host. refusals: (effect, which one, and all later ones) of the running call."""

    def __init__(self, kind: int, beginning: int, zone: int, policy: dict[str, Any]) -> None:
        self.machine = Machine(host(kind, beginning, zone, policy))
        self.judge = Judge()
        self.people = People(self.machine, self.judge)
        self.machine.before_effect = self._before
        self._refused: dict[str, tuple[int, bool]] = {}
        self._seen: dict[str, int] = {}
        self._later: list[tuple[int, Any]] = []
        self._began_at = self.born = 0

    def _before(self, machine: Machine, kind: str, subject: Any) -> None:
        """Refuse what is to be refused; else the judge looks."""
        if len(self.judge.calls) == 1:
            self._seen[kind] = self._seen.get(kind, 0) + 1
            number, lasting = self._refused.get(kind, (0, False))
            if number and (self._seen[kind] == number or (lasting and self._seen[kind] > number)):
                self.judge.count("refused effects")
                self.judge.calls[-1].disturbed = True
                raise EffectError(EFFECTS[kind], "refused")
        self.judge(machine, kind, subject)

    def _after(self, _machine: Machine, number: int) -> None:
        """What happens between two effects."""
        if len(self.judge.calls) > 1:
            return
        for at, deed in self._later:
            if number - self._began_at == at:
                deed()

    def call(self, task: str, arguments: dict[str, Any], check: bool = False, trouble: Trouble = NO_TROUBLE) -> Any:
        """One call, with its trouble; returns its outcome, {} when it was cut."""
        made = begin(self.machine, task, arguments, check, self.judge.clock.sane(self.machine.clock))
        self.judge.count("calls")
        if made.state == "confirmed":
            self.judge.confirm(made)
        before = json.dumps(self.machine.state, sort_keys=True) if check or task == "vm_lifecycle_info" else ""
        self.judge.calls.append(made)
        cut = self._prepare(trouble)
        outcome: dict[str, Any] = {}
        try:
            with suppress(PowerCut):
                outcome = play(self.machine, {"task": task, "arguments": arguments, "check": check})
        finally:
            self.judge.calls.pop()
            if not self.judge.calls:
                self._restore(trouble, cut)
                self._rolled_back(made, trouble)
        if before and trouble[0] not in ("people", "jump", "nested") and before != self._now():
            self.judge.blame(f"{task} in check mode changed the host" if check else "info changed the host")
        if outcome:
            self._judged(made, outcome)
        return outcome

    def _now(self) -> str:
        return json.dumps(self.machine.state, sort_keys=True)

    def _prepare(self, trouble: Trouble) -> bool:
        """Set the trap; returns whether the call may be cut."""
        if len(self.judge.calls) > 1:
            return False
        kind, machine = trouble[0], self.machine
        self._refused, self._seen, self._later, self._began_at = {}, {}, [], len(machine.effects)
        machine.after_effect = self._after
        if kind in ("kill", "power"):
            machine.cut_after = len(machine.effects) + trouble[1]
        elif kind == "refuse":
            self._refused = {trouble[1]: (trouble[2], trouble[3])}
        elif kind == "unread":
            machine.state["refuse"][trouble[1]] = "refused"
            self.judge.calls[-1].disturbed = True
        elif kind == "people":
            self._later = [(at, lambda deed=deed: self.people.act(deed)) for at, deed in trouble[1]]
        elif kind == "jump":
            self._later = [(trouble[1], lambda: self.jump(trouble[2]))]
        elif kind == "nested":
            self._later = [(trouble[1], lambda: self._nested(trouble[2], trouble[3]))]
        return kind in ("kill", "power", "refuse", "unread")

    def _restore(self, trouble: Trouble, cut: bool) -> None:
        """After the call: its process is gone, and perhaps the host went down."""
        machine = self.machine
        was_cut = machine.cut_after is not None and len(machine.effects) >= machine.cut_after
        machine.after_effect = None
        self._refused = {}
        machine.held.clear()
        machine.cut_after = None
        machine.state["refuse"].clear()
        self.judge.settle_nvram(machine.state)
        self.people.settle(cut or bool(machine.store["problem"]))
        if was_cut:
            self.judge.count("kills" if trouble[0] == "kill" else "power cuts")
        if was_cut and trouble[0] == "power":
            machine.power_cut()

    def _rolled_back(self, call: Call, trouble: Trouble) -> None:
        """libvirt alone refused a step: what had begun with a VM that is still there has ended with the call."""
        if trouble[0] == "refuse" and trouble[1] in ("undefine", "power_off", "request_shutdown"):
            for uuid, intent in self.machine.store["intents"].items():
                if uuid in call.begun and self.machine.find(uuid) is not None:
                    self.judge.blame(f"the removal of {intent['name']} was refused, and its intent is left")

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        before = self.machine.clock["now"]
        self.machine.clock["now"] += seconds
        for each in self.judge.calls:
            each.clock_set = each.disturbed = True
            each.jumped_after, each.jumped_from = each.effects, before

    def _nested(self, what: str, number: int) -> None:
        """Another run, between two effects of this one."""
        self.judge.calls[-1].disturbed = True
        self.judge.count("nested calls")
        domains = self.machine.state["domains"]
        if what == "sweep" or not domains:
            self.call("vm_cleanup", {})
            return
        name = domains[number % len(domains)]["name"]
        wish = {"state": "present", "mode": "permanent"} if what == "permanent" else {"state": what}
        self.call("vm_persistence", {"vms": [{"name": name}], "missing": "skip", **wish})

    def _judged(self, call: Call, outcome: dict[str, Any]) -> None:
        """What a result says is true, and every code in it is a known one."""
        judge = self.judge
        if "raised" in outcome:
            judge.blame(f"an error escaped: {outcome['raised']}")
            return
        if "refused" in outcome:
            judge.count("refused calls")
            unknown = [code for code in outcome["codes"] if code not in ERRORS]
            if unknown or call.effects:
                judge.blame(f"a refused call had {call.effects} effects; unknown codes {unknown}")
            if call.task == "vm_lifecycle_info" and not call.disturbed and not self.machine.store["problem"]:
                judge.blame(f"info failed: {outcome['refused']}")
            return
        for row in outcome["vms"]:
            if "unexpected:" in row.get("message", ""):
                judge.blame(f"{row['name']}: {row['message']}")
        if call.task == "vm_cleanup":
            self._swept(call, outcome)

    def _swept(self, call: Call, outcome: dict[str, Any]) -> None:
        judge, machine = self.judge, self.machine
        rows = {row["uuid"]: row for row in outcome["vms"] if row["uuid"]}
        real = not call.check
        for uuid, row in rows.items():
            if row["reason"] not in DECISIONS and row["reason"] not in ERRORS:
                judge.blame(f"{row['name']}: unknown reason {row['reason']}")
            if real and not call.disturbed and row["decision"] == "removed" and machine.find(uuid) is not None:
                judge.blame(f"{row['name']} is said to be removed and is there")
            if real and not call.disturbed and row["decision"] == "restored" and not self._is_held(uuid):
                judge.blame(f"{row['name']} is said to be restored and is not there, held")
        said = {uuid for uuid, row in rows.items() if row["decision"] in ("removed", "failed")}
        if real and set(call.undefined) - said:
            judge.blame(f"removed, and not said so: {set(call.undefined) - said}")
        left = {uuid for uuid, row in rows.items() if row["decision"] == "removed"} & set(machine.store["intents"])
        if real and left:
            judge.blame(f"said to be removed, and the intent is left: {left}")
        if outcome["counts"]["removed"] != sum(row["decision"] == "removed" for row in outcome["vms"]):
            judge.blame(f"counts are wrong: {outcome['counts']}")
        if real and outcome["plan_id"] and call.policy and not call.policy["dry_run_mode"]:
            self._shown(call, outcome)

    def _is_held(self, uuid: str) -> bool:
        domain = self.machine.find(uuid)
        return domain is not None and "hold" in json.loads(domain["metadata"] or "{}")

    def _shown(self, call: Call, outcome: dict[str, Any]) -> None:
        """A plan was stored: what a person sees of it."""
        asked = [row for row in outcome["vms"] if row["reason"] in ASKED]
        if not asked or outcome["plan_id"] not in self.machine.store["plans"]:
            return
        domains = {domain["uuid"]: domain for domain in call.start["domains"]}
        self.judge.count("plans")
        self.judge.plans[outcome["plan_id"]] = {
            row["uuid"]: (
                scheduled(domains[row["uuid"]]),
                {volume["path"] for volume in row["volumes"] if volume["decision"] == "waiting"},
            )
            for row in asked
        }

    def predicted(self, arguments: dict[str, Any], outcome: dict[str, Any]) -> None:
        """What check mode said is what a real run of the same host does."""
        if "vms" not in outcome:
            return
        twin = Machine(copy.deepcopy(self.machine.state))
        real = play(twin, {"task": "vm_cleanup", "arguments": arguments})
        if "vms" not in real:
            if not twin.store["problem"]:
                self.judge.blame(f"check mode went well, and the real run was refused: {real}")
            return
        self.judge.count("predictions")
        for said, done in zip(outcome["vms"], real["vms"], strict=True):
            if said["decision"] != done["decision"] and done["decision"] != "failed" and done["reason"] != "busy":
                self.judge.blame(
                    f"{said['name']}: predicted {said['reason']}, done {done['reason']}: {done['message']}"
                )
