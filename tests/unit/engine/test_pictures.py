"""Pictures of boots and shutdowns: what each line says, whatever VMs are called and however long things took."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional
from xml.etree import ElementTree

import pytest
from vm_lifecycle.agent import pictures, text, trees
from vm_lifecycle.agent.columns import encodable, fit, table, width
from vm_lifecycle.agent.svg import timeline_svg
from vm_lifecycle.agent.words import chained, duration

HOSTILE = '<script>alert("x")</script>&\x1b[31m\n'
LONG = "a" * 300
NAMES = ["db1", HOSTILE, LONG, "数据库服务器", "e\u0301" * 40, "\u202eevil", "\ud800", "-- rm -rf", "]]>", ""]


def start(outcome: str = "ready", **times: Any) -> Dict[str, Any]:
    """A start as rows have it; times without their _seconds."""
    whole = {"turn": 0.0, "begun": 0.0, "started": 1.0, "ended": 5.0, **times}
    shown = {f"{key}_seconds": whole[key] for key in ("turn", "begun", "started", "ended")}
    return {"outcome": outcome, "attempts": whole.get("attempts", 1), "waited_for": whole.get("after"), **shown}


def row(name: str, reason: str = "", message: str = "", **times: Any) -> Dict[str, Any]:
    """A row of last_boot; with a reason it failed."""
    outcome = times.pop("outcome", "failed" if reason else "ready")
    decision = "failed" if reason else "started"
    said = f"{name}: {message}" if message else name
    return {
        "name": name, "uuid": name, "decision": decision, "reason": reason, "message": said,
        "start": start(outcome, **times),
    }  # fmt: skip


def last(*rows: Dict[str, Any], path: Optional[List[str]] = None, over: bool = True) -> Dict[str, Any]:
    """A boot of these rows."""
    seconds = max(each["start"]["ended_seconds"] for each in rows)
    boot = {"boot_id": "b", "began_at": "2026-11-25T03:00:00Z", "seconds": seconds, "over": over}
    return {"boot": boot, "vms": list(rows), "critical_path": path or [rows[-1]["name"]]}


BOOT = last(
    row("db1"),
    row("cache", begun=5.0, started=6.0, ended=6.0),
    row("web1", turn=6.0, begun=6.0, started=7.0, ended=11.0, after="cache"),
    row("web2", "ssh_silent", "no SSH banner at 10.0.0.4 within 13 s",
        turn=6.0, begun=6.0, started=7.0, ended=20.0, after="cache"),
    row("front", "dependency_failed", "it depends on web2, which did not come up", outcome="skipped",
        turn=20.0, started=0.0, ended=20.0, attempts=0),
    path=["cache", "web2"],
)  # fmt: skip


def test_a_timeline() -> None:
    """Waiting, delay, start, SSH and end of each; who was waited for; the critical path; what to do."""
    lines = pictures.timeline(BOOT).split("\n")
    assert lines[0] == "Boot of 2026-11-25T03:00:00Z: 3 of 5 VMs ready after 20 s, 1 failed, 1 not started"
    bars = {line[2:].split()[0]: line for line in lines if "●" in line or "✗" in line}
    assert re.search(r"^  db1 +5 s +▒+█+●$", bars["db1"])
    assert re.search(r"^\* cache +6 s +─+▒+●$", bars["cache"])
    assert re.search(r"^  web1 +11 s +·+▒+█+● +cache$", bars["web1"])
    assert re.search(r"^\* web2 +failed +·+▒+█+✗ +cache$", bars["web2"])
    assert re.search(r"^  front +skipped +·+✗$", bars["front"])
    assert "Critical path (*): cache 6 s → web2 14 s" in lines
    assert "web2: no SSH banner at 10.0.0.4 within 13 s [ssh_silent]" in lines
    assert sum(line.startswith("  [ssh_silent] ") for line in lines) == 1


def test_bars_are_to_scale() -> None:
    """All ends lie where their moments are."""
    lines = pictures.timeline(BOOT).split("\n")
    axis = next(line for line in lines if "WAITED FOR" in line)
    begin, end = axis.index("0 s"), axis.index("20 s") + len("20 s") - 1
    for name, seconds in (("db1", 5.0), ("web1", 11.0), ("web2", 20.0)):
        line = next(line for line in lines if line[2:].startswith(name) and ("●" in line or "✗" in line))
        at = max(line.find("●"), line.find("✗"))
        assert abs(at - (begin + (end - begin) * seconds / 20.0)) <= 1


@pytest.mark.parametrize(
    "boot", [BOOT, last(*(row(name, after=NAMES[1]) for name in NAMES)), last(row("a", ended=0.0, started=0.0))]
)
def test_a_timeline_fits(boot: Dict[str, Any]) -> None:
    """In 100 columns, whatever the names are; what goes wrong is told in full below."""
    lines = pictures.timeline(boot).split("\n")
    until = lines.index("", lines.index("") + 1) + 2
    assert [line for line in lines[:until] if width(line) > pictures.COLUMNS] == []


def test_no_boot_is_said() -> None:
    """With what to do."""
    assert "vm-lifecycle boot --plan" in pictures.timeline({"boot": None, "vms": [], "critical_path": []})


def test_a_boot_that_goes_on_is_said() -> None:
    """Or was interrupted: the books can't tell."""
    assert "goes on, or was interrupted" in pictures.timeline(last(row("a"), over=False)).split("\n")[0]


