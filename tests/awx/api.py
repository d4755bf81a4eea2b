"""As much of AWX's API as the modules of awx.awx use, in memory and on the loopback. It is not AWX.

What it refuses is what AWX refuses: playbooks that a project does not have, questions that are none, answers and prompts that a
job template does not ask for, answers that are missing in a schedule. Fields that it does not know, it ignores, as AWX does.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlparse

PREFIX = "/api/v2/"

#: Endpoint: (type, fields with their defaults; a field without one, ..., has to be given).
RESOURCES: dict[str, tuple[str, dict[str, Any]]] = {
    "organizations": ("organization", {"name": ...}),
    "credentials": ("credential", {"name": ..., "organization": None}),
    "notification_templates": (
        "notification_template",
        {"name": ..., "organization": ..., "notification_type": ..., "notification_configuration": ..., "description": ""},
    ),
    "execution_environments": (
        "execution_environment",
        {"name": ..., "organization": None, "image": ..., "pull": "", "description": "", "credential": None},
    ),
    "projects": (
        "project",
        {
            "name": ..., "organization": ..., "scm_type": "", "scm_url": "", "scm_branch": "", "credential": None,
            "scm_update_on_launch": False, "default_environment": None, "scm_revision": "", "description": "",
        },
    ),
    "inventories": ("inventory", {"name": ..., "organization": ..., "kind": "", "host_filter": None, "variables": ""}),
    "inventory_sources": (
        "inventory_source",
        {
            "name": ..., "inventory": ..., "source": ..., "source_project": None, "source_path": "", "overwrite": False,
            "overwrite_vars": False, "update_on_launch": False, "execution_environment": None, "description": "",
        },
    ),
    "job_templates": (
        "job_template",
        {
            "name": ..., "description": "", "job_type": "run", "inventory": None, "project": ..., "playbook": ...,
            "execution_environment": None, "forks": 0, "limit": "", "job_slice_count": 1, "extra_vars": "",
            "ask_limit_on_launch": False, "ask_job_slice_count_on_launch": False, "ask_variables_on_launch": False,
            "allow_simultaneous": False, "survey_enabled": False,
        },
    ),
    "workflow_job_templates": (
        "workflow_job_template",
        {
            "name": ..., "description": "", "organization": None, "inventory": None, "extra_vars": "", "limit": None,
            "survey_enabled": False, "ask_limit_on_launch": False, "ask_variables_on_launch": False,
            "ask_job_slice_count_on_launch": False, "allow_simultaneous": False,
        },
    ),
    "workflow_job_template_nodes": (
        "workflow_job_template_node",
        {
            "identifier": ..., "workflow_job_template": ..., "unified_job_template": None, "extra_data": {},
            "job_slice_count": None, "all_parents_must_converge": False, "inventory": None, "limit": None,
        },
    ),
    "workflow_approval_templates": ("workflow_approval_template", {"name": ..., "description": "", "timeout": 0}),
    "schedules": (
        "schedule",
        {"name": ..., "rrule": ..., "unified_job_template": ..., "extra_data": {}, "enabled": True, "description": ""},
    ),
}  # fmt: skip
#: What AWX fills in.
WEBHOOK = {"http_method": "POST", "disable_ssl_verification": False, "username": "", "password": ""}
UNIFIED = ("projects", "inventory_sources", "job_templates", "workflow_job_templates")
DEFAULT_TYPES = {"text": str, "textarea": str, "multiplechoice": str, "multiselect": str, "integer": int}


class Refused(Exception):
    """A status, and what AWX would say."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(str(body))
        self.status, self.body = status, body


def of_type(value: object, kind: type) -> bool:
    """Whether it is one; a truth value is no number."""
    return isinstance(value, kind) and not isinstance(value, bool)


def answer_problems(question: Mapping[str, Any], answers: Mapping[str, Any], required: bool) -> list[str]:
    """What AWX says of an answer to a question."""
    name = question["variable"]
    if name not in answers:
        return [f"'{name}' value missing"] if question["required"] and required else []
    value, kind = answers[name], question["type"]
    if kind == "multiselect":
        wrong = not isinstance(value, list) or any(item not in question["choices"] for item in value)
    elif kind == "multiplechoice":
        wrong = value not in question["choices"]
    elif kind == "integer":
        wrong = not of_type(value, int) or not question.get("min", value) <= value <= question.get("max", value)
    else:
        wrong = not isinstance(value, str) or not question.get("min", 0) <= len(value) <= question["max"]
    return [f"Value {value} for '{name}' is not allowed."] if wrong else []


