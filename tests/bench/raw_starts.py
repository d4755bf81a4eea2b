# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least that starts domains at once: a thread and a connection for each. Run on the host, a process a time.

usage: raw_starts.py DOMAIN...
"""

from __future__ import annotations

import sys
import threading

import libvirt


def start(name: str) -> None:
    libvirt.open("qemu:///system").lookupByName(name).create()


threads = [threading.Thread(target=start, args=(name,)) for name in sys.argv[1:]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
