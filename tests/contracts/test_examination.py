"""What doctor is told of a machine: by the words of systemctl and of qemu.conf, and on the fake."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from vm_lifecycle.adapters.examination import auto_shutdown, examine, units
from vm_lifecycle.adapters.linux_host import LinuxHost
from vm_lifecycle.examination import GUESTS, HOST, Examination, Unit

from tests.fakes.build import build
from tests.fakes.host import FakeHost
from tests.fakes.world import Machine

#: systemctl show of systemd 252, with a unit that is not there and one whose commands a drop-in replaced.
SHOWN = """\
Id=vm-lifecycle-host.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
TimeoutStopUSec=5min
ExecStart={ path=/bin/true ; argv[]=/bin/true ; ignore_errors=no ; pid=0 ; code=(null) ; status=0/0 }
ExecStop={ path=/usr/local/bin/vm-lifecycle ; argv[]=/usr/local/bin/vm-lifecycle shutdown ; ignore_errors=no }

Id=pacemaker.service
LoadState=not-found
ActiveState=inactive
UnitFileState=
TimeoutStopUSec=1min 30s

Id=libvirt-guests.service
LoadState=loaded
ActiveState=inactive
UnitFileState=disabled
TimeoutStopUSec=infinity
ExecStart={ path=/bin/true ; argv[]=/bin/true ; ignore_errors=no }
"""


def test_units_as_systemctl_shows_them() -> None:
    """Those that are there, with what they run."""
    found = units(SHOWN)
    assert set(found) == {HOST, GUESTS}
    assert (found[HOST].state, found[HOST].enabled, found[HOST].stop_seconds) == ("active", True, 300.0)
    assert "vm-lifecycle shutdown" in found[HOST].commands
    assert (found[GUESTS].state, found[GUESTS].enabled, found[GUESTS].stop_seconds) == ("inactive", False, math.inf)
    assert "libvirt-guests" not in found[GUESTS].commands
    assert units("") == {} and units("\n\nnonsense\n\nId=x\n") == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ('#auto_shutdown_try_save = "persistent"\n', {}),
        ('auto_shutdown_try_save = "persistent"\n', {"auto_shutdown_try_save": "persistent"}),
        ("  auto_shutdown_wait=60 # seconds\n", {"auto_shutdown_wait": "60"}),
        ('auto_shutdown_poweroff = "all"\nauto_shutdown_poweroff = "none"', {"auto_shutdown_poweroff": "none"}),
        ('user = "root"\nnot_auto_shutdown_wait = 3\n', {}),
    ],
)
def test_settings_of_qemu_conf(text: str, expected: dict[str, str]) -> None:
    """Lines that are in force; the last one wins."""
    assert auto_shutdown(text) == expected


def test_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All units in one call."""
    script = tmp_path / "systemctl"
    script.write_text(f"#!/bin/sh\necho \"$*\" >> {tmp_path}/calls\ncat <<'END'\n{SHOWN}END\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    conf = tmp_path / "qemu.conf"
    conf.write_text('auto_shutdown_poweroff = "all"\n')
    found = examine(conf)
    assert (set(found.units), found.auto_shutdown, found.problems) == (
        {HOST, GUESTS},
        {"auto_shutdown_poweroff": "all"},
        (),
    )
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def test_a_machine_that_answers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be looked at is said; no qemu.conf is no problem."""
    monkeypatch.setenv("PATH", str(tmp_path))
    found = examine(tmp_path / "qemu.conf")
    assert (found.units, found.problems) == ({}, ("systemd does not answer, so nothing is known of its units",))
    assert examine(tmp_path).problems[1:] == (f"{tmp_path}: Is a directory",)


def test_this_machine_and_the_fake(tmp_path: Path) -> None:
    """Both answer, and the fake says what it was told."""
    assert isinstance(LinuxHost(tmp_path / "claims", tmp_path).examination(), Examination)
    told = {"units": {HOST: {"state": "active"}}, "auto_shutdown": {"auto_shutdown_wait": "1"}, "problems": ["no"]}
    host = FakeHost(Machine(build({"examination": told})))
    assert host.examination() == Examination({HOST: Unit(HOST, "active")}, {"auto_shutdown_wait": "1"}, ("no",))
    assert FakeHost(Machine(build({}))).examination() == Examination()
