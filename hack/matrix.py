"""Run what depends on a library on each version of it that is supported, each in a venv of its own below .build/matrix.

usage: matrix.py [NAME...]      names as they are printed, such as jsonschema-3.2.0

jsonschema: the engine's unit tests on the oldest version, on that of Debian 12, and on the newest. ansible-core: the
documentation of every plugin, the syntax of every playbook and the unit tests of what imports Ansible, on each series.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
JSONSCHEMA = ("3.2.0", "4.10.3", "")
ANSIBLE = ("2.19", "2.20", "2.21")
#: The oldest Python of each series' controller.
NEEDS = {"2.19": (3, 11), "2.20": (3, 12), "2.21": (3, 12)}
KINDS = ("module", "lookup", "filter", "inventory", "role")


def entries() -> dict[str, list[str]]:
    """Name -> what pip installs for it."""
    found = {
        f"jsonschema-{version or 'newest'}": [f"jsonschema=={version}" if version else "jsonschema"]
        for version in JSONSCHEMA
    }
    for series in ANSIBLE:
        if sys.version_info[:2] >= NEEDS[series]:
            found[f"ansible-core-{series}"] = [f"ansible-core=={series}.*", "jsonschema"]
    return found


def prepare(name: str, wanted: list[str]) -> pathlib.Path:
    """A new venv with that and pytest; returns the folder of its programs."""
    venv = ROOT / ".build" / "matrix" / name
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    # jsonschema 3.2.0 asks for setuptools, which newer Pythons do not bring along.
    pip = [str(venv / "bin" / "pip"), "-qq", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "pytest", "hypothesis", "setuptools", "PyYAML", *wanted], check=True)
    return venv / "bin"


def run(programs: pathlib.Path, *words: str) -> None:
    """In the checkout, as a fresh user. Raises CalledProcessError."""
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    subprocess.run(
        [str(programs / words[0]), *words[1:]],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        check=True,
        stdout=subprocess.DEVNULL,
    )


def unit_tests(programs: pathlib.Path, folder: str) -> None:
    plugins = ("-p", "hack.pytest_no_skips", "-p", "no:cacheprovider")
    run(programs, "python", "-m", "pytest", *plugins, "-q", f"tests/unit/{folder}")


def test_engine(programs: pathlib.Path) -> None:
    unit_tests(programs, "engine")


def test_ansible(programs: pathlib.Path) -> None:
    for kind in KINDS:
        run(programs, "ansible-doc", "--json", "--type", kind, "--list", "vmops.lifecycle")
    for path in sorted((ROOT / "plugins" / "modules").glob("*.py")):
        run(programs, "ansible-doc", "--json", "--type", "module", f"vmops.lifecycle.{path.stem}")
    for path in sorted((ROOT / "playbooks").glob("*.yml")):
        run(programs, "ansible-playbook", "--syntax-check", "--inventory", "localhost,", f"vmops.lifecycle.{path.stem}")
    unit_tests(programs, "plugin_utils")


def main(names: list[str]) -> int:
    known = entries()
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"no {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    failed = []
    for name in names or known:
        began = time.monotonic()
        try:
            programs = prepare(name, known[name])
            (test_ansible if name.startswith("ansible") else test_engine)(programs)
        except subprocess.CalledProcessError as error:
            failed.append(name)
            print(f"    | {' '.join(map(str, error.cmd))}: exit {error.returncode}", flush=True)
        print(f"{name:<20} {'FAILED' if name in failed else 'passed'}, {time.monotonic() - began:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
