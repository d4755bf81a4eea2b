"""A fleet as it would be collected: the documents that hosts give, made up. test_report.py holds their form against a real host's."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

#: Whoever names a VM may mean harm: to the page, to its script, and to a spreadsheet.
HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=http://192.0.2.1/x onerror=\"document.title='owned'\">",
    '=HYPERLINK("http://192.0.2.1")',
    "{{ 7 * 7 }}",
    "a" * 200,
)


def iso(at: datetime) -> str:
    """As results have it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


class Fleet:
    """Documents of a number of hosts, always the same ones for a seed."""

    def __init__(self, now: datetime, seed: int = 7) -> None:
        self.now, self.random = now, random.Random(seed)

    def documents(self, hosts: int, hostile: tuple[str, ...] = HOSTILE) -> list[dict[str, Any]]:
        """Among many hosts there are some of each trouble; a single one has a VM of every kind."""
        made = [self.host(f"kvm{number:02d}.lab.example") for number in range(1, hosts + 1)]
        self.trouble(made[0], hostile)
        if hosts > 1:
            for kept, text in (
                (made[3], "Failed to connect to the host via ssh: No route to host"),
                (made[57], "Connection timed out"),
            ):
                kept.update(problem={"kind": "unreachable", "message": text}, info=None, cleanup=None)
            made[11]["info"]["clock"] = {
                "sane": False,
                "problem": "the clock went back by 3 hours",
                "synchronised": False,
            }
            made[11]["info"]["history"]["now"] = iso(self.now - timedelta(hours=3))
            made[23]["info"]["history"]["sweep"]["ended_at"] = iso(self.now - timedelta(hours=31))
            made[42].update(
                problem={"kind": "failed", "message": "max_removals: must be a number [invalid_configuration]"},
                cleanup=None,
            )
        return made

    def host(self, name: str) -> dict[str, Any]:
        """A host with a dozen VMs."""
        vms = [
            self.vm(f"{kind}-{number}", kind)
            for kind, count in (("db", 2), ("web", 4), ("ci", 5), ("old", 1))
            for number in range(1, count + 1)
        ]
        gone = self.now - timedelta(minutes=self.random.randrange(60, 6000))
        info = {
            "changed": False, "failed": False, "dry_run": False, "clock": {"sane": True, "problem": "", "synchronised": True},
            "interrupted": [], "features": ["boot", "cleanup", "supervisor"], "plans": [],
            "undo": [{"name": "ci-0", "uuid": self.uuid(), "removed_at": iso(gone), "undo_until": iso(gone + timedelta(days=7))}],
            "history": {
                "now": iso(self.now), "warnings": [],
                "cleanup": {"cleanup_enabled": True, "dry_run_mode": False, "check_interval_minutes": 60},
                "sweep": {"ended_at": iso(self.now - timedelta(minutes=self.random.randrange(60))), "outcome": "done", "message": "",
                          "removed": 1, "kept": 12, "failed": 0, "waiting": 0},
                "boot": self.boot(vms),
                "operations": [
                    self.operation("ci-0", "remove", "done", "removed 0 volumes, kept 2 for an undo", gone),
                    self.operation("ci-00", "remove", "done", "removed 1 volumes, kept 1 (default/base.qcow2 [backing_file, used by ci-1])",
                                   gone - timedelta(hours=5)),
                    self.operation("web-1", "start", "done", "", gone - timedelta(days=2)),
                ],
            },
            "vms": vms,
        }  # fmt: skip
        plan = [self.planned(vm) for vm in vms if vm["managed"]]
        cleanup = {"counts": {}, "plan_id": None, "vms": plan}
        return {
            "version": 1,
            "host": name,
            "asked_at": iso(self.now),
            "problem": None,
            "info": info,
            "cleanup": cleanup,
        }

    def uuid(self) -> str:
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def operation(self, name: str, operation: str, outcome: str, message: str, at: datetime) -> dict[str, Any]:
        return {
            "at": iso(at),
            "uuid": self.uuid(),
            "name": name,
            "operation": operation,
            "outcome": outcome,
            "message": message,
        }

    def vm(self, name: str, kind: str) -> dict[str, Any]:
        """db and web are permanent, ci is temporary, old was never declared."""
        running, temporary = self.random.random() < 0.9, kind == "ci"
        deadline = iso(self.now + timedelta(minutes=self.random.randrange(30, 23000))) if temporary else None
        persistence = (
            None if kind == "old" else {"mode": "temporary" if temporary else "permanent", "restart_policy": "always"}
        )
        snapshot = None if kind == "old" else {
            "vm_name": name, "snapshot_time": iso(self.now), "vm_state": "running" if running else "stopped",
            "cpu_usage_percent": round(self.random.random() ** 3 * 100, 1) if running else 0.0,
            "memory_usage_mb": self.random.choice([256, 512, 1024, 4096]) if running else 0,
            "disk_usage_gb": self.random.randrange(1, 40), "ip_addresses": [f"10.0.7.{self.random.randrange(250)}"],
            "mac_addresses": [], "uptime_seconds": self.random.randrange(900000) if running else 0, "restart_count": 0,
        }  # fmt: skip
        return {
            "name": name, "uuid": self.uuid(), "power_state": "running" if running else "shutoff", "managed": persistence is not None,
            "metadata_problem": None, "persistence": persistence, "policy": None, "autostart": None, "hold": None, "limits": None,
            "pressure": None,
            "scheduled_cleanup_at": deadline, "effective_cleanup_at": deadline, "schedule": {} if temporary else None,
            "start": None, "last_state": None, "restart": None, "unenforced": [], "snapshot": snapshot,
        }  # fmt: skip

    def planned(self, vm: dict[str, Any]) -> dict[str, Any]:
        """What a sweep would do to it."""
        temporary = vm["persistence"]["mode"] == "temporary"
        reason, text = (
            ("not_expired", f"expires {vm['scheduled_cleanup_at']}")
            if temporary
            else ("permanent", "permanent VMs are never removed")
        )
        return {
            "name": vm["name"], "uuid": vm["uuid"], "decision": "kept", "reason": reason, "message": f"{vm['name']}: {text}",
            "effective_cleanup_at": None, "undo_until": None, "volumes": [],
        }  # fmt: skip

    def boot(self, vms: list[dict[str, Any]]) -> dict[str, Any]:
        """db before web, and web one after the other."""
        rows, at, before = [], 0.0, None
        for vm in vms[:6]:
            begun, started = at + 0.4, at + 0.4 + self.random.random() * 2
            ended = started + self.random.random() * 9
            start = {"outcome": "ready", "attempts": 1, "waited_for": before, "turn_seconds": at, "begun_seconds": begun,
                     "started_seconds": started, "ended_seconds": ended}  # fmt: skip
            rows.append(
                {
                    "name": vm["name"],
                    "uuid": vm["uuid"],
                    "decision": "started",
                    "reason": "",
                    "message": vm["name"],
                    "start": start,
                }
            )
            at, before = ended, vm["name"]
        boot = {"boot_id": self.uuid(), "began_at": iso(self.now - timedelta(days=4)), "seconds": at, "over": True}
        return {"boot": boot, "vms": rows, "critical_path": [row["name"] for row in rows]}

    def trouble(self, kept: dict[str, Any], hostile: tuple[str, ...]) -> None:
        """All that may be wrong with VMs of a host, and names that mean harm."""
        vms = {vm["name"]: vm for vm in kept["info"]["vms"]}
        rows = {row["name"]: row for row in kept["cleanup"]["vms"]}
        over = iso(self.now - timedelta(hours=9))
        vms["ci-1"].update(scheduled_cleanup_at=over, effective_cleanup_at=iso(self.now + timedelta(hours=8)))
        disk = {"pool": "default", "name": "ci-1.qcow2", "path": "/p/ci-1.qcow2", "target": "vda", "decision": "waiting",
                "reason": "only_user", "used_by": []}  # fmt: skip
        base = {"pool": "", "name": "", "path": "/p/base.qcow2", "target": "vda", "decision": "kept",
                "reason": "backing_file", "used_by": ["ci-2", "old-1"]}  # fmt: skip
        said = f"ci-1 expired {over}; would remove 1 of 2 disks"
        rows["ci-1"].update(decision="waiting", reason="outside_window", message=said, volumes=[disk, base])
        vms["ci-2"].update(scheduled_cleanup_at=over, hold={"hold": "deletion", "reason": "audit 4711"})
        rows["ci-2"].update(reason="held", message="ci-2: it is held from deletion: audit 4711")
        vms["ci-3"].update(
            scheduled_cleanup_at=over,
            schedule={"cleanup_status": "failed", "cleanup_error": "storage refused: Permission denied"},
        )
        rows["ci-3"].update(decision="failed", reason="removal_given_up", message="ci-3: given up after 5 attempts")
        vms["web-1"].update(
            restart={"state": "gave_up", "restart_count": 9, "reason": "retries_used_up", "message": "its process died"}
        )
        vms["web-2"].update(
            start={"outcome": "failed", "reason": "start_failed", "message": "no such network: lab"},
            power_state="shutoff",
        )
        vms["web-3"].update(
            persistence=None,
            metadata_problem={"reason": "metadata_cloned", "message": "it names another VM"},
            snapshot=None,
        )
        kept["info"]["plans"] = [
            {
                "plan_id": "plan-d03b04548adc",
                "created_at": over,
                "vms": [{"name": "ci-1", "uuid": vms["ci-1"]["uuid"], "confirmed": False}],
            }
        ]
        for name in hostile:
            bad = self.vm(name, "ci")
            bad["hold"] = {"hold": "deletion", "reason": name}
            kept["info"]["vms"].append(bad)
            kept["cleanup"]["vms"].append(self.planned(bad))
