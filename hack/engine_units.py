"""Run the engine's unit tests on every other Python from 3.9 to 3.13 that really runs on this machine.

Hosts run the engine on the Python of their distribution, so each version gets a venv of its own below .build/pythons.
A version manager's shim may exist and not run: an interpreter counts only once it has answered.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESTS = "tests/unit/engine"
VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
REQUIREMENTS = ("pytest", "hypothesis", "jsonschema")
PROBE = "import ensurepip, sqlite3, sys; print(sys._base_executable); print('%d.%d' % sys.version_info[:2])"


def find_interpreters() -> dict[str, str]:
    """Return {version: path of a base interpreter} for the versions that answer, without the one that runs this."""
    found = {}
    for version in VERSIONS:
        command = shutil.which(f"python{version}")
        if command is None or version == "{}.{}".format(*sys.version_info):
            continue
        probe = subprocess.run([command, "-c", PROBE], capture_output=True, text=True, check=False)
        if probe.returncode == 0 and probe.stdout.split()[-1] == version:
            found[version] = probe.stdout.split()[0]
    return found


def prepare(version: str, interpreter: str) -> pathlib.Path:
    """Build or reuse the venv of one version and return its interpreter."""
    constraints = ROOT / "constraints-dev.txt"
    inputs = constraints.read_bytes() + interpreter.encode() + repr(REQUIREMENTS).encode()
    venv = ROOT / ".build" / "pythons" / version
    python, stamp = venv / "bin" / "python", venv / "stamp"
    key = hashlib.sha256(inputs).hexdigest()
    if not stamp.exists() or stamp.read_text() != key:
        subprocess.run([interpreter, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [str(python), "-m", "pip", "-qq", "--disable-pip-version-check", "install"]
        subprocess.run([*pip, "-c", str(constraints), *REQUIREMENTS], check=True)
        stamp.write_text(key)
    return python


def run(version: str, interpreter: str) -> tuple[str, int, float, str]:
    """Run the tests on one version; return (version, exit code, seconds, output)."""
    start = time.monotonic()
    try:
        python = prepare(version, interpreter)
    except subprocess.CalledProcessError as error:
        return version, 1, time.monotonic() - start, str(error)
    options = ["-p", "hack.pytest_no_skips", "-q", "-o", f"cache_dir=.build/pytest-{version}"]
    test = subprocess.run(
        [str(python), "-m", "pytest", *options, TESTS],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return version, test.returncode, time.monotonic() - start, test.stdout


def main() -> int:
    interpreters = find_interpreters()
    print(f"other Pythons found: {', '.join(interpreters) or 'none'}", flush=True)
    failed = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for version, code, seconds, output in pool.map(run, interpreters, interpreters.values()):
            last_line = output.strip().rsplit("\n", 1)[-1]
            print(f"Python {version}: exit {code}, {seconds:.1f} s: {last_line}", flush=True)
            if code:
                failed.append(version)
                print(output)
    if failed:
        print(f"the engine's unit tests failed on Python {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
