# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was collected of a host, as it is kept in a file on the controller. Pure but for reading and writing the files."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence
from urllib.parse import quote

#: A message of Ansible may hold all that a host wrote.
LONGEST = 2000
#: What Ansible adds to a result.
OF_ANSIBLE = ("invocation", "deprecations", "warnings", "exception")
#: What is kept of a row of a sweep's plan.
PLANNED = ("name", "uuid", "decision", "reason", "message", "effective_cleanup_at", "undo_until", "volumes")


def problem(result: Mapping[str, Any]) -> Optional[Dict[str, str]]:
    """Why a result is none; None when it is one."""
    kind = "unreachable" if result.get("unreachable") else "failed" if result.get("failed") else ""
    said = str(result.get("msg") or "it did not say why").strip()
    return {"kind": kind, "message": said[:LONGEST]} if kind else None


def document(host: str, began: str, info: Mapping[str, Any], plan: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """The file of a host. began: when it was asked, in ISO 8601; info, plan: results of the modules, None for none."""
    kept = {name: value for name, value in info.items() if not name.startswith("_ansible") and name not in OF_ANSIBLE}
    failed = problem(info)
    return {
        "version": 1,
        "host": host,
        "asked_at": began,
        "problem": failed or (problem(plan) if plan is not None else None),
        "info": None if failed else kept,
        "cleanup": _plan(plan) if plan is not None and problem(plan) is None else None,
    }


def _plan(plan: Mapping[str, Any]) -> Dict[str, Any]:
    rows = [{name: row.get(name) for name in PLANNED} for row in plan.get("vms", [])]
    return {"counts": plan.get("counts", {}), "plan_id": plan.get("plan_id"), "vms": rows}


def counts(kept: Mapping[str, Any]) -> Dict[str, int]:
    """A few numbers for the result of a task."""
    vms = (kept["info"] or {}).get("vms", [])
    declared = [vm["persistence"] for vm in vms if vm.get("persistence")]
    temporary = sum(persistence["mode"] == "temporary" for persistence in declared)
    return {"vms": len(vms), "managed": len(declared), "temporary": temporary}


def place(directory: str, host: str) -> Path:
    """Where the file of a host lies. A host's name may hold what a file's may not."""
    return Path(directory) / f"{quote(host, safe='')}.json"


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """A whole file or none; its directory is created. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(text)
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def forget(directory: str, host: str) -> None:
    """What was collected before is no answer of now. Raises OSError."""
    place(directory, host).unlink(missing_ok=True)


def keep(directory: str, kept: Mapping[str, Any]) -> Path:
    """Write the file of a host. Raises OSError."""
    path = place(directory, kept["host"])
    write(path, json.dumps(kept, indent=1, sort_keys=True) + "\n")
    return path


def read(directory: str, hosts: Sequence[str], missing: str = "nothing was collected") -> List[Dict[str, Any]]:
    """The files of hosts, in their order. missing: what is said of a host that has none."""
    found = []
    for host in hosts:
        try:
            kept = json.loads(place(directory, host).read_text("utf-8"))
            if kept["version"] != 1 or kept["host"] != host:
                raise ValueError("it is not a file of this host")
        except FileNotFoundError:
            kept = document(host, "", {"failed": True, "msg": missing}, None)
        except (OSError, ValueError, KeyError, TypeError) as error:
            kept = document(host, "", {"failed": True, "msg": f"its file can't be used: {error}"}, None)
        found.append(kept)
    return found
