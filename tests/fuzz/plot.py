"""What happens on a host, as the state machine draws it: calls, births, deliveries, and what its clock does."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from vm_lifecycle.errors import EffectError, LifecycleError
from vm_lifecycle.host_changes import RememberClock
from vm_lifecycle.policy.clock import accept as accepted
from vm_lifecycle.ports import World
from vm_lifecycle.removals import Hooks
from vm_lifecycle.tasks import notify

from tests.fakes.world import ports

from .call import begin
from .choices import HOUR
from .clock import RELEASED
from .hosts import newborn
from .story import NO_TROUBLE, Story, Trouble


class Plot(Story):
    """A story, and what may come next in it."""

    def notify(self, refused: bool) -> None:
        """The unit that hands notices to the hooks."""
        machine, world = self.machine, ports(self.machine)
        self.judge.calls.append(begin(machine, "notify", {}, False, True))
        if refused:
            machine.state["refuse"]["deliver"] = "refused"
        first = len(machine.delivered)
        with suppress(EffectError, LifecycleError):
            notify.deliver(world.store, world.host, Hooks(("hook",)))
        machine.state["refuse"].clear()
        self.judge.calls.pop()
        for event in machine.delivered[first:]:
            self.judge.count("delivered")
            if event["event"] == "expiring":
                deadline = int(event["key"].rsplit(":", 1)[1])
                self.judge.told[event["vm_uuid"], deadline] = int(machine.clock["now"])

    def names(self, numbers: tuple[int, ...], state: str) -> list[dict[str, str]]:
        """VMs by small numbers; those that can be brought back, or were removed, where the state speaks of them."""
        domains = [domain["name"] for domain in self.machine.state["domains"]]
        kept = sorted(record["name"] for record in self.machine.store["undo"].values())
        known = (kept or domains) if state in ("restored", "purged") else domains
        chosen = dict.fromkeys(known[number % len(known)] for number in numbers) if known else {}
        return [{"name": name} for name in chosen] or [{"name": "nobody"}]

    def sweep(self, wish: dict[str, Any], trouble: Trouble) -> None:
        """vm_cleanup, as drawn."""
        store = self.machine.store
        plans, state = sorted(store["plans"]), wish["state"]
        arguments: dict[str, Any] = {"missing": wish["missing"]}
        if (state in ("restored", "purged") and not store["undo"]) or (state == "confirmed" and not plans):
            state = "planned" if wish["plan"] == 0 else "swept"
        if state != "swept":
            arguments["state"] = state
        if wish["names"] or state in ("restored", "purged"):
            arguments["vms"] = self.names(wish["names"] or (wish["plan"],), state)
        if wish["ignore"] and (wish["names"] or state == "confirmed"):
            arguments["ignore"] = wish["ignore"]
        if state == "confirmed":
            arguments["plan_id"] = plans[wish["plan"] % len(plans)]
        elif state == "planned" and wish["plan"] < 2:
            arguments["plan_id"] = f"mine-{wish['plan']}"
        if wish["policy"] is not None:
            arguments["policy"] = wish["policy"]
        outcome = self.call("vm_cleanup", arguments, wish["check"], NO_TROUBLE if wish["check"] else trouble)
        if wish["check"]:
            self.predicted(arguments, outcome)

    def undo(self, number: int, purge: bool, trouble: Trouble) -> None:
        """One VM that was removed comes back, or its disks go."""
        state = "purged" if purge else "restored"
        self.call("vm_cleanup", {"state": state, "vms": self.names((number,), state)}, False, trouble)

    def confirm(self, number: int, trouble: Trouble) -> None:
        """One plan is confirmed as a whole."""
        plans = sorted(self.machine.store["plans"])
        arguments = {"state": "confirmed", "plan_id": plans[number % len(plans)], "ignore": ["window"]}
        self.call("vm_cleanup", arguments, False, trouble)

    def declare(self, wish: dict[str, Any], trouble: Trouble) -> None:
        """vm_persistence, as drawn; the same again changes nothing."""
        state = wish["state"]
        arguments = {"state": state, "missing": "skip", "vms": self.names(wish["names"], state)}
        if state == "present":
            arguments.update(wish["options"])
        outcome = self.call("vm_persistence", arguments, wish["check"], trouble)
        if state == "renewed" or wish["check"] or trouble != NO_TROUBLE or outcome.get("failed") is not False:
            return
        if self.call("vm_persistence", arguments).get("changed"):
            self.judge.blame(f"{arguments} changed something the second time")

    def create(self, births: list[tuple[str, int, int]], trouble: Trouble) -> None:
        """Jobs create VMs, and declare how long they live; some of them are there for a while already."""
        vms, now = [], int(self.machine.clock["now"])
        for kind, age, hours in births:
            self.born += 1
            newborn(self.machine, self.born, kind)
            options = {"mode": "temporary", "ttl_hours": hours, "force_cleanup": kind == "forced"}
            vms.append({"name": f"job{self.born}", **options, "created_at_unix": now - age * HOUR})
        self.call("vm_persistence", {"vms": vms}, False, trouble)

    def pass_time(self, seconds: float) -> None:
        """Time goes by."""
        self.machine.advance(seconds)

    def wrong_clock(self, seconds: float, boot: bool, synchronised: bool) -> None:
        """The clock is set, or the host boots with another one."""
        if boot:
            self.machine.power_cut(HOUR)
        self.machine.clock["now"] = max(self.machine.clock["now"] + seconds, 1000.0)
        self.machine.clock["synchronised"] = synchronised

    def right_clock(self, accept: bool, world: World) -> None:
        """vm-lifecycle clock-accept, or a time server: that one knows the time, which never was before the highest."""
        clock = self.machine.clock
        if not accept:
            clock.update(synchronised=True)
        elif not self.machine.store["problem"] and clock["now"] >= RELEASED:
            self.judge.calls.append(begin(self.machine, "notify", {}, False, True))
            self.judge.clock.accept(clock)
            world.store.save([RememberClock(accepted(world.host.clock()))])
            self.judge.calls.pop()
