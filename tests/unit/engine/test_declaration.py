"""What a declaration becomes, from what was before."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import pytest
from vm_lifecycle.policy.declaration import Refusal, Subject, declare, hold, release, remarks, renew

HOUR = 3600
NOW = 1_800_000_000
YEAR = 8760


def subject(previous: Optional[Dict[str, Any]] = None, autostart: bool = False) -> Subject:
    """The VM."""
    return Subject("uuid", "ci-1", previous, autostart)


def first(options: Dict[str, Any], now: int = NOW, autostart: bool = False, **policy: Any) -> Dict[str, Any]:
    """A first declaration."""
    return declare(subject(autostart=autostart), options, policy or None, now)


TEMPORARY = first({"mode": "temporary", "ttl_hours": 4})
PERMANENT = first({})


def test_first() -> None:
    """Defaults are filled in, times recorded."""
    assert PERMANENT["persistence"]["created_at_unix"] == NOW
    assert "scheduled_cleanup" not in PERMANENT["persistence"]
    assert "temporary_since_unix" not in PERMANENT
    assert TEMPORARY["persistence"]["scheduled_cleanup"] == NOW + 4 * HOUR
    assert TEMPORARY["temporary_since_unix"] == NOW
    assert (TEMPORARY["version"], TEMPORARY["vm_id"]) == (1, "uuid")
    assert "policy" not in TEMPORARY
    assert "hold" not in TEMPORARY


@pytest.mark.parametrize(
    ("previous", "options", "now", "scheduled"),
    [
        # The same again, or something else, moves nothing.
        (TEMPORARY, {"mode": "temporary", "ttl_hours": 4}, NOW + HOUR, NOW + 4 * HOUR),
        (TEMPORARY, {"mode": "temporary", "ttl_hours": 4, "auto_cleanup": False}, NOW + HOUR, NOW + 4 * HOUR),
        (TEMPORARY, {"mode": "temporary", "ttl_hours": 4}, NOW + 9 * HOUR, NOW + 4 * HOUR),
        # Another ttl_hours counts from the same base, also the default.
        (TEMPORARY, {"mode": "temporary", "ttl_hours": 6}, NOW + HOUR, NOW + 6 * HOUR),
        (TEMPORARY, {"mode": "temporary", "ttl_hours": 2}, NOW + HOUR, NOW + 2 * HOUR),
        (TEMPORARY, {"mode": "temporary"}, NOW + HOUR, NOW + 24 * HOUR),
        # A later deadline that is past as well is no harm.
        (TEMPORARY, {"mode": "temporary", "ttl_hours": 5}, NOW + 9 * HOUR, NOW + 5 * HOUR),
        # A renewed base stays.
        (
            renew(subject(TEMPORARY), NOW + HOUR, None),
            {"mode": "temporary", "ttl_hours": 6},
            NOW + HOUR,
            NOW + 7 * HOUR,
        ),
        # A conversion begins a life, and a second one another.
        (PERMANENT, {"mode": "temporary", "ttl_hours": 4}, NOW + 100 * HOUR, NOW + 104 * HOUR),
        (TEMPORARY, {}, NOW + HOUR, None),
        (None, {"mode": "temporary", "ttl_hours": 4, "created_at_unix": NOW - 9 * HOUR}, NOW, NOW - 5 * HOUR),
        (None, {"mode": "temporary", "ttl_hours": 4, "created_at_unix": 0}, NOW, 4 * HOUR),
        (None, {"mode": "temporary", "ttl_hours": YEAR}, NOW, NOW + YEAR * HOUR),
    ],
)
def test_deadline(
    previous: Optional[Dict[str, Any]], options: Dict[str, Any], now: int, scheduled: Optional[int]
) -> None:
    """Base plus ttl_hours."""
    document = declare(subject(previous), options, None, now)
    assert document["persistence"].get("scheduled_cleanup") == scheduled
    recorded = previous["persistence"]["created_at_unix"] if previous else options.get("created_at_unix", now)
    assert document["persistence"]["created_at_unix"] == recorded


def test_conversion_there_and_back() -> None:
    """Each life as a temporary VM has a first base of its own."""
    again = declare(
        subject(declare(subject(TEMPORARY), {}, None, NOW + HOUR)), {"mode": "temporary"}, None, NOW + 2 * HOUR
    )
    assert again["temporary_since_unix"] == NOW + 2 * HOUR
    assert again["persistence"]["created_at_unix"] == NOW


OLD = first({"mode": "temporary", "ttl_hours": YEAR})
REFUSED = [
    (None, {"created_at_unix": NOW + 1}, None, NOW, "created_in_future", "created_at_unix"),
    (PERMANENT, {"created_at_unix": NOW + 999}, None, NOW, "created_in_future", "created_at_unix"),
    (None, {"created_at_unix": -1}, None, NOW, "invalid_option", "created_at_unix"),
    (PERMANENT, {"created_at_unix": NOW - 1}, None, NOW, "created_at_fixed", "created_at_unix"),
    (TEMPORARY, {"mode": "temporary", "ttl_hours": 1}, None, NOW + HOUR, "deadline_past", "ttl_hours"),
    (TEMPORARY, {"mode": "temporary", "ttl_hours": 3}, None, NOW + 9 * HOUR, "deadline_past", "ttl_hours"),
    (renew(subject(TEMPORARY), NOW + HOUR, None), {"mode": "temporary", "ttl_hours": YEAR}, None, NOW, "life_limit",
     "ttl_hours"),
    (None, {}, {"on_host_reboot": "destroy"}, NOW, "destroy_needs_temporary", "policy.on_host_reboot"),
    (first({"mode": "temporary"}, on_host_reboot="destroy"), {}, None, NOW, "destroy_needs_temporary",
     "policy.on_host_reboot"),
]  # fmt: skip


@pytest.mark.parametrize(("previous", "options", "policy", "now", "code", "field"), REFUSED)
def test_refused(
    previous: Optional[Dict[str, Any]],
    options: Dict[str, Any],
    policy: Optional[Dict[str, Any]],
    now: int,
    code: str,
    field: str,
) -> None:
    """With VM, field and code."""
    with pytest.raises(Refusal) as caught:
        declare(subject(previous), options, policy, now)
    assert (caught.value.problem.code, caught.value.problem.field, caught.value.problem.vm) == (code, field, "ci-1")


def test_blocks_that_are_omitted_stay() -> None:
    """policy, autostart, hold, and libvirt's flag as it first was."""
    document = {**first({}, autostart=True, on_disk_full="kill"), "autostart": {"vm_name": "ci-1"}}
    held = hold(subject(document), "deletion", "audit", NOW)
    again = declare(subject(held, autostart=False), {"auto_start": True}, None, NOW)
    for key in ("policy", "autostart", "hold", "libvirt_autostart_before"):
        assert again[key] == held[key]
    assert again["libvirt_autostart_before"] is True
    assert declare(subject(held), {}, {}, NOW)["policy"]["on_disk_full"] == "none"


