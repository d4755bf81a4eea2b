# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 as Python itself has it, like the standard library's random takes its hash.

hashlib loads OpenSSL, for which a boot's VMs would wait 3 ms, and which takes 2 MiB of a supervisor.
"""

from __future__ import annotations

try:
    from _sha2 import sha256  # type: ignore[import-not-found]
except ImportError:
    try:  # before Python 3.12
        from _sha256 import sha256  # type: ignore[import-not-found]
    except ImportError:  # a Python that was built without
        from hashlib import sha256

__all__ = ["sha256"]
