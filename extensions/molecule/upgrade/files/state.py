"""What is kept of VMs on this host, as JSON: their declarations as text, and the rows of the store that the first version knows.

It is read as any program could read it, without the engine of either version.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess

ELEMENT = re.compile(r"<(\w+:)?\w+ xmlns(:\w+)?=.urn:vmops:lifecycle:1.>(.*?)</", re.S)


def declarations() -> dict[str, dict[str, str]]:
    """Name -> the declaration in the persistent definition, and in what runs, of each VM that has one."""
    found: dict[str, dict[str, str]] = {}
    for name in virsh("list", "--all", "--name").split():
        for which in ("--inactive", "--live"):
            carried = ELEMENT.search(virsh("dumpxml", name, *(["--inactive"] if which == "--inactive" else [])))
            if carried:
                found.setdefault(name, {})[which] = carried[3]
    return found


def virsh(*words: str) -> str:
    return subprocess.run(["virsh", "-q", *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def rows() -> dict[str, dict[str, object]]:
    """Of each table the rows by their key, as lists; records and schedules as the documents that they are."""
    store = sqlite3.connect("file:/var/lib/vm-lifecycle/state.db?mode=ro", uri=True)
    try:
        return {
            "version": {"user_version": store.execute("PRAGMA user_version").fetchone()[0]},
            "vms": {
                uuid: {"revision": revision, **json.loads(record)}
                for uuid, revision, record in store.execute("SELECT uuid, revision, record FROM vms")
            },
            "schedules": {
                uuid: json.loads(schedule) for uuid, schedule in store.execute("SELECT uuid, schedule FROM schedules")
            },
            "operations": {
                str(number): row
                for number, *row in store.execute(
                    "SELECT id, at_unix, uuid, name, operation, outcome, message FROM operations"
                )
            },
        }
    finally:
        store.close()


if __name__ == "__main__":
    print(json.dumps({"declarations": declarations(), **rows()}))
