"""What a booting host does not wait for: its VMs start no sooner than all is imported that a boot imports. And what stays out of memory."""

from __future__ import annotations

import subprocess
import sys

from vm_lifecycle import agent

#: Modules that take long to import, and that a boot of VMs whose declarations are known has no use for.
IDLE = [
    "argparse", "jsonschema", "concurrent.futures", "subprocess", "tempfile", "urllib.request", "uuid",
    *(f"vm_lifecycle.{name}" for name in (
        "actions", "apply", "changes", "disks", "limits", "recoveries", "removal", "removals", "restarts", "snapshots",
        "agent.supervisor", "agent.svg", "adapters.change_rows", "adapters.hooks", "adapters.images",
        "adapters.libvirt.memory", "adapters.machine", "adapters.removal_rows", "policy.cleanup_policy", "policy.doctor",
        "policy.restart", "policy.storage", "tasks.cleanup", "tasks.doctor", "tasks.info", "tasks.persistence", "tasks.shutdown",
    )),
]  # fmt: skip
PROGRAM = """
import sys
before = set(sys.modules)  # an environment of Python may import things by itself
from vm_lifecycle.agent import arguments, cli, host_verbs
arguments.parsed(["boot", "--again"])
from vm_lifecycle.adapters import jobs, journal
from vm_lifecycle.agent import text
from vm_lifecycle.tasks import boot
print(*set(sys.modules) - before)
"""


def test_a_boot_imports_what_it_needs() -> None:
    found = imported(PROGRAM)
    assert "vm_lifecycle.booting" in found
    assert sorted(set(IDLE) & set(found)) == []


#: What a supervisor has no use for while nothing happens, and would hold for as long as its host is up.
RARE = [
    "argparse", "attr", "attrs", "jsonschema", "selectors", "socket", "subprocess", "tempfile", "unicodedata",
    *(f"vm_lifecycle.{name}" for name in ("actions", "apply", "chain", "guarded", "loading", "plans", "run", "snapshots", "tasks.limits")),
]  # fmt: skip
SUPERVISOR = """
import sys
before = set(sys.modules)
from vm_lifecycle.agent import cli, supervisor
cli.require_jsonschema()
import vm_lifecycle.adapters.libvirt.events
print(*set(sys.modules) - before)
"""
POSTPONED = """
import sys
known = "inspect" in sys.modules
from vm_lifecycle.agent.sparing import postpone
postpone("inspect")
postpone("inspect")
import inspect, sys
assert known or "ast" not in sys.modules, "it was imported too early"
stand_in = inspect
from inspect import signature
assert str(signature(lambda a, b=1: 0)) == "(a, b=1)"
import inspect
assert inspect is sys.modules["inspect"] and (known or inspect is not stand_in)
assert stand_in.signature is inspect.signature is signature
assert stand_in.__file__ == inspect.__file__
assert sys.modules["inspect"] is inspect, "it was imported twice"
postpone("inspect")
assert sys.modules["inspect"] is inspect, "it was there already"
try:
    stand_in.nothing
except AttributeError:
    print("ok")
"""


def imported(program: str) -> list[str]:
    """What a program prints, in words; it runs beside the engine."""
    path = agent.__path__[0].rsplit("/", 2)[0]
    done = subprocess.run([sys.executable, "-c", program], cwd=path, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().split()


def test_a_supervisor_holds_what_it_needs() -> None:
    """It runs as long as its host, and jsonschema alone, with all that it imports, is larger than the engine."""
    found = imported(SUPERVISOR)
    assert "vm_lifecycle.recorder" in found
    assert sorted(set(RARE) & {*found, *(name.partition(".")[0] for name in found)}) == []


def test_a_module_that_is_postponed() -> None:
    """It comes when something in it is asked for, once, and whoever has the stand-in has all of it."""
    assert imported(POSTPONED) == ["ok"]
