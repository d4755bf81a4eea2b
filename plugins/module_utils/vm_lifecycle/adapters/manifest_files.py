# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests of saved memory as files. Most hosts have none, so that what they are made of is imported for the first one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict

from .durable_files import JsonFiles

if TYPE_CHECKING:
    from ..recoveries import Manifest


class ManifestFiles(JsonFiles["Manifest"]):
    """One for each VM whose memory is saved."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, _decoded)

    def whole(self) -> Dict[str, Manifest]:
        """All of them by UUID, also those that can't be understood: nothing is loaded by these."""
        found, damaged = self.look()
        if damaged:
            from .recovery_rows import unreadable

            found.update((Path(path).stem, unreadable(Path(path).stem, path)) for path in damaged)
        return found


def _decoded(stored: Any) -> Manifest:
    from .recovery_rows import decode_manifest

    return decode_manifest(stored)
