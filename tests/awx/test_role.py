"""The role, run with the modules of awx.awx against a stand-in for AWX's API."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tests.awx.api import Refused, Server, World, survey_problem
from tests.awx.conftest import CREDENTIALS, ENVIRONMENT, PROJECT, ROOT, Play, job_templates, load, run_role, surveys
from tools.kcl_compiler import controller_data as data

CONTROLLER = load("examples/awx-project/controller/vm_lifecycle.yml")
#: What the role has no default for, as the data for configuration as code has it.
VARIABLES: dict[str, Any] = {
    "vm_lifecycle_awx_scm_url": data.SCM_URL,
    "vm_lifecycle_awx_image": data.IMAGE,
    "vm_lifecycle_awx_notifications": [
        {
            "name": "webhook",
            "type": "webhook",
            "configuration": CONTROLLER["controller_notifications"][0]["notification_configuration"],
        }
    ],
}
#: A list of the data: the module that takes its items.
MODULES = {
    "controller_notifications": "notification_template",
    "controller_execution_environments": "execution_environment",
    "controller_projects": "project",
    "controller_inventories": "inventory",
    "controller_inventory_sources": "inventory_source",
    "controller_templates": "job_template",
    "controller_workflows": "workflow_job_template",
    "controller_schedules": "schedule",
}


@pytest.fixture(scope="module")
def first(awx: Server) -> Play:
    """The role's first run; what it made is left to all tests of this file, in their order."""
    return run_role(awx, VARIABLES)


def test_check_mode_asks_and_changes_nothing(awx: Server) -> None:
    before = awx.world.by_names()
    done = run_role(awx, {"vm_lifecycle_awx_scm_url": data.SCM_URL}, "--check")
    assert "changed: [localhost]" in done.text
    assert awx.world.by_names() == before
    assert {method for method, _path in awx.world.requests} == {"GET"}


def test_the_role_creates_everything(awx: Server, first: Play) -> None:
    assert first.done.returncode == 0, first.text
    assert first.recap("localhost")["changed"] == 9
    made = awx.world.by_names()
    assert {name for name in made if name.startswith("job_template ")} == {
        f"job_template VM lifecycle: {job['title']}" for job in job_templates()
    }
    for job in job_templates():
        template = made[f"job_template VM lifecycle: {job['title']}"]
        assert template["survey_spec"] == surveys()[job["key"]]
        assert template["job_slice_count"] == (4 if job.get("fleet") else 1)
        assert template["notification_templates_error"] == ["notification_template VM lifecycle: webhook"]
    nodes = {name.split()[1]: made[name] for name in made if name.startswith("workflow_job_template_node ")}
    assert nodes["plan"]["unified_job_template"] == "job_template VM lifecycle: dry run"
    assert nodes["plan"]["always_nodes"] == ["workflow_job_template_node approval"]
    assert nodes["approval"]["unified_job_template"] == "workflow_approval_template Confirm the plans"
    assert nodes["approval"]["success_nodes"] == ["workflow_job_template_node confirm"]
    assert nodes["confirm"]["unified_job_template"] == "job_template VM lifecycle: confirm"
    assert (nodes["plan"]["job_slice_count"], nodes["confirm"]["job_slice_count"]) == (1, 1)
    assert made["workflow_approval_template Confirm the plans"]["timeout"] == 86400


def test_the_second_time_it_only_asks(awx: Server, first: Play) -> None:
    made = awx.world.by_names()
    awx.world.requests.clear()
    second = run_role(awx, VARIABLES)
    assert second.done.returncode == 0, second.text
    assert second.recap("localhost")["changed"] == 0
    assert {method for method, _path in awx.world.requests} == {"GET"}
    assert awx.world.by_names() == made


def test_the_data_for_configuration_as_code_is_what_the_role_creates(awx: Server, first: Play) -> None:
    other = Server(World(awx.world.playbooks, CREDENTIALS))
    assert set(MODULES) == set(CONTROLLER)
    tasks = [
        {"name": module, f"awx.awx.{module}": "{{ item }}", "loop": f"{{{{ {name} }}}}"}
        for name, module in MODULES.items()
    ]
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]
    path = ROOT / ".build" / "awx" / "controller.yml"
    path.write_text(json.dumps(play))
    variables = f"@{PROJECT}/controller/vm_lifecycle.yml"
    done = Play(
        str(path), "-i", "localhost,", "-e", variables, environment={**ENVIRONMENT, "CONTROLLER_HOST": other.address}
    )
    try:
        assert done.done.returncode == 0, done.text
        assert other.world.by_names() == awx.world.by_names()
    finally:
        other.close()


