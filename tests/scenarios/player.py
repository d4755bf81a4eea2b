"""Plays a scenario directory on a Machine and writes down what happened."""

from __future__ import annotations

import copy
import json
import re
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vm_lifecycle.agent.host_verbs import boot_host, stop_host
from vm_lifecycle.errors import EffectError, LifecycleError
from vm_lifecycle.run import run
from vm_lifecycle.tasks import (
    autostart,
    boot,
    cleanup,
    flags,
    info,
    limits,
    persistence,
    recovery,
    restart,
    shutdown,
    snapshots,
)

from tests.fakes.build import build
from tests.fakes.manager import act
from tests.fakes.world import Machine, PowerCut, ports

from .checker import Auditor

HERE = Path(__file__).parent
TASKS = {
    module.TASK.name: module.TASK
    for module in (autostart, boot, cleanup, flags, info, limits, persistence, recovery, restart, shutdown, snapshots)
}


@dataclass
class Call:
    """One call of a task in a scenario: the world before it, and what came of it."""

    step: dict[str, Any]
    before: dict[str, Any]
    #: What earlier calls did, as the auditor saw it.
    auditor: Auditor
    effects: int = 0
    outcome: dict[str, Any] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)


def directories() -> list[Path]:
    """Every scenario."""
    return sorted(path.parent for path in HERE.glob("*/world.json"))


def load(directory: Path) -> tuple[Machine, list[dict[str, Any]]]:
    """A scenario's machine and steps."""
    machine = Machine(build(json.loads((directory / "world.json").read_text("utf-8"))))
    timeline = directory / "timeline.json"
    if timeline.exists():
        return machine, json.loads(timeline.read_text("utf-8"))
    return machine, [json.loads((directory / "document.json").read_text("utf-8"))]


def call(machine: Machine, step: dict[str, Any]) -> dict[str, Any]:
    """Run a step's task: its result, {"refused": problems}, or {"raised": error} for what must never escape."""
    try:
        if step["task"] == "boot":
            given = {"again": False, "mark": False, "plan": False, **step.get("arguments", {})}
            return boot_host(Namespace(**given, dry_run=step.get("check", False)), ports(machine))
        if step["task"] == "shutdown":
            given = {"now": False, "plan": False, "spent": 0.0, **step.get("arguments", {})}
            return stop_host(Namespace(**given, dry_run=step.get("check", False)), ports(machine))
        return run(TASKS[step["task"]], step.get("arguments", {}), ports(machine), step.get("check", False))
    except LifecycleError as error:
        return {"refused": [str(problem) for problem in error.problems], "codes": [p.code for p in error.problems]}
    except EffectError as error:
        return {"raised": f"{error.code}: {error.message}"}


#: What a call with nothing to do may write: the time, what was measured, history that is put away, a plan that is confirmed once more.
BOOKS = re.compile(r"clock|clock suspect|prune|plan \S+ [1-9]\d* of \d+ confirmed|snapshot \S+ [a-z]+")


def keeps_books(effect: str) -> bool:
    """Whether an effect only keeps the engine's own books in order."""
    _moment, kind, *words = effect.split(" ", 2)
    return kind == "save" and all(BOOKS.fullmatch(word) for word in " ".join(words).split(", "))


def interrupted(machine: Machine, step: dict[str, Any], after: int, variant: str) -> None:
    """Run a step's task until its effect number after; then the power fails, or only the process is killed."""
    machine.cut_after = len(machine.effects) + after
    with suppress(PowerCut):
        call(machine, step)
    machine.kill_run()
    if variant == "power":
        machine.power_cut()


def interrupted_beside(machine: Machine, step: dict[str, Any], after: int) -> None:
    """A second run, killed after some effects, between two effects of one that goes on and keeps its claims."""
    held, hook = set(machine.held), machine.after_effect
    machine.after_effect = None
    interrupted(machine, step, after, "kill")
    machine.held |= held
    machine.after_effect = hook


