# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What judging one document takes, against the jsonschema package alone on the published schema.

usage, in a process of its own with the engine on its path: validation.py SCHEMA.json
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.figures import Row, measured

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = "VmMetadata"
#: As a temporary VM with a policy and a place in the order carries it.
DOCUMENT = {
    "version": 1, "vm_id": "00000000-0000-4000-8000-000000000001", "revision": 3,
    "persistence": {"mode": "temporary", "ttl_hours": 72, "created_at_unix": 1795575600, "scheduled_cleanup": 1795834800},
    "policy": {"on_host_shutdown": "save-state", "on_memory_pressure": "suspend"},
    "autostart": {"vm_name": "db1", "start_order": 10, "depends_on": ["dns1", "dns2"], "wait_for_ssh": True},
}  # fmt: skip
ROUNDS, CALLS = 21, 100


def validation_rows(engine: Path) -> list[Row]:
    """One row. engine: the folder vm_lifecycle."""
    words = [sys.executable, "-m", "tests.bench.validation", str(ROOT / "schemas" / "json" / f"{SCHEMA}.schema.json")]
    path = os.pathsep.join([str(ROOT), str(engine.parent)])
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, cwd=ROOT, check=True)
    found = json.loads(done.stdout)
    against = f"jsonschema {found['version']}: the published schema, compiled once"
    return [measured("validation", found["ours"], found["other"], against, 1, "us")]


def main(published: Path) -> None:
    """Samples in microseconds for each document, by turns."""
    from importlib.metadata import version

    import jsonschema
    from vm_lifecycle.schema import violations

    validator = jsonschema.Draft7Validator(json.loads(published.read_text("utf-8")))

    def other(document: dict[str, object]) -> object:
        return list(validator.iter_errors(document))

    def ours(document: dict[str, object]) -> object:
        return violations(SCHEMA, document)

    samples: dict[str, list[float]] = {"ours": [], "other": []}
    for number in range(ROUNDS):
        # Each document is a new one: verdicts on those that were judged before are remembered.
        documents = [{**DOCUMENT, "revision": 1 + number * CALLS + call} for call in range(CALLS)]
        for name, judge in (("ours", ours), ("other", other)):
            began = time.perf_counter()
            found = [judge(document) for document in documents]
            samples[name].append((time.perf_counter() - began) / CALLS * 1e6)
            assert not any(found), (name, found[0])
    json.dump({**samples, "version": version("jsonschema")}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
