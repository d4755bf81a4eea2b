"""Damage a copy of the engine in one place after another: the stories must notice every one of them.

usage: python -m tests.fuzz.mutants [NAME...] [--steps 20000]

A mutant is (file, text, replacement), or several of these where two defences have to fall before harm can be done.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENGINE = ROOT / "plugins" / "module_utils" / "vm_lifecycle"
Change = tuple[str, str, str]

MUTANTS: dict[str, list[Change]] = {
    "the guard is not checked": [
        ("apply.py", "if digest(text) != guard.digest:", "if False:"),
        ("removal.py", "    _still(run, intent, action.guard)\n    chain.irreversible", "    chain.irreversible"),
    ],
    "a hold is ignored": [("policy/gate.py", "    if held:", "    if False:")],
    "the deadline is ignored": [("policy/gate.py", 'if not expired and "expiry" not in at.ignore:', "if False:")],
    "disks are deleted without a last look": [("removal.py", 'if reason != "only_user":', "if False:")],
    "max_removals is ignored": [("policy/consent.py", "if most and together > most:", "if False:")],
    "max_removal_percent is ignored": [("policy/consent.py", "if percent and managed", "if False and managed")],
    "max_removal_gib is ignored": [("policy/consent.py", "if gib and size > gib * GIB:", "if False:")],
    "the intent is not dropped": [
        ("removal.py", "    run.world.store.drop_intent(action.uuid)\n\n\ndef _purge", "\n\ndef _purge"),
    ],
    "a failure to finish counts as one to begin": [("removal.py", "    chain.irreversible = True  # an earlier", "    pass  # an earlier")],
    "an armed intent counts as rolled back": [
        ("tasks/sweep.py", "if exists or not intent.armed or done:", "if True:"),
        ("apply.py", "if intent is not None and intent.armed and gone and not action.completed:", "if False:"),
    ],
    "require_confirmation is ignored": [("tasks/asking.py", "if request.policy.confirmation:", "if False:")],
    "a confirmation holds whatever has changed": [
        ("tasks/asking.py", "vm.digest not in agreed.get(vm.uuid, set())", "vm.uuid not in agreed"),
    ],
    "the clock is believed": [
        ("policy/gate.py", "if not at.clock.sane:", "if False:"),
        ("removal.py", "if not verdict.sane:", "if False:"),
    ],
    "times are recorded with a wrong clock": [("tasks/persistence.py", "if not verdict.sane and any(", "if False and any(")],
    "undo records don't count as users": [
        ("looks.py", "seen = world.hypervisor.storage(removed, ", "seen = world.hypervisor.storage((), "),
    ],
    "an undo is over at once": [
        ("tasks/undo.py", "any(record.until_unix <= observed.clock.now for", "any(True for"),
        ("tasks/undo.py", "not in existing and record.until_unix <= at.now]", "not in existing]"),
    ],
    "a restored VM is not held": [
        ("tasks/undo.py", 'return {**document, "revision"', 'return {**record.document, "revision"'),
    ],
    "no undo record is kept": [("tasks/sweep.py", "do.KeepUndo(guard, carried.document), ", "")],
    "disks that changed are given back": [("tasks/undo.py", "in changed_disks(record, usage, removed)]", "in ()]")],
    "claims are ignored": [
        ("apply.py", "            if free:\n                for action", "            if True:\n                for action"),
    ],
    "the window is ignored": [
        ("policy/gate.py", 'if at.policy.closing(at.now, "window" in at.ignore) is None:', "if False:"),
    ],
    "a window that closes is not noticed": [("removal.py", "if action.not_after is not None and", "if False and")],
    "dry_run_mode is ignored": [("policy/gate.py", "if at.policy.dry_run:", "if False:")],
    "cleanup_enabled is ignored": [("policy/gate.py", "if not at.policy.enabled and", "if False and")],
    "notices are not waited for": [("policy/gate.py", "at.policy.notice_required\n", "False\n")],
    "the number at once is not limited": [("tasks/cleanup.py", 'workers=policy.limit("max_concurrent_cleanups")', "workers=99")],
    "pressure is ignored": [("policy/gate.py", '"" if "load" in at.ignore else pressed', '"" if True else pressed')],
    "unknown VMs are removed": [("policy/gate.py", "if not subject.known:", "if False:")],
    "check mode acts": [("run.py", "if dry_run or not task.handlers:", "if not task.handlers:")],
    "reverted metadata is believed": [("metadata.py", "if declaration.revision < record.revision:", "if False:")],
    "edited metadata is believed": [("metadata.py", "elif declaration.revision == record.revision:", "elif False:")],
    "many losses are not noticed": [("tasks/scope.py", "    if said:", "    if False:")],
    "what was given up is tried again": [("policy/gate.py", "if schedule is None or at.named or not given_up", "if True or not given_up")],
    "shared disks go with the first": [
        ("policy/storage.py", '    if users:\n        return "in_use", tuple(sorted(users))', "    if False:\n        return ''"),
        ("policy/storage.py", '    if users:\n        return "in_use", _names(users)', "    if False:\n        return ''"),
    ],
    "the last user does not take a disk along": [
        ("tasks/sweep.py", "return [found for found in due if found.domain.name in waits]", "return []"),
    ],
    "a failure is not rolled back": [("apply.py", "    _roll_back(run, chain, chain.intent)", "    pass")],
    "an unexpected error escapes": [("removal.py", "    chain.nvram = own_nvram", "    chain.nvram = 1 + own_nvram")],
    "the schedule is not that of the declaration": [
        ("policy/schedule.py", 'iso(persistence["scheduled_cleanup"])', 'iso(persistence["created_at_unix"])'),
    ],
}  # fmt: skip


def damaged(changes: list[Change], folder: pathlib.Path) -> None:
    """A copy of the engine with the changes. ValueError when the engine has not the text any more."""
    copy = folder / "vm_lifecycle"
    shutil.copytree(ENGINE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for file, text, replacement in changes:
        source = (copy / file).read_text("utf-8")
        if text not in source:
            raise ValueError(f"{file} has no {text!r}: adapt the mutant")
        (copy / file).write_text(source.replace(text, replacement), "utf-8")


def noticed(name: str, steps: int) -> tuple[str, str, str, float]:
    """Name, the first violation or "", why it could not be tried, and seconds."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            damaged(MUTANTS[name], pathlib.Path(folder))
        except ValueError as error:
            return name, "", str(error), 0.0
        environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "tests.fuzz.run", "--steps", str(steps), "--processes", "1", "--no-shrink"]
        told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in told.stdout.splitlines() if "AssertionError: " in line]
    found = lines[-1].strip() if lines else ""
    return name, found, "" if found else told.stderr[-200:], time.monotonic() - began


def main() -> int:
    """Two mutants at a time; exit code 1 when one is not noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--steps", type=int, default=100_000, help="at most, as make fuzz takes (default: 100000)")
    given = parser.parse_args()
    names = [name for name in MUTANTS if not given.names or name in given.names]
    missed = 0
    with ThreadPoolExecutor(2) as pool:
        for name, found, problem, seconds in pool.map(lambda each: noticed(each, given.steps), names):
            missed += not found
            print(
                f"{'noticed' if found else 'MISSED '} {seconds:5.0f} s  {name}: {(found or problem)[:150]}", flush=True
            )
    print(f"{len(names) - missed} of {len(names)} mutants noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
