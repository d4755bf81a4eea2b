# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vm_lifecycle_report: a page, JSON and CSV of what was collected of hosts. Runs on the controller alone."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone, tzinfo
from pathlib import Path
from typing import Any, Dict, Optional
from zoneinfo import ZoneInfo

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils.vm_lifecycle._generated.argument_specs import VM_LIFECYCLE_REPORT
from ..module_utils.vm_lifecycle.agent.explanation import TABLES
from ..plugin_utils import attention, collected, fleet, page, tables, views
from ..plugin_utils.reader import Reader

TEMPLATES = Path(__file__).absolute().parents[2] / "playbooks" / "templates" / "report"


class ActionModule(ActionBase):
    """Reads files, writes files."""

    _requires_connection = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        options = self.validate_argument_spec(VM_LIFECYCLE_REPORT)[1]
        reader = Reader(datetime.now(timezone.utc), _zone(options["timezone"]))
        hosts = fleet.hosts(collected.read(options["source"], [str(host) for host in options["hosts"]]))
        found = attention.concerns(hosts, reader.now)
        explained = {code: text for _where, texts in reversed(TABLES) for code, text in texts.items()}
        texts = {
            "index.html": page.render(TEMPLATES, hosts, found, reader, options["title"], explained),
            "fleet.json": tables.as_json(hosts, found, reader.now, options["title"]),
            "fleet.csv": tables.as_csv(hosts),
        }
        files = {str(Path(options["dest"], name)): text for name, text in texts.items()}
        self._write(files)
        result.update(
            changed=True,
            page=next(iter(files)),
            files=list(files),
            totals=views.totals(hosts, reader.now),
            concerns=dict(Counter(each.kind for each in found)),
        )
        return result

    def _write(self, files: Dict[str, str]) -> None:
        """Readable for whoever serves the directory: what a page shows is meant to be seen."""
        if self._task.check_mode:
            return
        try:
            for path, text in files.items():
                collected.write(Path(path), text, 0o644)
        except OSError as error:
            raise AnsibleActionFail(f"the report can't be written: {error}") from error


def _zone(name: str) -> tzinfo:
    """UTC needs no database of zones, which a small image of a controller need not have."""
    try:
        return timezone.utc if name == "UTC" else ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise AnsibleActionFail(f"timezone: {name} is no time zone that this controller knows") from error
