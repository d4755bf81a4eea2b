"""Generated files: as committed, and drift where they are not."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from tools.kcl_compiler import outputs
from tools.kcl_compiler.__main__ import main
from tools.kcl_compiler.writers import literal

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture
def copy(tmp_path: pathlib.Path) -> pathlib.Path:
    """The sources and templates alone, in an otherwise empty repository."""
    for source in outputs.SOURCES:
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, tmp_path / source)
    shutil.copytree(ROOT / outputs.TEMPLATES, tmp_path / outputs.TEMPLATES)
    return tmp_path


def test_the_repository_has_no_drift() -> None:
    assert outputs.drifted(str(ROOT)) == {}


def test_writing_is_complete_and_repeatable(copy: pathlib.Path) -> None:
    written = outputs.write(str(copy))
    assert set(written.values()) == {"missing"}
    assert outputs.write(str(copy)) == {}
    for path in written:
        text = (copy / path).read_bytes()
        assert text == (ROOT / path).read_bytes()
        assert text.endswith(b"\n") and not text.endswith(b"\n\n")


def test_check_names_each_drifted_file_and_changes_nothing(
    copy: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs.write(str(copy))
    stale, missing = copy / "schemas/json/VmHold.schema.json", copy / "plugins/doc_fragments/generated_vm_cleanup.py"
    extra = copy / "schemas/json/VmGone.schema.json"
    stale.write_text("{}\n")
    missing.unlink()
    extra.write_text("{}\n")
    assert main(["check", "--root", str(copy)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "drift: plugins/doc_fragments/generated_vm_cleanup.py: missing",
        "drift: schemas/json/VmGone.schema.json: no longer generated",
        "drift: schemas/json/VmHold.schema.json: stale",
    ]
    assert stale.read_text() == "{}\n" and extra.exists() and not missing.exists()
    assert main(["write", "--root", str(copy)]) == 0
    assert not extra.exists()
    assert main(["check", "--root", str(copy)]) == 0


def test_a_changed_source_is_drift(copy: pathlib.Path) -> None:
    outputs.write(str(copy))
    source = copy / "schemas/vm_lifecycle.k"
    source.write_text(source.read_text().replace("ttl_hours: int = 24", "ttl_hours: int = 48"))
    assert set(outputs.drifted(str(copy))) == {
        "examples/awx-project/controller/vm_lifecycle.yml",
        "plugins/doc_fragments/generated_vm_persistence.py",
        "plugins/module_utils/vm_lifecycle/_generated/defaults.py",
        "roles/vm_lifecycle/meta/argument_specs.yml",
        "roles/vm_lifecycle_awx/vars/main/surveys.yml",
        "schemas/json/VmMetadata.schema.json",
        "schemas/json/VmPersistence.schema.json",
        "schemas/json/VmPersistenceInput.schema.json",
    }


def test_a_source_that_cannot_be_compiled(copy: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = copy / "schemas/additions.k"
    source.write_text(source.read_text().replace("revision >= 1,", "revision >= temporary_since_unix,"))
    assert main(["write", "--root", str(copy)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: schemas/additions.k:")
    assert "one attribute or computed value compared with another" in error
    assert not (copy / "schemas" / "json").exists()


def test_the_command_runs_from_the_root() -> None:
    command = [sys.executable, "-m", "tools.kcl_compiler", "check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_literals_fit_their_lines() -> None:
    value = {"key": [{"name": "x" * 30, "list": list(range(30))}] * 2, "empty": [], "no": False}
    text = literal(value, 10, "")
    assert eval(text) == value
    assert max(len(line) for line in text.split("\n")) < 120
