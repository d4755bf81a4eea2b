"""A model of when a host's clock can be believed, written down from the documentation and not from the engine."""

from __future__ import annotations

from typing import Any

Reading = dict[str, Any]
#: Nothing that this software reads as a time can be earlier (2026-11-22), nor is believed a week ahead after a reboot.
RELEASED, WEEK, DAY, TOLERANCE = 1795305600, 7 * 86400, 86400, 90


class ClockModel:
    """Remembers the last reading that was believed, and the first of those that were not."""

    def __init__(self) -> None:
        self.believed: Reading | None = None
        self.doubted: Reading | None = None

    def forget(self) -> None:
        """The store is lost, or new."""
        self.believed = self.doubted = None

    def sane(self, now: Reading) -> bool:
        """Whether a time may be acted on."""
        if now["now"] < RELEASED:
            return False
        last = self.believed
        if last is None or now["synchronised"]:
            return True
        if now["boot_id"] != last["boot_id"] and 0 <= now["now"] - last["now"] <= WEEK:
            return True
        return self._fits(now, last) or self._steady(now)

    def remember(self, now: Reading) -> None:
        """A run noted this reading."""
        if self.sane(now):
            self.accept(now)
        elif self.doubted is None or not self._fits(now, self.doubted):
            self.doubted = dict(now)

    def accept(self, now: Reading) -> None:
        """A person, or a rule, says that it is right."""
        self.believed, self.doubted = dict(now), None

    def _steady(self, now: Reading) -> bool:
        """A day of running without a further jump."""
        first = self.doubted
        return first is not None and self._fits(now, first) and now["boottime"] - first["boottime"] >= DAY

    @staticmethod
    def _fits(now: Reading, then: Reading) -> bool:
        if now["boot_id"] != then["boot_id"]:
            return False
        return bool(abs((now["now"] - then["now"]) - (now["boottime"] - then["boottime"])) <= TOLERANCE)
