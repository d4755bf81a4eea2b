# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges documents by the schemas that KCL declares, in sentences for whoever wrote the document.

The verdict is that of the jsonschema package (3.2.0 or later) on the generated JSON Schema documents. It is imported at
the first call, so that a host without it is told so instead of meeting an ImportError.
"""

from __future__ import annotations

import copy
import json
from functools import cache, lru_cache
from typing import Any, Dict, Iterator, List, Mapping, Set, Tuple

from ._generated.defaults import ADDITIONAL, DEFAULTS
from .frozen import dataclass

MESSAGE = "x-kcl-message"
MISSING = "The Python package jsonschema (python3-jsonschema, 3.2.0 or later) is missing."
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_LONGEST_SHOWN = 80
_NOUNS = {
    "string": "a string", "integer": "an integer", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "a dictionary",
}  # fmt: skip


class MissingJsonschemaError(Exception):
    """The jsonschema package is not there for this Python."""


@dataclass(frozen=True)
class Violation:
    """One rule that a document breaks.

    field: dotted path, `depends_on.0` for an item of a list; the comma-joined attributes of a check; "" for the whole
    document. rule: KCL's message for a check, else a sentence. value: what was found, None where nothing was; for a
    check on several attributes, what the document says of them, as a dictionary.
    """

    field: str
    rule: str
    value: Any


def violations(schema_name: str, document: Mapping[str, Any]) -> List[Violation]:
    """All violations, [] for a valid document: fields in the order of the schema, then checks in theirs.

    Fields of <Name>Additional are judged by that schema. A check on a field that is itself in violation is left out.
    Raises KeyError for an unknown schema and MissingJsonschemaError.
    """
    if isinstance(document, Mapping):
        document = dict(document)  # the only mapping that jsonschema takes for an object
    key = (schema_name, repr(document))  # not JSON, which would not tell the keys 1 and "1" apart
    if key in _accepted:
        return []
    found = _violations(schema_name, document)
    if not found:
        if len(_accepted) >= _REMEMBERED:
            _accepted.clear()
        _accepted.add(key)
    return found


#: Documents that were found valid in this process: most VMs of one call are declared alike.
_accepted: Set[Tuple[str, str]] = set()
_REMEMBERED = 1024


def _violations(schema_name: str, document: Mapping[str, Any]) -> List[Violation]:
    from ._generated.schemas import SCHEMAS  # most of what a host runs judges nothing

    added_name = ADDITIONAL.get(schema_name)
    if added_name is None or not isinstance(document, dict):
        return judge(SCHEMAS[schema_name], document)
    own, added = _split(document, SCHEMAS[added_name])
    return judge(SCHEMAS[schema_name], own) + judge(SCHEMAS[added_name], added)


def judge(schema: Mapping[str, Any], document: Any) -> List[Violation]:
    """The violations of one JSON Schema document, given as a dictionary that is never changed."""
    fields: Dict[Tuple[Any, ...], Violation] = {}
    checks: List[Tuple[List[Tuple[Any, ...]], Violation]] = []
    for error in _validator(_Key(schema)).iter_errors(document):
        path = tuple(error.absolute_path)
        if error.validator == MESSAGE:
            checks.append(_failed_check(error, path))
            continue
        for where, rule, value in _explained(error, path):
            fields.setdefault(where, Violation(_dotted(where), rule, value))
    order = _order(schema)
    found_fields = [fields[path] for path in sorted(fields, key=order)]
    found_checks = [violation for paths, violation in checks if not any(_covered(path, fields) for path in paths)]
    return found_fields + found_checks


def with_defaults(schema_name: str, document: Mapping[str, Any]) -> Dict[str, Any]:
    """A copy with the defaults of the schema, and of what is added to it, for what is absent; nested ones stay."""
    names = [schema_name] + ([ADDITIONAL[schema_name]] if schema_name in ADDITIONAL else [])
    result = {field: _copied(value) for field, value in document.items()}
    for name in names:
        for field, default in DEFAULTS[name].items():
            if field not in result:
                result[field] = _copied(default)
    return result


def _copied(value: Any) -> Any:
    return copy.deepcopy(value) if isinstance(value, (dict, list)) else value


def _split(document: Mapping[str, Any], added: Mapping[str, Any]) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    own = {name: value for name, value in document.items() if name not in added["properties"]}
    return own, {name: value for name, value in document.items() if name in added["properties"]}


class _Key:
    """A schema as the key of a cache: it is that very object that counts."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.schema is self.schema


