"""QEMU by a libvirt of its own: a daemon that nobody else talks to, and guests of half a kilobyte.

The daemon runs as an ordinary user, with directories of its own; guests are emulated and boot within a second.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

import libvirt
import libvirt_qemu

#: Times per second that a guest counts: the interrupt of a PC's timer.
TICKS = 18.2
#: Where it counts, in its memory.
COUNTER = 0x600

#: What a guest does in the end, to which port: power off by ACPI, reset, panic by a pvpanic device; or nothing.
POWER_OFF, RESET, PANIC = (0x604, 0x2000), (0x64, 0xFE), (0x505, 0x01)


@contextmanager
def unless_first(*codes: int) -> Iterator[None]:
    """Do something that another may have done just before: libvirt's errors that say so are none."""
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() not in codes:
            raise


def program(deed: tuple[int, int] | None, after: int | None = None) -> bytes:
    """A boot sector that counts the timer's ticks, and does a deed after so many: None when its power button is pressed.

    Without a deed it ignores the button and counts for ever.
    """
    code = bytes.fromhex("fa 31c0 8ed8 b0ff e6a1")  # no interrupts but the timer's; data at 0
    code += bytes.fromhex("b80001 ba0206 ef fb")  # the power button counts from now on
    loop = len(code)
    code += bytes.fromhex("f4 66ff06") + struct.pack("<H", COUNTER)
    if deed is None:
        code += b"\xeb" + struct.pack("b", loop - len(code) - 2)
    else:
        if after is None:
            code += bytes.fromhex("ba0006 ed f6c401") + b"\x74"  # until the button's bit is set
        else:
            code += (
                bytes.fromhex("66813e") + struct.pack("<HI", COUNTER, after) + b"\x72"
            )  # until it has counted enough
        code += struct.pack("b", loop - len(code) - 1)
        port, value = deed
        code += b"\xba" + struct.pack("<H", port) + b"\xb8" + struct.pack("<H", value)
        code += b"\xef" if port == 0x604 else b"\xee"
        code += bytes.fromhex("f4 ebfd")
    return code.ljust(510, b"\0") + b"\x55\xaa"


def writer() -> bytes:
    """A boot sector that writes to the first disk, from its beginning on and 32 KiB at a time, by the BIOS."""
    code = bytes.fromhex("fb 31c0 8ed8 8ec0")
    loop, packet = len(code), 0x40  # where the packet lies that tells the BIOS what to write
    code += b"\xbe" + struct.pack("<H", 0x7C00 + packet) + bytes.fromhex("b80043 b280 cd13")
    code += bytes.fromhex("668106") + struct.pack("<HI", 0x7C00 + packet + 8, 64)
    code += b"\xeb" + struct.pack("b", loop - len(code) - 2)
    code = code.ljust(packet, b"\0") + struct.pack("<HHHHQ", 16, 64, 0, 0x1000, 0)
    return code.ljust(510, b"\0") + b"\x55\xaa"


#: Guests by what they do; the numbers are ticks.
PROGRAMS = {
    "obedient": program(POWER_OFF),
    "stubborn": program(None),
    "quits": program(POWER_OFF, 20),
    "resets": program(RESET, 20),
    "panics": program(PANIC, 20),
    "writes": writer(),
}

#: Runs a command and takes leave of every process that it leaves behind: libvirt waits for that, and where the machine's
#: first process takes its time, so does each end of a QEMU.
REAPER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
try:
    while True:
        os.wait()
except ChildProcessError:
    pass
"""

#: Memory is saved through a program that a test can slow down; no further daemon takes what a QEMU says.
CONFIGURATION = 'save_image_format = "gzip"\nstdio_handler = "file"\n'

#: Stands in for gzip: slow and stuck are files. While there is the one it takes 40 KB a second, as a disk does that is
#: slow, while there is the other nothing at all. It has no standard error: libvirt 9.0 writes what comes from there to
#: memory that it has left, when saving was given up before, and dies of that once in a hundred times.
GZIP = """#!/bin/sh
exec 2>/dev/null
while [ -e {stuck} ]; do sleep 0.05; done
[ -e {slow} ] || exec {gzip} "$@"
perl -e '
while (sysread(STDIN, $piece, 4096)) {{
    syswrite(STDOUT, $piece);
    select(undef, undef, undef, 0.1) if -e "{slow}";
}}
' | {gzip} "$@"
"""

#: Stands in for the programs of an emulated TPM, of which libvirt asks what they can do before it defines a VM with one.
SWTPM = """#!/bin/sh
echo '{"type": "swtpm", "features": ["tpm-1.2", "tpm-2.0"]}'
"""


def wait_for(what: Callable[[], object], seconds: float = 30.0) -> None:
    """Until it is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


