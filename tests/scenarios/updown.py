"""Which VMs a boot and a shutdown of the host may touch, from the raw state and without the engine's code."""

from __future__ import annotations

import json
from typing import Any

from .raw import State

#: Effects that a shutdown of the host may have on a VM.
STOPPING = ("request_shutdown", "power_off", "save_memory")


def document_of(domain: dict[str, Any]) -> dict[str, Any]:
    """What a domain carries, {} when it is plainly not ours or nobody may act on it."""
    if not domain["persistent"] or domain["metadata_error"] or not domain["metadata"]:
        return {}
    try:
        document = json.loads(domain["metadata"])
        ours = document["version"] == 1 and document["vm_id"] == domain["uuid"] and document["revision"] >= 1
        return document if ours and isinstance(document["persistence"], dict) else {}
    except (ValueError, KeyError, TypeError):
        return {}


def untouchable(domain: dict[str, Any]) -> bool:
    """Whether nobody may start or stop it for us."""
    document = document_of(domain)
    return not document or document.get("hold", {}).get("scope") == "everything"


def may_start(domain: dict[str, Any]) -> bool:
    """Whether a boot may start it at all."""
    document = document_of(domain)
    policy, place = document.get("policy") or {}, document.get("autostart")
    return (
        not untouchable(domain)
        and policy.get("on_host_reboot", "start") == "start"
        and (place is None or place.get("enabled", True))
    )


def deleted_at_boot(state: State, domain: dict[str, Any]) -> bool:
    """Whether it is to be deleted at boot, was known before this boot, and is off."""
    document = document_of(domain)
    last = state["store"]["states"].get(domain["uuid"])
    known = last is not None and (last["before"] or last["boot_id"] != state["clock"]["boot_id"])
    return (
        bool(known)
        and domain["state"] == "shutoff"
        and (document.get("policy") or {}).get("on_host_reboot") == "destroy"
    )


def state_lost(state: State, uuid: str) -> bool:
    """Whether a VM's definition was lost: it is on record, is not there, and nobody removed it."""
    kept = state["store"]["recoveries"].get(uuid)
    here = any(domain["uuid"] == uuid for domain in state["domains"])
    return kept is not None and not kept["removed"] and not here


def verdict(state: State, step: dict[str, Any], kind: str, domain: dict[str, Any]) -> str:
    """What is wrong with an effect of a boot or a shutdown on a domain, "" when it is right."""
    arguments = step.get("arguments") or {}
    if kind == "start":
        if step["task"] == "vm_recovery":
            right = arguments.get("state") == "restored" and not untouchable(domain)
            return "" if right else f"start of {domain['name']} by a recovery"
        if step["task"] == "restart":
            named = {vm.get("name") for vm in arguments["vms"]} | {vm.get("uuid") for vm in arguments["vms"]}
            right = arguments.get("state", "retried") == "retried" and not untouchable(domain)
            right = right and bool({domain["name"], domain["uuid"]} & named)
            return "" if right else f"start of {domain['name']}, which nobody asked for"
        right = step["task"] == "boot" and may_start(domain) and not arguments.get("mark")
        return "" if right else f"start of {domain['name']}, which nobody may start"
    if step["task"] == "shutdown" and kind in STOPPING:
        right = (state["going_down"] or arguments.get("now", False)) and not untouchable(domain)
        return "" if right else f"{kind} of {domain['name']}, which the host may not stop"
    if step["task"] == "boot" and kind in STOPPING:
        return f"{kind} of {domain['name']} at boot"
    if step["task"] == "boot" and kind == "undefine":
        right = deleted_at_boot(state, domain) and not arguments.get("again") and not arguments.get("mark")
        return "" if right else f"{kind} of {domain['name']} at boot, which is not to be deleted then"
    return ""