def meanwhile(step: dict[str, Any], machine: Machine) -> None:
    """Let the deeds of a step happen after the effects that they name."""
    deeds = step.get("meanwhile", {})
    base = len(machine.effects)

    def watch(at: Machine, number: int) -> None:
        for deed in deeds.get(str(number - base), []):
            act(at, deed)

    machine.after_effect = watch if deeds else None


def play(machine: Machine, steps: list[dict[str, Any]], lines: list[str]) -> list[Call]:
    """Play all steps; lines becomes the log. An auditor watches every effect."""
    calls: list[Call] = []
    auditor = Auditor()
    machine.before_effect = auditor
    for step in steps:
        if "advance" in step:
            machine.advance(step["advance"])
            lines.append(f"advance {step['advance']} s")
        elif "do" in step:
            act(machine, step)
            lines.append(f"do {step['do']} {_json({key: step[key] for key in step if key != 'do'})}")
        else:
            calls.append(_played(machine, auditor, _resolved(step, calls), lines))
    lines.extend(world_lines(machine.state))
    return calls


def _resolved(step: dict[str, Any], calls: list[Call]) -> dict[str, Any]:
    """The step, with the id of the latest plan in place of $plan."""
    arguments = step.get("arguments", {})
    if arguments.get("plan_id") != "$plan":
        return step
    latest = [made.outcome["plan_id"] for made in calls if made.outcome.get("plan_id")][-1]
    return {**step, "arguments": {**arguments, "plan_id": latest}}


def _played(machine: Machine, auditor: Auditor, step: dict[str, Any], lines: list[str]) -> Call:
    made = Call(step, copy.deepcopy(machine.state), copy.deepcopy(auditor))
    auditor.begin(step)
    first = len(machine.effects)
    arguments = step.get("arguments")
    mode = " check" if step.get("check") else ""
    lines.append(f"run {step['task']}{mode}" + (f" {_json(arguments)}" if arguments else ""))
    meanwhile(step, machine)
    for variant in ("cut", "kill"):
        if variant in step:
            interrupted(machine, step, step[variant], "power" if variant == "cut" else "kill")
            made.outcome = {"interrupted": variant}
    if not made.outcome:
        made.outcome = call(machine, step)
    machine.after_effect = None
    made.effects, made.violations = len(machine.effects) - first, list(auditor.violations)
    lines.extend("  " + _one_line(effect) for effect in machine.effects[first:])
    lines.extend("  " + line for line in outcome_lines(step["task"], made.outcome))
    return made


def outcome_lines(task: str, outcome: dict[str, Any]) -> Iterator[str]:
    """A result for readers: a line for each VM, disk and warning."""
    if "vms" not in outcome:
        for word, said in outcome.items():
            if word != "codes":
                yield from (f"{word}: {_one_line(text)}" for text in ([said] if isinstance(said, str) else said))
        return
    yield f"changed {_json(outcome['changed'])}, failed {_json(outcome['failed'])}"
    if task == "vm_lifecycle_info":
        yield _json({key: outcome[key] for key in ("clock", "interrupted", "features")})
        yield from (f"{key} {_json(each)}" for key in ("undo", "plans") for each in outcome[key])
        yield from _history(outcome["history"]) if "history" in outcome else ()
    if task == "snapshot":
        yield _json({key: outcome[key] for key in ("taken_at", "clock", "counts", "last_sweep")})
    if outcome.get("plan_id"):
        yield f"plan {outcome['plan_id']}"
    for row in outcome["vms"]:
        if task == "vm_recovery":
            yield from _recovery_row(row)
        elif task == "snapshot":
            yield f"{_one_line(row['name'])} {_json({key: row[key] for key in sorted(row) if key not in ('name', 'uuid')})}"
        elif task in ("boot", "limits", "shutdown") and "schedule" not in row:
            yield from _host_row(row)
        else:
            yield from _vm_row(row)
    yield from _boot_plan(outcome.get("boot_plan"))
    yield from (f"warning: {_one_line(text)}" for text in outcome["warnings"])


