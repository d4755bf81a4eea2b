"""What every host answers: claims, configuration, clocks. The same cases on the fake and on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from vm_lifecycle.adapters.linux_host import UNIT_LINKS, LinuxHost, TalkingHost
from vm_lifecycle.errors import EffectError, LifecycleError
from vm_lifecycle.host_changes import LogOperation
from vm_lifecycle.ports import Host
from vm_lifecycle.removals import Hooks

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


@pytest.mark.parametrize("features", [[], ["cleanup"], ["boot", "cleanup", "snapshots", "supervisor"]])
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


@pytest.mark.parametrize(
    ("told", "expected"),
    [("0f3c2a1b4d5e4f608192a3b4c5d6e7f8", "0f3c2a1b-4d5e-4f60-8192-a3b4c5d6e7f8"), ("", None), ("nonsense", None)],
)
def test_boot_of_a_unit(told: str, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit believes systemd rather than the /proc of its sandbox; written as the kernel writes it."""
    host = LinuxHost(tmp_path, tmp_path)
    kernel = host.clock().boot_id
    monkeypatch.setenv("VM_LIFECYCLE_BOOT_ID", told)
    assert host.clock().boot_id == (expected or kernel)


def test_zone(make: Make) -> None:
    """A zone that can tell local time."""
    assert datetime.fromtimestamp(0, make([], None).zone()).utcoffset() is not None


@pytest.mark.parametrize(("name", "hours"), [("Europe/Berlin", 1), ("UTC", 0), ("Asia/Kolkata", 5.5)])
def test_named_zone(make: Make, name: str, hours: float) -> None:
    """As the IANA database has it, whatever the host's own is."""
    zone = make([], None).zone(name)
    assert datetime(2026, 1, 15, 12, tzinfo=zone).utcoffset() == timedelta(hours=hours)


NO_ZONES = ["Europe/Nowhere", "Europe", "CET+1:00", "..", "../../../etc/localtime", "/etc/localtime", "Europe/../UTC", "a\0b",
            "\ud800", "x" * 5000, "tzdata.zi", "."]  # fmt: skip


@pytest.mark.parametrize("name", NO_ZONES)
def test_no_zone(make: Make, name: str) -> None:
    """Refused, and no other file is read as one."""
    with pytest.raises(LifecycleError) as caught:
        make([], None).zone(name)
    (problem,) = caught.value.problems
    assert (problem.code, problem.field) == ("invalid_option", "window_timezone")


def test_pressure(make: Make) -> None:
    """Per cent of a minute, or not known."""
    found = make([], None).pressure()
    for share in (found.cpu, found.io, found.memory):
        assert share is None or 0 <= share <= 100


NAMES = ["ci-1", "two\nlines\nPRIORITY=0", "\x1b[31mred", "x" * 1000000, "\ud800", ""]


@pytest.mark.parametrize("name", NAMES)
def test_journal(make: Make, name: str) -> None:
    """It takes everything and never fails."""
    make([], None).journal(LogOperation(1795575600, UUID, name, "remove", "failed", name))


def test_telling_nobody(make: Make) -> None:
    """Without a hook there is nothing that can go wrong."""
    assert make([], None).deliver(Hooks(), {"event": "expiring"}) == ""


class Ended(BaseException):
    """What ends a run from within, such as a power cut or a person's interrupt."""


@pytest.mark.parametrize("workers", [0, 1, 2, 5, 20])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_parallel(make: Make, workers: int, count: int) -> None:
    """All jobs run, at most workers at once (one at least), and have ended when it returns. It can be used again."""
    host, lock, at_once = make([], None), threading.Lock(), min(max(workers, 1), count)
    for _round in range(2):
        running: set[int] = set()
        ended: list[int] = []
        most = [0]

        def job(number: int, running: set[int], ended: list[int], most: list[int]) -> None:
            with lock:
                running.add(number)
                most[0] = max(most[0], len(running))
            for _wait in range(500):  # until as many run as may; a busy machine starts threads late
                host.sleep(0.01)
                if most[0] >= at_once:
                    break
            with lock:
                running.remove(number)
                ended.append(number)

        host.parallel([partial(job, number, running, ended, most) for number in range(count)], workers)
        assert sorted(ended) == list(range(count))
        assert most == [at_once]


def test_claims_of_threads(make: Make) -> None:
    """One holder at a time among the jobs of one process too."""
    host, holders, most = make([], None), 0, 0

    def job() -> None:
        nonlocal holders, most
        for _round in range(10):
            with host.claim(UUID) as free:
                if free:
                    holders += 1
                    most = max(most, holders)
                    host.sleep(0.001)
                    holders -= 1
            host.sleep(0.001)

    host.parallel([job] * 4, 4)
    assert (holders, most) == (0, 1)


@pytest.mark.parametrize("bad", [0, 2])
def test_a_job_that_ends_the_run(make: Make, bad: int) -> None:
    """It ends in the caller, as itself, and no job goes on after that."""
    host = make([], None)
    ended: list[int] = []

    def job(number: int) -> None:
        host.sleep(0.01)
        if number == bad:
            raise Ended(str(number))
        host.sleep(0.05)
        ended.append(number)

    threads = threading.active_count()
    with pytest.raises(Ended, match=str(bad)):
        host.parallel([partial(job, number) for number in range(4)], 4)
    assert threading.active_count() == threads
    so_far = list(ended)
    host.sleep(0.1)
    assert ended == so_far


def test_what_waits_when_a_run_ends(make: Make) -> None:
    """A person's interrupt reaches the caller: what has begun ends in order, and no other job begins."""
    host = make([], None)
    begun: list[int] = []

    def job(number: int) -> None:
        begun.append(number)
        host.sleep(0.01 if number == 0 else 0.5)
        if number == 0:
            raise Ended

    with pytest.raises(Ended):
        host.parallel([partial(job, number) for number in range(6)], 2)
    assert set(begun) == {0, 1}


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


@pytest.mark.parametrize("odd", ["link", "directory", "no directory"])
def test_a_lock_that_can_not_be_taken(tmp_path: Path, odd: str) -> None:
    """It names the path; the locks of other VMs are as good as ever."""
    host = LinuxHost(tmp_path / "claims", tmp_path)
    if odd == "no directory":
        (tmp_path / "claims").write_text("")
    else:
        path = tmp_path / "claims" / f"{UUID}.lock"
        path.parent.mkdir()
        path.symlink_to("/nowhere") if odd == "link" else path.mkdir()
        with host.claim(OTHER) as free:
            assert free
    with pytest.raises(EffectError, match=str(tmp_path / "claims")), host.claim(UUID):
        raise AssertionError


def test_a_lock_that_can_not_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is let go all the same."""

    def refused(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "unlink", refused)
    host = LinuxHost(tmp_path / "claims", tmp_path)
    for _time in range(2):
        with host.claim(UUID) as free:
            assert free


def test_progress_that_nobody_reads_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes on goes on."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        for _time in range(2):
            TalkingHost(tmp_path, tmp_path).progress("hello")
        with suppress(BrokenPipeError):
            stream.close()
    TalkingHost(tmp_path, tmp_path).progress("hello")  # to a stream that is closed
