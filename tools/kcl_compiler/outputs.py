"""Which files are generated, and from what."""

from __future__ import annotations

import glob
import os
from typing import Any

import yaml

from . import controller_data, documents, surveys, writers
from .errors import GenerationError, Location
from .loader import load
from .model import Package
from .options import Expander, Options, argument_spec
from .package import organise

SOURCES = ("schemas/vm_lifecycle.k", "schemas/additions.k")
TEMPLATES = "tools/templates"
JSON_SCHEMAS = "schemas/json"
ENGINE = "plugins/module_utils/vm_lifecycle/_generated"
FRAGMENTS = "plugins/doc_fragments"
ROLES = "roles/{}/meta/argument_specs.yml"
AWX_VARIABLES = "roles/vm_lifecycle_awx/vars/main/surveys.yml"
PROJECT = "examples/awx-project"
CONTROLLER_DATA = f"{PROJECT}/controller/vm_lifecycle.yml"
# Whatever matches these was generated: a file that is generated no longer must go.
OWNED = (
    CONTROLLER_DATA,
    f"{PROJECT}/playbooks/*.yml",
    f"{JSON_SCHEMAS}/*",
    f"{ENGINE}/*.py",
    f"{FRAGMENTS}/generated_*.py",
    ROLES.format("*"),
    AWX_VARIABLES,
)


def read_package(root: str) -> Package:
    """The schemas of the repository."""
    return organise(load([os.path.join(root, source) for source in SOURCES], root))


def generate(root: str) -> dict[str, str]:
    """The text of every generated file, by its path below `root`."""
    package = read_package(root)
    files = _schema_files(package)
    specs: dict[str, tuple[str, Any]] = {}
    modules: dict[str, Options] = {}
    for path in sorted(glob.glob(os.path.join(root, TEMPLATES, "modules", "*.yml"))):
        name = os.path.splitext(os.path.basename(path))[0]
        expander = Expander(package, "suboptions")
        options = modules[name] = expander.expand(_template(path)["options"], _location(path, root))
        title = f"Options of {name}: those of the schemas, and its own."
        files[f"{FRAGMENTS}/generated_{name}.py"] = writers.fragment_text(title, options)
        specs[name.upper()] = ("Dict[str, Any]", argument_spec(options, "suboptions"))
    files[f"{ENGINE}/argument_specs.py"] = writers.python_text("Argument specifications of the modules.", specs)
    for path in sorted(glob.glob(os.path.join(root, TEMPLATES, "roles", "*.yml"))):
        name = os.path.splitext(os.path.basename(path))[0]
        files[ROLES.format(name)] = writers.role_text(_role(package, path, root))
    return {**files, **_awx_files(package, modules, root)}


def _awx_files(package: Package, modules: dict[str, Options], root: str) -> dict[str, str]:
    path = os.path.join(root, TEMPLATES, "awx.yml")
    variables = surveys.role_variables(_template(path), surveys.Surveys(package, modules, _location(path, root)))
    # AWX selects no playbook of a collection: a project has one of its own for each.
    wrappers = {
        f"{PROJECT}/playbooks/{job['playbook']}.yml": writers.role_text(
            [{"name": job["description"], "ansible.builtin.import_playbook": f"vmops.lifecycle.{job['playbook']}"}]
        )
        for job in variables["vm_lifecycle_awx_job_template_list"]
    }
    return {
        **wrappers,
        AWX_VARIABLES: writers.role_text(variables),
        CONTROLLER_DATA: writers.role_text(controller_data.controller_data(variables)),
    }


def _schema_files(package: Package) -> dict[str, str]:
    published = documents.documents(package)
    files = {f"{JSON_SCHEMAS}/{name}.schema.json": writers.json_text(entry) for name, entry in published.items()}
    anything = "Dict[str, Any]"
    files[f"{ENGINE}/__init__.py"] = writers.python_text("What the schemas say, as Python.", {})
    files[f"{ENGINE}/schemas.py"] = writers.python_text(
        "JSON Schema documents of the KCL schemas.", {"SCHEMAS": (anything, documents.stripped(published))}
    )
    # Apart from the schemas, by which nothing is judged on a host where nothing new is declared.
    files[f"{ENGINE}/defaults.py"] = writers.python_text(
        "Defaults of the KCL schemas, and which schemas add options to another.",
        {
            "DEFAULTS": (f"Dict[str, {anything}]", documents.defaults(package)),
            "ADDITIONAL": ("Dict[str, str]", {name: added.name for name, added in sorted(package.additional.items())}),
        },
    )
    return files


def _template(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        template: dict[str, Any] = yaml.safe_load(file)
    return template


def _location(path: str, root: str) -> Location:
    return Location(os.path.relpath(path, root), 1)


def _role(package: Package, path: str, root: str) -> dict[str, Any]:
    location, expander = _location(path, root), Expander(package, "options")
    entry_points: dict[str, Any] = {}
    for name, entry_point in _template(path)["argument_specs"].items():
        if not entry_point.get("description"):
            raise GenerationError(location, f"entry point {name} has no description")
        options: Options = expander.expand(entry_point.get("options", {}), location)
        entry_points[name] = {**entry_point, "options": options} if options else entry_point
    return {"argument_specs": entry_points}


def drifted(root: str) -> dict[str, str]:
    """Files that are not as they would be generated, with what is wrong: stale, missing or `no longer generated`."""
    wanted = generate(root)
    found: dict[str, str] = {}
    for path, text in wanted.items():
        full = os.path.join(root, path)
        if not os.path.exists(full):
            found[path] = "missing"
        elif _read(full) != text:
            found[path] = "stale"
    for path in _owned(root):
        if path not in wanted:
            found[path] = "no longer generated"
    return dict(sorted(found.items()))


def write(root: str) -> dict[str, str]:
    """Brings every generated file up to date; returns those that changed, with what was wrong."""
    changed = drifted(root)
    wanted = generate(root) if changed else {}
    for path in changed:
        full = os.path.join(root, path)
        if path not in wanted:
            os.unlink(full)
            continue
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(wanted[path])
    return changed


def _owned(root: str) -> list[str]:
    paths = [path for pattern in OWNED for path in glob.glob(os.path.join(root, pattern)) if os.path.isfile(path)]
    return sorted(os.path.relpath(path, root) for path in paths)


def _read(path: str) -> str:
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()
