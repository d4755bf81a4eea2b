"""awx.awx as it is published, a stand-in for AWX's API, and a lab host."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.awx.api import Server, World

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "examples" / "awx-project"
COLLECTIONS = f"{ROOT}/.ansible/collections:{ROOT}/.build/awx/collections"
#: awx.awx of this version uses what ansible-core is about to drop.
ENVIRONMENT = {
    "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS,
    "ANSIBLE_DEPRECATION_WARNINGS": "false",
    "ANSIBLE_PIPELINING": "true",
}
CREDENTIALS = ("hosts",)


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def surveys() -> dict[str, Any]:
    """Surveys by key."""
    specs: dict[str, Any] = load("roles/vm_lifecycle_awx/vars/main/surveys.yml")["vm_lifecycle_awx_surveys"]
    return specs


def job_templates() -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = load("roles/vm_lifecycle_awx/vars/main/surveys.yml")[
        "vm_lifecycle_awx_job_template_list"
    ]
    return listed


class Play:
    """What a run of ansible-playbook said: its exit status, its text, and its recap by host."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.done = subprocess.run(
            ["ansible-playbook", *arguments],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default", **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        self.text = self.done.stdout + self.done.stderr

    def recap(self, host: str) -> dict[str, int]:
        line = next(line for line in reversed(self.done.stdout.splitlines()) if line.startswith(f"{host} "))
        return {key: int(value) for key, value in (word.split("=") for word in line.split(":", 1)[1].split())}


@pytest.fixture(scope="module")
def awx() -> Iterator[Server]:
    """A server that knows an organization, a credential, and the playbooks of the example project."""
    playbooks = {f"playbooks/{path.name}" for path in (PROJECT / "playbooks").iterdir()}
    server = Server(World(playbooks, CREDENTIALS))
    yield server
    server.close()


def run_role(server: Server, variables: dict[str, Any], *arguments: str) -> Play:
    connection = {"controller_host": server.address, "controller_username": "admin", "controller_password": "secret"}
    given = json.dumps({"vm_lifecycle_awx_connection": connection, **variables})
    return Play("vmops.lifecycle.awx", "-i", "localhost,", "-e", given, *arguments, environment=ENVIRONMENT)
