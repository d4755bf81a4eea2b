"""The playbook `report` on real hosts: what it collects has the form that the made-up fleet has, and what it writes tells of them."""

from __future__ import annotations

import csv
import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from .conftest import HOSTILE
from .hosts import URI, Controller
from .made_up import Fleet


@pytest.fixture(scope="module")
def report(controller: Controller) -> Path:
    """The directory of a report of all hosts, of which one can't be reached and fails by that."""
    directory = controller.directory / "report"
    words = [
        "-i",
        str(controller.inventory),
        "vmops.lifecycle.report",
        "-e",
        f"vm_lifecycle_report_directory={directory}",
    ]
    output, _said = controller.run(
        "ansible-playbook", *words, "-e", "vm_lifecycle_report_timezone=Europe/Berlin", expect=(2, 4)
    )
    recap = {line.split()[0]: line for line in output.splitlines() if "unreachable=" in line}
    assert "failed=0" in recap["kvm1"] and "failed=0" in recap["kvm2"] and "failed=1" in recap["gone"]
    assert "3 hosts, 8 VMs" in output
    assert len(output) < 6000, "what AWX keeps of a task must not grow with the VMs"
    return directory


def shape(value: Any) -> Any:
    """The keys of a document, at any depth; of a list what its first item has."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


def test_the_made_up_fleet_has_the_form_of_a_real_one(report: Path) -> None:
    real = json.loads((report / "hosts" / "kvm1.json").read_text())
    [made] = Fleet(datetime.now(UTC)).documents(1)
    mine, theirs = shape(made), shape(real)
    for whole in (mine, theirs):
        whole["info"]["history"].pop("sweep")  # no timer runs here
        whole["info"].pop("failed", None)  # ansible-core 2.19 leaves it out of what did not fail
        whole["info"].pop("undo"), whole["info"].pop("plans"), whole["info"].pop("features")
        whole["cleanup"].pop("counts"), whole["cleanup"]["vms"][0].pop("volumes")
        boot = whole["info"]["history"]["boot"]
        boot.pop("critical_path"), boot["vms"][0]["start"].pop("waited_for", None)
    assert set(mine["info"]["vms"][0]) == set(theirs["info"]["vms"][0])
    for whole in (mine, theirs):
        whole["info"].pop("vms")
    assert mine == theirs


def test_the_files_tell_of_the_hosts(report: Path) -> None:
    fleet = json.loads((report / "fleet.json").read_text())
    assert fleet["totals"]["hosts"] == 3 and fleet["totals"]["silent"] == 1 and fleet["totals"]["vms"] == 8
    kinds = {(each["kind"], each["host"], each["vm"]) for each in fleet["concerns"]}
    assert {("unreachable", "gone", ""), ("start_failed", "kvm1", "db1"), ("warned", "kvm2", "")} <= kinds
    kvm1 = next(host for host in fleet["hosts"] if host["name"] == "kvm1")
    vms = {vm["name"]: vm for vm in kvm1["vms"]}
    assert vms["ci-1"]["decision"] in ("removed", "waiting") and vms["ci-1"]["reason"] in (
        "expired",
        "outside_window",
        "newly_seen",
    )
    assert vms["kept"]["hold_reason"] == "audit 4711" and vms["kept"]["reason"] == "permanent"
    assert vms["db1"]["use"]["uptime"] >= 0 and vms["db1"]["power_state"] == "running"
    assert any(line["operation"] == "declare" for line in kvm1["operations"])
    with (report / "fleet.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9 and [row["problem"][:11] for row in rows if row["host"] == "gone"] == ["unreachable"]
    assert HOSTILE in [row["vm"] for row in rows]


def test_the_page_is_for_everyone_and_what_was_collected_is_not(report: Path) -> None:
    assert stat.S_IMODE((report / "index.html").stat().st_mode) == 0o644
    assert stat.S_IMODE((report / "hosts" / "kvm1.json").stat().st_mode) == 0o600
    text = (report / "index.html").read_text()
    assert HOSTILE not in text and "&lt;img src=x" in text and "uid=" not in text
    assert "CET" in text or "CEST" in text


def test_check_mode_asks_and_writes_nothing(controller: Controller) -> None:
    directory = controller.directory / "unwritten"
    words = ["-i", str(controller.inventory), "vmops.lifecycle.report", "--check", "--limit", "kvm2"]
    output, _said = controller.run("ansible-playbook", *words, "-e", f"vm_lifecycle_report_directory={directory}")
    assert "changed=0" in output and not directory.exists()


def test_what_was_collected_before_is_no_answer_of_now(controller: Controller) -> None:
    """A host that gives none in the end has no file."""
    directory = controller.directory / "before"
    words = [
        "-m",
        "vmops.lifecycle.vm_lifecycle_collect",
        "-a",
        json.dumps({"directory": str(directory), "uri": URI, "include": []}),
    ]
    inventory = ["-i", str(controller.inventory), "kvm2"]
    controller.run("ansible", *inventory, *words)
    assert json.loads((directory / "kvm2.json").read_text())["info"]["vms"]
    slow = controller.directory / "sleeps"
    slow.write_text("#!/bin/sh\nexec sleep 15\n")
    slow.chmod(0o755)
    controller.run(
        "ansible", *inventory, *words, "--task-timeout", "4", "-e", f"ansible_python_interpreter={slow}", expect=(2,)
    )
    assert not (directory / "kvm2.json").exists()
