#!/usr/bin/env bash
# Copyright: (c) 2026, vmops.lifecycle contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Sweeps odd hosts on a lab host: run.sh [PART OF A CASE'S NAME]. The engine under test is this checkout's.
set -euo pipefail
here=$(dirname -- "$(readlink -f -- "$0")")
root=$(readlink -f -- "$here/../../..")
export VMOPS_LAB=${VMOPS_LAB:-adversary}
lab=$root/tests/lab/lab
"$lab" up odd
[[ -n ${KEEP:-} ]] || trap '"$lab" down odd' EXIT
"$lab" ssh odd 'rm -rf /usr/local/lib/vm-lifecycle /root/adversary; mkdir -p /usr/local/lib/vm-lifecycle/current /root/adversary'
"$lab" copy odd "$here"/*.py odd:/root/adversary/
tar -C "$root/plugins/module_utils" -c vm_lifecycle | "$lab" ssh odd 'tar -C /usr/local/lib/vm-lifecycle/current -x'
"$lab" ssh odd 'cat >/usr/local/bin/vm-lifecycle; chmod 755 /usr/local/bin/vm-lifecycle' <<'COMMAND'
#!/usr/bin/python3 -I
import sys

sys.path.insert(0, "/usr/local/lib/vm-lifecycle/current")
from vm_lifecycle.agent.cli import main

sys.exit(main())
COMMAND
"$lab" ssh odd python3 /root/adversary/cases.py "$@"