@pytest.mark.parametrize("boot", [BOOT, last(*(row(name, after=NAMES[1]) for name in NAMES), path=NAMES)])
def test_an_svg_is_text_and_shapes_alone(boot: Dict[str, Any]) -> None:
    """It parses, runs nothing, loads nothing, and says the names as text."""
    drawn = timeline_svg(boot)
    root = ElementTree.fromstring(drawn)
    tags = {element.tag.split("}")[1] for element in root.iter()}
    assert tags == {"svg", "title", "style", "rect", "text", "path", "g", "circle"}
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not any(name.startswith("on") or "href" in name for name in attributes)
    assert "url(" not in drawn and "@import" not in drawn
    assert len([element for element in root.iter() if element.tag.endswith("}g")]) == len(boot["vms"])
    assert "prefers-color-scheme:dark" in drawn
    height = float(root.attrib["height"])
    assert all(float(element.attrib["y"]) < height for element in root.iter() if element.tag.endswith("}text"))


def test_an_svg_tells_all_to_whoever_points() -> None:
    """Phases, and what to do."""
    titles = [
        element.text or "" for element in ElementTree.fromstring(timeline_svg(BOOT)).iter() if "title" in element.tag
    ]
    assert any(
        title.startswith("web2; waited for cache; waits: 6 s; starts: 1 s; waits for SSH: 13 s; ") for title in titles
    )


def planned(name: str, reason: str = "auto_start", decision: str = "started", **place: Any) -> Dict[str, Any]:
    """A row of a boot's plan."""
    return {
        "name": name, "uuid": name, "decision": decision, "reason": reason, "message": f"{name}: auto_start is on.",
        "changed": True, "start_order": None, "depends_on": [], "start_delay_seconds": 0, "wait_for_ssh": False,
        "ssh_timeout_seconds": None, **place,
    }  # fmt: skip


def plan(waves: List[List[str]], *rows: Dict[str, Any], **more: Any) -> Dict[str, Any]:
    """A boot's result in a dry run."""
    return {
        "waves": waves, "vms": list(rows), "critical_path": [wave[0] for wave in waves], "worst_case_seconds": 1260,
        "already_done": False, "dry_run": True, "next_boot": False, "marked": False, **more,
    }  # fmt: skip


