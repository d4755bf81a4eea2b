"""The file that has what a result leaves out."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from vm_lifecycle.adapters.details import keep_details
from vm_lifecycle.errors import EffectError


def test_the_last_result_of_a_task_is_kept_for_root_alone(tmp_path: Path) -> None:
    for names in (["ä", "b"], ["c"]):
        path = Path(keep_details(tmp_path / "state", "vm_cleanup", {"vms": names}))
        assert json.loads(path.read_text()) == {"vms": names}
    assert path == tmp_path / "state" / "results" / "vm_cleanup.json"
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path)] == [0o700, 0o600]
    assert [each.name for each in path.parent.iterdir()] == ["vm_cleanup.json"]


def test_a_directory_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no directory")
    with pytest.raises(EffectError, match="the whole result is not kept"):
        keep_details(tmp_path / "state", "vm_cleanup", {"vms": []})
