"""What the journal of one boot of the host tells of its VMs. usage: host_log.py BOOT, as journalctl --boot takes it. Prints JSON.

begun: VM -> when its process was started, by systemd. gone: when its scope ended. ready, failed, skipped: when a boot was done with it.
logged: when that was on record. down: when a shutdown was done with it. All in seconds of that boot's own clock. said: what each unit
said, ours and libvirtd's.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

UNITS = (
    "vm-lifecycle-boot.service",
    "vm-lifecycle-host.service",
    "vm-lifecycle-supervisor.service",
    "libvirtd.service",
)
WHEN = ("begun", "gone", "ready", "failed", "skipped", "logged", "down")
#: What a boot says when it is done with a VM.
DONE = re.compile(r"^(\S+): (ready|failed|skipped)\b.* \(\d+ of \d+ done\)$")
SCOPE = re.compile(r"^machine-qemu.*\.scope$")
NUMBER = re.compile(r"qemu\\x2d\d+\\x2d(.*)\.scope$")


def entries(boot: str) -> list[dict[str, str]]:
    """All of the boot's journal, oldest first."""
    command = ["journalctl", "--boot", boot, "--output=json", "--no-pager", "--quiet"]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in said.splitlines()]


def vm_of(scope: str) -> str:
    """systemd escapes a dash in a name, and libvirt cuts what is long."""
    found = NUMBER.search(scope)
    return found.group(1).replace("\\x2d", "-") if found else ""


def main(boot: str) -> None:
    told: dict[str, dict[str, float]] = {name: {} for name in WHEN}
    said: dict[str, list[str]] = {unit: [] for unit in UNITS}
    for entry in entries(boot):
        at = int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6
        message = entry.get("MESSAGE")
        if not isinstance(message, str):
            continue
        unit = entry.get("UNIT", "")
        if SCOPE.match(unit):
            if message.startswith("Started "):
                told["begun"][vm_of(unit)] = at
            elif "Deactivated" in message or message.startswith("Stopped "):
                told["gone"].setdefault(vm_of(unit), at)
        elif entry.get("LIFECYCLE_OPERATION") == "start":
            told["logged"][entry["VM_NAME"]] = at
        elif entry.get("LIFECYCLE_OPERATION") == "stop":
            told["down"][entry["VM_NAME"]] = at
        done = DONE.match(message)
        if done is not None and entry.get("_SYSTEMD_UNIT") == "vm-lifecycle-boot.service":
            told[done.group(2)][done.group(1)] = at
        for each in (unit, entry.get("_SYSTEMD_UNIT", "")):
            if each in said:
                said[each].append(message)
    print(json.dumps({**told, "said": said}))


if __name__ == "__main__":
    main(sys.argv[1])
