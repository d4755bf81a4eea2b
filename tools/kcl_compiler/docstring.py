"""Reads a schema's docstring: what it is, and one description an attribute."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .errors import GenerationError, Location

_SECTION = re.compile(r"(Attributes|Examples?):?")
_ATTRIBUTE = re.compile(r"(\w+) : (.+)")


@dataclass(frozen=True)
class AttributeText:
    """The description of an attribute, and its type as the docstring states it."""

    type_text: str
    description: str
    location: Location


@dataclass(frozen=True)
class Docstring:
    """`summary` keeps its paragraphs, separated by an empty line."""

    summary: str
    attributes: dict[str, AttributeText]


def read_docstring(raw: str, location: Location) -> Docstring:
    """`raw` is the literal with its quotes, starting at `location`."""
    lines = raw.strip().strip('"').split("\n")
    sections: dict[str, list[tuple[int, str]]] = {"": []}
    current = sections[""]
    for offset, line in enumerate(lines):
        heading = _SECTION.fullmatch(line.strip())
        if heading:
            current = sections.setdefault(heading.group(1), [])
        elif set(line.strip()) != {"-"}:  # the rule under a heading
            current.append((location.line + offset, line))
    return Docstring(
        summary=_paragraphs([line for _number, line in sections[""]]),
        attributes=_attributes(sections.get("Attributes", []), location.file),
    )


def _paragraphs(lines: list[str]) -> str:
    text = "\n".join(line.strip() for line in lines).strip()
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _attributes(lines: list[tuple[int, str]], file: str) -> dict[str, AttributeText]:
    """`name : type` lines, each followed by deeper indented text."""
    filled = [(number, line) for number, line in lines if line.strip()]
    if not filled:
        return {}
    margin = min(len(line) - len(line.lstrip()) for _number, line in filled)
    found: dict[str, AttributeText] = {}
    name = ""
    for number, line in filled:
        place = Location(file, number)
        if len(line) - len(line.lstrip()) == margin:
            head = _ATTRIBUTE.fullmatch(line.strip())
            if not head or head.group(1) in found:
                raise GenerationError(place, f"expected one `name : type` for each attribute, found {line.strip()!r}")
            name = head.group(1)
            found[name] = AttributeText(head.group(2), "", place)
        else:
            description = f"{found[name].description} {line.strip()}".strip()
            found[name] = replace(found[name], description=description)
    return found
