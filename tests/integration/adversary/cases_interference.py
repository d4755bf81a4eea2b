# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Others who act while a sweep runs, guests that do not answer, and damaged state."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, List

from host import (
    OUTSIDE,
    STATE,
    case,
    connection,
    define,
    disk,
    disk_xml,
    document,
    domains,
    firmware,
    removal,
    sh,
    short,
    sweep,
    world,
    write_metadata,
)


@case
def a_hold_stands_until_the_definition_goes() -> None:
    """Put on by another tool while the last look at the storage is taken, just before undefining."""
    domain = define("t", disk_xml(disk("t.qcow2")), os_xml=firmware(OUTSIDE / "VARS.fd"))
    sweep()
    hooked = world()
    calls: List[Any] = []
    real = hooked.hypervisor.storage

    def storage(removed: Any = (), leaving: Any = ()) -> Any:
        view = real(removed, leaving)
        calls.append(view)
        if len(calls) == 2:
            hold = {"scope": "deletion", "reason": "", "since_unix": int(time.time())}
            write_metadata(domain, document(domain.UUIDString(), revision=2, hold=hold))
        return view

    hooked.hypervisor.storage = storage
    removal(hooked)
    assert domains() == ["t"], "a held VM was removed"


@case
def a_vm_started_while_it_is_undefined_keeps_its_definition() -> None:
    """libvirt makes it transient: its definition is gone once it stops, unless it is put back."""
    define("t", disk_xml(disk("t.qcow2")))
    sweep()
    hooked = world()
    real = hooked.hypervisor.undefine

    def undefine(*arguments: Any) -> None:
        sh("virsh", "start", "t")
        real(*arguments)

    hooked.hypervisor.undefine = undefine
    removal(hooked)
    domain = connection.lookupByName("t")
    assert domain.isPersistent(), "the definition of a VM whose removal failed is lost, and its disk leaks"


@case
def a_redefined_vm_is_not_removed() -> None:
    """The same metadata with another disk: not the VM that was planned."""
    domain = define("t", disk_xml(disk("t.qcow2")))
    disk("other.qcow2")
    sweep()
    hooked = world()
    real = hooked.store.write_intent
    changed: List[Any] = []

    def write_intent(intent: Any) -> None:
        real(intent)
        if not changed:
            changed.append(connection.defineXML(domain.XMLDesc(2).replace("t.qcow2", "other.qcow2")))

    hooked.store.write_intent = write_intent
    result = removal(hooked)
    assert domains() == ["t"], f"a VM was removed that was redefined meanwhile: {short(result)}"


@case
def nothing_done_is_nothing_changed() -> None:
    """Ended by a hold after the removal was only written down."""
    domain = define("t", disk_xml(disk("t.qcow2")))
    sweep()
    hooked = world()
    real = hooked.store.write_intent

    def write_intent(intent: Any) -> None:
        real(intent)
        write_metadata(domain, document(domain.UUIDString(), revision=2))

    hooked.store.write_intent = write_intent
    result = removal(hooked)
    assert domains() == ["t"] and not result["changed"], "the result says changed, and nothing was"


@case
def a_stuck_guest_stops_no_other_removal() -> None:
    """Its QEMU answers nothing, so asking it to shut down does not return."""
    stuck = define(
        "a", disk_xml(disk("a.qcow2")), {"persistence": {"force_cleanup": False, "cleanup_grace_period": 60}}
    )
    stuck.create()
    define("b", disk_xml(disk("b.qcow2")))
    sweep()
    process = int(Path("/run/libvirt/qemu/a.pid").read_text())
    os.kill(process, signal.SIGSTOP)
    try:
        sweep(timeout=75)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with_stuck = domains()
        with contextlib.suppress(ProcessLookupError):  # it was ended, as it should be
            os.kill(process, signal.SIGCONT)
    assert "b" not in with_stuck, "a stuck guest holds the whole sweep up"


@case
def one_damaged_record_stops_no_host() -> None:
    """Garbage among the intents, and in a row of the database."""
    define("t", disk_xml(disk("t.qcow2")))
    sweep()
    answered: Dict[str, bool] = {}
    (STATE / "intents").mkdir(exist_ok=True)
    for text in ('"x"', "[" * 100000, "{}", ""):
        (STATE / "intents" / "a.json").write_text(text)
        answered[text[:5]] = "vms" in sweep("--dry-run")
        (STATE / "intents" / "a.json").unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(STATE / "state.db")) as database:
        database.execute("UPDATE vms SET record = 'x'")
        database.commit()
    answered["row"] = "vms" in sweep("--dry-run")
    assert all(answered.values()), f"whether the sweep judged the other VMs: {answered}"