def _history(history: dict[str, Any]) -> Iterator[str]:
    yield _one_line(
        f"history at {history['now']}: {_json({word: history[word] for word in ('cleanup', 'sweep', 'warnings')})}"
    )
    boot = history["boot"]
    yield _one_line(f"  boot {_json(boot['boot'])} {' -> '.join(boot['critical_path'])}".rstrip())
    for line in history["operations"]:
        yield _one_line(
            f"  {line['at']} {line['name']} {line['operation']} {line['outcome']} {line['message']}".rstrip()
        )


def _boot_plan(plan: dict[str, Any] | None) -> Iterator[str]:
    if plan is None:
        return
    waves = " | ".join(" ".join(wave) for wave in plan["waves"])
    path = " -> ".join(plan["critical_path"])
    yield _one_line(f"next boot: {waves or 'nothing'}; at worst {plan['worst_case_seconds']} s by {path or 'nothing'}")
    for row in plan["vms"]:
        how = f"in wave {row['wave']}" if row["start"] else "stays down"
        place = f", order {row['start_order']}, depends on {' '.join(row['depends_on']) or 'nothing'}"
        yield _one_line(f"  {row['name']} {how}: {row['reason']}{place}")


def _host_row(row: dict[str, Any]) -> Iterator[str]:
    start = row.get("start")
    times = ""
    if start:
        after = f" after {start['waited_for']}" if start["waited_for"] else ""
        moments = ", ".join(f"{start[f'{word}_seconds']:.1f}" for word in ("turn", "started", "ended"))
        times = f" [{moments} s{after}, {start['attempts']} starts]"
    yield _one_line(
        f"{row['name']} {row['decision']} {row['reason']}: {row['message']}{times}{' CHANGED' * row['changed']}"
    )


def _recovery_row(row: dict[str, Any]) -> Iterator[str]:
    yield _one_line(f"{row['name']} {row['decision']} {row['reason']}: {row['message']}{' CHANGED' * row['changed']}")
    kept = row["recovery"]
    if kept:
        memory = f", memory {kept['memory_snapshot']} {kept['memory_size_mb']} MiB" if "memory_snapshot" in kept else ""
        yield _one_line(f"  {kept['state_before_shutdown']} at {kept['last_checkpoint']}{memory}")


def _vm_row(row: dict[str, Any]) -> Iterator[str]:
    return _cleanup_row(row) if "decision" in row else _row(row)


def _cleanup_row(row: dict[str, Any]) -> Iterator[str]:
    schedule = row["schedule"] or {}
    attempts = f" [{schedule['cleanup_status']}, attempt {schedule['cleanup_attempts']}]" if schedule else ""
    moments = "".join(
        f" {word} {row[key]}"
        for word, key in (("from", "effective_cleanup_at"), ("undo until", "undo_until"))
        if row[key]
    )
    yield f"{_one_line(row['name'])} {row['decision']} {row['reason']}: {_one_line(row['message'])}{attempts}{moments}"
    for volume in row["volumes"]:
        users = ", used by " + ", ".join(volume["used_by"]) if volume["used_by"] else ""
        yield _one_line(f"  {volume['path']} {volume['decision']} {volume['reason']}{users}")


def _row(row: dict[str, Any]) -> Iterator[str]:
    said = [row.get("reason"), row.get("message")]
    yield _one_line(
        " ".join([row["name"], *(text for text in said if text), *(["CHANGED"] if row.get("changed") else [])])
    )
    for key in ("persistence", "policy", "autostart", "hold", "scheduled_cleanup_at", "effective_cleanup_at", "unenforced",
                "metadata_problem", "schedule", "start", "last_state", "restart", "pressure", "limits", "snapshot",
                "snapshot_history"):  # fmt: skip
        if row.get(key):
            yield f"  {key} {_json(row[key])}"
    if "recovery" in row:
        yield _one_line(
            f"  recovery {_json({**row['recovery'], 'config_snapshot': '...'} if row['recovery'] else None)}"
        )


