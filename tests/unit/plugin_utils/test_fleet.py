"""A fleet as it was collected: what needs a person, and what the files tell."""

from __future__ import annotations

import copy
import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from plugin_utils import attention, collected, fleet, host_views, page, tables, views
from plugin_utils.reader import Reader, plural, span

from tests.report.made_up import HOSTILE, Fleet, iso

NOW = datetime(2026, 11, 26, 13, tzinfo=UTC)
TEMPLATES = Path(__file__).resolve().parents[3] / "playbooks" / "templates" / "report"


def one(hostile: tuple[str, ...] = ()) -> dict[str, Any]:
    """A host with all that there may be."""
    [made] = Fleet(NOW).documents(1, hostile)
    return made


def quiet() -> dict[str, Any]:
    """A host that needs nobody."""
    return Fleet(NOW).host("kvm01")


def concerns(*documents: dict[str, Any]) -> list[str]:
    return [each.kind for each in attention.concerns(fleet.hosts(documents), NOW)]


def test_a_quiet_host_needs_nobody() -> None:
    assert concerns(quiet()) == []


def history(**more: Any) -> dict[str, Any]:
    made = quiet()
    made["info"]["history"].update(more)
    return made


def swept(**more: Any) -> dict[str, Any]:
    made = quiet()
    made["info"]["history"]["sweep"].update(more)
    return made


def told(**more: Any) -> dict[str, Any]:
    made = quiet()
    made["info"].update(more)
    return made


def of_vm(**more: Any) -> dict[str, Any]:
    made = quiet()
    made["info"]["vms"][0].update(more)
    return made


def planned(confirmed: bool) -> dict[str, Any]:
    vm = {"name": "a", "uuid": "u", "confirmed": confirmed}
    return told(plans=[{"plan_id": "p", "created_at": iso(NOW), "vms": [vm]}])


OFF = {"cleanup_enabled": False, "dry_run_mode": False, "check_interval_minutes": 60}
GAVE_UP = {"state": "gave_up", "restart_count": 5, "reason": "retries_used_up", "message": "it died"}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (collected.document("gone", "", {"unreachable": True, "msg": "no route"}, None), ["unreachable"]),
        (collected.document("bad", "", {"failed": True, "msg": "no libvirt"}, None), ["failed"]),
        ({**quiet(), "problem": {"kind": "failed", "message": "no policy"}}, ["failed"]),
        (told(clock={"sane": False, "problem": "it went back", "synchronised": False}), ["clock"]),
        (history(now=iso(NOW + timedelta(hours=1))), ["skew"]),
        (history(now=iso(NOW + timedelta(seconds=100))), []),
        (swept(outcome="refused", message="no libvirt"), ["sweep_refused"]),
        (swept(ended_at=iso(NOW - timedelta(hours=4))), ["sweep_missed"]),
        (swept(ended_at=iso(NOW - timedelta(hours=2))), []),
        (history(sweep=None), ["sweep_missed"]),
        (told(features=["boot"], history={**quiet()["info"]["history"], "sweep": None}), []),
        (history(sweep=None, cleanup=OFF), []),
        (history(sweep=None, cleanup=None), []),
        (told(interrupted=["ci-1"]), ["interrupted"]),
        (history(warnings=["an intent can't be read"]), ["warned"]),
        (planned(False), ["confirmation"]),
        (planned(True), []),
        (of_vm(schedule={"cleanup_error": "refused"}), ["removal_failed"]),
        (of_vm(start={"outcome": "failed", "reason": "start_failed", "message": "no"}), ["start_failed"]),
        (of_vm(restart=GAVE_UP), ["gave_up"]),
        (
            of_vm(pressure={"cause": "memory", "action": "suspend", "message": "too little", "at": iso(NOW)}),
            ["pressed"],
        ),
        (of_vm(persistence=None, metadata_problem={"reason": "metadata_cloned", "message": "x"}), ["invalid"]),
    ],
)
def test_what_needs_a_person(document: dict[str, Any], expected: list[str]) -> None:
    assert concerns(document) == expected


