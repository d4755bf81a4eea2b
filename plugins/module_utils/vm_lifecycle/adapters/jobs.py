# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs in threads, whose owner waits for whatever ends first and for none that hangs."""

from __future__ import annotations

import queue
import resource
import threading
import time
from contextlib import suppress
from typing import Any, Callable, List, Optional, Tuple


class ThreadJobs:
    """A thread for each job: its connection to libvirt is its own, and a QEMU that hangs holds up no other job.

    The threads are daemons, so that one that hangs does not keep the process from ending either. Hosts have hundreds of VMs, and
    libvirt's library ends the whole process when there are no descriptors left, so that limit is raised as far as it may be.
    """

    def __init__(self) -> None:
        #: (key, result, what ended the job if it was no result).
        self._ended: queue.SimpleQueue[Tuple[str, Any, Optional[BaseException]]] = queue.SimpleQueue()
        self._going = 0
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def submit(self, key: str, job: Callable[[], Any]) -> None:
        self._going += 1
        threading.Thread(target=self._run, args=(key, job), name=f"job {key}", daemon=True).start()

    def _run(self, key: str, job: Callable[[], Any]) -> None:
        try:
            result = job()
        except BaseException as error:  # whatever ends a job must reach its owner, who would wait for ever
            self._ended.put((key, None, error))
        else:
            self._ended.put((key, result, None))

    def wait(self, seconds: Optional[float]) -> List[Tuple[str, Any]]:
        if not self._going:
            if seconds is None:
                raise RuntimeError("nothing is going on that could end")
            time.sleep(seconds)
            return []
        found: List[Tuple[str, Any]] = []
        try:
            found.append(self._taken(seconds))
            while True:
                found.append(self._taken(0.0))
        except queue.Empty:
            return found

    def _taken(self, seconds: Optional[float]) -> Tuple[str, Any]:
        """The next job that ended. Raises queue.Empty, or what ended the job instead of a result."""
        key, result, error = self._ended.get(timeout=seconds) if seconds != 0.0 else self._ended.get_nowait()
        self._going -= 1
        if error is not None:
            raise error
        return key, result
