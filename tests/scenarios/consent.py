"""The judge's own memory of plans: what a person saw, what was confirmed, and what went without being asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .raw import HOUR, Inode, State, carried, inode, needed

#: Seconds for which a plan can be confirmed, and for which a confirmation holds.
LIFE = 24 * HOUR
#: Managed VMs from which a percentage counts.
PERCENT_FROM = 10


@dataclass
class Seen:
    """A VM as it was when a plan was stored: its deadline, and the disks that would go. moment: when it was confirmed."""

    deadline: Any
    files: set[Inode]
    moment: float = 0.0


@dataclass
class Consent:
    """plans: what was stored, by id, with its moment. agreed: what was confirmed, by UUID."""

    plans: dict[str, tuple[float, dict[str, Seen]]] = field(default_factory=dict)
    agreed: dict[str, list[Seen]] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)
    managed: int = 0
    #: The moment at which this call was planned: what it began by then, it may end.
    now: float = 0.0
    #: Whether this call carries out what it confirms, and nothing else.
    confirming: bool = False
    #: What this call removed without being asked: VMs, and bytes of their disks.
    count: int = 0
    size: int = 0

    def open(self, state: State, policy: dict[str, Any], arguments: dict[str, Any]) -> None:
        """A call begins; it may be a confirmation."""
        self.policy, self.count, self.size = policy, 0, 0
        self.managed = sum(bool(carried(domain)) for domain in state["domains"])
        self.confirming = arguments.get("state") == "confirmed"
        self.now = now = state["clock"]["now"]
        made, seen = self.plans.get(str(arguments.get("plan_id")), (0.0, {}))
        if not self.confirming or policy["dry_run_mode"] or not 0 <= now - made < LIFE:
            return
        items = [arguments, *arguments.get("vms", ())]
        named = {item[key] for item in items for key in ("name", "uuid") if item.get(key)}
        names = {domain["uuid"]: domain["name"] for domain in state["domains"]}
        for uuid, vm in seen.items():
            if not named or named & {uuid, names.get(uuid)}:
                self.agreed.setdefault(uuid, []).append(Seen(vm.deadline, vm.files, now))

    def stored(self, state: State, plan: Any, removed: list[dict[str, Any]]) -> None:
        """A plan is written: its VMs are looked at as they are now, unless it is only written again."""
        if plan is None or self.plans.get(plan.plan_id, (0.0, {}))[0] == plan.created_unix:
            return
        domains = {domain["uuid"]: domain for domain in state["domains"]}
        here = [domains[vm.uuid] for vm in plan.vms if vm.uuid in domains]
        seen = {domain["uuid"]: Seen(_deadline(domain), _own(state, domain, removed)) for domain in here}
        self.plans[plan.plan_id] = (plan.created_unix, seen)

    def spent(self, state: State, domain: dict[str, Any], own: dict[str, Inode]) -> list[str]:
        """A VM goes: what is wrong with that."""
        name = domain["name"]
        if any(vm.deadline == _deadline(domain) for vm in self._valid(domain["uuid"])):
            return []
        if self.confirming or self.policy["require_confirmation"]:
            return [f"{name} was removed, and nobody confirmed it as it is"]
        self.count += 1
        self.size += sum(state["files"][path]["size"] for path in own)
        caps = {name: self.policy[f"max_removal{name}"] for name in ("s", "_percent", "_gib")}
        over = [
            caps["s"] and self.count > caps["s"],
            caps["_percent"] and self.managed >= PERCENT_FROM and self.count * 100 > caps["_percent"] * self.managed,
            caps["_gib"] and self.size > caps["_gib"] * 2**30,
        ]
        return [f"{name} was removed above a cap, and nobody confirmed it"] if any(over) else []

    def covers(self, mark: Inode | None) -> bool:
        """Whether a disk may go: where a confirmation is needed, it was in what was confirmed."""
        if not self.confirming and not self.policy["require_confirmation"]:
            return True
        return any(mark in vm.files for uuid in self.agreed for vm in self._valid(uuid))

    def _valid(self, uuid: str) -> list[Seen]:
        return [vm for vm in self.agreed.get(uuid, ()) if 0 <= self.now - vm.moment < LIFE]


def _own(state: State, domain: dict[str, Any], removed: list[dict[str, Any]]) -> set[Inode]:
    """All that the VM uses and nobody else needs: no other file can have been in what a person saw as going."""
    marks = {inode(state, use["path"]) for use in domain["files"]}
    return {mark for mark in marks if mark} - needed(state, domain["uuid"], removed)


def _deadline(domain: dict[str, Any]) -> Any:
    return carried(domain).get("persistence", {}).get("scheduled_cleanup")
