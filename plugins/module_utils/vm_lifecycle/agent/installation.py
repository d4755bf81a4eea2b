# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts this very engine on the host: its own sources, as they were shipped, into a directory of their version.

A run that is going on keeps the files that it began with: a new version gets a directory of its own, and one link is
switched. The version before stays until the next one comes.
"""

from __future__ import annotations

import compileall
import hashlib
import os
import pkgutil
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping

from ..version import VERSION
from . import cli, sparing

#: What is installed is what came along, and this module's caller brings what it imports: hence all that the command imports.
ENTRY = (sparing.postpone, cli.main)

PACKAGE = __name__.rsplit(".", 2)[0]
#: The package's name on the host, where no collection is around it.
NAME = "vm_lifecycle"

COMMAND = """\
#!{interpreter} -I
# Made by the role vm_lifecycle; the next installation replaces it.
import gc
import sys

sys.path.insert(0, "{current}")
# Nothing that is imported is garbage, neither now nor at the end, and looking through it takes a sixth of a short run.
gc.disable()
from {name}.agent.sparing import postpone

postpone("inspect")
from {name}.agent.cli import main

gc.freeze()
gc.enable()
code = main()
gc.freeze()
sys.exit(code)
"""


@dataclass(frozen=True)
class Installation:
    """Where the engine lives on a host. interpreter has the libraries that the engine needs."""

    directory: Path = Path("/usr/local/lib/vm-lifecycle")
    command: Path = Path("/usr/local/bin/vm-lifecycle")
    interpreter: str = sys.executable

    @property
    def current(self) -> Path:
        """The link to the version in use."""
        return self.directory / "current"


def converge(arguments: Mapping[str, Any], dry_run: bool) -> Dict[str, Any]:
    """The module's work: state present or absent, for the interpreter that runs this."""
    installation = Installation(interpreter=sys.executable)
    return uninstall(installation, dry_run) if arguments.get("state") == "absent" else install(installation, dry_run)


def sources() -> Dict[str, str]:
    """Path below the package -> source, of every module that came along; from a directory or from a zip alike."""
    package = sys.modules[PACKAGE]
    found = {"__init__.py": _source(PACKAGE, package)}
    for module in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."):
        path = module.name[len(PACKAGE) + 1 :].replace(".", "/")
        spec = module.module_finder.find_spec(module.name, None)
        loader: Any = spec.loader if spec else None
        text = loader.get_source(module.name)
        found[f"{path}/__init__.py" if module.ispkg else f"{path}.py"] = text or ""
    return found


def _source(name: str, module: Any) -> str:
    return module.__loader__.get_source(name) or ""


def install(installation: Installation, dry_run: bool) -> Dict[str, Any]:
    """Converge; returns changed, version and directory. Nothing is overwritten in place."""
    files = sources()
    target = installation.directory / f"{VERSION}-{_digest(files)}"
    command = COMMAND.format(interpreter=installation.interpreter, current=installation.current, name=NAME)
    steps: List[str] = []
    if not target.is_dir():
        steps.append("files")
        if not dry_run:
            _write_version(target, files)
    if not installation.current.is_symlink() or os.readlink(installation.current) != target.name:
        steps.append("link")
        if not dry_run:
            _switch(installation.current, target.name)
    if not installation.command.is_file() or installation.command.read_text("utf-8") != command:
        steps.append("command")
        if not dry_run:
            _write_command(installation.command, command)
    return {"changed": bool(steps), "version": VERSION, "directory": str(target), "steps": steps}


def uninstall(installation: Installation, dry_run: bool) -> Dict[str, Any]:
    """Remove every version and the command."""
    there = [path for path in (installation.directory, installation.command) if os.path.lexists(path)]
    if not dry_run:
        installation.command.unlink(missing_ok=True)
        shutil.rmtree(installation.directory, ignore_errors=True)
    return {"changed": bool(there), "version": VERSION, "directory": str(installation.directory), "steps": []}


def _digest(files: Dict[str, str]) -> str:
    joined = "".join(f"{path}\0{files[path]}\0" for path in sorted(files))
    return hashlib.sha256(joined.encode("utf-8")).hexdigest()[:12]


def _write_version(target: Path, files: Dict[str, str]) -> None:
    """Complete before it has its name, so that a killed installation leaves no half of a version behind the link."""
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as temporary:
        build = Path(temporary) / "version"
        for path, text in files.items():
            file = build / NAME / path
            file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        build.chmod(0o755)
        compileall.compile_dir(str(build), quiet=2, stripdir=str(build), prependdir=str(target))
        os.replace(build, target)


def _switch(link: Path, target: str) -> None:
    before = os.readlink(link) if link.is_symlink() else None
    temporary = link.with_name(".current-new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)
    for path in link.parent.iterdir():
        if path.is_dir() and not path.is_symlink() and path.name not in (target, before):
            shutil.rmtree(path, ignore_errors=True)


def _write_command(path: Path, text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=".vm-lifecycle-", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(temporary, 0o755)
    os.replace(temporary, path)
