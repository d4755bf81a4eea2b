"""Addresses of guests: libvirt's `test` driver, and what libvirt and an agent answered for a guest of the lab."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import libvirt
import pytest
from vm_lifecycle.adapters import machine
from vm_lifecycle.adapters.libvirt import hypervisor, reaching
from vm_lifecycle.adapters.libvirt.calls import Asked
from vm_lifecycle.errors import EffectError

from .conftest import LibvirtBench, QemuBench
from .real_qemu import wait_for

A = "00000000-0000-4000-8000-00000000000a"
LEASE, AGENT = 0, 1
MAC = "52:54:00:5a:8d:7d"


def card(*addresses: str, mac: str = MAC) -> dict[str, Any]:
    """An interface as libvirt describes it."""
    return {"hwaddr": mac, "addrs": [{"addr": each, "prefix": 24, "type": int(":" in each)} for each in addresses]}


#: What an agent said of a guest with a bridge for containers.
BY_AGENT = {
    "lo": card("127.0.0.1", "::1", mac="00:00:00:00:00:00"),
    "eth0": card("192.168.122.77", "fe80::1", "2001:db8::7"),
    "docker0": card("203.0.113.9", mac="02:42:ac:11:00:02"),
}


class Guest:
    """Stands in for a domain's handle: the answers of each source, or the code of the error that libvirt gave instead."""

    def __init__(self, answers: dict[int, Any], channel: str = "connected", mac: str = MAC) -> None:
        self.answers, self.channel, self.mac = answers, channel, mac
        self.asked: list[int] = []

    def isActive(self) -> bool:
        return True

    def UUIDString(self) -> str:
        return A

    def XMLDesc(self) -> str:
        agent = f"<target type='virtio' name='org.qemu.guest_agent.0' state='{self.channel}'/>"
        channel = f"<channel type='unix'>{agent}</channel>" if self.channel else ""
        return f"<domain><devices><interface><mac address='{self.mac}'/></interface>{channel}</devices></domain>"

    def interfaceAddresses(self, source: int) -> Any:
        self.asked.append(source)
        answer = self.answers.get(source, {})
        if isinstance(answer, int):
            error = libvirt.libvirtError("refused")
            error.err = (answer, 0, "refused", 2, None, None, None, 0, 0)
            raise error
        return answer() if callable(answer) else answer


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Addresses of a guest, on a host that met no neighbour; its agent is asked in a thread, as always."""
    monkeypatch.setattr(machine, "NEIGHBOURS", tmp_path / "arp")
    addresses = reaching.Addresses("test:///default")

    def of(guest: Guest) -> list[str]:
        monkeypatch.setattr(reaching, "Asked", lambda uri, uuid, call: Asked(uri, uuid, lambda _handle: call(guest)))
        return addresses.of(guest)

    # the thread looks its domain up before it asks: here any domain does
    monkeypatch.setattr("vm_lifecycle.adapters.libvirt.calls.libvirt.open", lambda _uri: Connection())
    return of


class Connection:
    """Stands in for an own connection."""

    def lookupByUUIDString(self, _uuid: str) -> None:
        return None

    def close(self) -> None:
        return None


def test_best_known_first(found: Any) -> None:
    """A lease, then what the agent says of the domain's own cards; each once."""
    assert found(Guest({LEASE: {"vnet0": card("192.168.122.5")}, AGENT: BY_AGENT})) == [
        "192.168.122.5", "192.168.122.77", "2001:db8::7",
    ]  # fmt: skip
    assert found(Guest({LEASE: {"vnet0": card("192.168.122.77")}, AGENT: BY_AGENT})) == [
        "192.168.122.77",
        "2001:db8::7",
    ]


@pytest.mark.parametrize("channel", ["", "disconnected"])
def test_an_agent_that_is_not_there(found: Any, channel: str) -> None:
    """It is not asked: libvirt would say no after five seconds."""
    guest = Guest({LEASE: {"vnet0": card("192.168.122.5")}, AGENT: BY_AGENT}, channel)
    assert found(guest) == ["192.168.122.5"]
    assert AGENT not in guest.asked


def test_an_agent_of_a_guest_with_cards_of_the_host(found: Any) -> None:
    """Its definition knows none of the guest's cards, so all of them count."""
    assert found(Guest({AGENT: BY_AGENT}, mac="52:54:00:00:00:00")) == ["192.168.122.77", "2001:db8::7", "203.0.113.9"]