def test_the_worst_comes_first_and_each_kind_says_what_to_do() -> None:
    gone = collected.document("gone", "", {"unreachable": True, "msg": "no route"}, None)
    found = concerns(one(), gone)
    assert found[0] == "unreachable" and found == sorted(found, key=list(attention.KINDS).index)
    explained = {"start_failed": "See to the cause.", "retries_used_up": "Start it."}
    assert all(attention.remedy(kind, explained) for kind in attention.KINDS)


def damaged() -> list[dict[str, Any]]:
    """Answers that no host of ours gives."""
    found = []
    for change in (
        lambda info: info.update(vms=[{"name": "x"}]),
        lambda info: info.update(vms="all"),
        lambda info: info.update(clock=None),
        lambda info: info["vms"][0].update(scheduled_cleanup_at="tomorrow"),
        lambda info: info["vms"][0].update(snapshot={"cpu_usage_percent": "much"}),
        lambda info: info["history"].update(operations=[7]),
        lambda info: info["history"].update(boot={"boot": {"began_at": None}}),
        lambda info: info.update(undo=[{}]),
    ):
        made = copy.deepcopy(quiet())
        change(made["info"])
        found.append(made)
    return found


@pytest.mark.parametrize("document", damaged())
def test_an_answer_that_is_none_does_not_spoil_the_others(document: dict[str, Any]) -> None:
    other = {**quiet(), "host": "kvm02"}
    [first, second] = fleet.hosts([document, other])
    assert first.problem == "failed" and "can't be understood" in first.message and not first.answered
    assert second.answered and len(second.vms) == 12


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=x", " =x"])
def test_a_spreadsheet_calculates_nothing(name: str) -> None:
    text = tables.as_csv(fleet.hosts([one((name,))]))
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == 13
    assert f"'{name}" in [row["vm"] for row in rows]
    assert not any(value.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for value in row.values())


def test_a_host_without_vms_has_a_line() -> None:
    gone = collected.document("gone", "", {"unreachable": True, "msg": "=no route"}, None)
    [row] = csv.DictReader(io.StringIO(tables.as_csv(fleet.hosts([gone]))))
    assert row["host"] == "gone" and row["problem"] == "unreachable: =no route" and row["vm"] == ""


def test_the_json_may_stand_in_a_page() -> None:
    hosts = fleet.hosts([one(HOSTILE)])
    text = tables.as_json(hosts, attention.concerns(hosts, NOW), NOW, "</script>")
    whole = json.loads(text)
    assert "<" not in text
    assert set(HOSTILE) <= {vm["name"] for vm in whole["hosts"][0]["vms"]}
    assert whole["made_at"] == "2026-11-26T13:00:00Z" and whole["totals"]["expired"] == 3
    assert {each["severity"] for each in whole["concerns"]} == {"error", "warning"}


def rendered(*documents: dict[str, Any]) -> str:
    hosts = fleet.hosts(documents)
    reader = Reader(NOW, ZoneInfo("Europe/Berlin"))
    return page.render(TEMPLATES, hosts, attention.concerns(hosts, NOW), reader, "<title>", {"held": "<It> is held."})


def test_the_page_escapes_what_comes_from_anywhere() -> None:
    """Names, reasons of holds, messages, names of hosts, the title."""
    gone = collected.document("<b>gone</b>", "", {"unreachable": True, "msg": "<i>no route</i>"}, None)
    text = rendered(one(HOSTILE), gone)
    for bad in ("<script>document", "<img", "<b>", "<i>", "<title><title>", "<It>"):
        assert bad not in text
    assert text.count("<script>") == 1 and "&lt;b&gt;gone&lt;/b&gt;" in text


def test_the_page_of_no_vm_and_of_a_quiet_host() -> None:
    assert "No VM of these hosts is temporary." in rendered(told(vms=[]))
    assert "Nothing needs a person." in rendered(quiet())


def test_the_timeline_has_each_vm_once() -> None:
    hosts = fleet.hosts(Fleet(NOW).documents(100))
    made = views.timeline(hosts, Reader(NOW, ZoneInfo("Europe/Berlin")))
    temporary = sum(vm.deadline is not None for host in hosts for vm in host.vms)
    assert sum(column.going + column.held for column in made.columns) == temporary
    assert max(column.going_share + column.held_share for column in made.columns) == 100
    assert sum(len(some) for _heading, some in made.groups) + made.more == temporary
    assert made.groups[0][0] == "Overdue" and made.groups[1][0].startswith("Today, ")


