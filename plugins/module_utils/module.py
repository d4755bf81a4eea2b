# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Ansible and the engine meet: arguments in, result out. The only file of module_utils that imports Ansible."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Mapping

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.common.respawn import has_respawned, probe_interpreters_for_module, respawn_module

from .vm_lifecycle.adapters.details import keep_details
from .vm_lifecycle.adapters.world import directories, open_world
from .vm_lifecycle.errors import EffectError, LifecycleError
from .vm_lifecycle.extent import ROWS, bounded, first, has_failed
from .vm_lifecycle.run import Task, run

#: Python library -> interpreters of distributions that package it.
LIBRARIES = ("libvirt", "jsonschema")
INTERPRETERS = ("/usr/bin/python3", "/usr/libexec/platform-python")


def main(task: Task, argument_spec: Mapping[str, Any]) -> None:
    """Run a task as an Ansible module. Nothing may fail before the module object exists: documentation tests rely on it."""
    module = AnsibleModule(argument_spec=dict(argument_spec), supports_check_mode=True)
    _require_libraries(module)
    arguments = _given(module.params)
    uri = arguments.get("uri", "qemu:///system")
    try:
        result = run(task, arguments, open_world(uri), dry_run=module.check_mode)
    except LifecycleError as error:
        problems = first([str(problem) for problem in error.problems], "problems")
        shown = [vars(problem) for problem in error.problems[: arguments.get("max_rows", ROWS) or None]]
        module.fail_json(msg=f"{'; '.join(problems)}. Nothing was changed.", problems=shown, vms=[])
    except EffectError as error:
        module.fail_json(msg=f"{error.message} [{error.code}]", vms=[])
    failures = [f"{vm['name']}: {vm['message']} [{vm['reason']}]" for vm in result["vms"] if has_failed(vm)]
    told = f"{len(failures)} of {len(result['vms'])} VMs failed: {'; '.join(first(failures, 'of them'))}"
    if "max_rows" in argument_spec:
        result = _bounded(module, task, result, arguments["max_rows"])
    _leave(module, result, told)


def _bounded(module: AnsibleModule, task: Task, result: Dict[str, Any], most: int) -> Dict[str, Any]:
    """As many rows as are asked for; what is left out is kept on the host, unless nothing may change there."""
    shown = bounded(result, most)
    if shown["truncated"] and not module.check_mode:
        state, _claims = directories(module.params["uri"])
        try:
            shown["truncated"]["file"] = keep_details(state, task.name, result)
        except EffectError as error:
            shown["warnings"] = [error.message, *shown["warnings"]]
    return shown


def _given(value: Any) -> Any:
    """Arguments without those that were not given, at any depth: AnsibleModule fills them with None."""
    if isinstance(value, dict):
        return {key: _given(item) for key, item in value.items() if item is not None}
    return [_given(item) for item in value] if isinstance(value, list) else value


def _require_libraries(module: AnsibleModule) -> None:
    for library in LIBRARIES:
        try:
            __import__(library)
        except ImportError:
            interpreter = None if has_respawned() else probe_interpreters_for_module(INTERPRETERS, library)
            if interpreter:
                respawn_module(interpreter)
            reason = f"on this host; install the distribution's python3-{library}"
            module.fail_json(msg=f"{missing_required_lib(library, reason=reason)} [missing_library]", vms=[])


def _leave(module: AnsibleModule, result: Dict[str, Any], told: str) -> None:
    """told: what is said when it failed."""
    for warning in first(result.pop("warnings"), "warnings"):
        module.warn(warning)
    diff = result.pop("diff", None)
    if diff is not None and module._diff:
        result["diff"] = {side: json.dumps(diff[side], indent=2, sort_keys=True) + "\n" for side in ("before", "after")}
    result.pop("alert", None)
    if result.pop("failed"):
        module.fail_json(msg=told, **result)
    module.exit_json(**result)


def main_host(converge: Callable[[Mapping[str, Any], bool], Dict[str, Any]], argument_spec: Mapping[str, Any]) -> None:
    """Run a function of the module's arguments and of check mode, for what concerns the host and not its VMs."""
    module = AnsibleModule(argument_spec=dict(argument_spec), supports_check_mode=True)
    if module.params["state"] != "absent":  # what is removed needs nothing any more
        _require_libraries(module)
    try:
        result = converge(_given(module.params), module.check_mode)
    except OSError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)
