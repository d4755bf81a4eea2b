"""Settings of hypothesis: how long a story is, how many there are, and that a failure is shrunk."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

#: Steps of a story: enough for VMs to be declared, to expire, to go, to come back and to go again.
LENGTH = 40
QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example)


def stories(count: int, shrink: bool = True, derandomize: bool = False) -> settings:
    """So many stories, without a memory of earlier runs."""
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    return settings(
        max_examples=count,
        stateful_step_count=LENGTH,
        derandomize=derandomize,
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=phases,
        suppress_health_check=QUIET,
    )


def small() -> settings:
    """The same stories each time."""
    return stories(150, derandomize=True)
