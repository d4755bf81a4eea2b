"""The engine's tables, imported as a host imports them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent.parent
ENGINE = ROOT / "plugins" / "module_utils" / "vm_lifecycle"


def module(name: str) -> ModuleType:
    """One module of the engine."""
    if str(ENGINE.parent) not in sys.path:
        sys.path.insert(0, str(ENGINE.parent))
    return importlib.import_module(f"vm_lifecycle.{name}")


def codes() -> frozenset[str]:
    """Every code that a table explains."""
    reasons, order = module("reasons"), module("reasons_order")
    return frozenset(
        [
            *reasons.DECISIONS, *reasons.VERDICTS, *module("errors").ERRORS, *module("findings").FINDINGS,
            *module("reasons_limits").LIMIT_REASONS,
            *order.BOOT_REASONS, *order.LATER_REASONS, *order.SHUTDOWN_REASONS, *order.RECOVERY_REASONS, *order.RESTART_REASONS,
            *module("policy.power").STOPS,
        ]
    )  # fmt: skip
