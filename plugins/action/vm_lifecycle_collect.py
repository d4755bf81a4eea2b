# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_lifecycle_collect: asks the modules of this collection, and keeps what they say in a file a host on the controller."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Callable, Dict, Optional

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ..module_utils.vm_lifecycle._generated.argument_specs import VM_LIFECYCLE_COLLECT
from ..plugin_utils import collected

INFO, CLEANUP = "vmops.lifecycle.vm_lifecycle_info", "vmops.lifecycle.vm_cleanup"
#: What of the options is asked of the module that tells of VMs.
ASKED = ("snapshot", "host_history")


class ActionModule(ActionBase):
    """A failure is the host's own; what it is, is kept before it is told."""

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        options = self.validate_argument_spec(VM_LIFECYCLE_COLLECT)[1]
        variables = task_vars or {}
        began = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        include = options["include"] if options["include"] is not None else [*ASKED, "cleanup"]
        plan, lost = None, None
        if not self._task.check_mode:
            self._on_controller(collected.forget, options["directory"], variables["inventory_hostname"])
        try:
            wanted = {"uri": options["uri"], "include": [word for word in include if word in ASKED]}
            info = self._execute_module(module_name=INFO, module_args=wanted, task_vars=variables)
            if "cleanup" in include and collected.problem(info) is None:
                plan = self._planned(options["uri"], variables)
        except AnsibleConnectionFailure as error:
            info, lost = {"unreachable": True, "msg": str(error)}, error
        kept = collected.document(variables["inventory_hostname"], began, info, plan)
        result.update(changed=False, problem=kept["problem"], counts=collected.counts(kept), path=None)
        if not self._task.check_mode:
            result["path"] = str(self._on_controller(collected.keep, options["directory"], kept))
        if lost is not None:
            raise lost
        if kept["problem"]:
            result.update(
                failed=True, msg=kept["problem"]["message"], unreachable=kept["problem"]["kind"] == "unreachable"
            )
        return result

    def _planned(self, uri: str, variables: Dict[str, Any]) -> Dict[str, Any]:
        """What a sweep would do, which is why each VM is still there."""
        before, self._task.check_mode = self._task.check_mode, True
        try:
            planned: Dict[str, Any] = self._execute_module(
                module_name=CLEANUP, module_args={"uri": uri, "max_rows": 0}, task_vars=variables
            )
            return planned
        finally:
            self._task.check_mode = before

    @staticmethod
    def _on_controller(deed: Callable[..., Any], *words: Any) -> Any:
        """What is done to files. A controller that can't keep an answer fails, and not the host."""
        try:
            return deed(*words)
        except OSError as error:
            raise AnsibleActionFail(f"the answer of this host can't be kept on the controller: {error}") from error
