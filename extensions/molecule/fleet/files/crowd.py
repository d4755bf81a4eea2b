"""Define VMs that are never started. usage: crowd.py COUNT"""

from __future__ import annotations

import sys

import libvirt

connection = libvirt.open("qemu:///system")
for number in range(1, int(sys.argv[1]) + 1):
    connection.defineXML(
        f"<domain type='qemu'><name>crowd-{number:04}</name><memory unit='MiB'>32</memory><os><type>hvm</type></os></domain>"
    )
