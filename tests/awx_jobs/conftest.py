"""A lab host, and jobs that are run on it as AWX runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.awx.conftest import PROJECT, ROOT, job_templates, surveys

LAB = str(ROOT / "tests" / "lab" / "lab")
os.environ["VMOPS_LAB"] = "awx-jobs"
TWO_DAYS = 172800
#: What the project's inventory says of the host. No timer sweeps it meanwhile.
DECLARED: dict[str, Any] = {
    "vm_lifecycle_features": ["supervisor"],
    "vm_lifecycle_cleanup_policy": {"cleanup_in_window_only": False, "skip_on_low_resources": False},
    "vm_lifecycle_vm_defaults": {"cleanup_grace_period": 5},
    "vm_lifecycle_vms": [
        {"name": "old", "mode": "temporary", "created_at_unix": int(time.time()) - TWO_DAYS},
        {"name": "older", "mode": "temporary", "created_at_unix": int(time.time()) - TWO_DAYS},
        {"name": "young", "mode": "temporary", "ttl_hours": 48},
    ],
}


class Host:
    """The lab host."""

    def run(self, *words: str) -> str:
        done = subprocess.run([LAB, "ssh", "kvm1", "--", *words], check=True, capture_output=True, text=True)
        return done.stdout

    def vms(self) -> set[str]:
        return set(self.run("virsh -q list --all --name").split())

    def disks(self) -> set[str]:
        return set(self.run("ls /var/lib/libvirt/images").split())

    def status(self) -> dict[str, Any]:
        """What the host's own command says."""
        said: dict[str, Any] = json.loads(self.run("vm-lifecycle status --json"))
        return said

    def everything(self) -> str:
        """All that a job could change: definitions, states, and files of ours."""
        return self.run(
            "for vm in $(virsh -q list --all --name); do virsh -q domstate $vm; virsh -q dumpxml --inactive $vm; done;"
            " find /etc/vm-lifecycle /var/lib/vm-lifecycle /usr/local/lib/vm-lifecycle /etc/systemd/system -type f 2>/dev/null"
            " | sort | xargs -r sha256sum; ls /var/lib/libvirt/images"
        )


class Job:
    """A job that has ended: status and exit status, text, and events, read from the artifacts."""

    def __init__(self, artifacts: Path) -> None:
        self.status = (artifacts / "status").read_text()
        self.code = int((artifacts / "rc").read_text())
        self.text = (artifacts / "stdout").read_text()
        self.events = [json.loads(path.read_text()) for path in (artifacts / "job_events").iterdir()]

    def results(self, kind: str) -> list[dict[str, Any]]:
        """Data of the events of a kind, such as runner_on_ok."""
        return [event["event_data"] for event in self.events if event["event"] == kind]

    def changed(self) -> bool:
        return any(result["res"].get("changed") for result in self.results("runner_on_ok"))

    def passed_on(self) -> dict[str, Any]:
        """What set_stats leaves, which a workflow gives to the nodes that follow."""
        (stats,) = self.results("playbook_on_stats")
        data: dict[str, Any] = stats.get("artifact_data", {})
        return data


class Answers(yaml.SafeDumper):
    """Texts are marked as what must not be templated, as AWX marks what people answer."""


Answers.add_representer(str, lambda dumper, text: dumper.represent_scalar("!unsafe", text, style="'"))


class Runner:
    """Runs jobs as AWX does: a private data directory is transmitted to a worker, whose events are processed."""

    def __init__(self, base: Path, inventory: dict[str, Any]) -> None:
        self.base = base
        self.private, self.worker = base / "private", base / "runner"
        shutil.copytree(PROJECT, self.private / "project")
        (self.private / "env").mkdir()
        (self.private / "inventory").mkdir()
        (self.private / "inventory" / "hosts.yml").write_text(yaml.safe_dump(inventory))
        # The place where AWX puts what collections/requirements.yml names; it comes along with the project.
        environment = {
            "ANSIBLE_COLLECTIONS_PATH": f"{self.worker}/requirements_collections",
            "ANSIBLE_HOME": f"{base}/home",
            "ANSIBLE_PIPELINING": "true",
        }
        (self.private / "env" / "envvars").write_text(json.dumps(environment))
        self._number = 0

    def install(self, tarball: Path) -> None:
        target = self.private / "requirements_collections"
        command = ["ansible-galaxy", "collection", "install", "--offline", "--force", "-p", str(target), str(tarball)]
        subprocess.run(command, check=True, capture_output=True)

    def run(self, playbook: str, extra: dict[str, Any]) -> Job:
        self._number += 1
        ident = str(self._number)
        (self.private / "env" / "extravars").write_text(yaml.dump(extra, Dumper=Answers))
        sent, said, results = self.base / "sent", self.base / "said", self.base / "results"
        for directory in (self.worker, results):
            shutil.rmtree(directory, ignore_errors=True)
        environment = {
            key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "ANSIBLE_COLLECTIONS_PATH")
        }
        for words, source, target in (
            (["transmit", str(self.private), "-p", f"playbooks/{playbook}.yml", "-i", ident], None, sent),
            (["worker", "--private-data-dir", str(self.worker)], sent, said),
            (["process", str(results), "-i", ident], said, self.base / "shown"),
        ):
            with target.open("wb") as output, (source or Path(os.devnull)).open("rb") as given:
                subprocess.run(
                    ["ansible-runner", *words], stdin=given, stdout=output, env=environment, cwd=self.base, check=False
                )
        return Job(results / "artifacts" / ident)


def defaults(key: str) -> dict[str, Any]:
    """Answers of somebody who changes nothing in the survey; AWX hands over nothing where there is no default."""
    return {question["variable"]: question["default"] for question in surveys()[key]["spec"] if "default" in question}


PLAYBOOKS = {job["key"]: job["playbook"] for job in job_templates()}


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    """Three VMs that will be declared, two of them due, and one that is not ours."""
    subprocess.run([LAB, "up", "kvm1"], check=True)
    try:
        subprocess.run([LAB, "guest", "kvm1", "old", "--disk", "16M", "--start"], check=True)
        subprocess.run([LAB, "guest", "kvm1", "older", "young", "foreign", "--disk", "16M"], check=True)
        yield Host()
    finally:
        subprocess.run([LAB, "down"], check=True)


@pytest.fixture(scope="session")
def runner(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    base = tmp_path_factory.mktemp("awx")
    path = subprocess.run([LAB, "inventory"], check=True, capture_output=True, text=True).stdout.strip()
    inventory = json.loads(Path(path).read_text())
    inventory["libvirt"]["vars"].update(DECLARED)
    made = Runner(base, inventory)
    stage = subprocess.run(["hack/stage", str(base / "stage")], cwd=ROOT, check=True, capture_output=True, text=True)
    build = ["ansible-galaxy", "collection", "build", "--output-path", str(base), stage.stdout.strip()]
    subprocess.run(build, check=True, capture_output=True)
    made.install(next(base.glob("vmops-lifecycle-*.tar.gz")))
    return made