def test_a_plan_is_a_tree() -> None:
    """Waves, what each VM waits for, and those that stay down with the reason."""
    shown = trees.plan_tree(
        plan(
            [["db1"], ["web1", "web2"], ["x"]],
            planned("db1", start_order=10, start_delay_seconds=5),
            planned("web1", start_order=20, depends_on=["db1"], start_delay_seconds=7),
            planned("web2", start_order=20, wait_for_ssh=True, ssh_timeout_seconds=300),
            planned("x"),
            {**planned("old", "keep_stopped", "kept"), "message": "old: Its on_host_reboot is keep-stopped."},
            {**planned("lost", "dependency_failed", "failed"), "message": "it depends on gone, which is not started"},
            {
                "name": "ci-1",
                "decision": "removed",
                "reason": "destroy_at_boot",
                "message": "ci-1: expired",
                "volumes": [],
            },
        )
    )
    assert shown.split("\n") == [
        "A boot now starts 4 VMs; 3 VMs are not started.",
        "",
        "         ORDER  WAITS FOR                READY WHEN             WHY",
        "wave 1",
        "└─ db1   10     5 s                      it runs                auto_start is on",
        "wave 2",
        "├─ web1  20     order 10, db1, then 7 s  it runs                auto_start is on",
        "└─ web2  20     order 10                 SSH answers, in 5 min  auto_start is on",
        "wave 3",
        "└─ x     last   order 20                 it runs                auto_start is on",
        "",
        "stay down",
        "└─ old  Its on_host_reboot is keep-stopped [keep_stopped]",
        "",
        "can't start",
        "└─ lost  it depends on gone, which is not started [dependency_failed]",
        "",
        "handed to the clean-up",
        "└─ ci-1  expired [destroy_at_boot]",
        "",
        "Critical path: db1 → web1 → x",
        "Worst case: 21 min of delays, retries and waiting for SSH along it; starting itself comes on top.",
    ]


def test_a_plan_says_of_which_boot_it_is() -> None:
    """On a host that has booted it is the next one's."""
    whole = plan([["a"]], planned("a"), next_boot=True)
    assert trees.plan_tree(whole).startswith("The next boot of this host starts 1 VM.")
    assert text.boot(whole) == trees.plan_tree(whole)


def test_a_plan_without_vms() -> None:
    """Says what to do."""
    assert "vm_persistence" in trees.plan_tree(plan([]))
    assert "vm_persistence" in text.boot({**plan([]), "dry_run": False})
    assert text.boot({**plan([], marked=True), "dry_run": False}) == "noted: the VMs of this boot count as started"
    assert "boot --again" in text.boot({**plan([]), "dry_run": False, "already_done": True})


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_act_nowhere(name: str) -> None:
    """Neither as escape sequences nor as lines of their own."""
    shown = [
        trees.plan_tree(plan([[name]], planned(name, depends_on=[name], start_order=1))),
        pictures.timeline(last(row(name, "ssh_silent", f"no SSH banner of {name}", after=name))),
        text.boot({**plan([[name]], planned(name)), "dry_run": False}),
        trees.stop_tree(stopping([[name]], stopped(name))),
        text.shutdown({**stopping([[name]], stopped(name)), "dry_run": False}),
        text.flags({"dry_run": False, "vms": [{"name": name, "message": f"{name}: turned on"}]}),
    ]
    for picture in shown:
        assert all(line.isprintable() for line in picture.split("\n"))


def stopped(name: str, reason: str = "shutdown", decision: str = "stopped", **more: Any) -> Dict[str, Any]:
    """A row of a shutdown."""
    return {
        "name": name, "uuid": name, "decision": decision, "reason": reason, "message": f"{name}: {reason}",
        "changed": True, "fell_back": False, "start_order": 10, "timeout_seconds": 120, **more,
    }  # fmt: skip


def stopping(waves: List[List[str]], *rows: Dict[str, Any], **more: Any) -> Dict[str, Any]:
    """A shutdown's result in a dry run."""
    return {
        "waves": waves, "vms": list(rows), "going_down": False, "asked": True, "worst_case_seconds": 415, "dry_run": True, **more,
    }  # fmt: skip


