# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that others import, and that nobody uses as a rule. It imports nothing itself, so that it can come first of all."""

from __future__ import annotations

import sys


def postpone(name: str) -> None:
    """Have a module of the standard library imported when something in it is asked for, unless it is there.

    dataclasses imports inspect, which takes a megabyte together with what it imports, and up to Python 3.12 uses it for classes
    without a docstring alone. importlib.util.LazyLoader is no help: the second import of a module makes it load.
    """
    if name in sys.modules:
        return
    stand_in = type(sys)(name)

    def needed(attribute: str) -> object:
        if sys.modules.get(name) is stand_in:
            sys.modules.pop(name, None)
        __import__(name)
        return getattr(sys.modules[name], attribute)

    stand_in.__getattr__ = needed  # type: ignore[method-assign]
    sys.modules[name] = stand_in