@lru_cache(maxsize=64)
def _validator(key: _Key) -> Any:
    return _validator_class()(key.schema)


@cache
def _validator_class() -> Any:
    """Draft 7 with KCL's integer, and with one error for a check instead of one for each of its parts."""
    try:
        from jsonschema import Draft7Validator, ValidationError, validators
    except ImportError as error:
        raise MissingJsonschemaError(MISSING) from error

    def all_of(validator: Any, entries: List[Mapping[str, Any]], instance: Any, schema: Any) -> Iterator[Any]:
        for index, entry in enumerate(entries):
            errors = validator.descend(instance, entry, schema_path=index)
            if MESSAGE not in entry:
                yield from errors
            elif isinstance(instance, dict) and next(errors, None) is not None:
                yield ValidationError(entry[MESSAGE], validator=MESSAGE, validator_value=entry)

    types = Draft7Validator.TYPE_CHECKER.redefine("integer", lambda checker, value: _is_integer(value))
    extend: Any = validators.extend  # it has no annotations
    return extend(Draft7Validator, validators={"allOf": all_of}, type_checker=types)


def _is_integer(value: Any) -> bool:
    """KCL's int: 64 bits, no bool and no 24.0."""
    return isinstance(value, int) and not isinstance(value, bool) and _SMALLEST <= value <= _LARGEST


def _failed_check(error: Any, path: Tuple[Any, ...]) -> Tuple[List[Tuple[Any, ...]], Violation]:
    """The paths that a check is about, and its violation."""
    entry, document = error.validator_value, error.instance
    names = _attributes(entry)
    value = document.get(names[0]) if len(names) == 1 else {name: document[name] for name in names if name in document}
    paths = [(*path, name) for name in names]
    return paths, Violation(", ".join(_dotted(each) for each in paths), entry[MESSAGE], value)


def _explained(error: Any, path: Tuple[Any, ...]) -> Iterator[Tuple[Tuple[Any, ...], str, Any]]:
    """Where, why and what, for an error of jsonschema that is not a check."""
    value, keyword = error.instance, error.validator
    if keyword == "required":
        for name in error.validator_value:
            if name not in value:
                yield (*path, name), "is required", None
    elif keyword == "additionalProperties":
        for name in value:
            if name not in error.schema.get("properties", {}):
                yield (*path, name), "unknown option", value[name]
    elif "enum" in error.schema:
        allowed = ", ".join(item if isinstance(item, str) else json.dumps(item) for item in error.schema["enum"])
        yield path, f"must be one of: {allowed}", value
    elif keyword == "type":
        yield path, _wrong_type(error.validator_value, value), value
    else:
        yield path, f"is not what the schema allows, got {_shown(value)}", value


def _wrong_type(expected: str, value: Any) -> str:
    noun = _NOUNS.get(expected, expected)
    if expected == "integer" and isinstance(value, int) and not isinstance(value, bool):
        noun += " of 64 bits"
    return f"must be {noun}, got {_shown(value)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=repr, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


def _attributes(node: Any) -> List[str]:
    """The attributes that a check is about, in the order in which it names them."""
    found: List[str] = []
    if isinstance(node, dict):
        for key, part in node.items():
            names = list(part) if key == "properties" else _attributes(part)
            found += [name for name in names if name not in found]
    elif isinstance(node, list):
        for part in node:
            found += [name for name in _attributes(part) if name not in found]
    return found


def _covered(path: Tuple[Any, ...], fields: Mapping[Tuple[Any, ...], Violation]) -> bool:
    """Whether the attribute itself, or something in it, is in violation."""
    return any(field[: len(path)] == path for field in fields)


def _order(schema: Mapping[str, Any]) -> Any:
    """A sort key for paths: the schema's own order first, then unknown names by the alphabet."""
    names = list(schema.get("properties", {}))

    def key(path: Tuple[Any, ...]) -> Tuple[int, str]:
        known = bool(path) and path[0] in names
        return (names.index(path[0]) if known else len(names), _dotted(path))

    return key


def _dotted(path: Tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in path)
