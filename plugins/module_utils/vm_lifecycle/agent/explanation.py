# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a code means, wherever it may stand: docs/codes.md for hosts."""

from __future__ import annotations

import difflib
from typing import Dict, List, Mapping, Sequence, Tuple

from ..errors import ERRORS, refuse
from ..findings import FINDINGS
from ..policy.power import STOPS
from ..reasons import DISK_REASONS, VM_REASONS
from ..reasons_limits import LIMIT_REASONS
from ..reasons_order import BOOT_REASONS, LATER_REASONS, RECOVERY_REASONS, RESTART_REASONS, SHUTDOWN_REASONS

#: Where a code stands, and what it means there.
TABLES: Tuple[Tuple[str, Mapping[str, str]], ...] = (
    ("of a VM, in a sweep", {code: reason.text for code, reason in VM_REASONS.items()}),
    ("of a disk", {code: reason.text for code, reason in DISK_REASONS.items()}),
    (
        "of a VM, when its host boots",
        {code: reason.text for table in (BOOT_REASONS, LATER_REASONS) for code, reason in table.items()},
    ),
    ("of a VM, when its host goes down", {code: reason.text for code, reason in SHUTDOWN_REASONS.items()}),
    ("of a VM, in a recovery", {code: reason.text for code, reason in RECOVERY_REASONS.items()}),
    ("of a VM, and its restart", {code: reason.text for code, reason in RESTART_REASONS.items()}),
    ("of a limit of a VM", {code: reason.text for code, reason in LIMIT_REASONS.items()}),
    ("why a VM stopped", STOPS),
    ("a finding of doctor", {code: f"{ailment.meaning} {ailment.remedy}" for code, ailment in FINDINGS.items()}),
    ("an error", ERRORS),
)


def explanations(code: str) -> List[Dict[str, str]]:
    """{where, text} of each place in which the code may stand. Raises LifecycleError for a word that is no code."""
    wanted = code.strip("[]")
    found = [{"code": wanted, "where": where, "text": texts[wanted]} for where, texts in TABLES if wanted in texts]
    if not found:
        known = sorted({each for _where, texts in TABLES for each in texts})
        near = difflib.get_close_matches(wanted, known, 3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise refuse("unknown_code", f"{wanted} is no code of this version{hint}", field="code")
    return found


def lines(found: Sequence[Dict[str, str]]) -> str:
    """A line for each place."""
    return "\n".join(f"{each['code']} ({each['where']}): {each['text']}" for each in found)