def survey_problem(spec: Mapping[str, Any]) -> str:
    """What AWX says of a survey; "" when nothing is wrong with it."""
    for key in ("name", "description", "spec"):
        if key not in spec:
            return f"'{key}' missing from survey spec."
    seen: set[str] = set()
    for place, question in enumerate(spec["spec"]):
        for key, kind in (("type", str), ("question_name", str), ("variable", str), ("required", bool)):
            if not isinstance(question.get(key), kind):
                return f"'{key}' in survey question {place} expected to be {kind.__name__}."
        if question["type"] not in DEFAULT_TYPES:
            return f"'{question['type']}' in survey question {place} is not one of the allowed question types."
        if question["variable"] in seen:
            return f"'variable' '{question['variable']}' duplicated in survey question {place}."
        seen.add(question["variable"])
        default = question.get("default", "")
        if default != "" and not of_type(default, DEFAULT_TYPES[question["type"]]):
            return f"Default value {default} in survey question {place} expected to be of its type."
        for key in ("min", "max"):
            if question.get(key) is not None and not of_type(question[key], int):
                return f"The {key} limit in survey question {place} expected to be integer."
        if question["type"] in ("multiplechoice", "multiselect"):
            if "choices" not in question:
                return f"Survey question {place} of type {question['type']} must specify choices."
            if default and any(item not in question["choices"] for item in default.splitlines()):
                return f"Default choice must be answered from the choices listed, question {place}."
    return ""


