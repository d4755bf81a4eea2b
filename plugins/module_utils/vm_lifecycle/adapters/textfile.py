# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that another program reads at any moment: the node exporter's metrics."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ..errors import EffectError

#: The node exporter reads what ends with .prom, so what is being written ends otherwise.
NAME = "vm_lifecycle.prom"


def publish(directory: str, text: str) -> str:
    """Put the file into the directory, as a whole or not at all, readable for everybody; returns its path. Raises EffectError."""
    path = Path(directory) / NAME
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{NAME}.", dir=directory)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
                stream.flush()
                os.fchmod(stream.fileno(), 0o644)
                os.fsync(stream.fileno())  # half a file after a power cut would be read, too
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        for left in Path(directory).glob(f".{NAME}.*"):  # of runs that were killed
            left.unlink()
    except OSError as error:
        advice = "textfile_directory in /etc/vm-lifecycle/snapshots.json must be the node exporter's directory"
        raise EffectError("effect_failed", f"{path} can't be written: {error.strerror}; {advice}") from error
    return str(path)
