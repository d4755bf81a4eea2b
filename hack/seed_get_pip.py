"""Seed ansible-test's cache, so that it can bootstrap pip where only a package index is reachable.

ansible-test fetches get-pip.py from a host of its own. A shim in its place installs the same version of pip from its
wheel.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import ansible_test

SHIM = """\
import pathlib, sys
wheel = str(pathlib.Path(__file__).with_name({name!r}))
sys.path.insert(0, wheel)
from pip._internal.cli.main import main
sys.exit(main(["install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", wheel]))
"""


def pip_version() -> str:
    """Return the version of pip that the installed ansible-test asks for."""
    source = pathlib.Path(ansible_test.__file__).parent / "_internal" / "python_requirements.py"
    match = re.search(r"pip='([0-9.]+)'", source.read_text())
    if match is None:
        sys.exit(f"{source} names no version of pip: ansible-test has changed, and so must this script")
    return match.group(1)


def main() -> None:
    version = pip_version()
    cache = pathlib.Path("~/.ansible/test/cache").expanduser()
    target = cache / f"get_pip_{version.replace('.', '_')}.py"
    name = f"pip-{version}-py3-none-any.whl"
    if target.exists() and (cache / name).exists():
        return
    cache.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "-qq", "download", "--no-deps", "--dest", str(cache), f"pip=={version}"]
    subprocess.run(command, check=True)
    target.write_text(SHIM.format(name=name))


if __name__ == "__main__":
    main()
