"""Run the parts of the test suite, two at a time, and print a line for each and a summary.

usage: run_parts.py [--all]

A part is a make target. Its output goes to .build/logs/<part>.log; the end of it is shown when the part fails. A part
that skips something, or that waits for a part which failed, counts as failed: the summary knows only passed and failed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGS = ROOT / ".build" / "logs"
SKIP_PATTERN = re.compile(r"^=*.*\b[1-9]\d* skipped\b|All targets skipped|no tests ran", re.MULTILINE)
LANES = 2
# Where the tools say what went wrong: Ansible's failed task, pytest's summary, a traceback, our own parts.
TROUBLE = re.compile(r"^[\s│]*(?:fatal: |failed: |FAILED |ERROR |E   |FAIL\b|Traceback |\[ERROR\])|: error: ")
TROUBLE_LINES = 24  # as many of these, each with a few lines of what surrounds it
SURROUNDINGS = (6, 14)
TAIL_LINES = 80


@dataclasses.dataclass(frozen=True)
class Part:
    """A make target; `after` names parts that must have passed, `limit` is in seconds."""

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    limit: int = 900


@dataclasses.dataclass
class Run:
    part: Part
    process: subprocess.Popen[bytes]
    start: float


def make(target: str, *variables: str, after: tuple[str, ...] = (), name: str = "", limit: int = 900) -> Part:
    return Part(name or target, ("make", target, *variables), after, limit)


def molecule_parts(release: str) -> list[Part]:
    """One part for each scenario, so that a line tells which one failed; without any, a part that fails."""
    paths = sorted((ROOT / "extensions" / "molecule").glob("*/molecule.yml"))
    names = [path.parent.name for path in paths]
    suffix, image = ("", "lab-image") if release == "bookworm" else (f"-{release}", f"lab-image-{release}")
    if not names:
        return [make("molecule", after=(image,))]
    return [
        make("molecule", f"SCENARIO={name}", f"RELEASE={release}", after=(image,), name=f"molecule-{name}{suffix}")
        for name in names
    ]


def parts(everything: bool) -> list[Part]:
    """The parts in the order of their start. What the lab needs comes first, since its parts take longest."""
    result = [make("lab-image")]
    result += [
        make(name)
        for name in ("generate-check", "lint", "docs", "units", "scenarios", "fuzz-small", "oracle", "sanity", "dist")
    ]
    result.append(make("contracts", after=("lab-image",)))
    result.append(make("awx"))
    result.append(make("awx-jobs", after=("lab-image",)))
    result.append(make("events"))
    result.append(make("report-test"))
    result.append(make("rulebook"))
    result.append(make("adversary", after=("lab-image",)))
    result.append(make("tutorial", after=("lab-image",)))
    result += molecule_parts("bookworm")
    if everything:
        result.append(make("lab-image", "RELEASE=trixie", name="lab-image-trixie"))
        result.append(make("tutorial", "RELEASE=trixie", after=("lab-image-trixie",), name="tutorial-trixie"))
        result += molecule_parts("trixie")
        result.append(make("lab-test", after=("lab-image",)))
        result.append(make("lab-test", "RELEASE=trixie", after=("lab-image-trixie",), name="lab-test-trixie"))
        result += [make("chaos", after=("lab-image",), limit=1800), make("clock-test", after=("lab-image",))]
        result += [make("demo"), make("galaxy-importer"), make("matrix"), make("bench", limit=3600)]
    return result


def log_path(part: Part) -> pathlib.Path:
    return LOGS / f"{part.name}.log"


def start(part: Part) -> Run:
    environment = {**os.environ, "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1"}
    with log_path(part).open("wb") as log:
        process = subprocess.Popen(
            part.command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return Run(part, process, time.monotonic())


def stop(run: Run) -> None:
    """End a part's whole process group; TERM first, because the lab's commands clean up after themselves."""
    for number, patience in ((signal.SIGTERM, 60.0), (signal.SIGKILL, 10.0)):
        try:
            os.killpg(run.process.pid, number)
            run.process.wait(patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return


def verdict(run: Run) -> str:
    """Return "" for a part that passed, else why it failed."""
    if run.process.returncode:
        return f"exit {run.process.returncode}"
    skipped = SKIP_PATTERN.search(log_path(run.part).read_text(errors="replace"))
    return f"something was skipped: {skipped.group(0).strip()}" if skipped else ""


def excerpt(lines: list[str]) -> list[str]:
    """What to show of a failed part's log: its last lines, and the places before them that tell what went wrong.

    A molecule scenario ends with pages of its own clean-up, long after the task that failed.
    """
    start = max(len(lines) - TAIL_LINES, 0)
    before, after = SURROUNDINGS
    told = [number for number in range(start) if TROUBLE.search(lines[number])][:TROUBLE_LINES]
    shown = sorted({near for number in told for near in range(max(number - before, 0), min(number + after, start))})
    result: list[str] = []
    last = -1
    for number in [*shown, *range(start, len(lines))]:
        if number != last + 1:
            result.append("[...]")
        result.append(lines[number])
        last = number
    return result


def report(part: Part, problem: str, seconds: float) -> None:
    print(f"{'FAILED' if problem else 'passed'}  {part.name:<28} {seconds:7.1f} s  {problem}", flush=True)
    if problem and log_path(part).exists():
        lines = log_path(part).read_text(errors="replace").splitlines()
        print("\n".join(f"    | {line}" for line in excerpt(lines)), flush=True)


def finished(running: list[Run]) -> list[tuple[Run, str]]:
    """Take the runs that have ended, or had to be, out of `running`; return each with its verdict."""
    result = []
    for run in list(running):
        if run.process.poll() is not None:
            result.append((run, verdict(run)))
        elif time.monotonic() - run.start > run.part.limit:
            stop(run)
            result.append((run, f"took more than {run.part.limit} s"))
        else:
            continue
        running.remove(run)
    return result


def run_all(waiting: list[Part], running: list[Run]) -> dict[str, str]:
    """Run the parts; return {name: problem or ""}."""
    results: dict[str, str] = {}
    while waiting or running:
        for part in list(waiting):
            blocked = [name for name in part.after if results.get(name)]
            if blocked:
                waiting.remove(part)
                results[part.name] = f"not run, since {', '.join(blocked)} failed"
                report(part, results[part.name], 0.0)
            elif len(running) < LANES and all(name in results for name in part.after):
                waiting.remove(part)
                running.append(start(part))
        for run, problem in finished(running):
            results[run.part.name] = problem
            report(run.part, problem, time.monotonic() - run.start)
        time.sleep(0.1)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--all", action="store_true", help="also Debian 13, chaos, the demo, the importer and the benchmark"
    )
    waiting = parts(parser.parse_args().all)
    LOGS.mkdir(parents=True, exist_ok=True)
    for part in waiting:
        log_path(part).unlink(missing_ok=True)
    begin = time.monotonic()
    running: list[Run] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        results = run_all(waiting, running)
    finally:
        for run in running:
            stop(run)
    failed = sum(1 for problem in results.values() if problem)
    print(f"{len(results)} parts in {time.monotonic() - begin:.0f} s")
    print(f"{len(results) - failed} passed, {failed} failed", flush=True)
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
