"""Options of Ansible modules and roles: what the schemas say, put into hand-written templates.

In a template, `x-options-of: <Schema>` inside an `options:` or `suboptions:` mapping stands for that schema's options;
`x-options-of: {schema: <Schema>, optional: [...]}` for the same, where these need not be given because the caller knows them.
Generated options carry no `default:`, so that what was said can be told from what was not; the text names the default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .errors import GenerationError, Location
from .model import Attribute, Package, Scalar, Type

PLACEHOLDER = "x-options-of"
_CODE = re.compile(r"`([^`]+)`")
_ANSIBLE_TYPES = {kind: kind for kind in ("str", "int", "float", "bool", "list", "dict")} | {"schema": "dict"}
_SPEC_KEYS = ("type", "elements", "required", "default", "choices", "aliases")

Options = dict[str, dict[str, Any]]


class Expander:
    """Fills templates of one dialect: `inner` is `suboptions` in documentation of modules, `options` in roles."""

    def __init__(self, package: Package, inner: str) -> None:
        self.package = package
        self.inner = inner

    def expand(self, template: Mapping[str, Any], location: Location, path: str = "") -> Options:
        """The options of a mapping of options, placeholders replaced; `path` leads to the mapping, for references."""
        result: Options = {}
        for name, option in template.items():
            if name == PLACEHOLDER:
                added = self._placed(option, location, path)
            else:
                added = {name: self._expand_option(name, option, location, path)}
            for key in added:
                if key in result:
                    raise GenerationError(location, f"option {path}{key} is there twice")
            result.update(added)
        return result

    def _placed(self, what: str | Mapping[str, Any], location: Location, path: str) -> Options:
        if isinstance(what, str):
            return self.options_of(what, location, path)
        options = self.options_of(what["schema"], location, path)
        for name in what["optional"]:
            if name not in options:
                raise GenerationError(location, f"{what['schema']} has no attribute {name}")
            options[name].pop("required", None)
        return options

    def _expand_option(self, name: str, option: Mapping[str, Any], location: Location, path: str) -> dict[str, Any]:
        if not option.get("description"):
            raise GenerationError(location, f"option {path}{name} has no description")
        result = dict(option)
        if self.inner in result:
            below = f"{path}{name}[]." if option.get("type") == "list" else f"{path}{name}."
            result[self.inner] = self.expand(result[self.inner], location, below)
        return result

    def options_of(self, name: str, location: Location, path: str) -> Options:
        """The options of a schema: of its input variant if there is one, and those added to it."""
        base = self.package.find(name, location)
        schema = self.package.inputs.get(name, base)
        attributes = dict(schema.attributes)
        if name in self.package.additional:
            attributes.update(self.package.additional[name].attributes)
        return {key: self._option(attribute, set(attributes), path) for key, attribute in attributes.items()}

    def _option(self, attribute: Attribute, siblings: set[str], path: str) -> dict[str, Any]:
        description = [_marked_up(attribute.description, siblings, path)]
        if attribute.has_default:
            description.append(f"Defaults to {_shown(attribute.default)}.")
        result: dict[str, Any] = {"description": description, **_shape(attribute.type)}
        if attribute.required:
            result["required"] = True
        inner = attribute.type.item if attribute.type.kind == "list" else attribute.type
        if inner and inner.kind == "schema":
            below = f"{path}{attribute.name}[]." if attribute.type.kind == "list" else f"{path}{attribute.name}."
            result[self.inner] = self.options_of(inner.schema, attribute.location, below)
        return result


def _shape(kind: Type) -> dict[str, Any]:
    shape: dict[str, Any] = {"type": _ANSIBLE_TYPES.get(kind.family, "raw")}
    if kind.kind == "list":
        shape["elements"] = _ANSIBLE_TYPES.get(kind.item.family, "raw") if kind.item else "raw"
    if kind.literals:
        shape["choices"] = kind.literals
    return shape


def _marked_up(text: str, siblings: set[str], path: str) -> str:
    """Backticks as Ansible's semantic markup: options, values, and names that are neither."""

    def replace(found: re.Match[str]) -> str:
        code = found.group(1)
        name, equals, value = code.partition("=")
        if name in siblings:
            return f"O({path}{name}{equals}{_escaped(value)})"
        if equals or "_" in name:
            return f"C({_escaped(code)})"
        return f"V({_escaped(code)})"

    return _CODE.sub(replace, text)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(")", "\\)")


def _shown(value: Scalar | list[Any] | dict[str, Any]) -> str:
    if isinstance(value, bool):
        return f"V({str(value).lower()})"
    if value in ("", [], {}):
        return {"str": "an empty string", "list": "an empty list", "dict": "an empty dictionary"}[type(value).__name__]
    return f"V({_escaped(str(value))})"


def argument_spec(options: Options, inner: str) -> Options:
    """Documented options as AnsibleModule takes them, so that documentation and specification cannot differ."""
    result: Options = {}
    for name, option in options.items():
        result[name] = {key: option[key] for key in _SPEC_KEYS if key in option}
        if inner in option:
            result[name]["options"] = argument_spec(option[inner], inner)
    return result
