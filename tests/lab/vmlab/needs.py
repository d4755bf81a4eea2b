# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine must offer: root, Linux facilities, and a few Debian packages, installed when missing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from shutil import which

from vmlab.processes import LabError, say

BUILD_NEEDS = {
    "mmdebstrap": "mmdebstrap",
    "systemctl": "systemd",
    "cpio": "cpio",
    "gzip": "gzip",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
RUN_NEEDS = {
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "mount": "mount",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}


def require_root() -> None:
    """Containers, mounts and links need root."""
    if os.geteuid() != 0:
        raise LabError("the lab needs root: it mounts file systems and starts containers")


def install_missing(needs: dict[str, str]) -> None:
    """Install the Debian packages of the commands and files that are absent; nothing at all when none is."""
    missing = sorted({package for thing, package in needs.items() if not _present(thing)})
    if not missing:
        return
    if which("apt-get") is None:
        raise LabError(f"install {', '.join(missing)}: this machine has no apt-get to do it with")
    say(f"installing {', '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if not list(Path("/var/lib/apt/lists").glob("*_Packages*")):
        _apt(["update"], environment)
    install = ["install", "-y", "--no-install-recommends", *missing]
    try:
        _apt(install, environment)
    except LabError:
        # Old lists name files that the mirror has since replaced.
        _apt(["update"], environment)
        _apt(install, environment)


def _present(thing: str) -> bool:
    return Path(thing).exists() if thing.startswith("/") else which(thing) is not None


def _apt(arguments: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(["apt-get", "-q", *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"apt-get {' '.join(arguments)}: {done.stderr.strip()[-2000:]}")
