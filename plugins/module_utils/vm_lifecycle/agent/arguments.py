# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line's grammar, and the task arguments that it stands for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Dict, Mapping, Sequence, Tuple, cast

from ..tasks.targets import IGNORABLE, LOCAL_URIS
from ..version import VERSION

if TYPE_CHECKING:
    import argparse

#: A UUID with its dashes.
UUID_LENGTH = 36
#: Verb -> the state of its module that it stands for.
STATES = {
    "hold": "held",
    "release": "released",
    "renew": "renewed",
    "cleanup": "swept",
    "confirm": "confirmed",
    "undo": "restored",
    "purge": "purged",
    "recover": "restored",
    "retry": "retried",
    "stay-down": "down",
}
#: Verbs of the host as a whole, which units run.
HOST_VERBS = ("boot", "shutdown", "flags", "limits", "supervise", "doctor")


#: What units say for whom a parser is too much, and what it would return: the VMs of a booting host would wait for it, and a supervisor
#: would keep it as long as its host runs.
_PLAIN_BOOT: Mapping[str, Any] = {
    "verb": "boot", "mark": False, "timeline": False, "svg": None, "plan": False, "dry_run": False, "json": False, "uri": LOCAL_URIS[0],
}  # fmt: skip
KNOWN: Mapping[Tuple[str, ...], Mapping[str, Any]] = {
    ("boot",): {**_PLAIN_BOOT, "again": False},
    ("boot", "--again"): {**_PLAIN_BOOT, "again": True},
    ("supervise",): {"verb": "supervise", "json": False, "uri": LOCAL_URIS[0]},
}


def parser(verb: str = "") -> argparse.ArgumentParser:
    """Every verb with its options; for a verb that a booting host waits for, few of them."""
    import argparse

    whole = argparse.ArgumentParser(prog="vm-lifecycle", description="Lifecycles of the VMs of this host.")
    whole.add_argument("--version", action="version", version=f"vm-lifecycle {VERSION}")
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="VERB", prog=whole.prog)
    if verb not in HOST_VERBS:
        _vm_verbs(verbs)
        _own_verbs(verbs)
    _host_verbs(verbs)
    return whole


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """The command line's options. VMs may stand after options as well, where argparse itself looks for no more of them."""
    known = KNOWN.get(tuple(words))
    if known is not None:
        return cast("argparse.Namespace", SimpleNamespace(**known))
    whole = parser(words[0] if words else "")
    options, rest = whole.parse_known_args(words)
    late = [word for word in rest if word != "--"]
    named = words[list(words).index("--") :] if "--" in words else ()
    if late and (not hasattr(options, "vm") or any(word.startswith("-") and word not in named for word in late)):
        whole.error(f"unrecognized arguments: {' '.join(late)}")
    if late:
        options.vm = [*options.vm, *late]
    return options


def _vm_verbs(verbs: Any) -> None:
    status = _verb(verbs, "status", "what is declared and scheduled", "*")
    status.add_argument("--expires-within", type=int, metavar="HOURS", help="only VMs that expire within these hours")
    status.add_argument("--snapshot", action="store_true", help="also what each VM does and uses now")
    _verb(verbs, "snapshot", "put on record what each managed VM does and uses now", "*", acts=True)
    _cleanup_verbs(verbs)
    hold = _verb(verbs, "hold", "protect VMs from deletion", "+", acts=True)
    hold.add_argument("--everything", action="store_true", help="leave them alone altogether, not only undeleted")
    hold.add_argument("--reason", default="", help="why, for whoever finds the hold later")
    _verb(verbs, "release", "end the hold on VMs", "+", acts=True)
    renew = _verb(verbs, "renew", "give temporary VMs their full time again, from now", "+", acts=True)
    renew.add_argument("--if-less-than", type=int, metavar="HOURS", help="only if fewer hours are left")
    _verb(verbs, "retry", "start VMs that the supervisor gave up, or is about to start", "+", acts=True)
    _verb(verbs, "stay-down", "VMs that are off stay off: their restart is called off", "+", acts=True)
    recover = _verb(
        verbs, "recover", "bring VMs to the state that is on record, and define those that are missing", "*", acts=True
    )
    recover.add_argument(
        "--start-cold", action="store_true", help="keep memory aside that can't be loaded, and start without it"
    )


def _own_verbs(verbs: Any) -> None:
    validate = verbs.add_parser("validate", help="check a configuration file without using it")
    validate.add_argument("kind", choices=("cleanup", "boot", "snapshots", "pressure"), help="what the file configures")
    validate.add_argument("file", type=Path)
    log = verbs.add_parser("log", help="what was done to VMs, and what failed, oldest first")
    log.add_argument("--last", type=int, default=50, metavar="N", help="only the newest N operations (default: 50)")
    events = verbs.add_parser(
        "events", help="what happened on this host, for programs: a line of JSON each, oldest first"
    )
    events.add_argument("--follow", action="store_true", help="go on with what happens, and with libvirt's events")
    events.add_argument(
        "--after",
        default="",
        metavar="CURSOR",
        help="only what came after the event with this cursor; end: nothing of the past",
    )
    explain = verbs.add_parser("explain", help="what a code such as not_expired means, and what to do about it")
    explain.add_argument("code", metavar="CODE", help="the word in brackets at the end of a line")
    clock = verbs.add_parser("clock-accept", help="believe this host's clock as it is now")
    notify = verbs.add_parser("notify", help="hand notices and failures that wait to the configured hooks")
    notify.add_argument("--test", action="store_true", help="hand over one test message instead, now")
    for command in (validate, explain, clock, log, notify):
        command.add_argument("--json", action="store_true", help="print JSON")
    for command in (clock, events, log, notify):
        command.add_argument("--uri", default=LOCAL_URIS[0], choices=LOCAL_URIS, help="libvirt to use")


