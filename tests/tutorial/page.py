"""A page's files, commands and what they print. Whatever of its blocks is not understood is an error, so that nothing is passed over."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

#: Whatever looks like a command, anywhere on a page; each has to be a Step.
COMMAND = re.compile(r"^\s*[$#] [a-z]", re.MULTILINE)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# file: (\S+)\n")
#: Before a block whose command is to be repeated until it prints what the page shows.
UNTIL = "<!-- until it prints this -->\n"


@dataclass
class Step:
    """A command of the page: on the controller ($) or on the host (#). waits: it is repeated until it prints what is expected."""

    where: str
    command: str
    waits: bool = False
    expected: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class File:
    """A file of the working directory."""

    path: str
    content: str


def steps(page: str) -> list[Step | File]:
    """In their order, but for the block before the first section, which shows the end. Raises ValueError for what is no step."""
    begin = page.index("\n## ")
    found: list[Step | File] = []
    for match in FENCE.finditer(page, begin):
        language, body = match[1], match[2]
        if language == "yaml":
            name = FILE.match(body)
            if name is None:
                raise ValueError(f"a block of YAML without a file: {body[:60]!r}")
            found.append(File(name[1], body[name.end() :]))
        elif language == "console":
            found += _commands(body, page[: match.start()].endswith(UNTIL))
        else:
            raise ValueError(f"a block that is neither yaml nor console: {language!r} {body[:60]!r}")
    commands = [step for step in found if isinstance(step, Step)]
    if len(commands) != len(COMMAND.findall(_without_files(page[begin:]))):
        raise ValueError("a command of the page stands in no block that is run")
    return found


def _without_files(page: str) -> str:
    return re.sub(r"^```yaml\n.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)


def _commands(body: str, waits: bool) -> list[Step]:
    found: list[Step] = []
    for line in body.splitlines():
        if line[:2] in ("$ ", "# "):
            found.append(Step(line[0], line[2:], waits))
        elif not found:
            raise ValueError(f"output before any command: {line!r}")
        elif line:
            found[-1].expected.append(line)
    if waits and len(found) != 1:
        raise ValueError("one command to a block that is waited for")
    return found


def plain(line: str) -> str:
    """A line without what is another with each run: times, numbers of Ansible's recap, bars, and spaces to align them."""
    line = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", line)
    line = re.sub(r"\b(ok|changed|skipped)=\d+", r"\1=N", line)
    line = re.sub(r"\b\d+(\.\d+)? s\b", "N s", line)
    return " ".join(re.sub("[·─▒█●]+", " ", line).split())


def missing(step: Step, printed: str) -> list[str]:
    """Lines that the page shows and that were not printed; a shown line may be the beginning of one."""
    got = [plain(line) for line in printed.splitlines()]
    return [line for line in step.expected if not any(each.startswith(plain(line)) for each in got)]
