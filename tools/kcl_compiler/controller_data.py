"""What the role vm_lifecycle_awx creates with its defaults, as `controller_*` variables: for those who keep AWX as code already.

The addresses are examples, to be replaced. The tests hold it against what the role creates.
"""

from __future__ import annotations

from typing import Any

PREFIX = "VM lifecycle"
ORGANIZATION = {"organization": "Default"}
SCM_URL = "https://git.example.org/vm-lifecycle.git"
IMAGE = "registry.example.org/vm-lifecycle-ee:latest"
SLICES = 4
FORKS = 25
#: A plan can be confirmed for 24 hours.
APPROVAL_SECONDS = 86400
NOTIFICATION = f"{PREFIX}: webhook"


def controller_data(variables: dict[str, Any]) -> dict[str, Any]:
    """The lists by the names that collections for configuration as code read."""
    jobs = variables["vm_lifecycle_awx_job_template_list"]
    return {
        "controller_notifications": [_notification()],
        "controller_execution_environments": [{"name": PREFIX, **ORGANIZATION, "image": IMAGE, "pull": "missing"}],
        "controller_projects": [
            {
                "name": PREFIX,
                **ORGANIZATION,
                "scm_type": "git",
                "scm_url": SCM_URL,
                "scm_update_on_launch": True,
                "default_environment": PREFIX,
            }
        ],
        "controller_inventories": [{"name": PREFIX, **ORGANIZATION}],
        "controller_inventory_sources": [_inventory_source()],
        "controller_templates": [_job_template(job, variables["vm_lifecycle_awx_surveys"][job["key"]]) for job in jobs],
        "controller_workflows": [_workflow(_titles(jobs))],
        "controller_schedules": [
            {
                "name": f"{PREFIX}: converge every day",
                **ORGANIZATION,
                "unified_job_template": _titles(jobs)["converge"],
                "rrule": "DTSTART;TZID=Etc/UTC:20260101T040000 RRULE:FREQ=DAILY;INTERVAL=1",
                "enabled": True,
            }
        ],
    }


def _notification() -> dict[str, Any]:
    """With every field that AWX has: what is left out, AWX fills in, and would be changed with each run."""
    configuration = {
        "url": "https://hooks.example.org/vm-lifecycle",
        "http_method": "POST",
        "headers": {"Content-Type": "application/json"},
        "disable_ssl_verification": False,
        "username": "",
        "password": "",
    }
    return {
        "name": NOTIFICATION,
        **ORGANIZATION,
        "notification_type": "webhook",
        "notification_configuration": configuration,
    }


def _titles(jobs: list[dict[str, Any]]) -> dict[str, str]:
    return {job["key"]: f"{PREFIX}: {job['title']}" for job in jobs}


def _inventory_source() -> dict[str, Any]:
    return {
        "name": f"{PREFIX}: project",
        "inventory": PREFIX,
        **ORGANIZATION,
        "source": "scm",
        "source_project": PREFIX,
        "source_path": "inventory/hosts.yml",
        "execution_environment": PREFIX,
        "overwrite": True,
        "overwrite_vars": True,
        "update_on_launch": True,
    }


def _job_template(job: dict[str, Any], survey: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": f"{PREFIX}: {job['title']}",
        "description": job["description"],
        **ORGANIZATION,
        "job_type": "run",
        "project": PREFIX,
        "inventory": PREFIX,
        "playbook": f"playbooks/{job['playbook']}.yml",
        "execution_environment": PREFIX,
        "forks": FORKS,
        "job_slice_count": SLICES if job.get("fleet") else 1,
        "ask_limit_on_launch": True,
        "ask_job_slice_count_on_launch": True,
        "allow_simultaneous": False,
        "survey_enabled": True,
        "survey_spec": survey,
        "notification_templates_error": [NOTIFICATION],
    }


def _workflow(titles: dict[str, str]) -> dict[str, Any]:
    def job(key: str) -> dict[str, Any]:
        # A slice is a workflow job of its own, with an id of its own.
        template = {"name": titles[key], "type": "job_template", "organization": {"name": "Default"}}
        return {"identifier": key, "job_slice_count": 1, "unified_job_template": template}

    approval = {"name": "Confirm the plans", "type": "workflow_approval", "timeout": APPROVAL_SECONDS}
    return {
        "name": f"{PREFIX}: sweep with approval",
        **ORGANIZATION,
        "inventory": PREFIX,
        "ask_limit_on_launch": True,
        "notification_templates_error": [NOTIFICATION],
        "notification_templates_approvals": [NOTIFICATION],
        "workflow_nodes": [
            {**job("plan"), "related": {"always_nodes": [{"identifier": "approval"}]}},
            {
                "identifier": "approval",
                "unified_job_template": approval,
                "related": {"success_nodes": [{"identifier": "confirm"}]},
            },
            {**job("confirm"), "related": {}},
        ],
    }
