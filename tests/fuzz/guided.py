"""Feed the targets of tests/fuzz/inputs.py by coverage: libFuzzer, through atheris, looks for inputs that reach new code.

usage: python -m tests.fuzz.guided [--seconds 60] [--seed 1] [TARGET...]

Each target has a process and its time; two go on at once. Prints a line for each. Exit code 1 when an input raised what is no clear
answer; that input is kept below .build/fuzz and named.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

PLACE = Path(".build/fuzz")
#: Largest input, in bytes. Larger ones only take longer: what is read has its own limits.
LARGEST = 4096
#: Seconds for one input; what takes longer is a finding.
SLOWEST = 10


def feed(target: str, options: list[str]) -> None:
    """In a process of its own, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["vm_lifecycle"]):
        from tests.fuzz.inputs import TARGETS, seeds
    corpus = PLACE / target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(target)):
        (corpus / f"seed-{number}").write_bytes(data)
    atheris.Setup(["guided", *options, f"-artifact_prefix={corpus}/", str(corpus)], TARGETS[target])
    atheris.Fuzz()


def hunt(seconds: int, seed: int, target: str) -> tuple[str, int, str]:
    """(target, inputs that were tried, what went wrong)."""
    limits = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-max_len={LARGEST}",
        f"-timeout={SLOWEST}",
        "-print_final_stats=1",
    ]
    words = [sys.executable, "-m", "tests.fuzz.guided", "--feed", target, *limits]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    said = done.stdout + done.stderr
    tried = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
    if done.returncode or tried is None:
        return target, int(tried[1]) if tried else 0, said[-4000:] or f"exit code {done.returncode}"
    return target, int(tried[1]), ""


def main() -> int:
    """Parse, hunt, tell."""
    if sys.argv[1:2] == ["--feed"]:
        feed(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    given = parser.parse_args()
    from tests.fuzz.inputs import TARGETS

    unknown = sorted(set(given.targets) - set(TARGETS))
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(sorted(TARGETS))}")
    failed = 0
    with ThreadPoolExecutor(2) as pool:
        for target, tried, problem in pool.map(
            partial(hunt, given.seconds, given.seed), given.targets or sorted(TARGETS)
        ):
            print(f"{target:<14} {tried:9} inputs  {'FAILED' if problem else 'no crash'}", flush=True)
            if problem:
                failed += 1
                print("\n".join(f"    | {line}" for line in problem.splitlines()), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
