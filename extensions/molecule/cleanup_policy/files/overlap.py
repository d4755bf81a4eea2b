"""Reads from the operation log how removals overlapped. usage: overlap.py NAME... Prints JSON, see main.

The log is in the order in which things happened, since a removal writes its beginning and its end while it holds its place.
"""

from __future__ import annotations

import json
import subprocess
import sys


def operations(names: list[str]) -> list[dict[str, object]]:
    """The log's lines on removals of these VMs, oldest first."""
    command = ["vm-lifecycle", "log", "--json", "--last", "200"]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    lines = json.loads(said)["operations"]
    return [line for line in lines if line["name"] in names and line["operation"] == "remove"]


def journalled(names: list[str]) -> dict[str, dict[str, float]]:
    """The same from the journal, by its own clock and in its fields: outcome -> VM -> seconds since the epoch."""
    command = ["journalctl", "--output=json", "--no-pager", "LIFECYCLE_OPERATION=remove"]
    said = subprocess.run(
        [*command, *(f"VM_NAME={name}" for name in names)], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    found: dict[str, dict[str, float]] = {}
    for entry in map(json.loads, said.splitlines()):
        outcome = found.setdefault(entry["LIFECYCLE_OUTCOME"], {})
        outcome[entry["VM_NAME"]] = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
    return found


def main(names: list[str]) -> None:
    """most: removals at once. order: of the VMs' beginnings and ends. whole and sum: seconds by the journal's clock."""
    now, most, order = 0, 0, []
    for line in operations(names):
        now += {"begun": 1, "done": -1, "failed": -1}[str(line["outcome"])]
        most = max(most, now)
        order.append(line["outcome"])
    times = journalled(names)
    begun, done = times.get("begun", {}), times.get("done", {})
    complete = sorted(begun) == sorted(done) == sorted(names)
    print(
        json.dumps(
            {
                "most": most,
                "order": order,
                "journalled": complete,
                "whole": max(done.values()) - min(begun.values()) if complete else 0,
                "sum": sum(done[name] - begun[name] for name in names) if complete else 0,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
