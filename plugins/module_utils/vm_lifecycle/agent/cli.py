# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command vm-lifecycle: the same tasks as the modules, for people on a host and for its units."""

from __future__ import annotations

import argparse
import json
import sys
import uuid as uuids
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from ..adapters.linux_host import printable
from ..adapters.world import open_world
from ..changes import RememberClock
from ..errors import EffectError, LifecycleError, refuse
from ..policy.cleanup_policy import decode
from ..policy.clock import accept
from ..run import run
from ..schema import MissingJsonschemaError, require_jsonschema
from ..tasks import cleanup, info, persistence
from ..tasks.targets import LOCAL_URIS
from ..version import RELEASED_UNIX, VERSION
from . import text

#: Exit codes, documented in docs/command.md. 2 is argparse's own for wrong usage.
OK, VM_FAILED, USAGE, REFUSED, UNREACHABLE = 0, 1, 2, 3, 4
UNREACHABLE_CODES = ("connection_failed", "missing_library", "store_unusable")

TASKS = {
    "status": info.TASK,
    "cleanup": cleanup.TASK,
    "hold": persistence.TASK,
    "release": persistence.TASK,
    "renew": persistence.TASK,
}
#: A UUID with its dashes.
UUID_LENGTH = 36
STATES = {"hold": "held", "release": "released", "renew": "renewed"}


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        require_jsonschema()
        return _dispatch(options)
    except MissingJsonschemaError as error:
        return _complain(options, LifecycleError([]), f"{error} [missing_library]", UNREACHABLE)
    except LifecycleError as error:
        unreachable = any(problem.code in UNREACHABLE_CODES for problem in error.problems)
        return _complain(options, error, str(error), UNREACHABLE if unreachable else REFUSED)
    except EffectError as error:
        return _complain(options, LifecycleError([]), f"{error.message} [{error.code}]", UNREACHABLE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vm-lifecycle", description="Lifecycles of the VMs of this host.")
    parser.add_argument("--version", action="version", version=f"vm-lifecycle {VERSION}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    status = _verb(verbs, "status", "what is declared and scheduled", "*")
    status.add_argument("--expires-within", type=int, metavar="HOURS", help="only VMs that expire within these hours")
    sweep = _verb(verbs, "cleanup", "remove temporary VMs whose time is over", "*", acts=True)
    sweep.add_argument(
        "--ignore", action="append", default=[], choices=cleanup.IGNORABLE, help="lift a condition for named VMs"
    )
    hold = _verb(verbs, "hold", "protect VMs from deletion", "+", acts=True)
    hold.add_argument("--everything", action="store_true", help="leave them alone altogether, not only undeleted")
    hold.add_argument("--reason", default="", help="why, for whoever finds the hold later")
    _verb(verbs, "release", "end the hold on VMs", "+", acts=True)
    renew = _verb(verbs, "renew", "give temporary VMs their full time again, from now", "+", acts=True)
    renew.add_argument("--if-less-than", type=int, metavar="HOURS", help="only if fewer hours are left")
    validate = verbs.add_parser("validate", help="check a configuration file without using it")
    validate.add_argument("kind", choices=("cleanup",), help="what the file configures")
    validate.add_argument("file", type=Path)
    clock = verbs.add_parser("clock-accept", help="believe this host's clock as it is now")
    for command in (validate, clock):
        command.add_argument("--json", action="store_true", help="print JSON")
    clock.add_argument("--uri", default=LOCAL_URIS[0], choices=LOCAL_URIS, help="libvirt to use")
    return parser


def _verb(verbs: Any, name: str, help_text: str, count: str, acts: bool = False) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=help_text)
    parser.add_argument("vm", nargs=count, help="name or UUID" + (" (default: all)" if count == "*" else ""))
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--uri", default=LOCAL_URIS[0], choices=LOCAL_URIS, help="libvirt to use")
    if acts:
        parser.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")
    return parser


def _dispatch(options: argparse.Namespace) -> int:
    if options.verb == "validate":
        return _validate(options)
    world = open_world(options.uri, talking=not options.json)
    if options.verb == "clock-accept":
        reading = world.host.clock()
        if reading.now < RELEASED_UNIX:
            raise refuse("insane_clock", "the clock says a time before this software was released; set it first")
        world.store.save([RememberClock(accept(reading))])
        return _say(options, {"accepted": reading.now}, "the clock is accepted as it is")
    dry_run = bool(getattr(options, "dry_run", False))
    result = run(TASKS[options.verb], _document(options), world, dry_run)
    failed = result.pop("failed")
    _say(options, result, text.SHAPES.get(options.verb, text.declared)(result))
    return VM_FAILED if failed else OK


def _document(options: argparse.Namespace) -> Dict[str, Any]:
    """The same arguments that a module would get."""
    document: Dict[str, Any] = {"uri": options.uri}
    if options.vm:
        document["vms"] = [_named(word) for word in options.vm]
    if options.verb in STATES:
        document["state"] = STATES[options.verb]
    if options.verb == "status" and options.expires_within is not None:
        document["filter"] = {"expires_within_hours": options.expires_within}
    if options.verb == "cleanup":
        document["ignore"] = options.ignore
    if options.verb == "hold":
        document.update(hold="everything" if options.everything else "deletion", reason=options.reason)
    if options.verb == "renew" and options.if_less_than is not None:
        document["if_less_than_hours"] = options.if_less_than
    return document


def _named(word: str) -> Dict[str, str]:
    if len(word) != UUID_LENGTH:  # uuid.UUID takes 32 hexadecimal digits too, which may well be a VM's name
        return {"name": word}
    try:
        return {"uuid": str(uuids.UUID(word))}
    except ValueError:
        return {"name": word}


def _validate(options: argparse.Namespace) -> int:
    from datetime import timezone

    try:
        document = json.loads(options.file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise refuse("invalid_configuration", f"{options.file}: {error}") from error
    if not isinstance(document, dict):
        raise refuse("invalid_configuration", f"{options.file}: not a JSON object")
    _policy, problems = decode(document, timezone.utc, "cleanup")
    if problems:
        raise LifecycleError(problems)
    return _say(options, {"valid": True}, f"{options.file} is valid")


def _say(options: argparse.Namespace, result: Dict[str, Any], lines: str) -> int:
    if options.json:
        _write(json.dumps(result, indent=2, sort_keys=True))
    else:
        for warning in result.get("warnings", []):
            _warn(f"warning: {printable(warning)}")
        _write(lines)
    return OK


def _write(lines: str) -> None:
    sys.stdout.write(f"{lines}\n")


def _warn(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _complain(options: argparse.Namespace, error: LifecycleError, message: str, code: int) -> int:
    if options.json:
        problems: List[Dict[str, str]] = [vars(problem) for problem in error.problems]
        _write(json.dumps({"failed": True, "msg": message, "problems": problems}, indent=2, sort_keys=True))
    else:
        for line in [str(problem) for problem in error.problems] or [message]:
            _warn(f"vm-lifecycle: {printable(line)}")
    return code