def test_what_differs_is_changed(awx: Server, first: Play) -> None:
    schedule = {
        "name": "soon", "job": "status", "rrule": "DTSTART:20260101T060000Z RRULE:FREQ=DAILY;INTERVAL=1",
        "answers": {"vm_lifecycle_filter_expires_within_hours": 24}, "enabled": False,
    }  # fmt: skip
    friday = {
        "name": "on Fridays",
        "job": "workflow",
        "rrule": "DTSTART:20260101T180000Z RRULE:FREQ=WEEKLY;BYDAY=FR;INTERVAL=1",
    }
    changes = {
        "vm_lifecycle_awx_credentials": ["hosts"],
        "vm_lifecycle_awx_slices": 9,
        "vm_lifecycle_awx_confirm_ignore": ["window"],
        "vm_lifecycle_awx_approval_seconds": 3600,
        "vm_lifecycle_awx_schedules": [schedule, friday],
    }
    done = run_role(awx, {**VARIABLES, **changes})
    assert done.done.returncode == 0, done.text
    assert done.recap("localhost")["changed"] == 4
    made = awx.world.by_names()
    assert made["job_template VM lifecycle: sweep"]["credentials"] == ["credential hosts"]
    assert made["job_template VM lifecycle: sweep"]["job_slice_count"] == 9
    assert made["job_template VM lifecycle: hold"]["job_slice_count"] == 1
    assert made["workflow_job_template_node confirm"]["extra_data"] == {"vm_lifecycle_cleanup_ignore": ["window"]}
    assert made["workflow_approval_template Confirm the plans"]["timeout"] == 3600
    assert (
        made["schedule VM lifecycle: on Fridays"]["unified_job_template"]
        == "workflow_job_template VM lifecycle: sweep with approval"
    )
    assert made["schedule VM lifecycle: soon"]["extra_data"] == {"vm_lifecycle_filter_expires_within_hours": 24}
    assert made["schedule VM lifecycle: soon"]["enabled"] is False


def test_without_awx_awx_the_role_says_what_is_missing() -> None:
    done = Play(
        "vmops.lifecycle.awx", "-i", "localhost,", "-e", f"vm_lifecycle_awx_scm_url={data.SCM_URL}",
        environment={"ANSIBLE_COLLECTIONS_PATH": f"{ROOT}/.ansible/collections"},
    )  # fmt: skip
    assert done.done.returncode == 2
    assert (
        "needs the collection awx.awx, 24.0.0 or later, on the controller; found: none. Install it with:" in done.text
    )


@pytest.mark.parametrize("key", surveys())
def test_a_survey_is_one_that_awx_takes(key: str) -> None:
    assert survey_problem(surveys()[key]) == ""


def damaged(question: dict[str, Any]) -> dict[str, Any]:
    spec = copy.deepcopy(surveys()["declare"])
    spec["spec"][1].update(question)
    return spec


@pytest.mark.parametrize(
    "question",
    [
        {"default": "forever"},
        {"required": "no"},
        {"type": "number"},
        {"type": "integer", "default": "24"},
        {"variable": "vm_lifecycle_vm_names"},
        {"min": "1"},
    ],
)
def test_the_stand_in_refuses_a_survey_that_awx_would_refuse(question: dict[str, Any]) -> None:
    assert survey_problem(damaged(question)) != ""


def test_the_stand_in_refuses_what_awx_would_refuse(awx: Server, first: Play) -> None:
    world = awx.world
    number = {item["name"]: key for key, item in world.items["job_templates"].items()}
    schedule = {"name": "x", "rrule": "x", "unified_job_template": number["VM lifecycle: hold"]}
    for endpoint, document in (
        (
            "job_templates",
            {"name": "x", "project": next(iter(world.items["projects"])), "playbook": "playbooks/none.yml"},
        ),
        ("schedules", schedule),  # the names of VMs have to be answered
        (
            "schedules",
            {**schedule, "unified_job_template": number["VM lifecycle: status"], "extra_data": {"unasked": 1}},
        ),
        ("projects", {"name": "x"}),
    ):
        with pytest.raises(Refused):
            world.create(endpoint, document)
