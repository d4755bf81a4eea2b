"""Questions of AWX's surveys: from schemas and options, and what a template may not say."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest
import yaml
from vm_lifecycle.tasks.cleanup import PLAN_ID

from tools.kcl_compiler import controller_data, outputs
from tools.kcl_compiler.errors import GenerationError, Location
from tools.kcl_compiler.options import Expander
from tools.kcl_compiler.surveys import Surveys

ROOT = pathlib.Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "vm_lifecycle_awx"
LOCATION = Location("awx.yml", 1)
PACKAGE = outputs.read_package(str(ROOT))
CLEANUP = yaml.safe_load((ROOT / outputs.TEMPLATES / "modules" / "vm_cleanup.yml").read_text())["options"]
SURVEYS = Surveys(PACKAGE, {"vm_cleanup": Expander(PACKAGE, "suboptions").expand(CLEANUP, LOCATION)}, LOCATION)
ROLE_VARIABLES = yaml.safe_load((ROOT / outputs.AWX_VARIABLES).read_text())


def question(**template: Any) -> dict[str, Any]:
    return SURVEYS.question({"variable": "v", "question": "Q", **template})


def without_words(made: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in made.items()
        if key not in ("question_name", "question_description", "variable", "required")
    }


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ({"attribute": "VmPersistence.ttl_hours"}, {"type": "integer", "default": 24, "min": 1, "max": 8760}),
        ({"attribute": "VmPersistence.ttl_hours", "unset": True}, {"type": "integer", "min": 1, "max": 8760}),
        ({"attribute": "VmPersistence.max_retries"}, {"type": "integer", "default": 5}),
        ({"attribute": "VmCleanupPolicy.retention_days"}, {"type": "integer", "default": 7, "min": 0}),
        (
            {"attribute": "VmPersistence.auto_cleanup"},
            {"type": "multiplechoice", "choices": ["true", "false"], "default": "true"},
        ),
        (
            {"attribute": "VmPersistence.mode"},
            {"type": "multiplechoice", "choices": ["permanent", "temporary"], "default": "permanent"},
        ),
        ({"attribute": "VmHold.reason", "max": 9}, {"type": "text", "min": 0, "max": 9}),
        ({"option": "vm_cleanup.ignore"}, {"type": "multiselect", "choices": ["expiry", "window", "load", "disabled"]}),
        ({"option": "vm_cleanup.plan_id"}, {"type": "text", "min": 0, "max": 1024}),
        ({"option": "vm_cleanup.policy.dry_run_mode"}, {"type": "multiplechoice", "choices": ["true", "false"]}),
        ({"type": "textarea", "help": "H"}, {"type": "textarea", "min": 0, "max": 1024}),
    ],
)
def test_a_question_takes_type_limits_choices_and_default_from_its_source(
    template: dict[str, Any], made: dict[str, Any]
) -> None:
    assert without_words(question(**template)) == made


def test_a_question_is_described_without_markup() -> None:
    made = question(option="vm_cleanup.plan_id")
    assert made["question_description"].startswith("Name of the plan to store (state=planned) or to confirm")
    assert made["required"] is False
    assert question(attribute="VmHold.reason", required=True, help="Why?")["question_description"] == "Why?"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ({"attribute": "VmNone.x"}, "there is no schema VmNone"),
        ({"attribute": "VmHold.x"}, "VmHold has no attribute x"),
        ({"option": "vm_cleanup.x"}, "there is no option vm_cleanup.x"),
        ({"option": "vm_none.x"}, "there is no option vm_none.x"),
        ({"option": "vm_cleanup.policy"}, "AWX has no question for the type dict"),
        ({"attribute": "VmCleanupPolicyAdditional.alert_command"}, "AWX has no question for the type list"),
        ({"type": "password", "help": "H"}, "needs an attribute, an option, or a type"),
        ({"type": "text"}, "needs an attribute, an option, or a type"),
        ({"attribute": "VmHold.scope", "colour": "red"}, "unknown key colour"),
    ],
)
def test_a_template_that_is_wrong_is_refused(template: dict[str, Any], problem: str) -> None:
    with pytest.raises(GenerationError, match=re.escape(problem)):
        question(**template)


def test_the_pattern_of_a_plan_is_the_engine_s() -> None:
    pattern = ROLE_VARIABLES["vm_lifecycle_awx_patterns"]["vm_lifecycle_plan_id"]["pattern"]
    assert PLAN_ID.pattern == pattern + r"\Z"


def test_the_role_knows_every_survey() -> None:
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    assert specs["answers"]["options"]["vm_lifecycle_awx_survey"]["choices"] == list(
        ROLE_VARIABLES["vm_lifecycle_awx_surveys"]
    )


def test_every_job_template_has_its_playbook() -> None:
    for job in ROLE_VARIABLES["vm_lifecycle_awx_job_template_list"]:
        assert (ROOT / "playbooks" / f"{job['playbook']}.yml").exists()


def test_the_role_s_defaults_are_those_of_its_specification() -> None:
    options = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    written = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    said = {name: option["default"] for name, option in options.items() if "default" in option}
    assert {name: value for name, value in written.items() if name != "vm_lifecycle_awx_schedules"} == said
    assert (said["vm_lifecycle_awx_slices"], said["vm_lifecycle_awx_forks"]) == (
        controller_data.SLICES,
        controller_data.FORKS,
    )
    assert said["vm_lifecycle_awx_approval_seconds"] == controller_data.APPROVAL_SECONDS