def test_a_shutdown_is_a_tree() -> None:
    """The other way round than a boot, each VM with its ways and their times."""
    whole = stopping(
        [["web1"], ["db1", "tmp"]], stopped("db1", "save-state"), stopped("tmp", "destroy", start_order=None),
        stopped("web1", start_order=20), stopped("legacy", "not_managed", "kept", start_order=None),
    )  # fmt: skip
    assert text.shutdown(whole).split("\n") == [
        "A shutdown of this host stops 3 VMs; 1 VM is left to the host.",
        "",
        "         ORDER  HOW",
        "wave 1",
        "└─ web1  20     shut down in 2 min, else powered off",
        "wave 2",
        "├─ db1   10     memory saved in 2 min, else shut down in 2 min, else powered off",
        "└─ tmp   last   powered off",
        "",
        "left to the host",
        "└─ legacy  It carries no metadata of ours. VMs that were not declared are never touched. [not_managed]",
        "",
        "Worst case: 6 min 55 s.",
    ]


def test_a_shutdown_that_happened() -> None:
    """A line a VM, and the counts."""
    rows = [
        stopped("db1", "save-state", message="not saved: 512 MiB are needed, and 10 MiB are free; shut down"),
        stopped("web1", "effect_failed", "failed", message="libvirt says no"),
        stopped("legacy", "not_managed", "kept"),
    ]
    lines = text.shutdown({**stopping([], *rows), "dry_run": False}).split("\n")
    assert lines[0] == "stopped: db1: not saved: 512 MiB are needed, and 10 MiB are free; shut down [save-state]"
    assert lines[1] == "failed: web1: libvirt says no [effect_failed]"
    assert lines[2].startswith("left to the host: legacy: ")
    assert lines[-1] == "1 stopped, 1 left to the host, 1 failed"
    assert "--now" in text.shutdown({**stopping([], asked=False), "dry_run": False})
    assert text.shutdown({**stopping([]), "dry_run": False}) == "no VM runs"
    assert text.shutdown(stopping([])) == "no VM runs"


def test_a_boot_that_happened() -> None:
    """A line a VM, disks of those that were deleted, what to do, and the counts."""
    volume = {
        "pool": "default",
        "name": "ci.qcow2",
        "path": "/p",
        "decision": "removed",
        "reason": "only_user",
        "used_by": [],
    }
    rows = [
        planned("db1"),
        planned("up", "already_running"),
        {**planned("web2", "ssh_silent", "failed"), "message": "no SSH banner"},
        {**planned("old", "keep_stopped", "kept"), "message": "old: Its on_host_reboot is keep-stopped."},
        {
            "name": "ci",
            "decision": "removed",
            "reason": "destroy_at_boot",
            "message": "ci is deleted",
            "volumes": [volume],
        },
    ]
    lines = text.boot({**plan([], *rows), "dry_run": False}).split("\n")
    assert lines[0] == "started: db1: auto_start is on [auto_start]"
    assert lines[1].startswith("runs: up: ")
    assert lines[2] == "failed: web2: no SSH banner [ssh_silent]"
    assert lines[3] == "not started: old: Its on_host_reboot is keep-stopped [keep_stopped]"
    assert lines[4:6] == ["removed: ci is deleted [destroy_at_boot]", "  removed default/ci.qcow2 [only_user]"]
    assert lines[6].startswith("  [ssh_silent] ")
    assert lines[-1] == "1 started, 1 ran already, 1 failed, 1 not started, 1 removed"


def test_a_lasting_warning_is_a_note_of_status() -> None:
    """Until the next good start."""
    failed = {"outcome": "failed", "reason": "ssh_silent", "message": "no SSH banner", "at": "2026-11-25T03:05:12Z"}
    vm: Dict[str, Any] = {
        "name": "web1", "power_state": "running", "persistence": {"mode": "permanent"}, "scheduled_cleanup_at": None,
        "effective_cleanup_at": None, "hold": None, "metadata_problem": None, "schedule": None, "unenforced": [],
    }  # fmt: skip
    host = {"clock": {"sane": True}, "interrupted": [], "plans": [], "undo": []}
    for start, note in (
        (failed, "did not come up 2026-11-25T03:05:12Z: no SSH banner"),
        ({"outcome": "ready"}, ""),
        (None, ""),
    ):
        line = text.status({**host, "vms": [{**vm, "start": start}]}).split("\n")[1]
        assert line == f"web1  running  permanent  -        -             {note}".rstrip()


