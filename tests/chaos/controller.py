# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of chaos: the lab's verbs, what is installed on its hosts, and playbooks beside everything else."""

from __future__ import annotations

import json
import os
import random
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab" / "lab"
PLACE = "/opt/vmops-chaos"
MANIFEST = "/var/lib/chaos/manifest.json"
UNITS = ("cleanup", "boot", "supervisor", "snapshots")
HOOK = "/usr/local/bin/chaos-hook"
#: Each message is a line of its log, durable before the hook says that it has it.
HOOK_TEXT = """#!/bin/sh
set -e
text=$(tr -d '\\n')
sleep 0.05
printf '%s\\n' "$text" >>/var/log/chaos-hook.log
sync /var/log/chaos-hook.log
"""
#: Time for a test to kill it in; a boot without VMs of an order is over at once.
BOOT_DROP_IN = "[Service]\\nExecStartPre=/bin/sleep 2\\n"


def lab(*words: str, check: bool = True, given: str | None = None) -> str:
    """Output of a verb of the lab."""
    done = subprocess.run([str(LAB), *words], stdout=subprocess.PIPE, input=given, text=True, check=False)
    if check and done.returncode:
        raise SystemExit(
            f"tests/lab/lab {' '.join(words[:3])} failed with status {done.returncode}: {done.stdout[-2000:]}"
        )
    return done.stdout


def call(host: str, verb: str, *numbers: int) -> Any:
    """What a verb of host/main.py returns."""
    return json.loads(lab("ssh", host, f"python3 {PLACE}/host/main.py {verb} {' '.join(map(str, numbers))}"))


def manifest_of(host: str) -> dict[str, Any]:
    """As people have changed it meanwhile."""
    found: dict[str, Any] = json.loads(lab("ssh", host, f"cat {MANIFEST}"))
    return found


def install() -> None:
    """Engine and units of this checkout on all hosts, by the role."""
    policy = {"cleanup_in_window_only": False, "check_interval_minutes": 1440, "alert_command": [HOOK]}
    variables = {"vm_lifecycle_features": UNITS, "vm_lifecycle_cleanup_policy": policy}
    done = playbook("vmops.lifecycle.site", variables)
    if done.returncode:
        raise SystemExit(f"the role failed: {done.stdout[-3000:]}{done.stderr[-2000:]}")


def prepare(host: str) -> None:
    """Our part on a host."""
    lab("ssh", host, f"rm -rf {PLACE}; mkdir -p {PLACE} /etc/systemd/system/vm-lifecycle-boot.service.d")
    lab("copy", host, str(ROOT / "tests/chaos/host"), f"{host}:{PLACE}")
    with tempfile.TemporaryDirectory() as place:
        library = Path(place) / "sleep.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, ROOT / "tests/chaos/sleep.c"], check=True)
        lab("copy", host, str(library), f"{host}:/usr/local/lib/clock-sleep.so")
    lab("ssh", host, f"cat >{HOOK} && chmod 755 {HOOK}", given=HOOK_TEXT)
    # the timer would mark VMs before their bait was looked at; its sweeps are begun by hand
    lab("ssh", host, "systemctl disable --now --quiet vm-lifecycle-cleanup.timer")
    lab("ssh", host, f"printf '{BOOT_DROP_IN}' >/etc/systemd/system/vm-lifecycle-boot.service.d/chaos.conf")
    # guests without a system hear no request to shut down, and a reboot would wait for each of them
    lab("ssh", host, "echo SHUTDOWN_TIMEOUT=2 >>/etc/default/libvirt-guests; systemctl daemon-reload")
    lab("ssh", host, "vm-lifecycle --version")


def playbook(name: str, variables: dict[str, Any], host: str = "all") -> subprocess.CompletedProcess[str]:
    """A run of ansible-playbook on the lab's hosts."""
    words = ["ansible-playbook", "--inventory", lab("inventory").strip(), "--limit", host, name]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
    environment.setdefault("ANSIBLE_COLLECTIONS_PATH", str(ROOT / ".ansible" / "collections"))
    return subprocess.run(
        [*words, "--extra-vars", json.dumps(variables)],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip


def ask(host: str, number: int, chance: random.Random) -> dict[str, Any]:
    """Declare VMs, one of them as due, hold that one, and sweep, in a playbook; what it asked for and whether that was confirmed.

    A sweep may come between the two: then there is nothing to hold, or it has begun with the VM.
    """
    held, *new = [f"r{number}-asked{each}" for each in range(3)]
    due: dict[str, Any] = {
        "name": held,
        "mode": "temporary",
        "ttl_hours": 1,
        "created_at_unix": int(time.time()) - 2 * 3600,
    }
    declared: list[dict[str, Any]] = [
        due,
        *({"name": name, "mode": chance.choice(("permanent", "temporary"))} for name in new),
    ]
    with tempfile.TemporaryDirectory() as place:
        variables = {"chaos_declared": declared, "chaos_held": held, "chaos_answers": place}
        done = playbook(str(ROOT / "tests/chaos/beside.yml"), variables, host)
        path = Path(place) / f"{host}.json"
        answers = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return {
        "declared": {each["name"]: each["mode"] for each in declared},
        "held": held,
        "answers": answers,
        "counts": confirmed(answers, "declared") or confirmed(answers, "held") or confirmed(answers, "swept"),
        "end": "" if done.returncode == 0 else (done.stdout + done.stderr)[-2000:],
    }


def confirmed(answers: dict[str, Any], task: str) -> bool:
    """Whether a task of the playbook was carried out and said so."""
    answer = answers.get(task, {})
    return bool(answer) and not answer.get("failed") and not answer.get("skipped") and not answer.get("unreachable")


def enter(host: str, asked: dict[str, Any]) -> None:
    """What the playbook asked for, in the host's manifest: what was confirmed has to hold; what was not may go either way."""
    manifest = manifest_of(host)
    for vm in manifest["vms"].values():
        if vm["name"] in asked["declared"]:
            vm["declared"] = asked["declared"][vm["name"]] if confirmed(asked["answers"], "declared") else ""
        if vm["name"] == asked["held"]:
            fate = "kept" if confirmed(asked["answers"], "held") else "either"
            vm.update(fate=fate, carries="held by a playbook", declared="held" if fate == "kept" else "", undo=True)
            path = f"/var/lib/libvirt/images/{vm['name']}.qcow2"
            manifest["files"][path].update(fate=fate, why=vm["carries"], vm=vm["name"])
    lab("ssh", host, f"cat >{MANIFEST}", given=json.dumps(manifest, indent=1))
