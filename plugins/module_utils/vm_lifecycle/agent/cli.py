# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command vm-lifecycle: the same tasks as the modules, for people on a host and for its units.

Each verb imports what it alone needs when it runs: the VMs of a host that boots wait for all that is imported before.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence

from ..adapters.linux_host import printable
from ..adapters.world import open_books, open_world
from ..errors import EffectError, LifecycleError, refuse
from ..schema import MISSING, MissingJsonschemaError
from .arguments import document, parsed
from .columns import encodable

if TYPE_CHECKING:
    import argparse

    from ..ports import Host, Store, World
    from ..run import Task

#: Exit codes, documented in docs/command.md. 2 is argparse's own for wrong usage.
OK, VM_FAILED, USAGE, REFUSED, UNREACHABLE = 0, 1, 2, 3, 4
UNREACHABLE_CODES = ("connection_failed", "missing_library", "store_unusable")
#: Verb of a unit -> seconds for which it waits for libvirt, since it is run once: a boot that came too early would start nobody.
PATIENCE = {"boot": 60.0, "shutdown": 10.0}
#: Verbs that act on what was validated when it was declared: a host goes up and down without the library, too.
TRUSTING = ("boot", "shutdown")


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command line; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    options = parsed(words)
    try:
        if options.verb not in TRUSTING:
            require_jsonschema()
        return _dispatch(options)
    except MissingJsonschemaError as error:
        return _complain(options, LifecycleError([]), f"{error} [missing_library]", UNREACHABLE)
    except LifecycleError as error:
        _tell(options, str(error))
        unreachable = any(problem.code in UNREACHABLE_CODES for problem in error.problems)
        return _complain(options, error, str(error), UNREACHABLE if unreachable else REFUSED)
    except EffectError as error:
        return _complain(options, LifecycleError([]), f"{error.message} [{error.code}]", UNREACHABLE)


def require_jsonschema() -> None:
    """Raises MissingJsonschemaError unless documents can be judged here.

    The library is only looked for: where no document is new nothing is judged, and it takes more memory than the engine.
    """
    from importlib.util import find_spec  # no boot asks

    if find_spec("jsonschema") is None:
        raise MissingJsonschemaError(MISSING)


def _tell(options: argparse.Namespace, error: str) -> None:
    """The timer's sweep could not run at all: the hooks hear of that, too, if the store can still be written."""
    if not getattr(options, "scheduled", False):
        return
    from ..changes import QueueNotice, RememberSweep
    from ..policy.notice import failure
    from ..tasks.snapshots import refused

    try:
        store, host = open_books(options.uri)
        now = host.clock().now
        store.save([
            QueueNotice(failure("", "the sweep of this host", error, now)), RememberSweep(refused(error, now)),
        ])  # fmt: skip
    except EffectError:
        return


def _dispatch(options: argparse.Namespace) -> int:
    if options.verb == "validate":
        return _validate(options)
    if options.verb == "explain":
        return _explain(options)
    if options.verb in OWN:
        return OWN[options.verb](options, *open_books(options.uri))
    if options.verb == "boot" and (options.timeline or options.svg):
        return _timeline(options, open_books(options.uri)[0])
    acts = not (getattr(options, "plan", False) or getattr(options, "dry_run", False))
    if options.verb == "supervise":
        from ..adapters.heap import one_heap, settle
        from .supervisor import supervise

        one_heap()
        settle()
        host = open_books(options.uri, talking=True)[1]
        return supervise(options.uri, host, partial(open_world, options.uri, talking=True))
    began = time.monotonic()
    world = open_world(options.uri, not options.json, PATIENCE.get(options.verb, 0.0) if acts else 0.0)
    options.spent = time.monotonic() - began
    result = _result(options, world)
    failed, alert = result.pop("failed"), result.pop("alert", True)
    from . import text

    timed = getattr(options, "scheduled", False)
    shape = text.scheduled if timed else text.SHAPES.get(options.verb, text.declared)
    _say(options, result, shape(result))
    return VM_FAILED if failed and (alert or not timed) else OK


def _result(options: argparse.Namespace, world: World) -> Dict[str, Any]:
    if options.verb == "boot":
        from .host_verbs import boot_host

        return boot_host(options, world)
    if options.verb == "shutdown":
        from .host_verbs import stop_host

        return stop_host(options, world)
    if options.verb == "snapshot":
        from .snapshot import take

        return take(options, document(options), world)
    from ..run import run  # a supervisor has no use for it while nothing happens

    result = run(_task(options.verb), document(options), world, bool(getattr(options, "dry_run", False)))
    if getattr(options, "scheduled", False) and not result["dry_run"]:
        from .snapshot import remember_sweep

        remember_sweep(world, result)
    return result


