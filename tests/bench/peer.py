# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection that ours is measured against, and the library that it needs on the host."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.bench.lab_host import PLACE, LabHost

MODULE = "community.libvirt.virt"
#: The package that carries community.libvirt, from the package index: Galaxy is not needed.
PACKAGE = "ansible==14.*"
FOLDER = "ansible_collections/community/libvirt/"
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_26_x86_64", "manylinux2014_x86_64", "manylinux_2_17_x86_64")


def unpack(collections: Path, downloads: Path) -> str:
    """Put community.libvirt below collections, unless it is there; returns its version."""
    folder = collections / FOLDER
    if not (folder / "MANIFEST.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        # The package asks for a newer Python than the controller may have; only its files are wanted.
        _download(downloads, PACKAGE, "--ignore-requires-python")
        (wheel,) = downloads.glob("ansible-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(collections, [name for name in archive.namelist() if name.startswith(FOLDER)])
        wheel.unlink()
    manifest = json.loads((folder / "MANIFEST.json").read_text("utf-8"))
    return str(manifest["collection_info"]["version"])


def install_lxml(host: LabHost, downloads: Path) -> None:
    """Give the host lxml, which the peer imports. A lab host reaches no network, so a wheel is carried there."""
    version = host.shell("/usr/bin/python3 -c 'import sys; print(\"%d%d\" % sys.version_info[:2])'").strip()
    if host.shell("/usr/bin/python3 -c 'import lxml' 2>/dev/null && echo present || true").strip():
        return
    place = downloads / f"lxml-{version}"
    if not list(place.glob("*.whl")):
        platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
        _download(place, "lxml", "--only-binary=:all:", "--python-version", version, *platforms)
    (wheel,) = place.glob("*.whl")
    host.copy(wheel)
    target = "$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path(\"platlib\"))')"
    host.shell(
        f'target={target} && mkdir -p "$target"'
        f' && /usr/bin/python3 -m zipfile -e {PLACE}/{wheel.name} "$target"'
        f' && /usr/bin/python3 -m compileall -q "$target/lxml" && /usr/bin/python3 -c "import lxml.etree"'
    )


def _download(target: Path, package: str, *options: str) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(target)]
    subprocess.run([*pip, *options, package], check=True)
