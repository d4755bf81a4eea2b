"""A file of metrics, which another program reads at any moment."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from vm_lifecycle.adapters.textfile import NAME, publish
from vm_lifecycle.errors import EffectError


def test_whole(tmp_path: Path) -> None:
    """Readable for everybody under any umask, and nothing else is left in the directory."""
    before = os.umask(0o077)
    try:
        path = Path(publish(str(tmp_path), "a 1\nü 2\n"))
        publish(str(tmp_path), "b 2\n")
    finally:
        os.umask(before)
    assert (path, path.read_bytes()) == (tmp_path / "vm_lifecycle.prom", b"b 2\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == [NAME]


def test_replaced_and_not_written_over(tmp_path: Path) -> None:
    """Whoever reads the old one reads on, and a link that somebody put there is not followed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("keep")
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / NAME).symlink_to(elsewhere)
    publish(str(tmp_path / "metrics"), "a 1\n")
    assert elsewhere.read_text() == "keep"
    with (tmp_path / "metrics" / NAME).open() as reader:
        publish(str(tmp_path / "metrics"), "a 2\n")
        assert reader.read() == "a 1\n"


def test_what_killed_runs_left(tmp_path: Path) -> None:
    """Is put away by the next one; it never has a name that the node exporter reads."""
    (tmp_path / f".{NAME}.abc").write_text("half")
    (tmp_path / "others.prom").write_text("x 1\n")
    publish(str(tmp_path), "a 1\n")
    assert sorted(os.listdir(tmp_path)) == ["others.prom", NAME]


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """It is not made: nobody would read it."""
    with pytest.raises(EffectError, match=r"can't be written.*textfile_directory in /etc/vm-lifecycle/snapshots.json"):
        publish(str(tmp_path / "nowhere"), "a 1\n")
    assert os.listdir(tmp_path) == []


def test_text_that_can_not_be_written(tmp_path: Path) -> None:
    """The old file stays as it is."""
    publish(str(tmp_path), "a 1\n")
    with pytest.raises(UnicodeEncodeError):
        publish(str(tmp_path), "\udcff")
    assert os.listdir(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_text() == "a 1\n"
