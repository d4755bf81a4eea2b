"""What libvirt does by itself when a guest ends, and what becomes of it while a restart policy acts."""

from __future__ import annotations

from itertools import product
from typing import Any, Dict

import pytest
from vm_lifecycle.policy.habits import BEFORE, DEFAULTS, INSTEAD, RESTARTING, actions, put_back, settled

from tests.fakes.build import declaration

#: Values that libvirt knows.
VALUES = ("destroy", "restart", "rename-restart", "preserve", "coredump-destroy", "coredump-restart")


def document(**given: Any) -> Dict[str, Any]:
    """A declaration."""
    return declaration("u", given, 0)


def test_actions() -> None:
    """Of a definition, with libvirt's defaults."""
    assert actions("<domain/>") == DEFAULTS
    assert actions("<domain><on_crash>preserve</on_crash></domain>") == {**DEFAULTS, "on_crash": "preserve"}


@pytest.mark.parametrize(
    ("name", "value"),
    [each for each in product(DEFAULTS, VALUES) if each[0] == "on_crash" or "coredump" not in each[1]],
)
def test_each_value(name: str, value: str) -> None:
    """It is changed if it fights, goes back to what it was in each way that there is, and a second time changes nothing."""
    current = {**DEFAULTS, name: value}
    declared, values = settled(document(), current, True)
    fights = (name, value) in INSTEAD
    assert (BEFORE in declared, bool(values)) == (fights, fights)
    now = {**current, **values}
    assert not set(now.values()) & set(RESTARTING) - {now["on_reboot"]}
    assert settled(declared, now, True) == (declared, {})
    for later, supervisor in (
        (declared, False),
        ({**declared, "persistence": document(restart_policy="no")["persistence"]}, True),
    ):
        forgotten, back = settled(later, now, supervisor)
        assert BEFORE not in forgotten
        assert {**now, **back} == current
    assert {**now, **put_back(declared.get(BEFORE), now)} == current


@pytest.mark.parametrize(
    ("given", "supervisor"), [({}, False), ({"restart_policy": "no"}, True), ({"mode": "temporary"}, True)]
)
def test_who_is_not_restarted(given: Dict[str, Any], supervisor: bool) -> None:
    """Is left alone."""
    current = {**DEFAULTS, "on_crash": "restart"}
    assert settled(document(**given), current, supervisor) == (document(**given), {})


def test_what_somebody_changed_since() -> None:
    """Stays when the rest is put back; and what it was at first is what counts, also if it fights once more."""
    declared, _values = settled(
        document(), {"on_crash": "restart", "on_poweroff": "restart", "on_reboot": "restart"}, True
    )
    now = {"on_crash": "preserve", "on_poweroff": "destroy", "on_reboot": "restart"}
    assert settled(declared, now, False)[1] == {"on_poweroff": "restart"}
    again, values = settled(declared, {**now, "on_crash": "coredump-restart"}, True)
    assert (again[BEFORE], values) == (declared[BEFORE], {"on_crash": "coredump-destroy"})
