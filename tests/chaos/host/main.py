# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the lab host as root: main.py build ROUND UNDO_HOURS | mark | kills SEED COUNT DAEMONS PURGING | trouble SEED |
hands SEED | ours SEED MODULE | notices SEED |
boot SEED | rest | quiet PURGING | facts | damage. Results are JSON on standard output.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import hands
import ours
import population
import turmoil
import weather
from building import KEPT, MANIFEST, connect, policy, second_pool, sha256

STATE = Path("/var/lib/vm-lifecycle")


def manifest() -> dict[str, Any]:
    """What was made so far, and what has to become of it."""
    found: dict[str, Any] = json.loads(MANIFEST.read_text("utf-8"))
    return found


def mark() -> dict[str, Any]:
    """The sweep that makes the store know new VMs; the reason that it gives for each, by name."""
    result = turmoil.sweep([turmoil.COMMAND, "cleanup", "--json"])
    reasons = {row["name"]: row["reason"] for row in result.get("vms", [])}
    return {"reasons": reasons, "crash": result.get("crash", ""), "seconds": result["seconds"]}


def facts() -> dict[str, Any]:
    """The host as it is, without a word of the engine's."""
    digests = {path: sha256(Path(path)) if Path(path).exists() else None for path in manifest()["files"]}
    domains = {domain.UUIDString(): domain.name() for domain in connect().listAllDomains()}
    with contextlib.closing(sqlite3.connect(STATE / "state.db")) as database:
        schedules = {uuid: json.loads(text) for uuid, text in database.execute("SELECT uuid, schedule FROM schedules")}
        query = "SELECT uuid, count(*) FROM operations WHERE operation = 'remove' AND outcome = 'done' GROUP BY uuid"
        done = dict(database.execute(query).fetchall())
    return {
        "files": digests,
        "domains": domains,
        "schedules": {uuid: schedule.get("cleanup_status") for uuid, schedule in schedules.items()},
        "removals_done": done,
        "intents": sorted(path.name for path in (STATE / "intents").glob("*")),
        "states_wrong": ours.states(),
        "declared": ours.declared(),
        "told": ours.told(),
        "undo": turmoil.undone(),
        "set_aside": sorted(path.name for path in STATE.glob("state.db*") if path.name.count(".") > 1),
    }


def damage() -> str:
    """For the judge's own test: remove a file that has to stay, and say which."""
    victim: str = next(path for path, expected in manifest()["files"].items() if expected["fate"] == KEPT)
    Path(victim).unlink()
    return victim


def build(number: int, undo_hours: int) -> dict[str, Any]:
    """A round's VMs, and the policy that its sweeps follow."""
    connection = connect()
    for domain in connection.listAllDomains(
        1
    ):  # active; what earlier rounds left running would add up, boot after boot
        if not domain.name().endswith("-boots"):
            domain.destroy()
    second_pool(connection)
    policy(undo_hours)
    return population.build(connection, number, undo_hours > 0)


def main(arguments: list[str]) -> None:
    verb, numbers = arguments[0], [int(word) for word in arguments[1:]]
    if verb == "build":
        result: Any = build(*numbers)
    elif verb == "mark":
        result = mark()
    elif verb == "kills":
        seed, count, daemons, purging = numbers
        result = turmoil.kills(manifest(), seed, count, daemons, bool(purging))
    elif verb == "trouble":
        result = weather.trouble(manifest(), *numbers)
    elif verb == "hands":
        result = hands.hands(manifest(), *numbers)
    elif verb == "ours":
        result = ours.kills(numbers[0], bool(numbers[1]))
    elif verb == "notices":
        result = ours.notices(*numbers)
    elif verb == "boot":
        result = ours.boot(manifest(), *numbers)
    elif verb == "rest":
        result = ours.rest()
    elif verb == "quiet":
        result = turmoil.until_quiet(manifest(), bool(numbers[0]))
    elif verb == "facts":
        result = facts()
    elif verb == "damage":
        result = damage()
    else:
        raise SystemExit(f"unknown verb {verb}")
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
