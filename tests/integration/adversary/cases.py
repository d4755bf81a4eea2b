# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that want a sweep to delete too much, to leak or to lie. Runs on a lab host as root; see run.sh.

Each case builds an odd host, sweeps, and looks with libvirt and the file system alone.
"""

from __future__ import annotations

import sys

import cases_interference
import cases_storage
from host import CASES, reset

assert cases_interference and cases_storage, "they put their cases on the list when they are imported"


def main() -> int:
    """Every case, or those whose name holds the first argument; 1 when one failed."""
    failed = 0
    chosen = [function for function in CASES if "".join(sys.argv[1:2]) in function.__name__]
    if not chosen:
        sys.exit(f"no case is named {sys.argv[1]}")
    for function in chosen:
        reset()
        try:
            function()
        except Exception as error:
            failed += 1
            sys.stdout.write(f"FAIL {function.__name__}: {error!r}\n")
        else:
            sys.stdout.write(f"ok   {function.__name__}\n")
        sys.stdout.flush()
    reset()
    sys.stdout.write(f"{failed} of {len(chosen)} failed\n")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
