# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmops.lifecycle.vms: the VMs of libvirt hosts as hosts of an inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: vms
short_description: The VMs of libvirt hosts as an inventory
version_added: "0.1.0"
author:
  - vmops.lifecycle contributors (@vmops)
description:
  - >-
    Asks the libvirt hosts of another inventory what M(vmops.lifecycle.vm_lifecycle_info) tells, and makes a host of each VM,
    grouped by its mode, its power state, its hypervisor, by when it expires, and by whether it is held or something of it failed.
  - >-
    Hosts are asked by an Ansible of its own, so that their variables, their C(group_vars), their vaults, C(ansible.cfg) and any
    way to connect hold as they do in a playbook. Neither the controller nor the hosts need anything that the modules of this
    collection don't need. Passwords that were typed on a command line are not passed on.
  - The name of its file ends with C(vms.yml) or C(vms.yaml).
notes:
  - >-
    Each VM is in C(vms), in C(vm_on_HOST), in one of C(vm_temporary), C(vm_permanent), C(vm_unmanaged) and C(vm_invalid) (its
    metadata can't be used), and in one of C(vm_running), C(vm_shutoff) and so on. A VM may also be in C(vm_expired), in
    C(vm_expires_within_24h), in C(vm_held) and in C(vm_failed).
  - >-
    Each VM has the variables vm_name, vm_uuid, vm_hypervisor, vm_mode, vm_power_state, vm_expires_at, vm_removed_from, vm_hold,
    vm_problems (of V(failed), V(start_failed) and V(gave_up)), vm_metadata_problem, vm_persistence, vm_policy, vm_autostart,
    vm_schedule, vm_addresses and vm_seen_at. They are what M(vmops.lifecycle.vm_lifecycle_info) returns. C(ansible_host) is the
    address of a managed VM that runs, where one is known.
  - >-
    Names of VMs are words of those who make them. A VM that is called as something else in the inventory, or as an address, gets
    another name and does not take that place. An address may be what a guest says of itself - O(networks) tells which ones may be.
requirements:
  - python3-libvirt on the hosts
  - python3-jsonschema (3.2.0 or later) on the hosts
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: Marks the file as one for this plugin.
    type: str
    required: true
    choices:
      - vmops.lifecycle.vms
  inventory:
    description:
      - The inventory of the libvirt hosts, as C(ansible -i) takes it. Paths are seen from the directory of this file.
    type: list
    elements: str
    required: true
  hosts:
    description: Which hosts of it are asked, as a pattern.
    type: str
    default: libvirt
  become:
    description: Whether they are asked with privileges, which qemu:///system needs.
    type: bool
    default: true
  uri:
    description: Connection to the libvirt daemon of each host. V(qemu:///session) is meant for trying out.
    type: str
    default: qemu:///system
  forks:
    description: Number of hosts that are asked at the same time. By default it is Ansible's own.
    type: int
  timeout:
    description: Number of seconds after which a host that did not answer is given up.
    type: int
    default: 60
  hostname:
    description:
      - How VMs are called in the inventory.
      - V(name) - by their names. If VMs of several hosts have the same one, they are called as with V(qualified).
      - V(qualified) - by their names and hosts, as in C(web1.kvm7).
      - V(uuid) - by their UUIDs.
    type: str
    choices:
      - name
      - qualified
      - uuid
    default: name
  managed_only:
    description: Whether VMs for which nothing was declared are left out.
    type: bool
    default: false
  expires_within_hours:
    description: For each of these numbers of hours there is a group such as C(vm_expires_within_24h).
    type: list
    elements: int
    default:
      - 24
  addresses:
    description: Whether addresses of VMs are asked for, which takes longer.
    type: bool
    default: true
  networks:
    description: Networks in which an address must lie to be taken as C(ansible_host), as in C(10.20.0.0/16). By default all are.
    type: list
    elements: str
    default: []
  strict:
    description:
      - Whether a host that can't be asked, and an expression that can't be evaluated, is an error. By default a host that can't
        be asked is a warning that names it, and the others count.
    type: bool
    default: false
"""

EXAMPLES = r"""
# inventory/vms.yml: all VMs of the hosts in hosts.yml, beside it
---
plugin: vmops.lifecycle.vms
inventory: [hosts.yml]

# What ends today or this week, kept for ten minutes; the VMs that nobody declared are left out
---
plugin: vmops.lifecycle.vms
inventory: [hosts.yml]
managed_only: true
expires_within_hours: [24, 168]
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: /var/tmp/vms
cache_timeout: 600

# VMs behind their hosts, with groups by restart policy and one for CI
---
plugin: vmops.lifecycle.vms
inventory: [hosts.yml]
networks: [192.168.122.0/24]
compose:
  ansible_user: "'admin'"
  ansible_ssh_common_args: "'-o ProxyJump=root@' ~ vm_hypervisor"
keyed_groups:
  - prefix: restart
    key: vm_persistence.restart_policy
groups:
  ci: vm_name.startswith('ci-')
"""

import contextlib
import hashlib
import ipaddress
import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, List, Tuple

from ansible import constants as C
from ansible.errors import AnsibleParserError
from ansible.inventory.manager import InventoryManager
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ..plugin_utils import asking
from ..plugin_utils.vms import Choices, InventoryVm, hosts_of, trimmed

#: This file is plugins/inventory/vms.py of ansible_collections/vmops/lifecycle.
COLLECTIONS = str(Path(__file__).absolute().parents[5])


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Asks hosts, and adds their VMs."""

    NAME = "vmops.lifecycle.vms"

    def verify_file(self, path: str) -> bool:
        """A file whose name ends as ours do."""
        return bool(super().verify_file(path)) and path.endswith(("vms.yml", "vms.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add the VMs. Raises AnsibleParserError."""
        super().parse(inventory, loader, path, cache=cache)
        self._read_config_data(path)
        if asking.NESTED in os.environ:
            raise AnsibleParserError(f"{path} is in the inventory of the libvirt hosts that it names itself")
        question, choices = self._question(path), self._choices()
        hosts = self._hosts(question)
        found = self._found(question, [host.name for host in hosts], path, cache)
        names = {*inventory.hosts, *inventory.groups, *(host.name for host in hosts)}
        known = [*hosts, *inventory.hosts.values()]
        addresses = {str(host.vars["ansible_host"]) for host in known if "ansible_host" in host.vars}
        for vm in hosts_of(found, datetime.now(timezone.utc), choices, names, addresses):
            self._add(vm)

    def _question(self, path: str) -> asking.Question:
        beside = os.path.dirname(os.path.abspath(path))
        sources = [
            one if "," in one else os.path.join(beside, os.path.expanduser(one)) for one in self.get_option("inventory")
        ]
        words = ("hosts", "uri", "become", "forks", "timeout")
        return asking.Question(
            tuple(sources), snapshot=self.get_option("addresses"), **{word: self.get_option(word) for word in words}
        )

    def _choices(self) -> Choices:
        try:
            networks = tuple(ipaddress.ip_network(text) for text in self.get_option("networks"))
        except ValueError as error:
            raise AnsibleParserError(f"networks: {error}") from error
        hours = tuple(self.get_option("expires_within_hours"))
        return Choices(self.get_option("hostname"), hours, networks, self.get_option("managed_only"))

    def _hosts(self, question: asking.Question) -> List[Any]:
        """The libvirt hosts. Their inventory is read here, too, since a host that says nothing must be missed."""
        os.environ[asking.NESTED] = "1"
        try:
            hosts: List[Any] = InventoryManager(loader=self.loader, sources=list(question.inventory)).list_hosts(
                question.hosts
            )
        finally:
            del os.environ[asking.NESTED]
        if not hosts:
            raise AnsibleParserError(f"no host of {', '.join(question.inventory)} matches {question.hosts}")
        return hosts

    def _found(self, question: asking.Question, hosts: List[str], path: str, cache: bool) -> List[Dict[str, Any]]:
        """What hosts told, in the order of their inventory: from the cache, or else now. Only what is whole is cached."""
        asked = json.dumps([question.inventory, question.uri, question.snapshot])
        key = f"{self.get_cache_key(path)}_{hashlib.sha256(asked.encode()).hexdigest()[:8]}"
        caching, known = bool(self.get_option("cache")), {}
        if caching and cache:
            with contextlib.suppress(KeyError):
                known = {host: told for host, told in self._cache[key].items() if host in hosts}
        told, failures = self._ask(question, [host for host in hosts if host not in known])
        known.update(told)
        if caching:
            self._cache[key] = known
        if failures and self.get_option("strict"):
            raise AnsibleParserError("; ".join(failures))
        for failure in failures:
            self.display.warning(f"the VMs of {failure}")
        return [known[host] for host in hosts if host in known]

    def _ask(self, question: asking.Question, hosts: List[str]) -> Tuple[Dict[str, Any], List[str]]:
        """({host: what it told}, what is wrong with the others)."""
        if not hosts:
            return {}, []
        places = list(dict.fromkeys([COLLECTIONS, *map(str, C.COLLECTIONS_PATHS)]))
        try:
            answers = asking.ask(question, hosts, places)
        except asking.AskingError as error:
            raise AnsibleParserError(str(error)) from error
        told = {kept["host"]: trimmed(kept) for kept in answers if kept["info"] is not None}
        wrong = [(kept["host"], kept["problem"]) for kept in answers if kept["info"] is None]
        return told, [f"{host} are missing, since it {_what(problem)}" for host, problem in wrong]

    def _add(self, vm: InventoryVm) -> None:
        if vm.note:
            self.display.warning(vm.note)
        self.inventory.add_host(vm.hostname)
        for name in vm.groups:
            self.inventory.add_child(self.inventory.add_group(self._sanitize_group_name(name)), vm.hostname)
        for name, value in vm.variables.items():
            self.inventory.set_variable(vm.hostname, name, value)
        told, strict = dict(vm.variables), self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), told, vm.hostname, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), told, vm.hostname, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), told, vm.hostname, strict=strict)


def _what(problem: Dict[str, str]) -> str:
    """unreachable or failed, and why."""
    state = "can't be reached" if problem["kind"] == "unreachable" else "failed"
    return f"{state}: {problem['message']}"
