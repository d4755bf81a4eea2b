"""Tell many stories in several processes, and print what happened in them.

usage: python -m tests.fuzz.run [--steps 100000] [--seed 0] [--processes 2] [--no-shrink]

Exit code 1 when a story breaks an invariant; the shortest story that does is printed, and the seed that finds it again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from hypothesis import seed
from hypothesis.stateful import run_state_machine_as_test

from .machine import TOTALS, HostMachine
from .profiles import LENGTH, stories

#: Stories of one seed. Those of one seed resemble each other, so that many seeds see more than one with many stories.
ROUND = 30


def tell(given: tuple[int, int, bool]) -> tuple[dict[str, int], str]:
    """Tell stories until so many steps were taken: figures, and what went wrong."""
    steps, first, shrink = given
    TOTALS.clear()
    number = first
    while TOTALS["steps"] < steps:
        count = min(ROUND, (steps - TOTALS["steps"]) // LENGTH + 1)
        try:
            run_state_machine_as_test(seed(number)(HostMachine), settings=stories(count, shrink))
        except Exception:  # whatever went wrong is the finding
            return dict(TOTALS), f"seed {number}\n{traceback.format_exc(limit=-1)}"
        number += 1
    return dict(TOTALS), ""


def main() -> int:
    """Parse, tell, sum up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--no-shrink", action="store_true")
    given = parser.parse_args()
    share = -(-given.steps // given.processes)
    jobs = [(share, given.seed + 1_000_000 * number, not given.no_shrink) for number in range(given.processes)]
    began = time.monotonic()
    # A pool of this kind fails when one of its processes is killed; others wait for its answer for ever.
    with ProcessPoolExecutor(given.processes, multiprocessing.get_context("spawn")) as pool:
        told = list(pool.map(tell, jobs))
    totals = sum((Counter(figures) for figures, _problem in told), Counter())
    for what, count in sorted(totals.items()):
        print(f"{count:9} {what}")
    problems = [problem for _figures, problem in told if problem]
    print(
        f"{time.monotonic() - began:.0f} s, seed {given.seed}, {len(problems)} of {len(jobs)} processes found a violation"
    )
    for problem in problems:
        print(f"\nvmops fuzz, {problem}")
    return 1 if problems or totals["steps"] < given.steps else 0


if __name__ == "__main__":
    sys.exit(main())
