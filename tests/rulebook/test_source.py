"""The event source by itself: what it runs, what it gives to the rules, and when it believes that they have it."""

from __future__ import annotations

import asyncio
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT

SOURCE = runpy.run_path(str(ROOT / "extensions" / "eda" / "plugins" / "event_source" / "events.py"))
#: Stands in for SSH: its last word goes to a shell, as on a host.
SSH = ["sh", "-c", 'shift; exec sh -c "$1"', "ssh"]
#: Prints the lines of a file, and goes on as long as somebody listens.
PRINTS = "import sys, time; print(open(sys.argv[1]).read(), end='', flush=True); time.sleep(60)"


def lines(path: Path, *numbers: int) -> str:
    """A file with events whose cursors are numbers."""
    events = [{"kind": "operation", "event": "x", "message": 'it\'s "so"; $(no)\n', "cursor": str(n)} for n in numbers]
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return str(path)


async def run(
    options: dict[str, Any], count: int, queue: asyncio.Queue[Any], taken: Any = None
) -> list[dict[str, Any]]:
    """So many events of the source, which ends then."""
    task = asyncio.create_task(SOURCE["main"](queue, options))
    try:
        found = []
        for _number in range(count):
            found.append(await asyncio.wait_for(queue.get(), 20))
            if taken is not None:
                await taken(found)
        await asyncio.sleep(0.2)
        return found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_hosts_by_ssh(tmp_path: Path) -> None:
    """Each has its cursor, and what SSH's shell gets is what was meant."""
    state = tmp_path / "state.json"
    state.write_text('{"b": "6"}')
    echo = (
        "import json, sys; print(json.dumps({'kind': 'operation', 'event': sys.argv[1:], 'cursor': '7'}), flush=True)"
    )
    options = {
        "hosts": ["a", "b"], "ssh": SSH, "command": ["python3", "-c", echo], "arguments": ["it's; $(touch x)"],
        "kinds": ["operation"], "state_file": str(state), "retry_seconds": 60,
    }  # fmt: skip
    found = asyncio.run(run(options, 2, asyncio.Queue(1)))
    words = {event["host"]: event["event"] for event in found}
    common = ["events", "--follow", "it's; $(touch x)", "--after"]
    assert words == {"a": [*common, "end"], "b": [*common, "6"]}
    assert json.loads(state.read_text()) == {"a": "7", "b": "7"}


@pytest.mark.parametrize("feedback", [False, True])
def test_a_cursor_moves_when_the_rules_have_the_event(tmp_path: Path, feedback: bool) -> None:
    """Not before; with feedback, once they have dealt with it."""
    state = tmp_path / "state.json"
    answers: asyncio.Queue[Any] = asyncio.Queue(1)
    seen: list[str] = []

    def cursor() -> str:
        return str(json.loads(state.read_text())[""]) if state.exists() else ""

    async def taken(found: list[Any]) -> None:
        await asyncio.sleep(0.2)
        seen.append(cursor())
        if feedback:
            await answers.put(found[-1])

    command = ["python3", "-c", PRINTS, lines(tmp_path / "events", 1, 2, 3)]
    options: dict[str, Any] = {"command": command, "state_file": str(state)}
    if feedback:
        options |= {"feedback": True, "eda_feedback_queue": answers}
    asyncio.run(run(options, 3, asyncio.Queue(1), taken))
    assert seen == (["", "1", "2"] if feedback else ["1", "2", "3"])
    assert cursor() == "3"


def test_an_event_that_nobody_takes_is_not_behind_the_cursor(tmp_path: Path) -> None:
    """It lies in the queue when everything ends, and comes again."""
    command = ["python3", "-c", PRINTS, lines(tmp_path / "events", 1, 2)]
    options = {"command": command, "state_file": str(tmp_path / "state.json")}
    asyncio.run(run(options, 1, asyncio.Queue(1)))
    assert json.loads((tmp_path / "state.json").read_text()) == {"": "1"}


def test_a_host_that_is_lost_is_an_event_once(tmp_path: Path) -> None:
    """With what SSH said; another one while it can't be reached would be noise."""
    options = {"hosts": ["gone"], "ssh": ["sh", "-c", "echo no route >&2; exit 255"], "retry_seconds": 0.05}
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(run(options, 2, asyncio.Queue(1)), 2))
    (event,) = asyncio.run(run(options, 1, asyncio.Queue(1)))
    assert event == {
        "kind": "stream",
        "event": "lost",
        "host": "gone",
        "message": "the stream ended with 255: no route",
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"host": "a"}, "unknown options: host"),
        ({"hosts": "a"}, "hosts: give a list"),
        ({"first": "last"}, "first: last is not one of new, all"),
        ({"kinds": ["own"]}, "kinds: give some of"),
    ],
)
def test_wrong_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        asyncio.run(SOURCE["main"](asyncio.Queue(1), options))
