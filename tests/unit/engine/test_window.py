"""The daily window: its edges, midnight, and the two nights of the year on which clocks are changed."""

from __future__ import annotations

from datetime import datetime
from typing import Optional
from zoneinfo import ZoneInfo

import pytest
from vm_lifecycle.policy.window import Window, closing_time, next_open, parse_clock_time


def at(text: str) -> float:
    """Epoch of an ISO time with its offset."""
    return datetime.fromisoformat(text).timestamp()


def window(text: str, zone: str = "UTC") -> Window:
    """A window written as "22:00-05:00"."""
    start, end = text.split("-")
    return Window(parse_clock_time(start), parse_clock_time(end), ZoneInfo(zone))


@pytest.mark.parametrize(("text", "expected"), [("00:00", 0), ("02:00", 120), ("09:59", 599), ("23:59", 1439)])
def test_parse(text: str, expected: int) -> None:
    """Minutes after midnight."""
    assert parse_clock_time(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1320", 'YAML read 22:00 as 1320: write "22:00"'),
        ("120", 'write "02:00"'),
        ("0", 'write "00:00"'),
        ("1440", "must be a time HH:MM"),
        ("24:00", "must be a time HH:MM"),
        ("2:00", "must be a time HH:MM"),
        ("02:60", "must be a time HH:MM"),
        ("02:00:00", "must be a time HH:MM"),
        ("02:00\n", "must be a time HH:MM"),
        ("", "must be a time HH:MM"),
        ("-1:00", "must be a time HH:MM"),
    ],
)
def test_parse_refuses(text: str, said: str) -> None:
    """With what YAML made of an unquoted time, where it shows."""
    with pytest.raises(ValueError, match=r"HH:MM|quote") as caught:
        parse_clock_time(text)
    assert said in str(caught.value)


BERLIN, HOWE = "Europe/Berlin", "Australia/Lord_Howe"
# Berlin 2027: +01:00 until 28 March 02:00, then +02:00 until 31 October 03:00.
# Lord Howe 2027: +11:00 until 4 April 02:00 (then +10:30), and from 3 October 02:00 on again; the shift is half an hour.
OPEN = [
    ("02:00-06:00", "UTC", "2026-12-01T01:59:59+00:00", None),
    ("02:00-06:00", "UTC", "2026-12-01T02:00:00+00:00", "2026-12-01T06:00:00+00:00"),
    ("02:00-06:00", "UTC", "2026-12-01T05:59:59+00:00", "2026-12-01T06:00:00+00:00"),
    ("02:00-06:00", "UTC", "2026-12-01T06:00:00+00:00", None),
    ("22:00-05:00", "UTC", "2026-12-01T21:59:59+00:00", None),
    ("22:00-05:00", "UTC", "2026-12-01T22:00:00+00:00", "2026-12-02T05:00:00+00:00"),
    ("22:00-05:00", "UTC", "2026-12-02T00:00:00+00:00", "2026-12-02T05:00:00+00:00"),
    ("22:00-05:00", "UTC", "2026-12-02T04:59:59+00:00", "2026-12-02T05:00:00+00:00"),
    ("22:00-05:00", "UTC", "2026-12-02T05:00:00+00:00", None),
    ("22:00-00:00", "UTC", "2026-12-01T23:59:59+00:00", "2026-12-02T00:00:00+00:00"),
    ("22:00-00:00", "UTC", "2026-12-02T00:00:00+00:00", None),
    ("23:59-00:01", "UTC", "2026-12-31T23:59:30+00:00", "2027-01-01T00:01:00+00:00"),
    ("02:00-06:00", BERLIN, "2026-12-01T02:00:00+01:00", "2026-12-01T06:00:00+01:00"),
    # Spring: 02:00 to 03:00 do not exist, and the window is an hour shorter.
    ("02:00-06:00", BERLIN, "2027-03-28T01:59:59+01:00", None),
    ("02:00-06:00", BERLIN, "2027-03-28T03:00:00+02:00", "2027-03-28T06:00:00+02:00"),
    ("22:00-05:00", BERLIN, "2027-03-27T22:00:00+01:00", "2027-03-28T05:00:00+02:00"),
    ("02:30-03:45", BERLIN, "2027-03-28T01:59:59+01:00", None),
    ("02:30-03:45", BERLIN, "2027-03-28T03:00:00+02:00", "2027-03-28T03:45:00+02:00"),
    ("02:30-03:15", BERLIN, "2027-03-28T03:10:00+02:00", "2027-03-28T03:15:00+02:00"),
    ("01:30-02:30", BERLIN, "2027-03-28T01:59:59+01:00", "2027-03-28T03:00:00+02:00"),
    ("01:30-02:30", BERLIN, "2027-03-28T03:00:00+02:00", None),
    ("02:10-02:50", BERLIN, "2027-03-28T03:00:00+02:00", None),
    ("02:10-02:50", BERLIN, "2027-03-28T03:30:00+02:00", None),
    # Autumn: 02:00 to 03:00 happen twice; a time in it is the first one.
    ("02:00-06:00", BERLIN, "2027-10-31T02:00:00+02:00", "2027-10-31T06:00:00+01:00"),
    ("02:00-06:00", BERLIN, "2027-10-31T02:00:00+01:00", "2027-10-31T06:00:00+01:00"),
    ("02:00-02:30", BERLIN, "2027-10-31T02:15:00+02:00", "2027-10-31T02:30:00+02:00"),
    ("02:00-02:30", BERLIN, "2027-10-31T02:15:00+01:00", None),
    ("01:00-02:30", BERLIN, "2027-10-31T02:40:00+02:00", None),
    ("02:30-03:00", BERLIN, "2027-10-31T02:45:00+02:00", "2027-10-31T03:00:00+01:00"),
    ("02:30-03:00", BERLIN, "2027-10-31T02:15:00+01:00", "2027-10-31T03:00:00+01:00"),
    # A shift of half an hour.
    ("02:00-06:00", HOWE, "2027-10-03T01:59:59+10:30", None),
    ("02:00-06:00", HOWE, "2027-10-03T02:30:00+11:00", "2027-10-03T06:00:00+11:00"),
    ("02:15-03:00", HOWE, "2027-10-03T02:30:00+11:00", "2027-10-03T03:00:00+11:00"),
    ("02:05-02:25", HOWE, "2027-10-03T02:30:00+11:00", None),
    ("01:00-01:45", HOWE, "2027-04-04T01:40:00+11:00", "2027-04-04T01:45:00+11:00"),
    ("01:00-01:45", HOWE, "2027-04-04T01:40:00+10:30", None),
    ("01:45-02:15", HOWE, "2027-04-04T01:35:00+10:30", "2027-04-04T02:15:00+10:30"),
]


