"""Reads KCL files of one package through KCL itself.

Two of its interfaces are needed: the syntax tree has checks and defaults, the type mapping has resolved types. Neither
reports type errors, so the program is executed too.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import kcl_lib.api as kcl

from .docstring import Docstring, read_docstring
from .errors import GenerationError, Location
from .model import Attribute, Check, Node, Schema
from .types import read_type

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_PLACE = re.compile(r"--> (.+):(\d+):\d+")
_CARET = re.compile(r"\^+ (.+)")
# Their meaning is inheritance or generation at run time, which a JSON document cannot show.
_UNSUPPORTED_PARTS = ("parent_name", "for_host_name", "args", "mixins", "index_signature", "decorators")
# Schemas of this name list attributes of another schema, which has their descriptions.
_LISTS = ("Recorded", "GivenOnce")


def load(paths: Sequence[str], root: str = ".") -> dict[str, Schema]:
    """All schemas of the files, in order. Files are named relative to `root` in messages."""
    service = kcl.API()
    trees = [(path, _parse(service, path, root)) for path in paths]
    arguments = kcl.ExecProgramArgs(k_filename_list=list(paths))
    _execute(service, arguments, Location(os.path.relpath(paths[0], root), 1), root)
    mapping = service.get_schema_type_mapping(kcl.GetSchemaTypeMappingArgs(exec_args=arguments)).schema_type_mapping
    schemas: dict[str, Schema] = {}
    for path, tree in trees:
        with open(path, encoding="utf-8") as file:
            reader = _FileReader(os.path.relpath(path, root), file.read().split("\n"), service)
        for statement in tree["body"]:
            schema = reader.statement(statement, mapping)
            if schema:
                schemas[schema.name] = schema
    return schemas


def _parse(service: Any, path: str, root: str) -> Mapping[str, Any]:
    result = service.parse_file(kcl.ParseFileArgs(path=path))
    for error in result.errors:
        for message in error.messages:
            line = re.search(r"line: (\d+)", str(message.pos))
            place = Location(os.path.relpath(path, root), int(line.group(1)) if line else 1)
            raise GenerationError(place, message.msg)
    tree: Mapping[str, Any] = json.loads(result.ast_json)
    return tree


def _execute(service: Any, arguments: Any, fallback: Location, root: str) -> str:
    """The JSON result. KCL reports compile errors as plain exceptions with a coloured text."""
    try:
        return str(service.exec_program(arguments).json_result)
    except Exception as error:
        text = _ANSI.sub("", str(error))
        place, caret = _PLACE.search(text), _CARET.search(text)
        location = fallback
        if place and os.path.exists(place.group(1)):
            location = Location(os.path.relpath(place.group(1), root), int(place.group(2)))
        raise GenerationError(location, caret.group(1) if caret else " ".join(text.split())) from error


class _FileReader:
    """Turns the syntax tree of one file into schemas."""

    def __init__(self, file: str, lines: list[str], service: Any) -> None:
        self.file = file
        self.lines = lines
        self.service = service

    def statement(self, statement: Node, mapping: Mapping[str, Any]) -> Schema | None:
        node, place = statement["node"], self._place(statement)
        if node["type"] in ("TypeAlias", "Import"):
            return None
        if node["type"] != "Schema":
            raise GenerationError(place, f"only schemas, type aliases and imports are translated, not {node['type']}")
        name = node["name"]["node"]
        for part in _UNSUPPORTED_PARTS:
            if node[part]:
                raise GenerationError(place, f"schema {name}: {part} cannot be translated")
        text = read_docstring(node["doc"]["node"], self._place(node["doc"])) if node["doc"] else Docstring("", {})
        if not text.summary:
            raise GenerationError(place, f"schema {name} has no docstring")
        attributes = [self._attribute(name, member, mapping[name], text) for member in node["body"]]
        names = {attribute.name for attribute in attributes}
        for described, entry in text.attributes.items():
            if described not in names:
                raise GenerationError(entry.location, f"schema {name} has no attribute {described}")
        checks = tuple(self._check(check) for check in node["checks"])
        return Schema(name, text.summary, {attribute.name: attribute for attribute in attributes}, checks, place)

    def _attribute(self, schema: str, member: Node, types: Any, text: Docstring) -> Attribute:
        node, place = member["node"], self._place(member)
        if node["type"] != "SchemaAttr" or node["decorators"]:
            found = "a decorator" if node["type"] == "SchemaAttr" else node["type"]
            raise GenerationError(place, f"schema {schema}: only plain attributes can be translated, not {found}")
        name = node["name"]["node"]
        return Attribute(
            name=name,
            type=read_type(types.properties[name], place),
            optional=node["is_optional"],
            has_default=node["value"] is not None,
            default=self._constant(name, node["value"]) if node["value"] else None,
            description=self._description(schema, name, self._text(node["ty"]), text, place),
            location=place,
        )

    def _description(self, schema: str, name: str, type_text: str, text: Docstring, place: Location) -> str:
        entry = text.attributes.get(name)
        if entry is None or not entry.description:
            if schema.endswith(_LISTS):
                return ""
            raise GenerationError(place, f"{schema}.{name} has no description in the docstring's Attributes section")
        if entry.type_text != type_text:
            raise GenerationError(entry.location, f"{name} is described as {entry.type_text}, but it is {type_text}")
        return entry.description

    def _constant(self, name: str, value: Node) -> Any:
        """A default, evaluated by KCL (`2 * 24`, `1Ki`)."""
        place = self._place(value)
        code = f"value = {self._text(value)}\n"
        arguments = kcl.ExecProgramArgs(k_filename_list=["default.k"], k_code_list=[code])
        try:
            default = json.loads(_execute(self.service, arguments, place, "."))["value"]
        except GenerationError as error:
            raise GenerationError(place, f"the default of {name} is not a constant: {error.reason}") from error
        if default is None or (isinstance(default, (list, dict)) and default):
            # KCL merges what is given into such a default; nothing that reads JSON does.
            raise GenerationError(place, f"the default of {name} must be a scalar, an empty list or an empty dict")
        return default

    def _check(self, check: Node) -> Check:
        node, place = check["node"], self._place(check)
        if not node["msg"] or node["msg"]["node"]["type"] != "StringLit":
            raise GenerationError(place, "a check needs a message, as a plain string")
        text = self._text(node["test"])
        if node["if_cond"]:
            text += f" if {self._text(node['if_cond'])}"
        return Check(node["test"], node["if_cond"], node["msg"]["node"]["value"], text, place)

    def _place(self, node: Node) -> Location:
        return Location(self.file, node["line"])

    def _text(self, node: Node) -> str:
        """The source of a node, on one line."""
        first, last = int(node["line"]) - 1, int(node["end_line"]) - 1
        if first == last:
            return self.lines[first][int(node["column"]) : int(node["end_column"])]
        middle = self.lines[first + 1 : last]
        lines = [self.lines[first][node["column"] :], *middle, self.lines[last][: node["end_column"]]]
        return " ".join(line.rstrip("\\").strip() for line in lines)
