"""Does what docs/tutorial.md says: its files and its commands, in their order, on a lab host and in a home without this checkout.

usage: run.py [--release bookworm|trixie] [--show]      --show prints all that the commands print
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.tutorial.page import File, Step, missing, steps

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
LAB = str(ROOT / "tests" / "lab" / "lab")
HOST = "kvm1"
#: Seconds that a command has, and those in which one that is waited for has to print what the page shows.
LIMIT, PATIENCE = 300, 180


def lab(*words: str) -> str:
    """Run a verb of the lab; returns what it prints."""
    return subprocess.run([LAB, *words], check=True, stdout=subprocess.PIPE, text=True).stdout


class Controller:
    """A user's machine: a directory with a tarball in it, a home, and SSH that knows the host."""

    def __init__(self, home: Path) -> None:
        self.home, self.work = home, home / "lifecycles"
        self.work.mkdir()
        subprocess.run([ROOT / "hack" / "dist", self.work], check=True, stdout=subprocess.DEVNULL)
        group = json.loads(Path(lab("inventory").strip()).read_text("utf-8"))["libvirt"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE", "PYTHON"))}
        self.environment = {
            **kept, "HOME": str(home), "ANSIBLE_HOME": str(home / ".ansible"), "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
            "ANSIBLE_PRIVATE_KEY_FILE": group["vars"]["ansible_ssh_private_key_file"],
            "ANSIBLE_SSH_COMMON_ARGS": f"{group['vars']['ansible_ssh_common_args']} -o HostName={group['hosts'][HOST]['ansible_host']}",
        }  # fmt: skip

    def write(self, file: File) -> None:
        """A file of the page."""
        path = self.work / file.path
        path.parent.mkdir(exist_ok=True)
        path.write_text(file.content, encoding="utf-8")

    def run(self, step: Step) -> tuple[int, str]:
        """Exit code and what was printed, both ways."""
        command = ["bash", "-c", step.command] if step.where == "$" else [LAB, "ssh", HOST, step.command]
        done = subprocess.run(
            command, cwd=self.work, env=self.environment if step.where == "$" else None, timeout=LIMIT,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout


def boot_id() -> str:
    """Which boot the host is in, "" while it does not answer."""
    command = [LAB, "ssh", HOST, "cat /proc/sys/kernel/random/boot_id"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def attempt(controller: Controller, step: Step) -> str:
    """Run a step as often as the page means it; returns what it printed. Raises AssertionError when it is not as the page says."""
    deadline = time.monotonic() + PATIENCE
    if step.command == "systemctl reboot":
        before = boot_id()
        controller.run(step)  # its connection ends with the host
        while boot_id() in ("", before):
            assert time.monotonic() < deadline, "the host did not come back"
            time.sleep(0.5)
        return ""
    while True:
        code, printed = controller.run(step)
        lost = missing(step, printed)
        if code == 0 and not lost:
            return printed
        if not step.waits or time.monotonic() > deadline:
            said = "".join(f"\n  not printed: {line}" for line in lost)
            raise AssertionError(f"exit code {code}{said}\n{printed}")
        time.sleep(1.0)


def follow(show: bool) -> int:
    """All steps; returns how many commands were run, 0 when one was not as the page says. With show, the others follow all the same."""
    count, good = 0, True
    with tempfile.TemporaryDirectory(prefix="tutorial-") as home:
        controller = Controller(Path(home))
        for step in steps(PAGE.read_text("utf-8")):
            if isinstance(step, File):
                controller.write(step)
                continue
            began = time.monotonic()
            try:
                printed = attempt(controller, step)
            except AssertionError as error:
                print(f"FAILED  {step.where} {step.command}\n{error}", flush=True)
                good = False
                if show:
                    continue
                return 0
            count += 1
            print(f"{time.monotonic() - began:6.1f} s  {step.where} {step.command}", flush=True)
            if show:
                print(printed)
    return count if good else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", default="bookworm")
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    os.environ["VMOPS_LAB"] = f"tutorial-{options.release}"
    began = time.monotonic()
    lab("down")
    try:
        lab("up", HOST, "--release", options.release)
        lab("guest", HOST, "ci-4711", "db1", "web1", "sandbox-anna", "--start")
        lab("guest-wait", HOST, "ci-4711", "--timeout", "240")
        count = follow(options.show)
    finally:
        lab("down")
    print(f"{count} commands of the tutorial in {time.monotonic() - began:.0f} s" if count else "the tutorial is wrong")
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main())
