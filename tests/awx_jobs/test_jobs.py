"""Every job template's playbook, run by ansible-runner on a real host, with the answers of its survey. The tests follow each other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.awx_jobs.conftest import PLAYBOOKS, Host, Job, Runner, defaults

#: Answers that a person has to give.
REQUIRED: dict[str, dict[str, Any]] = {
    "declare": {"vm_lifecycle_vm_names": "foreign"},
    "hold": {"vm_lifecycle_vm_names": "young\n", "vm_lifecycle_reason": "audit {{ 4711 }}"},
    "release": {"vm_lifecycle_vm_names": "young"},
    "renew": {"vm_lifecycle_vm_names": "young"},
}
#: An answer that is wrong, and what has to be said of it.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "converge": (
        {"vm_lifecycle_undo_hours": 9000},
        "vm_lifecycle_undo_hours must be a whole number from 0 to 8760, not 9000.",
    ),
    "declare": ({"vm_lifecycle_ttl_hours": 0}, "vm_lifecycle_ttl_hours must be a whole number from 1 to 8760, not 0."),
    "sweep": (
        {"vm_lifecycle_vm_names": "old", "vm_lifecycle_cleanup_ignore": ["everything"]},
        "vm_lifecycle_cleanup_ignore may hold only: expiry, window, load, disabled, not ['everything'].",
    ),
    "plan": (
        {"vm_lifecycle_plan_id": "of all"},
        "vm_lifecycle_plan_id must be 1 to 64 letters, digits, dots, dashes or underscores",
    ),
    "confirm": (
        {"vm_lifecycle_plan_id": "../4711"},
        "vm_lifecycle_plan_id must be 1 to 64 letters, digits, dots, dashes or underscores,",
    ),
    "recover": (
        {"vm_lifecycle_on_restore_failure": "hope"},
        "vm_lifecycle_on_restore_failure must be one of: fail, start-cold, not hope.",
    ),
    "hold": ({"vm_lifecycle_hold": "evil"}, "vm_lifecycle_hold must be one of: deletion, everything, not evil."),
    "release": ({"vm_lifecycle_vm_names": " \n"}, "vm_lifecycle_vm_names must be answered."),
    "renew": (
        {"vm_lifecycle_if_less_than_hours": "two"},
        "vm_lifecycle_if_less_than_hours must be a whole number from 1 to 8760, not two.",
    ),
    "status": (
        {"vm_lifecycle_filter_mode": "eternal"},
        "vm_lifecycle_filter_mode must be one of: permanent, temporary, not eternal.",
    ),
}
#: Bytes of the data of one event. AWX cuts off what is much longer.
EVENT_LIMIT = 100_000


@pytest.fixture(scope="module")
def before(host: Host) -> str:
    return host.everything()


def run(runner: Runner, key: str, **more: Any) -> Job:
    job = runner.run(PLAYBOOKS[key], {**defaults(key), **REQUIRED.get(key, {}), **more})
    assert all(len(str(event.get("event_data"))) < EVENT_LIMIT for event in job.events)
    return job


def succeed(runner: Runner, key: str, **more: Any) -> Job:
    job = run(runner, key, **more)
    assert (job.status, job.code) == ("successful", 0), job.text
    assert job.results("playbook_on_stats")[0]["ok"]["kvm1"] > 0
    return job


@pytest.mark.parametrize("key", PLAYBOOKS)
def test_a_wrong_answer_fails_and_changes_nothing(runner: Runner, host: Host, before: str, key: str) -> None:
    wrong, said = WRONG[key]
    job = run(runner, key, **wrong)
    assert (job.status, job.code) == ("failed", 2), job.text
    (failure,) = job.results("runner_on_failed")
    assert failure["res"]["msg"].startswith(said)
    assert failure["res"]["msg"].endswith(" Nothing was changed.")
    assert {result["task_action"] for result in job.results("runner_on_ok")} <= {
        "ansible.builtin.validate_argument_spec"
    }
    assert host.everything() == before


def test_converge(runner: Runner, host: Host) -> None:
    assert succeed(runner, "converge", vm_lifecycle_undo_hours=0).changed()
    assert "supervisor" in host.run("systemctl is-enabled vm-lifecycle-supervisor.service && echo supervisor")
    shown = {vm["name"]: vm["persistence"] for vm in host.status()["vms"]}
    assert shown["old"]["mode"] == "temporary"
    assert json.loads(host.run("cat /etc/vm-lifecycle/cleanup.json"))["undo_hours"] == 0


def test_declare(runner: Runner, host: Host) -> None:
    assert succeed(runner, "declare").changed()
    shown = {vm["name"]: vm["persistence"] for vm in host.status()["vms"]}
    assert (shown["foreign"]["mode"], shown["foreign"]["restart_policy"]) == ("permanent", "always")
    refused = run(runner, "declare", vm_lifecycle_mode="temporary", vm_lifecycle_auto_start="true")
    assert "Temporary VMs cannot have auto_start enabled" in refused.text
    nobody = run(runner, "declare", vm_lifecycle_vm_names="nobody")
    assert nobody.code == 2
    assert "No host that answered has a VM nobody." in nobody.text


def test_hold_renew_and_release(runner: Runner, host: Host) -> None:
    def young() -> dict[str, Any]:
        found: dict[str, Any] = next(vm for vm in host.status()["vms"] if vm["name"] == "young")
        return found

    assert succeed(runner, "hold").changed()
    assert (young()["hold"]["scope"], young()["hold"]["reason"]) == ("deletion", "audit {{ 4711 }}")
    deadline = young()["persistence"]["scheduled_cleanup"]
    assert succeed(runner, "renew").changed()
    assert young()["persistence"]["scheduled_cleanup"] > deadline
    assert not succeed(runner, "renew", vm_lifecycle_if_less_than_hours=1).changed()
    assert succeed(runner, "release").changed()
    assert young()["hold"] is None


def test_status_shows_and_changes_nothing(runner: Runner, host: Host) -> None:
    def lines(job: Job) -> list[str]:
        (shown,) = (
            result["res"]["msg"]
            for result in job.results("runner_on_ok")
            if result["task_action"] == "ansible.builtin.debug"
        )
        return list(shown)

    state = host.everything()
    everything = lines(succeed(runner, "status"))
    assert [line.split(":")[0] for line in everything] == ["foreign", "old", "older", "young"]
    assert everything[1].startswith("old: running, temporary, expires ")
    assert [line.split(":")[0] for line in lines(succeed(runner, "status", vm_lifecycle_filter_state="expired"))] == [
        "old",
        "older",
    ]
    assert host.everything() == state


def test_recover_leaves_what_is_as_on_record(runner: Runner, host: Host) -> None:
    job = succeed(runner, "recover")
    assert not job.changed()
    assert "it is running, as on record" in job.text


def test_a_plan_is_confirmed_by_the_id_of_the_workflow_job(runner: Runner, host: Host) -> None:
    vms, disks = host.vms(), host.disks()
    plan = succeed(runner, "plan", awx_workflow_job_id=4711, vm_lifecycle_vm_names="old")
    assert plan.passed_on()["vm_lifecycle_plan_id"] == "4711"
    assert plan.passed_on()["vm_lifecycle_sweeps"]["kvm1"]["reasons"]["waiting"] == {"planned": 1}
    assert "confirm plan 4711" in plan.text
    assert [waiting["plan_id"] for waiting in host.status()["plans"]] == ["4711"]

    other = run(runner, "confirm", awx_workflow_job_id=4712)
    assert other.code == 2
    assert "[unknown_plan]" in other.text
    assert (host.vms(), host.disks()) == (vms, disks)

    confirmed = succeed(runner, "confirm", awx_workflow_job_id=4711, **plan.passed_on())
    assert confirmed.changed()
    assert host.vms() == vms - {"old"}
    assert host.disks() == disks - {"old.qcow2"}


def test_a_sweep_takes_the_rest_that_is_due(runner: Runner, host: Host) -> None:
    assert succeed(runner, "sweep").changed()
    assert host.vms() == {"foreign", "young"}
    assert not succeed(runner, "sweep").changed()
    early = run(runner, "sweep", vm_lifecycle_cleanup_ignore=["expiry"])
    assert "so it needs vm_lifecycle_vm_names with the state swept. Nothing was changed." in early.text
    assert succeed(runner, "sweep", vm_lifecycle_vm_names="young", vm_lifecycle_cleanup_ignore=["expiry"]).changed()
    assert host.vms() == {"foreign"}
