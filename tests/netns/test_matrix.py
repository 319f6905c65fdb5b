# SPDX-License-Identifier: MIT
"""A day of an interface in each mode and family: attached, steered, screened, limited, upgraded, detached."""

import json
import socket

import pytest

from conftest import wait_until
from test_loader import attachment, pins, python, settled
from tools import in_namespace

PORT = 5454
FAMILIES = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}

# argv: device, its MAC, the peer's MAC, port. An IPv4 datagram to 10.77.0.1 whose header has a wrong checksum.
BROKEN_SOURCE = r"""
import socket, struct, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind((sys.argv[1], 0))
mac = lambda text: bytes.fromhex(text.replace(":", ""))
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 32, 0, 0, 64, 17, 0xdead, bytes([10, 77, 0, 2]), bytes([10, 77, 0, 1]))
sock.send(mac(sys.argv[3]) + mac(sys.argv[2]) + b"\x08\x00" + ip + struct.pack("!HHHH4x", 1000, int(sys.argv[4]), 12, 0))
"""


class Line:
    """Datagrams from the client to a port of the server; each is either received or counted by the reason of its end."""

    def __init__(self, lab, family, port):
        self.lab, self.target = lab, (lab.server.ip6 if family == socket.AF_INET6 else lab.server.ip4, port)
        self.server, self.client = (in_namespace(host.netns, lambda: socket.socket(family, socket.SOCK_DGRAM))
                                    for host in (lab.server, lab.client))
        self.server.settimeout(10)
        self.server.bind(self.target)
        self.sent = 0

    def passes(self):
        self.sent += 1
        self.client.sendto(str(self.sent).encode(), self.target)
        while self.server.recv(16) != str(self.sent).encode():
            pass

    def dropped(self, *reasons, size=1):
        def count():
            counters = attachment(self.lab)["counters"]
            return sum(counters[reason] for reason in reasons)
        before = count()
        self.client.sendto(b"0" * size, self.target)
        # Not exactly one: a neighbour's question may share its fate.
        assert wait_until(lambda: count() > before), reasons

    def close(self):
        self.server.close()
        self.client.close()


@pytest.mark.parametrize("mode", ["native", "skb"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_day_of_an_interface(lab, mode, family):
    # Whatever CPU the test itself runs on, the other one is dedicated at some time: both are.
    lab.loader("attach", "sv0", "--cpus", "0-1", "--mode", mode, "--service", f"udp/{PORT}")
    line, other = Line(lab, FAMILIES[family], PORT), Line(lab, FAMILIES[family], PORT + 1)
    source = lab.client.ip6 if family == "IPv6" else lab.client.ip4

    # steered, and what is no service passes
    for _ in range(20):
        line.passes()
        other.passes()
    found = settled(lab, f"udp/{PORT}")
    assert found["steered"] + found["local"] == 20
    assert attachment(lab)["counters"]["no_service"] >= 20 and attachment(lab)["mode"] == mode

    # lists: denied, an exception, and a port that is spared
    lab.loader("screen", "sv0", "--never-drop", f"udp/{PORT + 1}")
    lab.loader("deny", "add", "sv0", source)
    line.dropped("denied")
    other.passes()
    lab.loader("deny", "del", "sv0", source)
    lab.loader("deny", "add", "sv0", "::/0" if family == "IPv6" else "10.0.0.0/8")
    line.dropped("denied")
    lab.loader("allow", "add", "sv0", source)
    line.passes()

    # validity
    lab.loader("screen", "sv0", "--validity", "on")
    line.passes()
    broken = python(lab.client, BROKEN_SOURCE, "cl0", lab.client.link()["address"], lab.server.link()["address"], PORT)
    assert broken.wait(20) == 0
    assert wait_until(lambda: attachment(lab)["counters"]["bad_checksum"] == 1)

    # fragments, and options that record the way
    line.client.sendto(bytes(4000), line.target)
    while len(line.server.recv(4000)) != 4000:
        pass
    lab.loader("screen", "sv0", "--fragments", "drop", "--options", "drop")
    line.dropped("refused_fragment", size=4000)
    line.passes()
    if family == "IPv4":
        line.client.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([7, 7, 4, 0, 0, 0, 0, 0]))
        line.dropped("refused_option")
        line.client.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"")
        line.passes()

    # an upgrade keeps all of that
    before = attachment(lab)
    program = json.loads(lab.loader("upgrade", "sv0", "--health", "0", "--json").stdout)["program"]
    after = attachment(lab)
    assert after["program"]["id"] == program == lab.server.xdp_id() != before["program"]["id"]
    for key in ("mode", "cpus", "modules", "never_drop"):
        assert after[key] == before[key], key
    assert after["counters"]["denied"] >= before["counters"]["denied"] >= 2
    line.passes()
    lab.loader("allow", "del", "sv0", source)
    line.dropped("denied")

    # a limit, on the CPU that counts for the source
    lab.loader("deny", "import", "sv0", "-", input="")
    lab.loader("limit", "add", "sv0", "--service", f"udp/{PORT}", "--per-source", "--rate", "1/h", "--burst", "3")
    for _ in range(3):
        line.passes()
    line.dropped("over_source", "late_over_source")
    lab.loader("limit", "del", "sv0", "--service", f"udp/{PORT}", "--per-source")
    line.passes()

    # and away
    lab.loader("detach", "sv0")
    assert pins(lab) == [] and wait_until(lambda: lab.server.xdp_id() == 0)
    line.passes()
    other.passes()
    line.close()
    other.close()