def world_lines(state: dict[str, Any]) -> Iterator[str]:
    """The world for readers: domains, files, and what the store remembers."""
    yield f"world at {state['clock']['now']:.0f}"
    for domain in sorted(state["domains"], key=lambda each: (each["name"], each["uuid"])):
        flags = ("autostart " if domain["autostart"] else "") + ("" if domain["persistent"] else "transient ")
        carried = "unreadable" if domain["metadata_error"] else domain["metadata"] or "no metadata"
        yield _one_line(f"  {domain['name']} {domain['state']} {flags}{carried}")
        if domain["panic"]:
            yield "    with a panic device"
        if domain["limits"] or domain["live"]:
            yield _one_line(f"    limits {_json(domain['limits'])} live {_json(domain['live'])}")
    yield "  files " + ", ".join(_one_line(path) for path in sorted(state["files"]))
    store = state["store"]
    yield "  records " + ", ".join(f"{_one_line(r['name'])} r{r['revision']}" for r in store["records"].values())
    for schedule in store["schedules"].values():
        attempts = f"{schedule['cleanup_status']} {schedule['cleanup_attempts']}"
        yield _one_line(f"  schedule {schedule['vm_name']} {attempts} {schedule.get('cleanup_error', '')}".rstrip())
    for intent in store["intents"].values():
        yield _one_line(f"  intent {intent['name']}{' armed' if intent['armed'] else ''}")
    yield from memory_lines(store)
    yield from updown_lines(state)


def memory_lines(store: dict[str, Any]) -> Iterator[str]:
    """What the store keeps for later: VMs that can be brought back, plans, messages, pools that are missed, its log."""
    for record in store["undo"].values():
        disks = ", ".join(f"{each['path']} {'goes' if each['remove'] else 'stays'}" for each in record["volumes"])
        yield _one_line(f"  undo {record['name']} until {record['until_unix']}: {disks}")
    for plan in store["plans"].values():
        vms = ", ".join(f"{vm['name']}{' confirmed' if vm['confirmed_unix'] else ''}" for vm in plan["vms"])
        yield _one_line(f"  plan {plan['plan_id']} of {plan['created_unix']}: {vms}")
    for notice in store["notices"].values():
        arrived = f"delivered {notice['delivered_unix']}" if notice["delivered_unix"] else f"tried {notice['attempts']}"
        yield _one_line(f"  notice {notice['kind']}, {arrived}: {notice['message']}")
    yield from (f"  pool {name} missed since {since}" for name, since in store["pools"].items() if since)
    words = [f"{line['name']} {line['operation']} {line['outcome']}" for line in store["operations"]]
    if words:
        yield _one_line("  log " + ", ".join(words))


def updown_lines(state: dict[str, Any]) -> Iterator[str]:
    """What the store keeps for boots and for recovery."""
    store = state["store"]
    for last in store["states"].values():
        before = f", before {last['before']}" if last["before"] else ""
        yield _one_line(
            f"  last {last['name']} {last['state']} {last['reason']}".rstrip() + f" in {last['boot_id']}{before}"
        )
    for start in store["starts"].values():
        yield _one_line(f"  start {start['name']} {start['outcome']} {start['reason']} {start['message']}".rstrip())
    for kept in store["recoveries"].values():
        yield _one_line(f"  recovery {kept['name']}{' removed' * kept['removed']}")
    names = {domain["uuid"]: domain["name"] for domain in state["domains"]}
    for uuid, found in store["snapshots"].items():
        yield _one_line(f"  snapshots {names.get(uuid, uuid)} {' '.join(each['vm_state'] for each in found)}".rstrip())
    for made in store["manifests"].values():
        yield _one_line(f"  manifest {made['name']} {made['memory']['path']} {len(made['disks'])} disks")
    yield from (f"  image {path}" for path in state["images"])
    if store["boot"]:
        yield f"  boot {store['boot']['boot_id']} {'ended' if store['boot']['ended_unix'] else 'goes on'}"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True)


def _one_line(text: str) -> str:
    """Escape sequences and newlines of hostile names become visible."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