def test_a_day_is_one_of_the_zone_of_the_report() -> None:
    """23:30 UTC is tomorrow in Berlin."""
    made = quiet()
    for vm in made["info"]["vms"]:
        vm["scheduled_cleanup_at"] = None
    made["info"]["vms"][0]["scheduled_cleanup_at"] = "2026-11-26T23:30:00Z"
    hosts = fleet.hosts([made])
    [[in_berlin, _vms]] = views.timeline(hosts, Reader(NOW, ZoneInfo("Europe/Berlin"))).groups
    [[in_utc, _vms]] = views.timeline(hosts, Reader(NOW, ZoneInfo("UTC"))).groups
    assert in_berlin == "Tomorrow, Friday 27 November 2026"
    assert in_utc == "Today, Thursday 26 November 2026"


def test_what_went_can_be_brought_back_or_not() -> None:
    found = views.gone(fleet.hosts([quiet()]))
    assert [(each.line.name, each.until is not None) for each in found] == [("ci-0", True), ("ci-00", False)]


def test_why_vms_stay() -> None:
    [host] = fleet.hosts([one()])
    found = dict(views.reasons([host]))
    assert found == {"permanent": 6, "not_expired": 2, "outside_window": 1, "held": 1, "removal_given_up": 1}
    over = views.staying([host], NOW)
    assert [each.vm.name for each in over] == ["ci-1", "ci-2", "ci-3"]
    assert [(disk.label, disk.decision, disk.used_by) for disk in over[0].vm.disks] == [
        ("default/ci-1.qcow2", "waiting", ()),
        ("/p/base.qcow2", "kept", ("ci-2", "old-1")),
    ]


def test_bars_fill_the_boot() -> None:
    [host] = fleet.hosts([quiet()])
    assert host.boot is not None
    made = host_views.bars(host.boot)
    assert len(made) == 6
    assert all(0 <= since <= 100 and 0 < width <= 100 for strip in made for _word, since, width in strip.parts)
    assert max(since + width for strip in made for _word, since, width in strip.parts) == pytest.approx(100)


def test_words_for_times_and_numbers() -> None:
    reader = Reader(NOW, ZoneInfo("Europe/Berlin"))
    assert reader.when(NOW) == "Thu 26 Nov 2026, 14:00 CET"
    assert reader.when(datetime(2026, 7, 1, tzinfo=UTC)) == "Wed 01 Jul 2026, 02:00 CEST"
    assert reader.away(NOW + timedelta(hours=3)) == "in 3 h" and reader.away(NOW - timedelta(days=2)) == "2 d ago"
    assert [span(seconds) for seconds in (5, 120, 7200, 111600, 172800)] == ["5 s", "2 min", "2 h", "31 h", "2 d"]
    assert plural(1, "VM") == "1 VM" and plural(1234, "VM") == "1,234 VMs"


def test_files_of_hosts(tmp_path: Path) -> None:
    """A name may hold what a file's may not; a file of another host, or none, is no answer."""
    kept = collected.document("a/../b", iso(NOW), quiet()["info"], None)
    path = collected.keep(str(tmp_path / "new"), kept)
    assert path.parent == tmp_path / "new" and path.stat().st_mode & 0o777 == 0o600
    assert collected.read(str(path.parent), ["a/../b"]) == [kept]
    collected.place(str(path.parent), "other").write_text(json.dumps(kept))
    collected.place(str(path.parent), "torn").write_text("{")
    found = collected.read(str(path.parent), ["other", "torn", "missing"])
    assert [each["problem"]["kind"] for each in found] == ["failed"] * 3
    assert found[2]["problem"]["message"] == "nothing was collected"


def test_a_message_is_bounded() -> None:
    kept = collected.document("a", "", {"failed": True, "msg": "x" * 10000}, None)
    assert len(kept["problem"]["message"]) == collected.LONGEST
