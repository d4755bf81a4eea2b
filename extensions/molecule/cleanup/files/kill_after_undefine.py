"""Runs a sweep in the place of the command, and kills itself right after one VM was undefined, before its disk is deleted.

Before that it tells what the sandbox around it allows. usage: kill_after_undefine.py UUID
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from unittest import mock

sys.path.insert(0, "/usr/local/lib/vm-lifecycle/current")
from vm_lifecycle.adapters.libvirt.hypervisor import LibvirtHypervisor
from vm_lifecycle.adapters.linux_host import LinuxHost
from vm_lifecycle.agent.cli import main


def writable(path: str) -> bool:
    """Whether a file can be made in a directory."""
    probe = os.path.join(path, ".probe")
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_WRONLY))
    except OSError:
        return False
    os.unlink(probe)
    return True


def main_with_fault(victim: str) -> int:
    undefine = LibvirtHypervisor.undefine

    def undefine_and_die(self: LibvirtHypervisor, uuid: str, keep_nvram: bool, keep_tpm: bool = False) -> None:
        undefine(self, uuid, keep_nvram, keep_tpm)
        if uuid == victim:
            os.kill(os.getpid(), signal.SIGKILL)

    with mock.patch.object(LibvirtHypervisor, "undefine", undefine_and_die):
        return main(["cleanup", "--scheduled"])


if __name__ == "__main__":
    places = ("/etc", "/usr/local", "/root", "/home", "/tmp", "/var/lib/libvirt/images", "/etc/libvirt/qemu")
    print("sandbox: may write", [place for place in places if writable(place)], flush=True)
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512))
    print("sandbox: clock", "readable" if state >= 0 else "hidden", flush=True)
    pressure = LinuxHost(Path("/run/lock"), Path("/etc/vm-lifecycle")).pressure()
    print("sandbox: pressure", "readable" if pressure.io is not None else "hidden", flush=True)
    print("sandbox: image in /tmp", "readable" if os.path.exists(__file__) else "hidden", flush=True)
    sys.exit(main_with_fault(sys.argv[1]))