def _task(verb: str) -> Task:
    """The task that a verb stands for."""
    if verb == "status":
        from ..tasks.info import TASK
    elif verb == "doctor":
        from ..tasks.doctor import TASK
    elif verb == "flags":
        from ..tasks.flags import TASK
    elif verb == "limits":
        from ..tasks.limits import TASK
    elif verb == "recover":
        from ..tasks.recovery import TASK
    elif verb in ("retry", "stay-down"):
        from ..tasks.restart import TASK
    elif verb in ("hold", "release", "renew"):
        from ..tasks.persistence import TASK
    else:
        from ..tasks.cleanup import TASK
    return TASK


def _timeline(options: argparse.Namespace, store: Store) -> int:
    """How the last boot went, from the books alone: it is asked for when something is wrong, with libvirt perhaps."""
    from ..tasks.boot_timeline import last_boot
    from .pictures import timeline

    last = last_boot(store)
    if options.svg is not None and last["boot"] is not None:
        from .svg import timeline_svg

        try:
            options.svg.write_text(timeline_svg(last), encoding="utf-8")
        except OSError as error:
            raise refuse("invalid_option", f"{options.svg}: {error.strerror}", field="svg") from error
    return _say(options, last, timeline(last))


def _explain(options: argparse.Namespace) -> int:
    from .explanation import explanations, lines

    found = explanations(options.code)
    return _say(options, {"explanations": found}, lines(found))


def _accept_clock(options: argparse.Namespace, store: Store, host: Host) -> int:
    from ..host_changes import RememberClock
    from ..policy.clock import accept
    from ..version import RELEASED_UNIX

    reading = host.clock()
    if reading.now < RELEASED_UNIX:
        raise refuse("insane_clock", "the clock says a time before this software was released; set it first")
    store.save([RememberClock(accept(reading))])
    return _say(options, {"accepted": reading.now}, "the clock is accepted as it is")


def _log(options: argparse.Namespace, store: Store, _host: Host) -> int:
    from .text import operations

    lines = store.operations(max(options.last, 0))[::-1]
    return _say(options, {"operations": [vars(line) for line in lines]}, operations(lines))


def _events(options: argparse.Namespace, _store: Store, _host: Host) -> int:
    from ..adapters.event_log import EventLog, cursor_of
    from ..adapters.world import directories
    from .event_stream import print_events

    log = EventLog(directories(options.uri)[0])
    return print_events(
        options.uri, log, log.end() if options.after == "end" else cursor_of(options.after), options.follow
    )


def _notify(options: argparse.Namespace, store: Store, host: Host) -> int:
    """Exit code 1 when something could not be handed over; it is tried again after the next sweep."""
    from ..tasks.notify import attempt, deliver
    from ..tasks.observe import cleanup_policy
    from .text import NO_HOOK, notices

    hooks = cleanup_policy(host).hooks
    told = attempt(host, hooks) if options.test else deliver(store, host, hooks)
    _say(options, {"notices": told}, notices(told) if hooks.command or hooks.webhook else NO_HOOK)
    return VM_FAILED if any(notice["error"] for notice in told) else OK


#: Verbs that are no task.
OWN: Dict[str, Callable[[argparse.Namespace, Store, Host], int]] = {
    "clock-accept": _accept_clock,
    "events": _events,
    "log": _log,
    "notify": _notify,
}


def _validate(options: argparse.Namespace) -> int:
    from ..adapters.linux_host import named_zone
    from ..policy.cleanup_policy import decode
    from ..tasks.host import boot_problems, problems_of
    from ..tasks.measured import snapshot_problems

    try:
        found = json.loads(options.file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise refuse("invalid_configuration", f"{options.file}: {error}") from error
    if not isinstance(found, dict):
        raise refuse("invalid_configuration", f"{options.file}: not a JSON object")
    try:
        zone = named_zone(str(found.get("window_timezone") or "UTC"))
    except ValueError as error:
        raise refuse("invalid_option", str(error), field="cleanup.window_timezone") from error
    if options.kind == "cleanup":
        _policy, problems = decode(found, zone, "cleanup")
    elif options.kind == "snapshots":
        problems = snapshot_problems(found, "snapshots")
    elif options.kind == "pressure":
        problems = problems_of("VmPressurePolicy", found, "pressure")
    else:
        problems = boot_problems(found, "boot")
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
    sys.stdout.write(f"{encodable(lines, sys.stdout.encoding or 'ascii')}\n")


def _warn(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _complain(options: argparse.Namespace, error: LifecycleError, message: str, code: int) -> int:
    if options.json:
        problems: List[Dict[str, str]] = [vars(problem) for problem in error.problems]
        _write(json.dumps({"failed": True, "msg": message, "problems": problems}, indent=2, sort_keys=True))
    else:
        from .words import mend

        for line in [str(problem) for problem in error.problems] or [message]:
            _warn(f"vm-lifecycle: {printable(line)}")
        for problem_code in dict.fromkeys(problem.code for problem in error.problems):
            _warn(f"  [{problem_code}] {mend(problem_code)}")
    return code
