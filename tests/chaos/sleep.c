/* Copyright: (c) 2026, vmops.lifecycle contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Loaded before libfaketime 0.9.10, whose own clock_nanosleep fails with EINVAL when the monotonic clock is not faked:
   this one sleeps as the kernel does. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left) {
  return syscall(SYS_clock_nanosleep, clock, flags, time, left) ? errno : 0;
}
