# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people do on a host with virsh, beside sweeps and between them, and what the manifest says of it afterwards."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import turmoil
from building import KEPT, MANIFEST, REMOVED, connect, declaration, sh

#: VMs whose disks are theirs alone, by the beginnings of their names after the round: only those change their fate by hand.
PLAIN = ("own", "two", "raw", "clone")
#: Done beside a sweep to any VM that the manifest knows.
BESIDE = ("suspend", "resume", "destroy", "start", "create", "managedsave", "dominfo")
#: Done beside a sweep to a VM that goes, and that has a disk which it alone has.
TO_GOING = (*BESIDE, "snapshot-create-as", "undefine-define")
#: Done while no sweep runs, to a plain VM that no removal has begun for.
BETWEEN = ("undefine", "undefine-define", "permanent", "held", "fresh")
GONE_BY_HAND = "gone_by_hand"


def virsh(*words: str) -> bool:
    """Whether it succeeded; what a person asks for may well be refused."""
    try:
        return subprocess.run(["virsh", "-q", *words], capture_output=True, timeout=60, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def is_plain(name: str) -> bool:
    return name.split("-", 1)[1].startswith(PLAIN)


def between(manifest: dict[str, Any], chance: random.Random) -> list[dict[str, Any]]:
    """With no sweep running: people undefine two expired VMs and keep their disks, define one anew, and give one time."""
    begun = {path.stem for path in turmoil.INTENTS.glob("*.json")}
    able = [uuid for uuid in turmoil.expired(manifest) if is_plain(manifest["vms"][uuid]["name"]) and uuid not in begun]
    chance.shuffle(able)
    chosen = [chance.choice(BETWEEN) for _each in able[:3]]
    done = [between_one(manifest, uuid, what) for uuid, what in zip(able, chosen)]
    MANIFEST.write_text(json.dumps(manifest, indent=1), "utf-8")
    return done


def between_one(manifest: dict[str, Any], uuid: str, what: str) -> dict[str, Any]:
    """One thing that changes what has to become of a VM; the manifest follows only what libvirt confirmed."""
    vm = manifest["vms"][uuid]
    text = sh("virsh", "dumpxml", "--inactive", uuid)
    if what.startswith("undefine"):
        virsh("destroy", uuid)
        worked = virsh("undefine", uuid)
        if worked and what == "undefine-define":
            worked = define(text, uuid)
            vm["by_hand"] = vm.get("by_hand", 0) + 1
        elif worked:
            vm["fate"] = GONE_BY_HAND
            keep_files(manifest, text, "its VM was undefined by hand")
    else:
        document = {**declaration(uuid, what), "revision": 2}
        key = ["--uri", "urn:vmops:lifecycle:1", "--key", "v", "--set"]
        element = ElementTree.Element("lifecycle")
        element.text = json.dumps(document)
        worked = virsh("metadata", uuid, *key, ElementTree.tostring(element, "unicode"), "--config")
        if worked:
            vm["fate"], vm["carries"] = KEPT, f"{what} since a person said so"
            keep_files(manifest, text, vm["carries"])
    return {"what": what, "name": vm["name"], "counts": worked, "beside": False}


def define(text: str, uuid: str) -> bool:
    path = Path(f"/var/lib/chaos/{uuid}.xml")
    path.write_text(text, "utf-8")
    return virsh("define", str(path))


def keep_files(manifest: dict[str, Any], text: str, why: str) -> None:
    """The disks of this definition have to stay."""
    for source in ElementTree.fromstring(text).findall("./devices/disk/source"):
        expected = manifest["files"].get(source.get("file", ""))
        if expected is not None:
            expected.update({"fate": KEPT, "why": why})


def beside(manifest: dict[str, Any], chance: random.Random, seconds: float) -> list[dict[str, Any]]:
    """While a sweep runs, which is killed in one of three cases when it takes longer than that."""
    command = turmoil.words(manifest, purging=False, named=chance.random() < 0.3)
    if not command:
        return []
    texts = {domain.UUIDString(): domain.XMLDesc(2) for domain in connect().listAllDomains()}  # inactive
    process, until = turmoil.begin(command), time.monotonic() + seconds
    loop = subprocess.Popen(["sh", "-c", "while :; do for v in $(virsh -q list --all --uuid); do virsh -q dominfo $v; done; done"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    done = []
    try:
        while process.poll() is None and time.monotonic() < until:
            uuid = chance.choice(sorted(texts))
            if uuid in manifest["vms"]:
                done.append(beside_one(manifest["vms"][uuid], uuid, texts[uuid], chance))
            time.sleep(chance.uniform(0, 0.3))
    finally:
        signal_group(loop)
    if chance.random() < 0.34:
        process.kill()
    process.wait(turmoil.LIMIT)
    MANIFEST.write_text(json.dumps(manifest, indent=1), "utf-8")
    return done


def beside_one(vm: dict[str, Any], uuid: str, text: str, chance: random.Random) -> dict[str, Any]:
    """One thing that does not change what has to become of the VM."""
    going = vm["fate"] == REMOVED and is_plain(vm["name"])
    # a snapshot alters the disk, and an undo gives back the same to the bit
    if vm["carries"] == "boots":  # a person who stops it would have it stay down
        return {"what": "dominfo", "name": vm["name"], "counts": virsh("dominfo", uuid), "beside": True}
    what = chance.choice(TO_GOING if going and not vm["undo"] else BESIDE)
    if what == "undefine-define":
        worked = virsh("undefine", uuid, "--managed-save", "--snapshots-metadata")
        if worked:
            define(text, uuid)
            vm["by_hand"] = vm.get("by_hand", 0) + 1
    elif what == "create":
        path = Path(f"/var/lib/chaos/{uuid}.xml")
        path.write_text(text, "utf-8")
        worked = virsh("create", str(path)) if there(uuid) else False
    else:
        worked = virsh(what, uuid, *(["by-hand"] if what == "snapshot-create-as" else []))
    return {"what": what, "name": vm["name"], "counts": worked, "beside": True}


def there(uuid: str) -> bool:
    return virsh("domid", uuid)


def signal_group(process: subprocess.Popen[bytes]) -> None:
    """End a loop of the shell, and what it runs."""
    import os

    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)


def hands(manifest: dict[str, Any], seed: int) -> dict[str, Any]:
    """Some of both."""
    chance = random.Random(seed)
    done = between(manifest, chance)
    for _each in range(3):
        done += beside(manifest, chance, seconds=chance.uniform(4, 12))
    resumed()
    return {"hands": done}


def resumed() -> None:
    """Nobody leaves a VM paused, which could not shut down."""
    for domain in connect().listAllDomains(32):  # paused
        virsh("resume", domain.UUIDString())
