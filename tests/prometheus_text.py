"""A parser of Prometheus' text format that knows nothing of who writes it. As a program it reads standard input, and prints JSON."""

from __future__ import annotations

import json
import re
import sys
from typing import Dict, List, Tuple

SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?P<labels>\{.*\})? (?P<value>\S+)")
LABEL = re.compile(r'(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)="(?P<value>(?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}

Labels = Tuple[Tuple[str, str], ...]


def parse(text: str) -> Dict[str, Dict[Labels, float]]:
    """Name -> labels -> value. ValueError for what a scraper refuses: a broken line, a series twice, types after samples."""
    found: Dict[str, Dict[Labels, float]] = {}
    told: Dict[str, Dict[str, str]] = {"HELP": {}, "TYPE": {}}
    if not text.endswith("\n"):
        raise ValueError("the last line does not end")
    for line in text[:-1].split("\n"):
        if line.startswith("# "):
            _hash, kind, name, said = line.split(" ", 3)
            if name in told[kind] or name in found:
                raise ValueError(f"{line}: too late, or said twice")
            told[kind][name] = said
            continue
        matched = SAMPLE.fullmatch(line)
        if matched is None or matched["name"] not in told["TYPE"]:
            raise ValueError(f"{line}: no sample, or one without a type")
        series = found.setdefault(matched["name"], {})
        if list(found)[-1] != matched["name"]:
            raise ValueError(f"{line}: its metric is in two places")
        labels = _labels((matched["labels"] or "{}")[1:-1])
        if labels in series:
            raise ValueError(f"{line}: twice")
        series[labels] = float(matched["value"])
    if any(kind not in ("gauge", "counter") for kind in told["TYPE"].values()) or set(told["HELP"]) != set(found):
        raise ValueError("a type that there is not, or a text for nothing")
    return found


def _labels(text: str) -> Labels:
    at = 0
    labels: List[Tuple[str, str]] = []
    while at < len(text):
        matched = LABEL.match(text, at)
        if matched is None:
            raise ValueError(f"{text}: no label at {at}")
        value = re.sub(r'\\["\\n]', lambda escape: ESCAPES[escape[0]], matched["value"])
        labels.append((matched["name"], value))
        at = matched.end()
    if len(dict(labels)) != len(labels):
        raise ValueError(f"{text}: a label twice")
    return tuple(sorted(labels))


def main() -> None:
    """Print {metric: [[labels, value], ...]}. Raises ValueError."""
    found = parse(sys.stdin.read())
    print(
        json.dumps(
            {name: [[dict(labels), value] for labels, value in series.items()] for name, series in found.items()}
        )
    )


if __name__ == "__main__":
    main()
