# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers to a survey of AWX: what they say, and what is wrong with them.

AWX hands over nothing, or an empty text, for a question that was not answered, a list or lines for several choices, and
"true" or "false" for a truth value. People who run the playbooks without AWX give the same as extra variables, in YAML's types.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

_SHOWN = 60  # characters of an answer that a message repeats
_TRUTH = ["true", "false"]


def survey_answers(questions: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> Dict[str, Any]:
    """The questions that were answered, by variable, as int, bool, str or list of str; wrong answers are left out."""
    read = {question["variable"]: _read(question, values.get(question["variable"])) for question in questions}
    return {name: value for name, (value, problem) in read.items() if value is not None and not problem}


def survey_problems(
    questions: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
    patterns: Optional[Mapping[str, Mapping[str, str]]] = None,
) -> List[str]:
    """What is wrong with the answers, a sentence each, with the variable, the rule and the answer."""
    problems = []
    for question in questions:
        name = question["variable"]
        value, problem = _read(question, values.get(name))
        if value is None and not problem and question["required"]:
            problem = "must be answered"
        pattern = (patterns or {}).get(name)
        if value is not None and not problem and pattern and not re.fullmatch(pattern["pattern"], value):
            problem = pattern["rule"]
        if problem:
            problems.append(f"{name} {problem}{_not(values.get(name))}.")
    return problems


def _not(value: Any) -> str:
    if _is_empty(value):
        return ""
    text = str(value)
    return f", not {text[:_SHOWN]}{'...' if len(text) > _SHOWN else ''}"


def _is_empty(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _read(question: Mapping[str, Any], value: Any) -> Tuple[Any, str]:
    """(value or None, what is wrong or "")."""
    if _is_empty(value):
        return None, ""
    readers = {
        "integer": _integer,
        "multiplechoice": _choice,
        "multiselect": _choices,
        "textarea": _lines,
        "text": _text,
    }
    return readers[question["type"]](question, value)


def _integer(question: Mapping[str, Any], value: Any) -> Tuple[Any, str]:
    least, most = question.get("min"), question.get("max")
    rule = "must be a whole number"
    if least is not None:
        rule += f" from {least} to {most}" if most is not None else f" of at least {least}"
    elif most is not None:
        rule += f" of at most {most}"
    if isinstance(value, (bool, float)) or not re.fullmatch(r"[+-]?[0-9]{1,18}", str(value).strip()):
        return None, rule
    number = int(value)
    fits = (least is None or number >= least) and (most is None or number <= most)
    return number, "" if fits else rule


def _allowed(question: Mapping[str, Any]) -> List[str]:
    choices = question["choices"]
    return choices.splitlines() if isinstance(choices, str) else list(choices)


def _choice(question: Mapping[str, Any], value: Any) -> Tuple[Any, str]:
    choices = _allowed(question)
    text = str(value).strip()
    if isinstance(value, bool):  # YAML reads a bare no as a truth value
        text = str(value).lower() if choices == _TRUTH else {True: "yes", False: "no"}[value]
    elif choices == _TRUTH:
        text = text.lower()
    if text not in choices:
        return None, f"must be one of: {', '.join(choices)}"
    return text == "true" if choices == _TRUTH else text, ""


def _choices(question: Mapping[str, Any], value: Any) -> Tuple[Any, str]:
    choices = _allowed(question)
    given = _items(value, r"[\n,]")
    wrong = [item for item in given if item not in choices]
    return (None, f"may hold only: {', '.join(choices)}") if wrong else (given or None, "")


def _items(value: Any, separator: str) -> List[str]:
    items = value if isinstance(value, (list, tuple)) else re.split(separator, str(value))
    return [text for text in (str(item).strip() for item in items) if text]


def _lines(question: Mapping[str, Any], value: Any) -> Tuple[Any, str]:
    if isinstance(value, Mapping):
        return None, "must be lines of text, or a list"
    lines = _items(value, r"\n")
    if len("\n".join(lines)) > question["max"]:
        return None, f"must have at most {question['max']} characters"
    return lines or None, ""


def _text(question: Mapping[str, Any], value: Any) -> Tuple[Any, str]:
    if isinstance(value, (Mapping, list, tuple)):
        return None, "must be a text"
    text = str(value).strip()
    return (None, f"must have at most {question['max']} characters") if len(text) > question["max"] else (text, "")


class FilterModule:
    def filters(self) -> Dict[str, Any]:
        return {"survey_answers": survey_answers, "survey_problems": survey_problems}
