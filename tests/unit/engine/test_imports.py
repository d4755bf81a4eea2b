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
    path = agent.__path__[0].rsplit("/", 2)[0]
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=path, check=True, stdout=subprocess.PIPE)
    imported = done.stdout.decode().split()
    assert "vm_lifecycle.booting" in imported
    assert sorted(set(IDLE) & set(imported)) == []


def test_a_supervisor_of_known_declarations_holds_no_validator() -> None:
    """It runs as long as its host, and jsonschema with all that it imports is larger than the engine."""
    program = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from vm_lifecycle.agent import cli, supervisor\n"
        "cli.require_jsonschema()\n"
        "print(*set(sys.modules) - before)\n"
    )
    path = agent.__path__[0].rsplit("/", 2)[0]
    done = subprocess.run([sys.executable, "-c", program], cwd=path, check=True, stdout=subprocess.PIPE)
    imported = done.stdout.decode().split()
    assert "vm_lifecycle.recorder" in imported
    assert {name for name in imported if name.partition(".")[0] in ("jsonschema", "attr", "attrs")} == set()
