"""The execution environment of the example project, as ansible-builder sees it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.awx.conftest import PROJECT, ROOT


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The context from which an image is built."""
    made = tmp_path_factory.mktemp("environment") / "context"
    options = ["--file", "execution-environment.yml", "--context", str(made), "--output-filename", "Containerfile"]
    done = subprocess.run(
        ["ansible-builder", "create", *options], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def test_a_context_is_created_with_what_the_project_needs(context: Path) -> None:
    built = context / "_build"
    assert (built / "requirements.yml").read_text() == (PROJECT / "collections" / "requirements.yml").read_text()
    assert (built / "bindep.txt").read_text() == (PROJECT / "bindep.txt").read_text()
    assert (built / "requirements.txt").read_text() == (PROJECT / "requirements.txt").read_text()
    containerfile = (context / "Containerfile").read_text()
    for needed in ("FROM $EE_BASE_IMAGE", "ansible-galaxy collection install", "/usr/bin/python3.12", "ansible-core>="):
        assert needed in containerfile


def test_it_asks_for_this_collection_and_no_other() -> None:
    wanted = yaml.safe_load((PROJECT / "collections" / "requirements.yml").read_text())["collections"]
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    assert [each["name"] for each in wanted] == [f"{galaxy['namespace']}.{galaxy['name']}"]
    assert wanted[0]["version"] == f">={galaxy['version']}"


def test_its_ansible_core_is_one_that_the_collection_runs_on() -> None:
    definition = yaml.safe_load((PROJECT / "execution-environment.yml").read_text())
    required = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["requires_ansible"]
    assert definition["dependencies"]["ansible_core"]["package_pip"].startswith(f"ansible-core{required},")