def test_hold_and_release() -> None:
    """The same hold again keeps its moment, another one does not; release lifts it."""
    held = hold(subject(PERMANENT), "deletion", "audit", NOW)
    assert held["hold"] == {"scope": "deletion", "reason": "audit", "since_unix": NOW}
    assert hold(subject(held), "deletion", "audit", NOW + 9) == held
    assert hold(subject(held), "everything", "audit", NOW + 9)["hold"]["since_unix"] == NOW + 9
    assert hold(subject(held), "deletion", "other", NOW + 9)["hold"]["since_unix"] == NOW + 9
    assert release(subject(held)) == PERMANENT
    assert release(subject(PERMANENT)) == PERMANENT


@pytest.mark.parametrize(
    ("least", "now", "scheduled"),
    [
        (None, NOW + HOUR, NOW + 5 * HOUR),
        (None, NOW + 9 * HOUR, NOW + 13 * HOUR),
        (3, NOW + HOUR, NOW + 4 * HOUR),
        (3, NOW + HOUR + 1, NOW + HOUR + 1 + 4 * HOUR),
        (0, NOW + 3 * HOUR, NOW + 4 * HOUR),
        (0, NOW + 4 * HOUR, NOW + 4 * HOUR),
        (0, NOW + 4 * HOUR + 1, NOW + 8 * HOUR + 1),
    ],
)
def test_renew(least: Optional[int], now: int, scheduled: int) -> None:
    """The base becomes now, unless enough is left."""
    assert renew(subject(TEMPORARY), now, least)["persistence"]["scheduled_cleanup"] == scheduled