def test_addresses_that_reach_nobody(found: Any) -> None:
    """Or not that guest: the host's own, and those that mean something else."""
    (own, *_rest) = sorted(machine.own_addresses())
    odd = ["127.0.0.2", "0.0.0.0", "::", "::1", "224.0.0.1", "ff02::1", "169.254.1.2", "fe80::5", "1.2.3", "", "x", own]
    assert found(Guest({LEASE: {"vnet0": card(*odd, "10.1.2.3")}})) == ["10.1.2.3"]
    assert found(Guest({LEASE: {"vnet0": {"hwaddr": None, "addrs": None}, "vnet1": {}}})) == []


@pytest.mark.parametrize(
    "code", [libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_AGENT_UNRESPONSIVE]
)
def test_sources_that_fail(found: Any, code: int) -> None:
    """The others count."""
    assert found(Guest({LEASE: code, AGENT: BY_AGENT})) == ["192.168.122.77", "2001:db8::7"]
    assert found(Guest({LEASE: {"vnet0": card("10.1.2.3")}, AGENT: code})) == ["10.1.2.3"]
    assert found(Guest({LEASE: code, AGENT: code})) == []


def test_a_guest_that_is_gone(found: Any) -> None:
    """That is no missing source."""
    with pytest.raises(libvirt.libvirtError):
        found(Guest({LEASE: libvirt.VIR_ERR_NO_DOMAIN}))


ARP = """IP address       HW type     Flags       HW address            Mask     Device
10.0.0.9         0x1         0x2         52:54:00:5A:8d:7d     *        br0
10.0.0.10        0x1         0x0         52:54:00:5a:8d:7d     *        br0
10.0.0.11        0x1         0x2         52:54:00:00:00:01     *        br0
10.0.0.12        0x1         0x6         52:54:00:5a:8d:7d     *        br1
"""


def test_neighbours(found: Any, tmp_path: Path) -> None:
    """Those whose hardware address is a card's of the guest, last; none that the kernel does not know for sure."""
    (tmp_path / "arp").write_text(ARP)
    assert found(Guest({LEASE: {"vnet0": card("10.1.2.3")}})) == ["10.1.2.3", "10.0.0.9", "10.0.0.12"]


def test_neighbours_of_this_machine() -> None:
    """Can be read, whoever they are."""
    assert all(hardware.count(":") >= 5 and addresses for hardware, addresses in machine.neighbours().items())


