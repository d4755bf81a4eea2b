# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python3 -m vmlab`: see commands.py for the verbs."""

from __future__ import annotations

import sys

from vmlab.commands import main

sys.exit(main(sys.argv[1:]))
