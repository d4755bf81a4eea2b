"""Surveys of AWX's job templates: each question takes its type, limits, choices and default from a schema or a module.

A question as AWX stores it: question_name, question_description, required, type, variable, default, and choices, or min and max.
AWX has no type for a truth value, so that is a choice between `true` and `false`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from . import documents
from .errors import GenerationError, Location
from .model import Package
from .options import Options

#: Length of a text when nothing says otherwise: AWX's own.
TEXT_LENGTH = 1024
_MARKUP = re.compile(r"\b[A-Z]\(([^()]*)\)")
_TEMPLATE_KEYS = {
    "variable",
    "question",
    "help",
    "attribute",
    "option",
    "type",
    "max",
    "required",
    "unset",
    "pattern",
    "rule",
}
_BOUNDS = {
    "minimum": ("min", 0),
    "exclusiveMinimum": ("min", 1),
    "maximum": ("max", 0),
    "exclusiveMaximum": ("max", -1),
}


class Surveys:
    """`modules` are the documented options of each module, by its name."""

    def __init__(self, package: Package, modules: Mapping[str, Options], location: Location) -> None:
        self.package = package
        self.modules = modules
        self.location = location
        self.published = documents.documents(package)

    def question(self, template: Mapping[str, Any]) -> dict[str, Any]:
        """A question as AWX takes it."""
        unknown = sorted(set(template) - _TEMPLATE_KEYS)
        if unknown:
            raise self._error(template, f"unknown key {unknown[0]}")
        shape, text = self._shape(template)
        result = {
            "question_name": template["question"],
            "question_description": template.get("help", text),
            "required": bool(template.get("required", False)),
            "variable": template["variable"],
            **shape,
        }
        if template.get("unset"):
            result.pop("default", None)
        if result["type"] in ("text", "textarea"):
            result.update(min=0, max=template.get("max", TEXT_LENGTH))
        return result

    def _shape(self, template: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        if "attribute" in template:
            return self._of_attribute(template)
        if "option" in template:
            return self._of_option(template)
        if template.get("type") not in ("text", "textarea") or "help" not in template:
            raise self._error(template, "needs an attribute, an option, or a type text or textarea and help")
        return {"type": template["type"]}, ""

    def _of_attribute(self, template: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        name, _dot, attribute_name = template["attribute"].partition(".")
        schema = self.package.find(name, self.location)
        if attribute_name not in schema.attributes:
            raise self._error(template, f"{name} has no attribute {attribute_name}")
        attribute = schema.attributes[attribute_name]
        given = {"default": attribute.default} if attribute.has_default and attribute.default != "" else {}
        shape = self._typed(template, attribute.type.family, attribute.type.literals, given)
        if shape["type"] == "integer":
            shape.update(self._limits(name, attribute_name))
        return shape, _plain(attribute.description)

    def _of_option(self, template: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        module, *names = template["option"].split(".")
        options, option = self.modules.get(module, {}), None
        for name in names:
            option = options.get(name)
            options = (option or {}).get("suboptions", {})
        if option is None:
            raise self._error(template, f"there is no option {template['option']}")
        given = {"default": option["default"]} if "default" in option else {}
        return self._typed(template, option["type"], option.get("choices"), given), _plain(
            " ".join(option["description"])
        )

    def _typed(self, template: Mapping[str, Any], kind: str, choices: Any, given: dict[str, Any]) -> dict[str, Any]:
        if kind == "bool":
            return {
                "type": "multiplechoice",
                "choices": ["true", "false"],
                **{k: str(v).lower() for k, v in given.items()},
            }
        if choices and kind in ("str", "list"):
            return {"type": "multiselect" if kind == "list" else "multiplechoice", "choices": list(choices), **given}
        if kind in ("int", "str"):
            return {"type": {"int": "integer", "str": "text"}[kind], **given}
        raise self._error(template, f"AWX has no question for the type {kind}")

    def _limits(self, schema: str, attribute: str) -> dict[str, int]:
        """Least and greatest value that the checks leave, whatever else the document says."""
        found: dict[str, int] = {}
        for condition in self.published[schema].get("allOf", []):
            if "anyOf" in condition:  # it depends on other attributes
                continue
            for keyword, value in condition.get("properties", {}).get(attribute, {}).items():
                if keyword in _BOUNDS:
                    side, step = _BOUNDS[keyword]
                    found[side] = (max if side == "min" else min)(value + step, found.get(side, value + step))
        return found

    def _error(self, template: Mapping[str, Any], problem: str) -> GenerationError:
        return GenerationError(self.location, f"question {template.get('variable', '?')}: {problem}")


def _plain(text: str) -> str:
    """Without Ansible's markup and KCL's backticks: AWX shows it as it is."""
    return _MARKUP.sub(r"\1", text).replace("`", "")


def role_variables(template: Mapping[str, Any], surveys: Surveys) -> dict[str, Any]:
    """Variables of the role vm_lifecycle_awx: surveys and patterns by key, and job templates in the order of the template."""
    jobs, specs, patterns = [], {}, {}
    for key, job in template["job_templates"].items():
        questions = [surveys.question(question) for question in job["questions"]]
        specs[key] = {"name": f"Survey of {job['title']}", "description": job["description"], "spec": questions}
        for question in job["questions"]:
            if "pattern" in question:
                patterns[question["variable"]] = {"pattern": question["pattern"], "rule": question["rule"]}
        jobs.append({"key": key, **{name: value for name, value in job.items() if name != "questions"}})
    return {
        "vm_lifecycle_awx_surveys": specs,
        "vm_lifecycle_awx_patterns": patterns,
        "vm_lifecycle_awx_job_template_list": jobs,
    }
