#!/usr/bin/env bash
# Copyright: (c) 2026, vmops.lifecycle contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Smoke test of the lab on the real thing. usage: test_lab.sh [bookworm|trixie]
# Words in single quotes are for the host's shell.
# shellcheck disable=SC2016
# It uses a lab of its own name, so others may run beside it; the last step compares the machine before and after.
set -euo pipefail
here=$(dirname -- "$(readlink -f -- "$0")")
release=${1:-bookworm}
export VMOPS_LAB="smoke-$release-$$"
checkout=$(readlink -f "$here/../..")
last=$(date +%s%N)

lab() { "$here/lab" "$@"; }
step() {
  local now
  now=$(date +%s%N)
  printf '%6.1f s  %s\n' "$(((now - last) / 100000000))e-1" "$1"
  last=$now
}
fail() {
  echo "FAILED: $1" >&2
  exit 1
}
eventually() { # SECONDS COMMAND...
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 0.2
  done
}
domain_is() { [ "$(lab ssh one "virsh -q domstate $1")" = "$2" ]; }
boot_id() { lab ssh "$1" cat /proc/sys/kernel/random/boot_id; }
# Everything of this lab, by its name and by the links of its hosts.
traces() {
  # The pattern comes from a pipe, or grep would find its own command line.
  grep -lzaF -f <(echo "$checkout/.build/lab/$VMOPS_LAB/") /proc/[0-9]*/cmdline 2>/dev/null || :
  grep -h -- "/$VMOPS_LAB/" /proc/self/mountinfo || :
  find /sys/fs/cgroup -maxdepth 4 -name 'vmlab-*' 2>/dev/null | grep -F -- "${groups:-no group yet}" || :
  for link in ${links:-}; do ip -o link show "$link" 2>/dev/null || :; done
  find "$checkout/.build/lab/$VMOPS_LAB" -maxdepth 0 2>/dev/null || :
  find /tmp -maxdepth 1 -name 'nspawn-root-*' 2>/dev/null | grep -vxF -- "${strangers:-none yet}" || :
}
strangers=$(find /tmp -maxdepth 1 -name 'nspawn-root-*' 2>/dev/null || :)
trap 'lab down >/dev/null 2>&1 || :' EXIT

[ -z "$(traces)" ] || fail "traces before the start: $(traces)"
lab build --release "$release" >/dev/null
step "images of $release are there"
lab up one two --release "$release"
step "two hosts up"
record() { sed -n "s/.*\"$1\": \"\\{0,1\\}\\([^,\"]*\\).*/\\1/p" "$checkout/.build/lab/$VMOPS_LAB/hosts/$2/state.json" | head -n 1; }
links="ve-vmlab$(record number one) ve-vmlab$(record number two)"
# With the group of the host whose supervisor is killed below.
groups="$(record group one)
$(record group two)"
for name in one two; do [ "$(lab ssh "$name" hostname)" = "$name" ] || fail "host name of $name"; done
for file in /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub; do
  [ "$(lab ssh one cat "$file")" != "$(lab ssh two cat "$file")" ] || fail "$file is shared"
done
lab ssh one test ! -e /dev/kvm || fail "/dev/kvm is visible"
lab ssh one 'virsh -q pool-info default | grep -q "Autostart: *yes" && virsh -q net-info default | grep -q "Autostart: *yes"' ||
  fail "autostart of pool or network"
status=0; lab ssh one -- sh -c 'exit 7' || status=$?
[ "$status" = 7 ] || fail "ssh gave status $status instead of 7"
echo "to and fro" >"/tmp/$VMOPS_LAB.txt"
lab copy one "/tmp/$VMOPS_LAB.txt" one:/root/there && lab copy one one:/root/there "/tmp/$VMOPS_LAB.back"
cmp "/tmp/$VMOPS_LAB.txt" "/tmp/$VMOPS_LAB.back" || fail "copy"
rm "/tmp/$VMOPS_LAB.txt" "/tmp/$VMOPS_LAB.back"
grep -q '"ansible_host": "10.77' "$(lab inventory)" || fail "inventory"
lab status --json | grep -q '"phase": "running"' || fail "status"
step "hosts are distinct, ssh, copy, inventory and status work"

lab guest one alpha --start --uuid 11111111-2222-3333-4444-555555555555
lab guest-wait one alpha
step "guest alpha boots"
[ "$(lab ssh one virsh -q domuuid alpha)" = 11111111-2222-3333-4444-555555555555 ] || fail "uuid"
lab ssh one 'grep -q "machine-qemu.*alpha.scope" /proc/$(cat /run/libvirt/qemu/alpha.pid)/cgroup' || fail "no machine scope"
lab ssh one 'systemctl list-units --type=scope --no-legend "machine-qemu*"' | grep -q running || fail "scope unknown to systemd"
# The lease is recorded by a helper of dnsmasq, a moment after the guest has it.
guest_ssh() { lab ssh one 'nc -z -w 3 "$(virsh -q domifaddr alpha | grep -oE "192[0-9.]*" | head -n 1)" 22'; }
eventually 20 guest_ssh || fail "guest SSH"
step "alpha is in a machine scope and answers on its SSH port"
lab guest one beta --disk-from alpha.qcow2
lab ssh one 'qemu-img info -U /var/lib/libvirt/images/beta.qcow2' | grep -q 'backing file: .*alpha.qcow2' || fail "overlay"
lab guest one gamma --no-disk --memory 128
step "an overlay guest and a diskless one are defined"
lab ssh one virsh -q managedsave alpha || fail "managed save"
domain_is alpha "shut off" || fail "state after managed save"
lab ssh one virsh -q start alpha || fail "restore"
domain_is alpha running || fail "state after restore"
lab ssh one '! virsh -q list --all --with-managed-save | grep -q alpha' || fail "restore left the image"
step "managed save and restore"
lab ssh one virsh -q shutdown alpha
eventually 20 domain_is alpha "shut off" || fail "ACPI shutdown not obeyed"
step "ACPI shutdown obeyed"

before=$(boot_id one)
lab reboot one
[ "$(boot_id one)" != "$before" ] || fail "reboot kept boot_id"
lab ssh one 'test "$(journalctl --list-boots -q | wc -l)" -ge 2' || fail "journal of the boot before is gone"
domain_is alpha "shut off" || fail "alpha after reboot"
step "reboot: new boot_id, journal kept"
lab ssh one virsh -q start alpha && lab guest-wait one alpha
lab ssh one 'echo kept > /root/kept'
lab power-cut one
lab status | grep -q '^one  *off' || fail "status after power cut"
if lab ssh one true 2>/dev/null; then fail "one answers without power"; fi
lab power-on one
[ "$(lab ssh one cat /root/kept)" = kept ] || fail "file lost in power cut"
domain_is alpha "shut off" || fail "alpha survived a power cut"
step "power cut and power on"
lab ssh two poweroff || :
eventually 30 sh -c "'$here/lab' status | grep -q '^two  *off'" || fail "poweroff inside"
lab power-on two
step "poweroff inside, power on"

supervisor=$(lab status --json | sed -n 's/.*"supervisor": \([0-9]*\).*/\1/p' | tail -n 1)
kill -KILL "$supervisor"
lab up two --release "$release"
step "a host whose supervisor was killed is cleaned and started anew"
lab down two
lab status | grep -q '^two' && fail "two is still listed"
lab down
sleep 1
[ -z "$(traces)" ] || fail "left behind: $(traces)"
step "down leaves no process, mount, link, control group or directory"
echo "lab smoke test on $release: passed"
