# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `lab` command. Exit status: 0 done, 1 failed with a message, 2 wrong usage; `ssh` and `copy` pass theirs on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from vmlab import guests, hosts, images
from vmlab.inventory import write_inventory
from vmlab.needs import require_root
from vmlab.places import Lab, check_name, current_lab
from vmlab.processes import LabError, say
from vmlab.remote import copy, quoted

Verb = Callable[[Lab, argparse.Namespace], int]


def build(_lab: Lab, arguments: argparse.Namespace) -> int:
    print(images.host_root(arguments.release))
    print(images.guest_files())
    return 0


def up(lab: Lab, arguments: argparse.Namespace) -> int:
    hosts.up(lab, arguments.names, arguments.release, arguments.network)
    return 0


def down(lab: Lab, arguments: argparse.Namespace) -> int:
    hosts.down(lab, arguments.names)
    return 0


def reboot(lab: Lab, arguments: argparse.Namespace) -> int:
    hosts.reboot(lab.host(arguments.name))
    return 0


def power_cut(lab: Lab, arguments: argparse.Namespace) -> int:
    hosts.power_cut(lab.host(arguments.name))
    return 0


def power_on(lab: Lab, arguments: argparse.Namespace) -> int:
    hosts.power_on(lab.host(arguments.name))
    return 0


def ssh(lab: Lab, arguments: argparse.Namespace) -> int:
    words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    return hosts.ssh(lab.host(arguments.name), quoted(words))


def copy_files(lab: Lab, arguments: argparse.Namespace) -> int:
    hosts.require_on(lab.host(arguments.name))
    return copy(lab.host(arguments.name), arguments.sources, arguments.target)


def status(lab: Lab, arguments: argparse.Namespace) -> int:
    records = hosts.status(lab)
    if arguments.json:
        print(json.dumps({"lab": lab.name, "hosts": records}, indent=2))
        return 0
    for record in records:
        print(f"{record['name']:<20} {record['phase']:<9} {record['address'] or '-':<14} {record['release']}")
    return 0


def inventory(lab: Lab, _arguments: argparse.Namespace) -> int:
    print(write_inventory(lab))
    return 0


def guest(lab: Lab, arguments: argparse.Namespace) -> int:
    if arguments.uuid and len(arguments.guests) > 1:
        raise LabError("--uuid names one guest, not several")
    made = [
        guests.Guest(
            name=check_name("guest", name),
            disk=None if arguments.no_disk or arguments.disk_from else arguments.disk,
            base=arguments.disk_from,
            memory=arguments.memory,
            identity=arguments.uuid or guests.new_identity(),
            arguments=arguments.cmdline,
        )
        for name in arguments.guests
    ]
    guests.create(lab.host(arguments.name), made, arguments.start)
    return 0


def guest_wait(lab: Lab, arguments: argparse.Namespace) -> int:
    for name in arguments.guests:
        guests.wait(lab.host(arguments.name), check_name("guest", name), arguments.timeout)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab", description="Real hypervisor hosts and guests on this machine. $VMOPS_LAB names the lab."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)

    def add(name: str, verb: Verb, text: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text)
        made.set_defaults(run=verb)
        return made

    release = {"default": "bookworm", "choices": images.RELEASES, "help": "Debian release of the hosts"}
    add("build", build, "build the images that are missing").add_argument("--release", **release)  # type: ignore[arg-type]
    starting = add("up", up, "start hosts and wait until they answer")
    starting.add_argument("names", nargs="+", metavar="NAME")
    starting.add_argument("--release", **release)  # type: ignore[arg-type]
    starting.add_argument("--network", type=int, metavar="N", help="10.77.N.0/24, N+1 for the second host, and so on")
    add("down", down, "remove hosts, or the whole lab").add_argument("names", nargs="*", metavar="NAME")
    add("reboot", reboot, "reboot from the inside").add_argument("name")
    add("power-cut", power_cut, "kill all that runs on a host").add_argument("name")
    add("power-on", power_on, "start a host that is off").add_argument("name")
    shell = add("ssh", ssh, "run a command on a host")
    shell.add_argument("name")
    shell.add_argument("command", nargs=argparse.REMAINDER)
    copying = add("copy", copy_files, "scp; NAME:PATH on either side is the host's")
    copying.add_argument("name")
    copying.add_argument("sources", nargs="+")
    copying.add_argument("target")
    add("status", status, "what the lab has").add_argument("--json", action="store_true")
    add("inventory", inventory, "write the Ansible inventory and print its path")
    _add_guest_verbs(add)
    return parser


def _add_guest_verbs(add: Callable[[str, Verb, str], argparse.ArgumentParser]) -> None:
    making = add("guest", guest, "define guests on a host")
    making.add_argument("name")
    making.add_argument("guests", nargs="+", metavar="GUEST")
    disk = making.add_mutually_exclusive_group()
    disk.add_argument("--disk", default="64M", metavar="SIZE", help="size of GUEST.qcow2 (default 64M)")
    disk.add_argument("--disk-from", metavar="VOLUME", help="GUEST.qcow2 overlays this volume of pool default")
    disk.add_argument("--no-disk", action="store_true")
    making.add_argument(
        "--memory", type=int, default=96, metavar="MIB", help="96 at least: with 64 the kernel says nothing"
    )
    making.add_argument("--uuid")
    making.add_argument("--cmdline", default="", help="further kernel arguments, such as lab.stubborn")
    making.add_argument("--start", action="store_true")
    waiting = add("guest-wait", guest_wait, "wait until guests are ready")
    waiting.add_argument("name")
    waiting.add_argument("guests", nargs="+", metavar="GUEST")
    waiting.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS")


def main(words: list[str]) -> int:
    """Run one verb."""
    arguments = _parser().parse_args(words)
    try:
        require_root()
        verb: Verb = arguments.run
        return verb(current_lab(), arguments)
    except LabError as error:
        say(str(error))
        return 1
