"""What every host answers: claims, configuration, clocks. The same cases on the fake and on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from vm_lifecycle.adapters.linux_host import UNIT_LINKS, LinuxHost
from vm_lifecycle.errors import LifecycleError
from vm_lifecycle.ports import Host

from tests.fakes.build import build
from tests.fakes.host import FakeHost
from tests.fakes.world import Machine

UUID, OTHER = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
ENGINE = str(Path(__file__).parents[2] / "plugins" / "module_utils")

#: A host on which something is enabled and configured.
Make = Callable[[list[str], Any], Host]


@pytest.fixture(params=["fake", "linux"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """A host with features and the content of cleanup.json: None for none, else JSON, or text that is none."""

    def fake(features: list[str], configuration: Any) -> Host:
        whole = {} if configuration is None else {"cleanup": configuration}
        return FakeHost(Machine(build({"features": features, "configuration": whole})))

    def linux(features: list[str], configuration: Any) -> Host:
        units, etc = tmp_path / "units", tmp_path / "etc"
        etc.mkdir()
        for feature in features:
            link = units / UNIT_LINKS[feature]
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to("/nowhere")
        if configuration is not None:
            text = configuration if isinstance(configuration, str) else json.dumps(configuration)
            (etc / "cleanup.json").write_text(text)
        return LinuxHost(tmp_path / "claims", etc, units)

    return fake if request.param == "fake" else linux


def test_claims(make: Make) -> None:
    """One holder at a time, VM by VM, and again afterwards."""
    host = make([], None)
    for _round in range(2):
        with host.claim(UUID) as first, host.claim(OTHER) as other, host.claim(UUID) as second:
            assert (first, other, second) == (True, True, False)
        with host.claim(UUID) as again:
            assert again


def test_a_claim_ends_with_an_error(make: Make) -> None:
    """Whatever happened to its holder."""
    host = make([], None)
    with pytest.raises(RuntimeError), host.claim(UUID) as free:
        assert free
        raise RuntimeError
    with host.claim(UUID) as again:
        assert again


def test_a_refused_claim_frees_nothing(make: Make) -> None:
    """Leaving without having held takes nothing from the holder."""
    host = make([], None)
    with host.claim(UUID):
        with host.claim(UUID) as second:
            assert not second
        with host.claim(UUID) as third:
            assert not third


@pytest.mark.parametrize("features", [[], ["cleanup"], ["boot", "cleanup", "supervisor"]])
def test_features(make: Make, features: list[str]) -> None:
    """Those whose units are enabled."""
    assert make(features, None).features() == frozenset(features)


@pytest.mark.parametrize("document", [None, {}, {"dry_run_mode": True}])
def test_configuration(make: Make, document: Any) -> None:
    """As it was written, or none."""
    host = make([], document)
    assert host.configuration("cleanup") == document
    assert host.configuration("other") is None


@pytest.mark.parametrize("text", ["{", "", '["a"]', "7"])
def test_bad_configuration(make: Make, text: str) -> None:
    """Refused with its own code, and its path."""
    with pytest.raises(LifecycleError) as caught:
        make([], text).configuration("cleanup")
    assert [problem.code for problem in caught.value.problems] == ["invalid_configuration"]
    assert "cleanup.json" in str(caught.value)


def test_clock(make: Make) -> None:
    """Clocks of one boot go on together."""
    host = make([], None)
    first, second = host.clock(), host.clock()
    assert first.boot_id == second.boot_id != ""
    assert 0 <= second.boottime - first.boottime < 5
    assert abs((second.now - first.now) - (second.boottime - first.boottime)) < 1


def test_zone(make: Make) -> None:
    """A zone that can tell local time."""
    assert datetime.fromtimestamp(0, make([], None).zone()).utcoffset() is not None


def test_progress(make: Make) -> None:
    """Any text may be said."""
    make([], None).progress("two\nlines \x1b[31m")


HOLDER = """
import sys
from pathlib import Path
from vm_lifecycle.adapters.linux_host import LinuxHost
with LinuxHost(Path(sys.argv[1]), Path("/nowhere")).claim(sys.argv[2]) as free:
    print(free, flush=True)
    sys.stdin.readline()
"""


def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that claims UUID and keeps it until it is told or killed."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "claims"), UUID],
        env={"PYTHONPATH": ENGINE}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def said(process: subprocess.Popen[str]) -> str:
    """Its answer."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_claim_of_another_process(tmp_path: Path) -> None:
    """It holds here, and dies with its holder, by kill too."""
    host = LinuxHost(tmp_path / "claims", tmp_path)
    for end in ("leave", "kill"):
        with holder(tmp_path) as process:
            assert said(process) == "True"
            with host.claim(UUID) as free, host.claim(OTHER) as other:
                assert (free, other) == (False, True)
            if end == "kill":
                process.kill()
            else:
                process.communicate("\n")
            process.wait(10)
        with host.claim(UUID) as free, holder(tmp_path) as second:
            assert free
            assert said(second) == "False"
            second.communicate("\n")


def test_claims_leave_no_files(tmp_path: Path) -> None:
    """But for those of killed holders."""
    host = LinuxHost(tmp_path / "claims", tmp_path)
    with host.claim(UUID):
        assert list((tmp_path / "claims").iterdir()) != []
    assert list((tmp_path / "claims").iterdir()) == []
