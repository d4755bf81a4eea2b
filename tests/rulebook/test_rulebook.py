"""ansible-rulebook with the collection's event source and rulebook: what happens on a host reaches a rule,
also what happened while nobody listened.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.contracts.real_qemu import wait_for

from .conftest import COMMAND, HostOfGuests, rulebook

OURS = "vmops.lifecycle.vm_lifecycle"


def test_restart_given_up_and_a_guest_that_dies(host: HostOfGuests, variables: dict[str, Any]) -> None:
    """The rulebook of the collection: libvirt tells that QEMU died, the supervisor that it gave up, and a playbook attends to it."""
    domain = host.guest(1)
    host.declare(domain, restart_policy="on-failure", max_retries=1)
    host.supervise()
    rules = rulebook(host, OURS, variables)
    host.kill(domain)
    rules.says("guest-1 died on this host")
    wait_for(lambda: host.daemon.pids("guest-1") and domain.isActive())
    host.kill(domain)
    rules.says("guest-1: given up after 1 starts in a row", "it is shutoff")
    wait_for(lambda: list(host.directory.glob("*-*.json")))
    written = json.loads(next(host.directory.glob(f"{domain.UUIDString()}-*.json")).read_text())
    assert (written["event"]["event"], written["event"]["outcome"]) == ("restart", "gave_up")
    assert written["vm"]["restart"]["state"] == "gave_up"
    assert written["event"]["cursor"] == cursors(host.directory)


def cursors(directory: Path) -> str:
    """How far this host was read."""
    return str(json.loads((directory / "cursors.json").read_text())[""])


def test_nothing_is_lost_or_told_twice_when_the_rulebook_is_killed(host: HostOfGuests, tmp_path: Path) -> None:
    """Events of three runs of a rulebook, each killed: what the store had meanwhile is told first by the next one, and once."""
    rules_file = tmp_path / "all.yml"
    rules_file.write_text(f"""
- name: All
  hosts: all
  sources:
    - vmops.lifecycle.events:
        command: {json.dumps(COMMAND)}
        arguments: [--uri, "qemu:///session"]
        state_file: {tmp_path}/cursors.json
        kinds: [operation, libvirt]
  rules:
    - name: Own
      condition: event.kind == "operation"
      action: {{debug: {{msg: "told {{{{ event.event }}}} {{{{ event.vm_name }}}} {{{{ event.outcome }}}} {{{{ event.cursor }}}}"}}}}
    - name: Listed
      condition: event.kind == "libvirt" and event.event == "listed"
      action: {{debug: {{msg: "listed {{{{ event.vm_name }}}} {{{{ event.power_state }}}}"}}}}
""")
    guests = [host.guest(number) for number in range(1, 6)]
    host.declare(guests[0])  # before the first run, which begins with what is new
    said: list[str] = []
    for before, meanwhile in ((None, 2), (3, 4), (5, None)):
        rules = rulebook(host, str(rules_file), {})
        rules.says("listed guest-1 running")
        if before:
            rules.says(f"told declare guest-{before} ")
        if meanwhile:
            host.declare(guests[meanwhile - 1])
            rules.says(f"told declare guest-{meanwhile} ")
        told_last = [line for line in rules.said if "told declare" in line][-1].split()[-1]
        wait_for(lambda: cursors(tmp_path) == told_last)  # noqa: B023
        rules.kill()
        said += rules.said
        if meanwhile:
            host.declare(guests[meanwhile])
    told = [line.split("told declare ")[1].split()[0] for line in said if "told declare" in line]
    assert told == [f"guest-{number}" for number in (2, 3, 4, 5)]