def _host_verbs(verbs: Any) -> None:
    boot = verbs.add_parser("boot", help="start this host's VMs in their order, once a boot")
    boot.add_argument(
        "--again", action="store_true", help="also when that was done since this host booted; deletes nothing"
    )
    boot.add_argument("--mark", action="store_true", help="only note that it was done since this host booted")
    boot.add_argument("--timeline", action="store_true", help="show how the last boot went, and start nothing")
    boot.add_argument("--svg", type=Path, metavar="FILE", help="with --timeline: draw it into a file, too")
    shutdown = verbs.add_parser("shutdown", help="stop this host's VMs in their order, when it goes down")
    shutdown.add_argument("--now", action="store_true", help="also on a host that does not go down")
    flags = verbs.add_parser(
        "flags", help="let libvirt start and restart VMs by itself, or not, as the enabled units need it"
    )
    flags.add_argument("--dry-run", action="store_true", help="show what would be set, and set nothing")
    limits = verbs.add_parser(
        "limits", help="keep running VMs within the limits of their policies; the supervisor does so"
    )
    limits.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")
    supervise = verbs.add_parser(
        "supervise", help="keep on record what state each VM is in, and restart those that died, until it is stopped"
    )
    for command in (boot, shutdown):
        command.add_argument("--plan", action="store_true", help="show what would be done, and do nothing")
        command.add_argument("--dry-run", action="store_true", help="the same")
    doctor = verbs.add_parser("doctor", help="what is in the way of this host's boots and shutdowns; changes nothing")
    for command in (boot, shutdown, flags, limits, supervise, doctor):
        command.add_argument("--json", action="store_true", help="print JSON")
        command.add_argument("--uri", default=LOCAL_URIS[0], choices=LOCAL_URIS, help="libvirt to use")


def _cleanup_verbs(verbs: Any) -> None:
    sweep = _verb(verbs, "cleanup", "remove temporary VMs whose time is over", "*", acts=True)
    sweep.add_argument(
        "--plan", nargs="?", const="", metavar="ID", help="only store the plan, to be confirmed, under this id"
    )
    sweep.add_argument(
        "--scheduled",
        action="store_true",
        help="as the timer runs it: failures count if alert_on_cleanup_failure is on",
    )
    confirm = verbs.add_parser(
        "confirm", help="let the VMs of a stored plan go, those that are still as they were seen"
    )
    confirm.add_argument("plan_id", metavar="PLAN", help="id of the plan, as a sweep or status says it")
    _common(confirm, "*", acts=True)
    _verb(verbs, "undo", "bring removed VMs back, within undo_hours", "+", acts=True)
    purge = _verb(verbs, "purge", "remove the disks of removed VMs before undo_hours are over", "+", acts=True)
    for command in (sweep, confirm, purge):
        command.add_argument(
            "--ignore", action="append", default=[], choices=IGNORABLE, help="lift a condition for named VMs"
        )


def _verb(verbs: Any, name: str, help_text: str, count: str, acts: bool = False) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = verbs.add_parser(name, help=help_text)
    _common(command, count, acts)
    return command


def _common(command: argparse.ArgumentParser, count: str, acts: bool) -> None:
    command.add_argument("vm", nargs=count, help="name or UUID" + (" (default: all)" if count == "*" else ""))
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--uri", default=LOCAL_URIS[0], choices=LOCAL_URIS, help="libvirt to use")
    if acts:
        command.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")


def document(options: argparse.Namespace) -> Dict[str, Any]:
    """The same arguments that a module would get."""
    found: Dict[str, Any] = {"uri": options.uri}
    if getattr(options, "vm", None):
        found["vms"] = [_named(word) for word in options.vm]
    if options.verb in STATES:
        found["state"] = STATES[options.verb]
    if options.verb == "status" and options.expires_within is not None:
        found["filter"] = {"expires_within_hours": options.expires_within}
    if options.verb == "status" and options.snapshot:
        found["include"] = ["snapshot"]
    if options.verb in ("cleanup", "confirm", "purge"):
        found["ignore"] = options.ignore
    if options.verb == "cleanup" and options.plan is not None:
        found["state"] = "planned"
    plan_id = getattr(options, "plan_id", None) or getattr(options, "plan", None)
    if plan_id:
        found["plan_id"] = plan_id
    if getattr(options, "start_cold", False):
        found["on_restore_failure"] = "start-cold"
    if options.verb == "hold":
        found.update(hold="everything" if options.everything else "deletion", reason=options.reason)
    if options.verb == "renew" and options.if_less_than is not None:
        found["if_less_than_hours"] = options.if_less_than
    return found


def _named(word: str) -> Dict[str, str]:
    if len(word) != UUID_LENGTH:  # uuid.UUID takes 32 hexadecimal digits too, which may well be a VM's name
        return {"name": word}
    import uuid as uuids

    try:
        return {"uuid": str(uuids.UUID(word))}
    except ValueError:
        return {"name": word}