@pytest.mark.parametrize(("text", "zone", "now", "closes"), OPEN)
def test_closing_time(text: str, zone: str, now: str, closes: Optional[str]) -> None:
    """Open until when, or closed."""
    assert closing_time(window(text, zone), at(now)) == (None if closes is None else at(closes))


@pytest.mark.parametrize(("text", "zone", "now", "closes"), OPEN)
def test_next_open_agrees(text: str, zone: str, now: str, closes: Optional[str]) -> None:
    """An open window opens now; a closed one opens later, is open then and closed just before."""
    given, moment = window(text, zone), at(now)
    opening = next_open(given, moment)
    if closes is not None:
        assert opening == moment
        return
    assert opening > moment
    assert closing_time(given, opening) is not None
    assert closing_time(given, opening - 1) is None


@pytest.mark.parametrize(
    ("text", "zone", "now", "opens"),
    [
        ("02:00-06:00", "UTC", "2026-12-01T06:00:00+00:00", "2026-12-02T02:00:00+00:00"),
        ("22:00-05:00", "UTC", "2026-12-01T05:00:00+00:00", "2026-12-01T22:00:00+00:00"),
        ("02:10-02:50", BERLIN, "2027-03-27T12:00:00+01:00", "2027-03-29T02:10:00+02:00"),
        ("02:30-03:45", BERLIN, "2027-03-27T12:00:00+01:00", "2027-03-28T03:00:00+02:00"),
        ("02:05-02:25", HOWE, "2027-10-02T12:00:00+10:30", "2027-10-04T02:05:00+11:00"),
        ("02:00-02:30", BERLIN, "2027-10-31T02:15:00+01:00", "2027-11-01T02:00:00+01:00"),
    ],
)
def test_next_open(text: str, zone: str, now: str, opens: str) -> None:
    """A window inside the hour that is skipped does not happen that night."""
    assert next_open(window(text, zone), at(now)) == at(opens)


@pytest.mark.parametrize("text", ["00:00-00:00", "09:00-09:00"])
def test_all_day(text: str) -> None:
    """Equal times never close."""
    assert closing_time(window(text), 1.0) == float("inf")
    assert next_open(window(text), 1.0) == 1.0
    assert window(text).all_day


@pytest.mark.parametrize("zone", ["UTC", BERLIN, HOWE, "America/New_York", "Asia/Kolkata", "Pacific/Apia"])
@pytest.mark.parametrize("text", ["02:00-06:00", "22:00-05:00", "23:30-00:30", "02:30-03:15", "00:00-23:59"])
def test_a_year(zone: str, text: str) -> None:
    """Away from changes of the clock, a window is open just when the local clock says so."""
    given = window(text, zone)
    start = at("2027-01-01T00:30:00+00:00")
    for step in range(0, 365 * 24, 5):
        now = start + step * 3600
        local = datetime.fromtimestamp(now, given.zone)
        around = {datetime.fromtimestamp(now + day * 86400, given.zone).utcoffset() for day in (-2, 0, 2)}
        if len(around) > 1:
            continue
        minutes = local.hour * 60 + local.minute
        inside = given.start <= minutes < given.end
        if given.start > given.end:
            inside = minutes >= given.start or minutes < given.end
        assert (closing_time(given, now) is not None) == inside, local
