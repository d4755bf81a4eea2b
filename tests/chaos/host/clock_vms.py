# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs for clock.sh, on the lab host as root: clock_vms.py NAME:CARRIES[:running[:GRACE]]... (as Builder.vm takes them)."""

from __future__ import annotations

import sys

from building import KEPT, Builder, connect, disk, second_pool


def main(words: list[str]) -> None:
    """Each VM with a disk called NAME.qcow2 in the default pool, as vm-NAME."""
    connection = connect()
    second_pool(connection)
    make = Builder(connection, "vm", undo=False)
    for word in words:
        name, carries, *more = word.split(":")
        image = disk(make.image(f"{name}.qcow2", KEPT, "for the clock"))
        grace = int(more[1]) if len(more) > 1 else 5
        make.vm(name, [image], carries, running="running" in more, grace=grace)
    make.finish()


if __name__ == "__main__":
    main(sys.argv[1:])
