# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that hosts and guests start from, built once for each set of inputs and never changed afterwards."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vmlab import guest_image, host_image
from vmlab.needs import BUILD_NEEDS, RUN_NEEDS, install_missing
from vmlab.places import image_cache
from vmlab.processes import LabError, run, say

RELEASES = ("bookworm", "trixie")
GUEST_RELEASE = "bookworm"


def host_root(release: str) -> Path:
    """Root directory of the host image of a Debian release; built when missing."""
    if release not in RELEASES:
        raise LabError(f"release {release!r}: one of {', '.join(RELEASES)}")
    return _cached("host", release, Path(host_image.__file__), host_image.PACKAGES, host_image.finish) / "root"


def guest_files() -> Path:
    """Directory with the guest's `vmlinuz` and `initrd.gz`; built when missing."""
    source = Path(guest_image.__file__)
    return _cached("guest", GUEST_RELEASE, source, guest_image.PACKAGES, guest_image.finish)


def _cached(
    kind: str, release: str, source: Path, packages: tuple[str, ...], finish: Callable[[Path, Path], None]
) -> Path:
    # The builder's own text is its list of inputs: packages, files written, units switched.
    key = hashlib.sha256(source.read_bytes() + release.encode()).hexdigest()[:12]
    target = image_cache() / f"{kind}-{release}-{key}"
    if target.exists():
        return target
    install_missing({**BUILD_NEEDS, **RUN_NEEDS})
    with _only_one_builder(target):
        if target.exists():
            return target
        started = time.monotonic()
        say(f"building the {kind} image of {release}")
        work = target.with_name(f".{target.name}.building")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        _debian_root(work / "root", release, packages, "minbase" if kind == "host" else "extract", work / "log")
        finish(work / "root", work)
        work.rename(target)
        say(f"{kind} image of {release} built in {time.monotonic() - started:.1f} s: {target}")
    return target


@contextmanager
def _only_one_builder(target: Path) -> Iterator[None]:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _debian_root(root: Path, release: str, packages: tuple[str, ...], variant: str, log: Path) -> None:
    command = [
        *("mmdebstrap", f"--variant={variant}", "--architectures=amd64", f"--include={','.join(packages)}"),
        *('--aptopt=Acquire::Languages "none"', "--dpkgopt=path-exclude=/usr/share/locale/*"),
        *("--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*"),
        *(release, str(root), f"deb {_mirror()} {release} main"),
    ]
    # mmdebstrap wants a TMPDIR that exists, also when the caller's points into a root that it has left.
    environment = {**os.environ, "TMPDIR": str(root.parent), "LC_ALL": "C.UTF-8"}
    with log.open("w") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False)
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise LabError(f"mmdebstrap for {release} failed ({log}):\n{tail}")


def _mirror() -> str:
    """The Debian mirror that this machine already uses: it is known to be reachable."""
    try:
        lines = run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)"]).splitlines()
    except LabError:
        lines = []
    mirrors = [line.split()[2] for line in lines if line.startswith("Debian Debian ")]
    return mirrors[0].rstrip("/") if mirrors else "http://deb.debian.org/debian"