@pytest.mark.parametrize(
    ("previous", "now", "code"),
    [(None, NOW, "not_managed"), (PERMANENT, NOW, "not_temporary"), (OLD, NOW + 1, "life_limit")],
)
def test_renew_refused(previous: Optional[Dict[str, Any]], now: int, code: str) -> None:
    """A year after the first base a temporary life is over, however often it was renewed."""
    with pytest.raises(Refusal) as caught:
        renew(subject(previous), now, None)
    assert caught.value.problem.code == code


def test_a_life_of_renewals_ends() -> None:
    """Renewed each hour, until the limit."""
    document, now = TEMPORARY, NOW
    while now < NOW + YEAR * HOUR:
        now += 100 * HOUR
        try:
            document = renew(subject(document), now, None)
        except Refusal:
            break
    assert document["persistence"]["scheduled_cleanup"] <= NOW + YEAR * HOUR
    assert document["temporary_since_unix"] == NOW


@pytest.mark.parametrize("verb", [lambda s: hold(s, "deletion", "", NOW), release])
def test_needs_a_declaration(verb: Any) -> None:
    """Hold and release are of managed VMs."""
    with pytest.raises(Refusal) as caught:
        verb(subject())
    assert caught.value.problem.code == "not_managed"


@pytest.mark.parametrize(
    ("previous", "options", "autostart", "expected"),
    [
        (None, {}, False, []),
        (None, {"ttl_hours": 4}, False, ["ttl_hours has no effect on a permanent VM"]),
        (None, {"force_cleanup": True, "cleanup_grace_period": 5, "auto_cleanup": True}, False,
         ["auto_cleanup has", "force_cleanup has", "cleanup_grace_period has"]),
        (None, {"mode": "temporary", "restart_policy": "no", "max_retries": 1}, False,
         ["restart_policy has no effect on a temporary VM", "max_retries has"]),
        (None, {"max_retries": -1}, False, ["counts as 0"]),
        (None, {"mode": "temporary", "created_at_unix": 5}, False, ["its deadline is past already"]),
        (TEMPORARY, {"mode": "temporary", "ttl_hours": 4}, False, []),
        (None, {}, True, ["autostart flag was on and is turned off"]),
        (None, {"auto_start": False}, True, []),
        (None, {"auto_start": True}, True, []),
        (None, {"mode": "temporary"}, True, ["autostart flag was on and is turned off"]),
    ],
)  # fmt: skip
def test_remarks(
    previous: Optional[Dict[str, Any]], options: Dict[str, Any], autostart: bool, expected: List[str]
) -> None:
    """Options without effect, and surprises."""
    document = declare(subject(previous, autostart), options, None, NOW)
    said = remarks(subject(previous, autostart), options, document, NOW)
    assert all(text.startswith("ci-1: ") for text in said)
    assert len(said) == len(expected)
    assert all(any(part in text for text in said) for part in expected)


def test_remark_on_keep_stopped() -> None:
    """It beats auto_start."""
    document = first({"auto_start": True}, on_host_reboot="keep-stopped")
    assert "keep-stopped overrides" in remarks(subject(), {"auto_start": True}, document, NOW)[0]
