# SPDX-License-Identifier: MIT
"""A new connection goes to the listener of the CPU that its packets are steered to, whoever made the listeners."""

import itertools
import socket
import subprocess
import sys

import pytest

from tools import PORT, Ringsvc, connections

COUNT = 32
FAMILIES = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])

# argv: address, port. A listener for each of two CPUs; for each connection it prints the listener's CPU and the CPU
# that its first packets came in on, as the kernel tells both.
LISTENERS = r"""
import selectors, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
ready = selectors.DefaultSelector()
for cpu in (0, 1):
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_INCOMING_CPU, cpu)
    listener.bind((sys.argv[1], int(sys.argv[2])))
    listener.listen(128)
    ready.register(listener, selectors.EVENT_READ, cpu)
print("ready", flush=True)
while True:
    for key, _ in ready.select():
        conn, _ = key.fileobj.accept()
        print(key.data, conn.getsockopt(socket.SOL_SOCKET, socket.SO_INCOMING_CPU), flush=True)
        conn.close()
"""


def address(lab, family):
    return lab.server.ip6 if family == socket.AF_INET6 else lab.server.ip4


def steer(lab, cpus, mode="native"):
    lab.loader("attach", "sv0", "--cpus", cpus, "--mode", mode, "--service", f"tcp/{PORT}")


def lines(process, count):
    return [line.strip() for line in itertools.islice(process.stdout, count)]


def started(process, word):
    assert process.stdout.readline().startswith(word)
    return process


@FAMILIES
@pytest.mark.parametrize("mode", ["native", "skb"])
def test_listeners_of_any_program(lab, mode, family):
    server = started(lab.server.popen(sys.executable, "-c", LISTENERS, address(lab, family), PORT,
                                      stdout=subprocess.PIPE), "ready")
    # All to one CPU, then to the other; the client's own CPU is never the reason.
    for cpu in ("0", "1"):
        steer(lab, cpu, mode)
        made = connections(lab, COUNT, family=family)
        assert set(lines(server, COUNT)) == {f"{cpu} {cpu}"}
        for sock in made:
            sock.close()
    # Both, by the hash of each flow: each at its own.
    steer(lab, "0-1", mode)
    made = connections(lab, COUNT, family=family)
    assert set(lines(server, COUNT)) == {"0 0", "1 1"}
    for sock in made:
        sock.close()


@FAMILIES
def test_lanes_of_libapp(lab, family):
    ringsvc = Ringsvc(lab, "--cpus", "0-1")
    server = started(lab.server.popen(lab.bin("lanes"), ringsvc.socket, address(lab, family), PORT,
                                      stdout=subprocess.PIPE), "ready on 2 lanes")
    for cpu in ("0", "1"):
        steer(lab, cpu)
        made = connections(lab, COUNT, family=family)
        assert set(lines(server, COUNT)) == {cpu}
        for sock in made:
            sock.close()
    steer(lab, "0-1")
    made = connections(lab, COUNT, family=family)
    assert set(lines(server, COUNT)) == {"0", "1"}
    for sock in made:
        sock.close()
    server.terminate()
    server.wait()
    assert ringsvc.stop() == 0