class World:
    """All that AWX would have in its database. playbooks: those of every project."""

    def __init__(self, playbooks: set[str], credentials: tuple[str, ...] = ()) -> None:
        self.items: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in RESOURCES}
        self.surveys: dict[int, Any] = {}
        self.associations: dict[tuple[str, str], list[int]] = {}
        self.playbooks = playbooks
        self.requests: list[tuple[str, str]] = []
        self._next = 1
        self.create("organizations", {"name": "Default"})
        for name in credentials:
            self.create("credentials", {"name": name})

    def create(self, endpoint: str, data: Mapping[str, Any]) -> dict[str, Any]:
        kind, fields = RESOURCES[endpoint]
        missing = [name for name, default in fields.items() if default is ... and data.get(name) in (None, "")]
        if missing:
            raise Refused(400, {name: ["This field is required."] for name in missing})
        item = {name: data.get(name, default) for name, default in fields.items()}
        number = self._next
        self._next += 1
        url = f"{PREFIX}{endpoint}/{number}/"
        if item.get("notification_type") == "webhook":
            item["notification_configuration"] = {**WEBHOOK, **item["notification_configuration"]}
        item.update(id=number, type=kind, url=url, summary_fields={}, related={"survey_spec": f"{url}survey_spec/"})
        self._check(endpoint, item)
        self.items[endpoint][number] = item
        return self.shown(endpoint, item)

    def change(self, endpoint: str, number: int, data: Mapping[str, Any]) -> dict[str, Any]:
        old = self.items[endpoint][number]
        # an empty choice is "" and not null
        changes = {
            name: data[name]
            for name in RESOURCES[endpoint][1]
            if name in data and not (name == "kind" and data[name] is None)
        }
        self._check(endpoint, {**old, **changes})
        old.update(changes)
        return self.shown(endpoint, old)

    def shown(self, endpoint: str, item: dict[str, Any]) -> dict[str, Any]:
        result = json.loads(json.dumps(item))
        if endpoint == "job_templates":
            result["organization"] = self.items["projects"][item["project"]]["organization"]
        if endpoint == "workflow_job_template_nodes" and item["unified_job_template"]:
            result["related"]["unified_job_template"] = self.unified(item["unified_job_template"])["url"]
        return dict(result)

    def unified(self, number: int) -> dict[str, Any]:
        for endpoint in (*UNIFIED, "workflow_approval_templates"):
            if number in self.items[endpoint]:
                return self.items[endpoint][number]
        raise Refused(400, {"unified_job_template": [f'Invalid pk "{number}" - object does not exist.']})

    def _check(self, endpoint: str, item: Mapping[str, Any]) -> None:
        """References have to lead somewhere, and only what is asked for may be given."""
        for field, target in (
            ("organization", "organizations"), ("project", "projects"), ("inventory", "inventories"),
            ("execution_environment", "execution_environments"), ("default_environment", "execution_environments"),
            ("source_project", "projects"), ("workflow_job_template", "workflow_job_templates"),
        ):  # fmt: skip
            if item.get(field) is not None and item[field] not in self.items[target]:
                raise Refused(400, {field: [f'Invalid pk "{item[field]}" - object does not exist.']})
        if endpoint == "job_templates" and item["playbook"] not in self.playbooks:
            raise Refused(400, {"playbook": ["Playbook not found for project."]})
        if endpoint == "inventory_sources" and item["source"] == "scm" and not item["source_project"]:
            raise Refused(400, {"source_project": ["Project required for scm type sources."]})
        if endpoint in ("workflow_job_template_nodes", "schedules") and item["unified_job_template"]:
            self._check_launch(self.unified(item["unified_job_template"]), item, required=endpoint == "schedules")

    def _check_launch(self, template: Mapping[str, Any], item: Mapping[str, Any], required: bool) -> None:
        if item.get("job_slice_count") is not None and not template.get("ask_job_slice_count_on_launch"):
            raise Refused(400, {"job_slice_count": ["Field is not configured to prompt on launch."]})
        questions = self.surveys.get(template["id"], {}).get("spec", []) if template.get("survey_enabled") else []
        asked = {question["variable"] for question in questions}
        unasked = sorted(set(item["extra_data"]) - asked)
        if unasked and not template.get("ask_variables_on_launch"):
            raise Refused(400, {"extra_data": [f"Variables {', '.join(unasked)} are not allowed on launch."]})
        problems = [
            problem for question in questions for problem in answer_problems(question, item["extra_data"], required)
        ]
        if problems:
            raise Refused(400, {"variables_needed_to_start": problems})

    def search(self, endpoint: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        if endpoint == "unified_job_templates":
            found = [self.shown(name, item) for name in UNIFIED for item in self.items[name].values()]
        else:
            found = [self.shown(endpoint, item) for item in self.items[endpoint].values()]
        either = {key[4:]: value for key, value in query.items() if key.startswith("or__")}
        both = {key: value for key, value in query.items() if not key.startswith("or__")}
        return [
            item
            for item in found
            if all(str(item.get(key)) == value for key, value in both.items())
            and (not either or any(str(item.get(key)) == value for key, value in either.items()))
        ]

    def by_names(self) -> dict[str, Any]:
        """All of it without numbers, for comparisons."""
        names = {
            number: f"{item['type']} {item.get('name', item.get('identifier'))}"
            for items in self.items.values()
            for number, item in items.items()
        }
        references = ("organization", "project", "inventory", "execution_environment", "default_environment")
        references += ("source_project", "unified_job_template", "workflow_job_template")

        def plain(item: Mapping[str, Any]) -> dict[str, Any]:
            left_out = ("id", "url", "related", "summary_fields")
            shown = {key: value for key, value in item.items() if key not in left_out}
            return {key: names.get(value, value) if key in references else value for key, value in shown.items()}

        result = {names[number]: plain(item) for items in self.items.values() for number, item in items.items()}
        for number, spec in self.surveys.items():
            result[names[number]]["survey_spec"] = spec
        for (url, kind), numbers in self.associations.items():
            result[names[int(url.rstrip("/").rsplit("/", 1)[1])]][kind] = sorted(names[number] for number in numbers)
        return result


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def _answer(self, status: int, body: Any = None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        data = json.loads(self.rfile.read(length) or b"{}")
        address = urlparse(self.path)
        with self.server.lock:
            if not address.path.startswith(f"{PREFIX}tokens/"):
                self.server.world.requests.append((self.command, address.path))
            try:
                status, body = self.server.serve(self.command, address.path, dict(parse_qsl(address.query)), data)
            except Refused as refusal:
                status, body = refusal.status, refusal.body
        self._answer(status, body)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve


class Server(ThreadingHTTPServer):
    """Serves a world until it is closed."""

    daemon_threads = True

    def __init__(self, world: World) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.world = world
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def serve(self, method: str, path: str, query: dict[str, str], data: dict[str, Any]) -> tuple[int, Any]:
        parts = path.removeprefix(PREFIX).strip("/").split("/")
        if parts[0] == "tokens":
            return (201, {"id": 1, "token": "secret"}) if method == "POST" else (204, None)
        if parts[0] not in RESOURCES and parts[0] != "unified_job_templates":
            raise Refused(404, {"detail": "Not found."})
        if len(parts) == 1:
            if method == "POST":
                return 201, self.world.create(parts[0], data)
            found = self.world.search(parts[0], query)
            return 200, {"count": len(found), "next": None, "previous": None, "results": found}
        number = int(parts[1])
        if number not in self.world.items[parts[0]]:
            raise Refused(404, {"detail": "Not found."})
        if len(parts) == 3:
            return self._below(method, parts, number, data)
        if method == "PATCH":
            return 200, self.world.change(parts[0], number, data)
        return 200, self.world.shown(parts[0], self.world.items[parts[0]][number])

    def _below(self, method: str, parts: list[str], number: int, data: dict[str, Any]) -> tuple[int, Any]:
        world, kind = self.world, parts[2]
        if kind == "survey_spec":
            if method == "POST":
                problem = survey_problem(data)
                if problem:
                    raise Refused(400, {"error": problem})
                world.surveys[number] = data
            return 200, world.surveys.get(number, {})
        if kind == "create_approval_template":
            created = world.create("workflow_approval_templates", data)
            world.items[parts[0]][number]["unified_job_template"] = created["id"]
            return 201, created
        linked = world.associations.setdefault((f"{PREFIX}{parts[0]}/{number}/", kind), [])
        if method == "POST":
            if data.get("disassociate"):
                linked.remove(data["id"])
            else:
                linked.append(data["id"])
            return 204, None
        return 200, {"count": len(linked), "next": None, "previous": None, "results": [{"id": each} for each in linked]}
