"""The inventory plugin on real libvirt hosts, by ansible-inventory and by a playbook."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from .conftest import HOSTILE
from .hosts import URI, Controller


def source(controller: Controller, name: str = "vms.yml", **options: Any) -> str:
    """A file of the plugin."""
    path = controller.directory / name
    path.write_text(
        yaml.safe_dump(
            {
                "plugin": "vmops.lifecycle.vms",
                "inventory": ["hosts.yml"],
                "uri": URI,
                "hosts": "libvirt:!gone",
                **options,
            }
        )
    )
    return str(path)


def plain(value: Any) -> Any:
    """Without the marks of what is no template."""
    if isinstance(value, dict):
        return (
            value["__ansible_unsafe"] if set(value) == {"__ansible_unsafe"} else {k: plain(v) for k, v in value.items()}
        )
    return [plain(item) for item in value] if isinstance(value, list) else value


def listed(controller: Controller, *sources: str, **environment: str) -> tuple[dict[str, Any], str]:
    """(what ansible-inventory lists, what it said)."""
    words = [word for one in sources for word in ("-i", one)]
    output, said = controller.run("ansible-inventory", *words, "--list", **environment)
    return plain(json.loads(output)), said


def members(inventory: dict[str, Any], group: str) -> list[str]:
    return sorted(inventory.get(group, {}).get("hosts", []))


def test_vms_are_hosts_in_groups(controller: Controller) -> None:
    """And a host that can't be reached is named, while the others count."""
    inventory, said = listed(controller, source(controller, hosts="libvirt"))
    assert "the VMs of gone are missing, since it can't be reached" in " ".join(said.split())
    assert members(inventory, "vm_on_kvm1") == sorted(["db1.kvm1", "ci-1", "ci-2", "kept", *hostile(inventory)])
    assert len(members(inventory, "vms")) == 8
    assert members(inventory, "vm_temporary") == ["ci-1", "ci-2"]
    assert members(inventory, "vm_permanent") == ["db1.kvm1", "db1.kvm2", "kept"]
    assert members(inventory, "vm_running") == ["ci-1", "db1.kvm1"]
    assert members(inventory, "vm_expired") == ["ci-1"]
    assert members(inventory, "vm_expires_within_24h") == ["ci-1"]
    assert members(inventory, "vm_held") == ["kept"]
    assert members(inventory, "vm_failed") == ["db1.kvm1"]
    facts = inventory["_meta"]["hostvars"]
    assert facts["kept"]["vm_hold"]["reason"] == "audit 4711"
    assert facts["db1.kvm1"]["vm_problems"] == ["start_failed"]
    assert facts["ci-2"]["vm_persistence"]["ttl_hours"] == 72


def hostile(inventory: dict[str, Any]) -> list[str]:
    return [name for name, facts in inventory["_meta"]["hostvars"].items() if facts.get("vm_name") == HOSTILE]


def test_a_name_is_neither_a_template_nor_the_place_of_another_host(controller: Controller) -> None:
    """A VM called as a hypervisor, or as an address, does not become it."""
    inventory, said = listed(controller, str(controller.inventory), source(controller))
    facts = inventory["_meta"]["hostvars"]
    assert "vm_name" not in facts["kvm1"]
    assert facts["kvm1.kvm2"]["vm_name"] == "kvm1"
    assert facts["10.1.2.3.kvm2"]["vm_name"] == "10.1.2.3"
    assert "something else" in " ".join(said.split()) and "that is an address" in " ".join(said.split())
    [name] = hostile(inventory)
    assert not set(name) & set("<>{}'\" ,:!&[]")
    played, _said = controller.run(
        "ansible", "-i", source(controller), name, "-c", "local", "-m", "debug", "-a", "var=vm_name"
    )
    assert "lookup('pipe', 'id')" in played and "uid=" not in played


def test_own_groups_and_variables(controller: Controller) -> None:
    options = {
        "compose": {"note": "vm_name ~ ' on ' ~ vm_hypervisor"},
        "groups": {"ci": "vm_name.startswith('ci-')"},
        "keyed_groups": [{"prefix": "host", "key": "vm_hypervisor"}],
        "expires_within_hours": [1, 100],
        "hostname": "qualified",
        "managed_only": True,
    }
    inventory, _said = listed(controller, source(controller, **options))
    assert members(inventory, "vms") == ["ci-1.kvm1", "ci-2.kvm1", "db1.kvm1", "db1.kvm2", "kept.kvm1"]
    assert members(inventory, "ci") == ["ci-1.kvm1", "ci-2.kvm1"]
    assert members(inventory, "host_kvm2") == members(inventory, "vm_on_kvm2")
    assert inventory["_meta"]["hostvars"]["ci-1.kvm1"]["note"] == "ci-1 on kvm1"
    assert members(inventory, "vm_expires_within_1h") == ["ci-1.kvm1"]
    assert members(inventory, "vm_expires_within_100h") == ["ci-1.kvm1", "ci-2.kvm1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hosts": "gone", "strict": True}, "gone are missing, since it can't be reached"),
        ({"hosts": "nobody"}, "matches nobody"),
        ({"networks": ["everywhere"]}, "networks:"),
        ({"inventory": ["vms.yml"]}, "names itself"),
        ({"hosts": "kvm1", "uri": "qemu+ssh://there/system", "strict": True}, "kvm1 are missing, since it failed"),
    ],
)
def test_what_is_wrong_is_said(controller: Controller, options: dict[str, Any], message: str) -> None:
    words = ["-i", source(controller, **options), "--list"]
    output, said = controller.run(
        "ansible-inventory", *words, expect=(0, 1, 4), ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="1"
    )
    assert message in " ".join((output + said).split())


def test_answers_are_cached_and_who_gave_none_is_asked_again(controller: Controller) -> None:
    cache = {
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": str(controller.directory / "cache"),
    }
    path = source(controller, hosts="libvirt:!kvm2", **cache)
    first, said = listed(controller, path)
    assert "gone are missing" in " ".join(said.split())
    moved = {**controller.hosts["kvm1"], "ansible_python_interpreter": "/nowhere"}
    before = dict(controller.hosts)
    controller.hosts.update(kvm1=moved, gone=before["kvm2"])
    controller.write()
    try:
        second, said = listed(controller, path)
    finally:
        controller.hosts.update(before)
        controller.write()
    seen = {name: facts["vm_seen_at"] for name, facts in first["_meta"]["hostvars"].items() if name != "db1"}
    assert {name: second["_meta"]["hostvars"][name]["vm_seen_at"] for name in seen} == seen
    assert len(members(second, "vm_on_gone")) == 3
    fresh, said = listed(controller, path, ANSIBLE_INVENTORY_CACHE="0")
    assert "missing" not in said.replace("gone are missing", "")
    assert len(members(fresh, "vm_on_kvm1")) == 5


def test_one_that_takes_too_long(controller: Controller) -> None:
    """It is given up, and named."""
    slow = controller.directory / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 20\n")
    slow.chmod(0o755)
    controller.hosts["slow"] = {"ansible_connection": "local", "ansible_python_interpreter": str(slow)}
    controller.write()
    try:
        inventory, said = listed(controller, source(controller, hosts="slow", timeout=3))
    finally:
        del controller.hosts["slow"]
        controller.write()
    assert members(inventory, "vms") == []
    assert "it gave no answer within 3 seconds" in " ".join(said.split())