@pytest.mark.parametrize(
    ("power_state", "restart", "note"),
    [
        ("running", {"state": "up", "restart_count": 0}, ""),
        ("running", {"state": "up", "restart_count": 1}, "restarted 1 time"),
        ("shutoff", {"state": "waiting", "next_attempt_at": "T", "message": "it died", "restart_count": 2},
         "it died; is restarted T; restarted 2 times"),
        ("shutoff", {"state": "starting"}, "is being restarted"),
        ("shutoff", {"state": "gave_up", "at": "T", "in_row": 5, "message": "it died", "restart_count": 5},
         "given up T after 5 starts in a row: it died; vm-lifecycle retry; restarted 5 times"),
        ("shutoff", {"state": "left", "reason": "stop_not_seen"},
         "stays down: Nobody saw why it stopped, so it may have been somebody's wish."),
        ("crashed", {"state": "left", "reason": "crash_preserved"},
         "stays down: Its guest crashed, and its on_crash is preserve: it is kept as it is, to be looked at."),
        ("shutoff", {"state": "left", "reason": "stopped_by_somebody"}, ""),
        ("shutoff", None, ""),
    ],
)  # fmt: skip
def test_restarts_are_a_note_of_status(power_state: str, restart: Optional[Dict[str, Any]], note: str) -> None:
    """What waits, what was given up and what to do about it; what somebody wanted is no news."""
    vm: Dict[str, Any] = {
        "name": "web1", "power_state": power_state, "persistence": {"mode": "permanent"}, "scheduled_cleanup_at": None,
        "effective_cleanup_at": None, "hold": None, "metadata_problem": None, "schedule": None, "unenforced": [],
        "restart": restart,
    }  # fmt: skip
    host = {"clock": {"sane": True}, "interrupted": [], "plans": [], "undo": []}
    line = text.status({**host, "vms": [vm]}).split("\n")[1]
    assert line == f"web1  {power_state}  permanent  -        -             {note}".rstrip()


def test_flags() -> None:
    """Nothing to do is said, too."""
    assert (
        text.flags({"dry_run": True, "vms": [{"name": "a", "message": "a: turned on"}]}) == "would be set: a: turned on"
    )
    failed = {"name": "a", "message": "no", "failed": True, "reason": "busy"}
    assert text.flags({"dry_run": False, "vms": [failed]}) == "failed: a: no [busy]"
    assert text.flags({"dry_run": False, "vms": []}) == "libvirt does by itself what it should"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (0.04, "0 s"), (0.44, "0.4 s"), (5.0, "5 s"), (9.94, "9.9 s"), (9.96, "10 s"), (119.4, "119 s"),
     (120, "2 min"), (125, "2 min 5 s"), (7199, "119 min 59 s"), (7200, "2 h"), (11400, "3 h 10 min")],
)  # fmt: skip
def test_durations(seconds: float, said: str) -> None:
    """As people say them."""
    assert duration(seconds) == said


def test_columns() -> None:
    """Wide characters take two columns, marks none; what is cut says so."""
    assert [width(shown) for shown in ("abc", "数据", "e\u0301", "a\ufe0f")] == [3, 4, 1, 1]
    assert fit("数据库", 5) == "数据…"
    assert fit("数据库", 4) == "数… "
    assert fit("ab", 4) == "ab  "
    assert table([("a", "b"), ("数据库", "c\n")]) == ["a       b", "数据库  c\\n"]


def test_a_chain_breaks_between_names() -> None:
    """And never within one."""
    assert chained("Path: ", ["aaaa", "bbbb", "cccc"], 14) == ["Path: aaaa →", "    bbbb →", "    cccc"]
    assert chained("Path: ", ["a" * 20], 14) == ["Path:", "    " + "a" * 20]


def test_other_encodings() -> None:
    """A terminal without these characters gets a picture of others."""
    assert encodable("├─ db1 ▒█●", "utf-8") == "├─ db1 ▒█●"
    assert encodable("├─ db1 ▒█●", "ascii") == "|- db1 =#o"
    assert encodable("é ─", "latin-1") == "é -"
    assert encodable("数 ─", "latin-1") == "\\u6570 -"
