"""What a step of the machine may be made of: small tables, so that an example is cheap to draw and to shrink."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

Document = dict[str, Any]
HOUR = 3600
GIB = 2**30

#: A VmCleanupPolicy without options, in the words of its documentation.
DEFAULTS: Document = {
    "cleanup_enabled": True, "check_interval_minutes": 60, "cleanup_window_start": "02:00", "cleanup_window_end": "06:00",
    "cleanup_in_window_only": True, "max_concurrent_cleanups": 3, "cleanup_batch_size": 10, "require_confirmation": False,
    "dry_run_mode": False, "skip_on_low_resources": True, "log_cleanup_operations": True, "alert_on_cleanup_failure": True,
    "retention_days": 7, "require_synchronised_clock": False, "max_removals": 0, "max_removal_percent": 0,
    "max_removal_gib": 0, "max_cleanup_attempts": 5, "undo_hours": 0, "notify_before_hours": 0, "require_notice": False,
    "max_cpu_pressure": 80, "max_io_pressure": 50, "max_memory_pressure": 20, "remove_unpooled_files": False,
}  # fmt: skip

#: A policy is some of these, one over the other; the first ones let much go, so that there is something to judge.
FRAGMENTS: list[Document] = [
    {"cleanup_in_window_only": False},
    {"cleanup_window_start": "00:00", "cleanup_window_end": "00:00"},
    {"undo_hours": 2},
    {"undo_hours": 30},
    {"undo_hours": 30},
    {"require_confirmation": True},
    {"require_confirmation": True},
    {"max_removals": 1},
    {"max_removals": 2},
    {"max_removal_percent": 20},
    {"max_removal_gib": 3},
    {"max_concurrent_cleanups": 1},
    {"max_concurrent_cleanups": 2},
    {"cleanup_batch_size": 1},
    {"cleanup_batch_size": 2},
    {"dry_run_mode": True},
    {"cleanup_enabled": False},
    {"require_synchronised_clock": True},
    {"notify_before_hours": 1},
    {"notify_before_hours": 3, "require_notice": True},
    {"skip_on_low_resources": False},
    {"max_io_pressure": 90},
    {"max_cleanup_attempts": 1},
    {"max_cleanup_attempts": 2},
    {"retention_days": 0},
    {"retention_days": 1},
    {"log_cleanup_operations": False},
    {"alert_on_cleanup_failure": False},
    {"remove_unpooled_files": True},
    {"cleanup_window_start": "02:30", "cleanup_window_end": "03:30"},
    {"cleanup_window_start": "22:00", "cleanup_window_end": "02:15"},
    {"window_timezone": "Europe/Berlin"},
    {"window_timezone": "Pacific/Auckland"},
    {"check_interval_minutes": 5},
]
#: Documents that no host may act on.
WRONG: list[Document] = [{"max_removals": -1}, {"window_timezone": "../etc/passwd"}, {"cleanup_window_start": 1320}]

#: Minutes that pass between two steps; the larger ones bring VMs of a few hours to their end.
MINUTES = (1, 7, 20, 61, 185, 245, 1445, 4330)
#: By how many seconds a wall clock is set wrong: within the tolerance, an hour, a day, ten days, a year.
JUMPS = (-40, 60, -3600, 3600, -86400, 86400, 864000, -864000, 31536000)

DEEDS = (
    "start",
    "stop",
    "pause",
    "undefine",
    "redefine",
    "rename",
    "clone",
    "garble",
    "newer",
    "save",
    "revert",
    "edit",
    "permanent",
    "replace",
    "write",
    "overlay",
    "link",
    "delete",
    "attach",
    "again",
    "namesake",
    "newcomer",
    "twin",
    "pool off",
    "pool on",
    "claim",
    "places",
    "let go",
    "lose store",
    "break store",
    "mend store",
    "press",
    "relax",
    "unreadable",
    "readable",
    "autostart",
)
#: VMs that are created on the host: how old they are (hours), how long they live, and what is odd about them.
KINDS = ("plain", "plain", "two disks", "overlay", "second user", "nvram", "unpooled", "obeys never", "forced", "seed")  # fmt: skip
#: What libvirt, the disk or a hook may refuse, once or for as long as the call lasts.
REFUSABLE = (
    "save", "write_intent", "drop_intent", "write_metadata", "set_autostart", "request_shutdown", "power_off", "undefine",
    "delete_volume", "define", "write_undo", "drop_undo",
)  # fmt: skip
UNREADABLE = ("domains", "domain", "metadata", "definition", "storage")

small = st.integers(0, 15)


def merged(fragments: Sequence[Document]) -> Document:
    """One document of several."""
    whole: Document = {}
    for fragment in fragments:
        whole.update(fragment)
    if whole.get("require_notice"):
        whole.setdefault("notify_before_hours", 3)
        whole.setdefault("alert_command", ["/usr/local/bin/tell"])
    return whole


policies = st.lists(st.sampled_from(FRAGMENTS), max_size=6).map(merged)
#: Mostly a host that may remove at any time, under whatever else was drawn.
host_policies = st.builds(
    lambda base, careful, own: {**base, **careful, **own},
    st.sampled_from([FRAGMENTS[0], FRAGMENTS[0], FRAGMENTS[1], {}]),
    st.sampled_from(
        [
            {},
            {},
            {},
            {"undo_hours": 30},
            {"undo_hours": 30},
            {"require_confirmation": True},
            {"max_removal_percent": 20},
        ]
    ),
    policies,
)
#: What people do while a run goes on: what may hit the very VM or disk that is being removed.
RAIDS = (
    "newcomer", "overlay", "attach", "replace", "write", "link", "delete", "start", "undefine", "permanent", "edit", "garble",
    "pool off", "twin", "again", "rename", "press", "break store", "lose store",
)  # fmt: skip
births = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from([0, 2, 10]), st.sampled_from([1, 4, 4])), min_size=1, max_size=4
)
deeds = st.tuples(st.sampled_from(DEEDS), small, small)
raids = st.tuples(st.sampled_from(RAIDS), small, small)
#: Options of a declaration.
OPTIONS: list[Document] = [
    {"mode": "temporary", "ttl_hours": 1},
    {"mode": "temporary", "ttl_hours": 4},
    {"mode": "temporary", "ttl_hours": 200},
    {"mode": "permanent"},
    {"auto_cleanup": False},
    {"force_cleanup": True},
    {"cleanup_grace_period": 5},
    {"cleanup_grace_period": 0},
    {"auto_start": True},
    {"ttl_hours": 2},
    {"policy": {"on_host_reboot": "destroy"}},
    {"repair": True},
]
options = st.lists(st.sampled_from(OPTIONS), max_size=4).map(merged)

#: What goes wrong with a call: nothing, mostly; a kill or a power cut after effect n; refused effects; people meanwhile.
troubles = st.one_of(
    st.just(("none",)),
    st.tuples(st.sampled_from(["kill", "power"]), st.integers(1, 8)),
    st.tuples(st.sampled_from(["kill", "power"]), st.integers(1, 30)),
    st.tuples(st.just("refuse"), st.sampled_from(REFUSABLE), st.sampled_from([1, 1, 2, 3]), st.booleans()),
    st.tuples(st.just("refuse"), st.sampled_from(REFUSABLE), st.just(1), st.just(True)),
    st.tuples(st.just("unread"), st.sampled_from(UNREADABLE)),
    st.tuples(st.just("people"), st.lists(st.tuples(st.integers(1, 24), raids), min_size=1, max_size=4)),
    st.tuples(st.just("jump"), st.integers(1, 12), st.sampled_from(JUMPS)),
    st.tuples(st.just("nested"), st.integers(1, 16), st.sampled_from(["sweep", "held", "renewed", "permanent"]), small),
)

NOTHING: list[str] = []
sweeps = st.fixed_dictionaries({
    "state": st.sampled_from(["swept"] * 6 + ["planned", "confirmed", "confirmed", "confirmed", "restored", "restored", "purged"]),
    "names": st.one_of(st.just(()), st.just(()), st.lists(small, min_size=1, max_size=3).map(tuple)),
    "ignore": st.sampled_from([NOTHING] * 4 + [["expiry"], ["window"], ["load"], ["disabled"], ["expiry", "window", "load", "disabled"]]),
    "plan": st.integers(0, 5),
    "policy": st.one_of(st.none(), st.none(), st.none(), policies),
    "check": st.sampled_from([False] * 5 + [True]),
    "missing": st.sampled_from(["skip"] * 4 + ["fail"]),
})  # fmt: skip
declarations = st.fixed_dictionaries({
    "state": st.sampled_from(["present"] * 3 + ["held", "released", "released", "renewed", "absent"]),
    "names": st.lists(small, min_size=1, max_size=3).map(tuple),
    "options": options,
    "check": st.sampled_from([False] * 5 + [True]),
})  # fmt: skip
