"""Reaching libvirt when its daemon comes up later than who needs it."""

from __future__ import annotations

import threading
import time

import pytest
from vm_lifecycle.adapters.world import connect_in_time, open_world
from vm_lifecycle.errors import LifecycleError

from .real_qemu import Daemon


def test_a_daemon_that_comes_up_later() -> None:
    """It is waited for, and no longer than that."""
    daemon = Daemon()
    began = time.monotonic()
    with pytest.raises(LifecycleError) as caught:
        connect_in_time(daemon.uri, 1.2)
    assert caught.value.problems[0].code == "connection_failed"
    assert 1.0 < time.monotonic() - began < 10.0
    starting = threading.Timer(1.0, daemon.start)
    starting.start()
    try:
        connect_in_time(daemon.uri, 60.0).close()
    finally:
        starting.join()
        daemon.stop()


def test_what_no_waiting_helps() -> None:
    """Another host's libvirt is refused at once."""
    began = time.monotonic()
    with pytest.raises(LifecycleError):
        open_world("qemu+ssh://elsewhere/system", patience=60.0)
    assert time.monotonic() - began < 5.0