def test_an_agent_that_hangs(found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs its time once: it is not asked again before it has answered."""
    monkeypatch.setattr(reaching, "AGENT_LIMIT", 0.3)
    enough = threading.Event()
    guest = Guest({LEASE: {"vnet0": card("10.1.2.3")}, AGENT: lambda: enough.wait(20) and BY_AGENT})
    began = time.monotonic()
    assert found(guest) == ["10.1.2.3"]
    assert 0.2 < time.monotonic() - began < 2.0
    began = time.monotonic()
    for _time in range(5):
        assert found(guest) == ["10.1.2.3"]
    assert time.monotonic() - began < 0.2
    assert guest.asked.count(AGENT) == 1
    enough.set()
    wait_for(lambda: found(guest) == ["10.1.2.3", "192.168.122.77", "2001:db8::7"])


def test_a_network_of_libvirt(own: LibvirtBench) -> None:
    """The test driver leases addresses of the network's range, as dnsmasq does.

    It adds the domain's id to the first of the range, and ids count on from test to test: the network is wide enough.
    """
    own.connection.networkDefineXML(
        "<network><name>n</name><ip address='10.9.0.1' netmask='255.255.0.0'>"
        "<dhcp><range start='10.9.0.100' end='10.9.250.200'/></dhcp></ip></network>"
    ).create()
    own.define_on(A, "a", ["n"])
    assert own.hypervisor.addresses(A) == []
    own.hypervisor.start(A)
    (address,) = own.hypervisor.addresses(A)
    assert address.startswith("10.9.")


def test_real_qemu_without_a_network(qemu: QemuBench) -> None:
    """Nothing is known, and nothing raised."""
    qemu.define(A, "a", running=True)
    assert qemu.hypervisor.addresses(A) == []


# An agent that is asked to shut down.


def test_an_agent_that_does_not_hear(qemu: QemuBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt would wait for it; the guest's power button is pressed instead."""
    monkeypatch.setattr(hypervisor, "AGENT_LIMIT", 0.3)
    handle = qemu.connection.defineXML(qemu.daemon.xml(A, "a", "obedient"))
    handle.create()
    wait_for(lambda: qemu.daemon.count(handle) > 3)
    enough, calls = threading.Event(), []

    def ask(uri: str, uuid: str, call: Any) -> Asked:
        calls.append(call)
        return Asked(uri, uuid, (lambda _handle: enough.wait(20)) if len(calls) == 1 else call)

    monkeypatch.setattr(hypervisor, "Asked", ask)
    qemu.hypervisor.request_shutdown(A)
    wait_for(lambda: not handle.isActive())
    assert len(calls) == 2
    enough.set()


def test_a_request_that_libvirt_refuses(qemu: QemuBench) -> None:
    """At once, in its words."""
    qemu.define(A, "a")
    began = time.monotonic()
    with pytest.raises(EffectError, match="not running"):
        qemu.hypervisor.request_shutdown(A)
    assert time.monotonic() - began < 5.0


# Many at once.


class Networks:
    """Stands in for a connection: the leases of its networks; None for one that can't tell."""

    def __init__(self, *leases: list[dict[str, Any]] | None) -> None:
        self.leases = leases
        self.asked = 0

    def listAllNetworks(self, _flags: int) -> list[Networks.Network]:
        return [Networks.Network(self, given) for given in self.leases]

    class Network:
        """One of them."""

        def __init__(self, owner: Networks, given: list[dict[str, Any]] | None) -> None:
            self.owner, self.given = owner, given

        def DHCPLeases(self) -> list[dict[str, Any]]:
            self.owner.asked += 1
            if self.given is None:
                raise libvirt.libvirtError("no support")
            return self.given


def lease(address: str, mac: str | None = MAC) -> dict[str, Any]:
    """As libvirt tells it."""
    return {"iface": "virbr0", "mac": mac, "ipaddr": address, "prefix": 24, "type": 0}


@pytest.fixture
def all_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Addresses of many guests, on a host that met one neighbour."""
    (tmp_path / "arp").write_text(
        f"IP address HW type Flags HW address Mask Device\n192.168.122.9 0x1 0x2 {MAC.upper()} * virbr0\n"
    )
    monkeypatch.setattr(machine, "NEIGHBOURS", tmp_path / "arp")
    addresses = reaching.Addresses("test:///default")
    monkeypatch.setattr("vm_lifecycle.adapters.libvirt.calls.libvirt.open", lambda _uri: Connection())

    def of(connection: Any, guests: dict[str, Guest]) -> dict[str, list[str]]:
        monkeypatch.setattr(
            reaching, "Asked", lambda uri, uuid, call: Asked(uri, uuid, lambda _handle: call(guests[uuid]))
        )
        roots = {uuid: reaching.ElementTree.fromstring(guest.XMLDesc()) for uuid, guest in guests.items()}
        return addresses.of_all(connection, roots)

    return of


def test_leases_agents_neighbours(all_of: Any) -> None:
    """In this order, each address once; a guest has what its own cards have, and each network is asked once."""
    networks = Networks([lease("192.168.122.5"), lease("10.9.9.9", "52:54:00:00:00:99"), lease("fe80::1", None)], None)
    guests = {
        "a": Guest({AGENT: {"eth0": card("192.168.122.77")}}),
        "b": Guest({}, "", "52:54:00:00:00:99"),
        "c": Guest({}, "", "52:54:00:00:00:98"),
    }
    assert all_of(networks, guests) == {
        "a": ["192.168.122.5", "192.168.122.77", "192.168.122.9"],
        "b": ["10.9.9.9"],
        "c": [],
    }
    assert networks.asked == 2
    assert all_of(networks, {}) == {}
    assert networks.asked == 2


def test_a_daemon_without_networks(all_of: Any) -> None:
    """The others tell what they know."""

    class Without:
        def listAllNetworks(self, _flags: int) -> None:
            raise libvirt.libvirtError("no connection driver")

    assert all_of(Without(), {"a": Guest({}, "")}) == {"a": ["192.168.122.9"]}


def test_deaf_agents(all_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of many guests together take no longer than that of one, and are not asked again while they owe an answer."""
    monkeypatch.setattr(reaching, "AGENT_LIMIT", 0.5)
    ending = threading.Event()
    guests = {f"deaf-{number}": Guest({AGENT: lambda: ending.wait(30) and {}}) for number in range(8)}
    guests["hears"] = Guest({AGENT: {"eth0": card("192.168.122.77")}})
    began = time.monotonic()
    found = all_of(Networks(), guests)
    assert time.monotonic() - began < 2.0
    assert found["hears"] == ["192.168.122.77", "192.168.122.9"]
    assert {tuple(each) for uuid, each in found.items() if uuid != "hears"} == {("192.168.122.9",)}
    began = time.monotonic()
    all_of(Networks(), guests)
    assert time.monotonic() - began < 0.4
    assert {len(guest.asked) for uuid, guest in guests.items() if uuid != "hears"} == {1}
    ending.set()