class Daemon:
    """A libvirtd and its directories. uri is how to reach it; it runs from start to stop, or kill."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="qemu-", dir="/tmp"))  # a socket's path must be short
        self.uri = f"qemu+unix:///session?socket={self.home}/run/libvirt/libvirt-sock"
        self.slow, self.stuck = self.home / "slow", self.home / "stuck"
        #: A file system of four MiB, as root: mounted before a daemon has its own view of what is mounted.
        self.small = self.home / "small"
        self.small.mkdir()
        if os.geteuid() == 0:
            options = ["-t", "tmpfs", "-o", "size=4m,mode=0777"]
            subprocess.run(["mount", *options, "tmpfs", str(self.small)], check=True)
        for name in ("run", "config/libvirt", "cache", "bin", "guests"):
            (self.home / name).mkdir(parents=True)
        (self.home / "config" / "libvirt" / "qemu.conf").write_text(CONFIGURATION)
        gzip = self.home / "bin" / "gzip"
        gzip.write_text(GZIP.format(slow=self.slow, stuck=self.stuck, gzip=shutil.which("gzip")))
        gzip.chmod(0o755)
        for name in ("swtpm", "swtpm_setup", "swtpm_ioctl"):
            (self.home / "bin" / name).write_text(SWTPM)
            (self.home / "bin" / name).chmod(0o755)
        for name, code in PROGRAMS.items():
            (self.home / "guests" / name).write_bytes(code)
        self._reapers: list[subprocess.Popen[bytes]] = []
        if os.geteuid() == 0:
            self._give_away()
            (self.home / "closed").touch(mode=0o000)

    def _give_away(self) -> None:
        nobody = pwd.getpwnam("nobody")
        for path in [self.home, *self.home.rglob("*")]:
            os.chown(path, nobody.pw_uid, nobody.pw_gid)

    def start(self) -> None:
        """Until it answers. /dev/kvm is hidden: guests are emulated, wherever the tests run.

        libvirt closes every descriptor that there may be before it runs a program, which takes long when there may be many.
        """
        command = ["prlimit", "--nofile=1024", "libvirtd"]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
            if os.path.exists("/dev/kvm"):
                # not by a device that may be opened: libvirt would ask QEMU again and again why it does not use it
                hide = f'mount --bind {self.home}/closed /dev/kvm && exec "$@"'
                command = ["unshare", "--mount", "--propagation=private", "sh", "-c", hide, "sh", *command]
        command = [sys.executable, "-c", REAPER, *command]
        environment = {
            "HOME": str(self.home), "XDG_RUNTIME_DIR": f"{self.home}/run", "XDG_CONFIG_HOME": f"{self.home}/config",
            "XDG_CACHE_HOME": f"{self.home}/cache", "PATH": f"{self.home}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LIBVIRT_DEBUG": "1" if os.environ.get("DEBUG_LIBVIRT") else "3",
            "LIBVIRT_LOG_OUTPUTS": f"1:file:{self.home}/log" if os.environ.get("DEBUG_LIBVIRT") else "3:stderr",
        }  # fmt: skip
        with (self.home / "said").open("ab") as said:
            process = subprocess.Popen(
                command, env=environment, stdout=said, stderr=said, stdin=subprocess.DEVNULL, cwd=self.home
            )
        self._reapers.append(process)
        wait_for(self._answers)

    def _answers(self) -> bool:
        assert self._reapers[-1].poll() is None, (self.home / "said").read_text()
        try:
            self.open().close()
        except libvirt.libvirtError:
            return False
        return True

    def pid(self) -> int:
        """The daemon's process."""
        return int((self.home / "run" / "libvirt" / "libvirtd.pid").read_text())

    def open(self) -> libvirt.virConnect:
        """A connection of a person's."""
        return libvirt.open(self.uri)

    def kill(self) -> None:
        """SIGKILL; its guests go on."""
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"))

    def stop(self) -> None:
        """With all guests; nothing is left."""
        try:
            self.empty()
            self.kill()
            for process in self._reapers:
                process.wait(30)
        finally:
            if os.path.ismount(self.small):
                subprocess.run(["umount", str(self.small)], check=True)
            shutil.rmtree(self.home)

    def empty(self) -> None:
        """Without guests, as at first."""
        self.slow.unlink(missing_ok=True)
        self.stuck.unlink(missing_ok=True)
        connection = self.open()
        for domain in connection.listAllDomains():
            for pid in self.pids(domain.name()):
                os.kill(pid, signal.SIGCONT)
            # a guest that ends by itself, or a daemon's save that does, may be first
            with unless_first(libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
                domain.destroy()
            with unless_first(libvirt.VIR_ERR_NO_DOMAIN):
                if domain.isPersistent():
                    domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
        connection.close()

    def xml(self, uuid: str, name: str, guest: str, devices: str = "", more: str = "") -> str:
        """A guest's definition. more: elements beside its devices."""
        source = (
            f"<driver type='raw'/><source file='{self.home}/guests/{guest}'/><target dev='fda' bus='fdc'/><readonly/>"
        )
        disk = f"<disk type='file' device='floppy'>{source}</disk>"
        video = "" if "<video>" in devices else "<video><model type='none'/></video>"
        return (
            f"<domain type='qemu'><name>{escape(name)}</name><uuid>{uuid}</uuid><memory unit='MiB'>32</memory>"
            f"<os><type machine='pc'>hvm</type><boot dev='fd'/></os><features><acpi/></features>{more}<devices>"
            f"<emulator>/usr/bin/qemu-system-x86_64</emulator>{disk}<controller type='usb' model='none'/>"
            f"<memballoon model='none'/>{video}{devices}</devices></domain>"
        )

    def pids(self, name: str) -> list[int]:
        """Processes of a guest: what libvirt's own file says."""
        path = self.home / "run" / "libvirt" / "qemu" / "run" / f"{name}.pid"
        return [int(path.read_text())] if path.exists() else []

    def busy(self, domain: libvirt.virDomain) -> bool:
        """Whether libvirt is at work on it; its own connection, since such a question waits."""
        if not domain.isActive():
            return False
        kind: int = domain.jobInfo()[0]
        return kind != libvirt.VIR_DOMAIN_JOB_NONE

    def count(self, domain: libvirt.virDomain) -> int:
        """How far a guest has counted."""
        said = libvirt_qemu.qemuMonitorCommand(
            domain, f"xp /1wd {COUNTER:#x}", libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
        )
        return int(said.split(":")[1])
