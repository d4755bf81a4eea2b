#!/usr/bin/env bash
# Copyright: (c) 2026, vmops.lifecycle contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# The clock as the cleanup unit sees it, on a lab host with the units that the role installs: in 2038, in 1970, jumping in the
# middle of a sweep, and steady without anything that synchronises it. usage: clock.sh [bookworm|trixie]
set -euo pipefail
cd "$(dirname "$0")/../.."
export VMOPS_LAB=${VMOPS_LAB:-clock}
export PATH=$PWD/.venv/bin:$PATH ANSIBLE_NOCOLOR=1
export ANSIBLE_COLLECTIONS_PATH=${ANSIBLE_COLLECTIONS_PATH:-$PWD/.ansible/collections}
UNIT=vm-lifecycle-cleanup.service
# libfaketime leaves CLOCK_MONOTONIC and CLOCK_BOOTTIME alone then, as a clock does that somebody sets.
HONEST='FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DISABLE_SHM=1'
work=$(mktemp -d)
failures=0

lab() { tests/lab/lab "$@"; }
on() { lab ssh kvm1 "$1"; }
say() { printf '\n== %s\n' "$*"; }
finish() {
  local status=$?
  trap - EXIT INT TERM
  rm -rf "$work"
  [ -n "${KEEP:-}" ] || lab down >/dev/null 2>&1 || status=1
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Prints what is expected of the world, and remembers when it is not so. usage: expect TEXT COMMAND...
expect() {
  local text=$1
  shift
  if "$@"; then echo "   yes: $text"; else echo "   NO:  $text"; failures=$((failures + 1)); fi
}
says() { grep -Eq -- "$2" "$work/$1" || { sed 's/^/        /' "$work/$1"; return 1; }; }
silent() { ! grep -Eq -- "$2" "$work/$1" || { sed 's/^/        /' "$work/$1"; return 1; }; }
# Both the VM and its disk. usage: there NAME...; gone NAME...
there() { for name in "$@"; do on "virsh -q domid vm-$name >/dev/null && test -e /var/lib/libvirt/images/vm-$name.qcow2" || return 1; done; }
gone() { for name in "$@"; do on "! virsh -q domid vm-$name >/dev/null 2>&1 && ! test -e /var/lib/libvirt/images/vm-$name.qcow2" || return 1; done; }

make_vms() { on "python3 /opt/vmops-chaos/host/clock_vms.py $*"; }
# Shows the unit a clock. usage: pretend VALUE-OF-FAKETIME | pretend_from FILE | honest
drop_in() {
  printf '[Service]\nEnvironment=LD_PRELOAD=%s %s %s\n' "$library" "$HONEST" "$1" |
    on "mkdir -p /run/systemd/system/$UNIT.d && cat >/run/systemd/system/$UNIT.d/clock.conf && systemctl daemon-reload"
}
pretend() { drop_in "\"FAKETIME=$1\""; }
honest() { on "rm -rf /run/systemd/system/$UNIT.d && systemctl daemon-reload"; }
# A sweep of the unit to its end; what it said is in $work/said. The clock that it saw comes from the log of the store.
sweep() {
  on "systemctl start $UNIT || :; systemctl show -P Result $UNIT; journalctl --quiet --output cat --no-pager _SYSTEMD_INVOCATION_ID=\$(systemctl show -P InvocationID $UNIT)" >"$work/said"
}
# A command of a person on that host, with the same clock. usage: with_clock VALUE COMMAND
with_clock() { on "env LD_PRELOAD=$library $HONEST 'FAKETIME=$1' $2" >"$work/said" 2>&1; }

install() {
  on 'rm -rf /opt/vmops-chaos && mkdir -p /opt/vmops-chaos'
  lab copy kvm1 tests/chaos/host kvm1:/opt/vmops-chaos
  gcc -shared -fPIC -O1 -o "$work/sleep.so" tests/chaos/sleep.c
  lab copy kvm1 "$work/sleep.so" kvm1:/usr/local/lib/clock-sleep.so
  cat >"$work/vars.yml" <<'VARS'
vm_lifecycle_cleanup_policy:
  check_interval_minutes: 1440
  cleanup_in_window_only: false
  skip_on_low_resources: false
  max_concurrent_cleanups: 1
VARS
  ansible-playbook --inventory "$(lab inventory)" --extra-vars "@$work/vars.yml" vmops.lifecycle.site >"$work/playbook" 2>&1 ||
    { cat "$work/playbook"; return 1; }
  on 'systemctl stop vm-lifecycle-cleanup.timer'
}

lab down >/dev/null 2>&1 || :
say 'A host, and the units of the role'
lab up kvm1 --release "${1:-bookworm}"
install
library=/usr/local/lib/clock-sleep.so:$(on 'ls /usr/lib/*/faketime/libfaketimeMT.so.1')

say 'A steady clock that nothing synchronises'
make_vms now-due:expired later:fresh
on 'timedatectl show --property NTPSynchronized --value' >"$work/said"
expect 'the clock of this host is not synchronised' says said '^no$'
sweep
expect 'the first sweep only marks what it did not know' says said 'vm-now-due: .*\[newly_seen\]'
sweep
expect 'the next one removes what is expired' gone now-due
expect 'and nothing else' there later

say 'The unit sees 2038'
make_vms due:expired old:ancient
sweep # marks it
pretend '@2038-01-20 00:00:00'
sweep
expect 'the unit did not fail' says said '^success$'
expect 'the result says insane_clock, and by how much the clock jumped' says said 'waiting: vm-due: the clock jumped by [0-9]{9} s .*\[insane_clock\]'
expect 'what has time left by the right clock is there' there later
expect 'what is really expired waits too' there due old
with_clock '@2038-01-20 00:00:00' 'vm-lifecycle status'
expect 'status says that the clock is not believed, and why' says said 'The clock is not believed, nothing is removed: the clock (jumped by [0-9]{9} s|advanced [0-9]{4} days)'
sweep
expect 'it is not believed the second time either' there due later

say 'The unit sees 1970'
pretend '@1970-01-03 00:00:00'
sweep
expect 'the result says insane_clock, and why' says said 'vm-old: .*before this software was released \[insane_clock\]'
expect 'nothing is removed, not even what is expired by that clock too' there due old later
with_clock '@1970-01-03 00:00:00' 'vm-lifecycle status'
expect 'status says so' says said 'The clock is not believed, nothing is removed: .*before this software was released'
with_clock '@1970-01-03 00:00:00' 'vm-lifecycle clock-accept' || :
expect 'nobody can accept that one' says said 'insane_clock|set it first'

say 'The clock is right again'
honest
sweep
expect 'what is really expired goes' gone due old
expect 'what is not stays' there later
on 'vm-lifecycle status' >"$work/said"
expect 'status believes the clock' silent said 'not believed'

say 'The clock jumps forward by ten years in the middle of a sweep'
make_vms a-slow:expired:running:20 b-next:expired
sweep # marks them
on 'echo +0 >/run/clock-of-the-unit'
drop_in 'FAKETIME_TIMESTAMP_FILE=/run/clock-of-the-unit FAKETIME_NO_CACHE=1'
on "systemctl start --no-block $UNIT
  for _ in \$(seq 300); do ls /var/lib/vm-lifecycle/intents/*.json >/dev/null 2>&1 && break; sleep 0.1; done
  echo +3650d >/run/clock-of-the-unit; ls /var/lib/vm-lifecycle/intents
  while [ \$(systemctl show -P ActiveState $UNIT) = activating ]; do sleep 0.5; done" >"$work/during"
on "journalctl --quiet --output cat --no-pager _SYSTEMD_INVOCATION_ID=\$(systemctl show -P InvocationID $UNIT)" >"$work/said"
expect 'it jumped while the first removal was waiting for its guest' says during '\.json'
expect 'the removal that had begun with the right clock came to its end' gone a-slow
expect 'the next one did not begin, and says why' says said 'waiting: vm-b-next: the clock jumped by .*\[insane_clock\]'
expect 'it is there, and so is what has time left' there b-next later
honest
sweep
expect 'with the right clock, it goes' gone b-next
expect 'and nothing else' there later

say 'A person accepts a clock that was ahead'
make_vms due2:expired
sweep # marks it
pretend '+10d'
sweep
expect 'ten days ahead: nothing is removed' there due2 later
with_clock '+10d' 'vm-lifecycle clock-accept'
expect 'clock-accept says so' says said 'accepted as it is'
sweep
expect 'the unit did not fail' says said '^success$'
expect 'what is expired by the accepted clock goes' gone due2 later

say 'And takes it back'
honest
make_vms due3:expired later2:fresh
sweep
expect 'the right clock, ten days behind the accepted one, is not believed' says said '\[insane_clock\]'
on 'vm-lifecycle clock-accept' >/dev/null
sweep # marks them
sweep
expect 'after clock-accept, what is really expired goes' gone due3
expect 'and nothing else' there later2

say "$([ "$failures" = 0 ] && echo 'all as it should be' || echo "$failures things are not as they should be")"
[ "$failures" = 0 ]
