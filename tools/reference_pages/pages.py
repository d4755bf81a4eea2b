"""The generated pages: the list of codes, and how deletion is decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from .engine import ROOT, module

TEMPLATES = ROOT / "tools" / "templates" / "pages"
#: What a result says of a VM -> what the page says the VM does.
FATES = {
    "removed": "goes",
    "kept": "kept",
    "waiting": "waits",
    "failed": "fails",
    "restored": "comes back",
    "rolled_back": "stays",
}
#: Whether a VM comes up -> what the page says.
UP_OR_DOWN = {True: "starts", False: "stays down"}
FATES_AT_BOOT = {"destroy_at_boot": "is deleted", "already_running": "runs", "started_since": "runs"}
#: Reasons for which a VM is started, and those that are only found out after the question has been decided.
UPWARDS = module("policy.host_boot").STARTING
LATE = ("stopped_since", "dependency_failed")
#: What a start at boot may fail with, in the order in which it goes on.
FAILURES = (
    "dependency_failed",
    "busy",
    "changed_meanwhile",
    "need_inactive",
    "effect_failed",
    "ssh_silent",
    "stopped_again",
)


def pages() -> dict[Path, str]:
    """Every generated page by its path."""
    filled = {
        "codes.md": _codes(),
        "deletion.md": _deletion(),
        "boot-order.md": {"who comes up": _who_comes_up(), "failures": _failures()},
        "doctor.md": {"findings": _findings()},
        "restart.md": {"stays down": _stays_down()},
        "troubleshooting.md": {"codes": _explained()},
    }
    return {ROOT / "docs" / name: _filled(name, tables) for name, tables in filled.items()}


def _filled(name: str, tables: Mapping[str, str]) -> str:
    """A template with its tables; one that is not used, or is not there, is an error."""
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    for key, table in tables.items():
        mark = f"<!-- table: {key} -->\n"
        if text.count(mark) != 1:
            raise ValueError(f"{name}: {mark.strip()} has to occur once")
        text = text.replace(mark, table)
    if "<!-- table:" in text:
        raise ValueError(f"{name}: a table that nobody makes")
    return text


def _codes() -> dict[str, str]:
    reasons, errors, order = module("reasons"), module("errors"), module("reasons_order")
    starts = {**order.BOOT_REASONS, **order.LATER_REASONS}
    tables = {
        "decisions": reasons.DECISIONS,
        "verdicts": reasons.VERDICTS,
        "starts": {code: reason.text for code, reason in starts.items()},
        "shutdowns": {code: reason.text for code, reason in order.SHUTDOWN_REASONS.items()},
        "recoveries": {code: reason.text for code, reason in order.RECOVERY_REASONS.items()},
        "restarts": {code: reason.text for code, reason in order.RESTART_REASONS.items()},
        "stops": {code: f"{said[0].upper()}{said[1:]}." for code, said in module("policy.power").STOPS.items()},
        "limits": {code: reason.text for code, reason in module("reasons_limits").LIMIT_REASONS.items()},
        "findings": {code: f"{found.meaning} {found.remedy}" for code, found in module("findings").FINDINGS.items()},
        "errors": errors.ERRORS,
    }
    return {key: _table(("code", "meaning"), sorted(_marked(table))) for key, table in tables.items()}


def _explained() -> str:
    """Every code with a heading to link to, and what `vm-lifecycle explain` says of it."""
    tables = module("agent.explanation").TABLES
    codes = sorted({code for _where, texts in tables for code in texts})
    return "\n".join(
        f"### {code}\n\n" + "".join(f"- *{where}*: {texts[code]}\n" for where, texts in tables if code in texts)
        for code in codes
    )


def _who_comes_up() -> str:
    """In the order in which it is asked."""
    reasons = module("reasons_order").BOOT_REASONS
    rows = [
        (f"`{code}`", reason.meaning, FATES_AT_BOOT.get(code) or UP_OR_DOWN[code in UPWARDS], reason.remedy)
        for code, reason in reasons.items()
        if code not in LATE
    ]
    return _table(("code", "meaning", "the VM", "what to do"), rows)


def _failures() -> str:
    """What a start may end with."""
    errors, reasons = module("errors").ERRORS, module("reasons_order").BOOT_REASONS
    texts = {code: errors[code] for code in FAILURES if code in errors}
    texts.update({code: reasons[code].text for code in FAILURES if code in reasons})
    return _table(("code", "meaning"), [(f"`{code}`", texts[code]) for code in FAILURES])


def _stays_down() -> str:
    """Where a VM is that stopped."""
    reasons = module("reasons_order").RESTART_REASONS
    rows = [(f"`{code}`", reason.meaning, reason.decision, reason.remedy) for code, reason in reasons.items()]
    return _table(("code", "meaning", "status says", "what to do"), rows)


def _findings() -> str:
    """The worst first, as doctor tells them."""
    found = module("findings")
    rows = [
        (f"`{code}`", ailment.severity, ailment.meaning, ailment.remedy)
        for severity in found.SEVERITIES
        for code, ailment in found.FINDINGS.items()
        if ailment.severity == severity
    ]
    return _table(("code", "severity", "meaning", "what to do"), rows)


def _marked(table: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(f"`{code}`", text) for code, text in table.items()]


def _deletion() -> dict[str, str]:
    reasons = module("reasons")
    doubts, unfinished = module("policy.storage").DOUBTS, module("removal").UNFINISHED
    return {
        "gate": "\n".join(_stage(number, *stage) for number, stage in enumerate(reasons.GATE, 1)),
        "turn": _vm_table(reasons.TURN.codes),
        "passed": _vm_table(reasons.PASSED.codes),
        "other rows": _vm_table(reasons.OTHER_ROWS.codes),
        "disk plan": _disk_table(reasons.DISK_PLAN.codes, dict.fromkeys(doubts, "waits"), "goes"),
        "disk last": _disk_table(
            reasons.DISK_LAST.codes, dict.fromkeys(unfinished, "is gone, its removal failed"), "is gone"
        ),
        "disk beside": _disk_table(reasons.DISK_BESIDE.codes, {"not_reached": "fails"}, "goes"),
    }


def _stage(number: int, title: str, codes: Iterable[str]) -> str:
    return f"### {number}. {title}\n\n{_vm_table(codes)}"


def _vm_table(codes: Iterable[str]) -> str:
    reasons = module("reasons").VM_REASONS
    rows = [(f"`{code}`", reasons[code].meaning, _fate(reasons[code].decision), reasons[code].remedy) for code in codes]
    return _table(("code", "meaning", "the VM", "what to do"), rows)


def _fate(decision: str) -> str:
    return " or ".join(FATES[word] for word in decision.split(" or "))


def _disk_table(codes: Iterable[str], vm: Mapping[str, str], otherwise: str) -> str:
    """vm: code -> what becomes of the VM, where it is not what is said otherwise."""
    reasons = module("reasons").DISK_REASONS
    rows = [
        (f"`{code}`", reasons[code].meaning, reasons[code].decision, vm.get(code, otherwise), reasons[code].remedy)
        for code in codes
    ]
    return _table(("code", "meaning", "the disk", "the VM", "what to do"), rows)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    body = "".join("| " + " | ".join(cells).rstrip() + " |\n" for cells in rows)
    return "| " + " | ".join(heads) + " |\n|" + "---|" * len(heads) + "\n" + body
