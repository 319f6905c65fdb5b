# SPDX-License-Identifier: MIT
"""Rate limits on real devices, in limits so slow that nothing comes back while a test runs: who gets how much, and the command."""

import json
import subprocess

import pytest

from test_loader import TCP_PORT, UDP_PORT, python, refused, service, settled, udp_count, udp_sink

# argv: address, port, datagrams, own address. From many ports, no two alike.
UDP_FROM = r"""
import os, socket, sys
address, port, count, own = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
socks = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(16)]
for sock in socks:
    sock.bind((own, 0))
for i in range(count):
    socks[i % 16].sendto(f"{os.getpid()} {i}".encode(), (address, port))
"""

# argv: address, port, connections. Prints how many came about at once.
TCP_CONNECT = r"""
import socket, sys
done = 0
for _ in range(int(sys.argv[3])):
    sock = socket.socket()
    sock.settimeout(0.5)
    try:
        sock.connect((sys.argv[1], int(sys.argv[2])))
        done += 1
    except TimeoutError:
        pass
    sock.close()
print(done)
"""


def attach(lab, mode):
    lab.loader("attach", "sv0", "--cpus", "1", "--mode", mode, "--service", f"udp/{UDP_PORT}", "--service",
               f"tcp/{TCP_PORT}")


def limit(lab, verb, *options, **kwargs):
    return lab.loader("limit", verb, "sv0", *options, **kwargs)


def listed(lab):
    return limit(lab, "list").stdout.splitlines()


def counters(lab):
    (found,) = lab.status()["attachments"]
    return found["counters"]


def send(lab, cpu, address, own, count):
    """From one CPU, so from the queue of one; waits until all is sent."""
    assert python(lab.client, UDP_FROM, address, UDP_PORT, count, own, cpu=cpu).wait(20) == 0


def dropped(lab, name):
    """Of that limit, here or on the dedicated CPU."""
    found = counters(lab)
    return found[f"over_{name}"] + found[f"late_over_{name}"]


@pytest.mark.parametrize("mode", ["native", "skb"])
def test_per_source(lab, mode):
    """Received by two CPUs, on one of which packets are at home already: each source gets its burst, to the packet."""
    attach(lab, mode)
    lab.client.run("ip", "addr", "add", "10.77.0.3/24", "dev", "cl0")
    lab.client.run("ip", "addr", "add", "fd00:77::3/64", "dev", "cl0", "nodad")
    limit(lab, "add", "--service", f"udp/{UDP_PORT}", "--per-source", "--rate", "1/h", "--burst", 50)
    sink = udp_sink(lab)
    for cpu, count in (0, 60), (1, 20):
        for own in ("10.77.0.2", "10.77.0.3"):
            send(lab, cpu, lab.server.ip4, own, count)
        # One network of 64 bits is one source.
        for own in ("fd00:77::2", "fd00:77::3"):
            send(lab, cpu, lab.server.ip6, own, count // 2)
    settled(lab, f"udp/{UDP_PORT}")
    assert dropped(lab, "source") == 2 * (80 - 50) + (80 - 50)
    assert dropped(lab, "total") == 0
    found = counters(lab)
    if mode == "skb":
        assert found["late_over_source"] == 0 and service(lab, f"udp/{UDP_PORT}")["arrived"] > 0
    else:
        assert found["late_over_source"] > 0 and found["over_source"] > 0
    assert udp_count(sink) == 150


@pytest.mark.parametrize("mode", ["native", "skb"])
def test_total(lab, mode):
    attach(lab, mode)
    limit(lab, "add", "--rate", "1/h", "--burst", 70)
    sink = udp_sink(lab)
    for cpu in (0, 1):
        send(lab, cpu, lab.server.ip4, lab.client.ip4, 40)
        send(lab, cpu, lab.server.ip6, lab.client.ip6, 40)
    settled(lab, f"udp/{UDP_PORT}")
    assert dropped(lab, "total") == 160 - 70 and dropped(lab, "source") == 0
    limit(lab, "del")
    send(lab, 0, lab.server.ip4, lab.client.ip4, 10)
    settled(lab, f"udp/{UDP_PORT}")
    assert udp_count(sink) == 70 + 10


def test_new_connections(lab):
    """Connections over the limit do not come about; those that are there, and other services, do not notice."""
    attach(lab, "native")
    listener = python(lab.server, "import socket\ns = socket.create_server(('::', %d), family=socket.AF_INET6, "
                      "dualstack_ipv6=True)\nprint('ready', flush=True)\nwhile True:\n c, _ = s.accept()\n c.close()"
                      % TCP_PORT, stdout=subprocess.PIPE)
    assert listener.stdout.readline() == "ready\n"
    limit(lab, "add", "--service", f"tcp/{TCP_PORT}", "--syn", "--per-source", "--rate", "1/h", "--burst", 20)
    out, _ = python(lab.client, TCP_CONNECT, lab.server.ip4, TCP_PORT, 21, stdout=subprocess.PIPE).communicate(timeout=20)
    assert out == "20\n"
    assert dropped(lab, "source") >= 1
    # A higher limit holds at once; the bucket keeps its level, from which the new burst counts.
    limit(lab, "add", "--service", f"tcp/{TCP_PORT}", "--syn", "--per-source", "--rate", "1000000/s", "--burst", 20)
    out, _ = python(lab.client, TCP_CONNECT, lab.server.ip4, TCP_PORT, 1, stdout=subprocess.PIPE).communicate(timeout=20)
    assert out == "0\n"
    limit(lab, "del", "--service", f"tcp/{TCP_PORT}", "--syn", "--per-source")
    out, _ = python(lab.client, TCP_CONNECT, lab.server.ip4, TCP_PORT, 5, stdout=subprocess.PIPE).communicate(timeout=20)
    assert out == "5\n"


def test_changes_under_traffic_lose_nothing(lab):
    """Limits nobody reaches, set, changed and taken away: flows move to the CPU of their source and back."""
    lab.loader("attach", "sv0", "--cpus", "0-1", "--service", f"udp/{UDP_PORT}")
    sink = udp_sink(lab)
    source = python(lab.client, UDP_FROM.replace("(count):", "(count):\n    time.sleep(0.0001)").replace(
        "import os", "import time, os"), lab.server.ip4, UDP_PORT, 8000, lab.client.ip4)
    changes = 0
    while source.poll() is None:
        limit(lab, "add", "--per-source", "--rate", f"{1_000_000 + changes}/s")
        limit(lab, "del", "--per-source")
        changes += 1
    assert source.returncode == 0 and changes
    settled(lab, f"udp/{UDP_PORT}")
    assert dropped(lab, "source") == 0
    assert udp_count(sink) == 8000


def test_command(lab):
    attach(lab, "native")
    assert listed(lab) == []
    limit(lab, "add", "--service", f"tcp/{TCP_PORT}", "--per-source", "--rate", "1000/s", "--burst", 100)
    limit(lab, "add", "--service", f"tcp/{TCP_PORT}", "--per-source", "--syn", "--rate", "30/m")
    limit(lab, "add", "--rate", 500_000)
    assert listed(lab) == ["all services: 500000 packets/s, burst 500000",
                           f"tcp/{TCP_PORT}: 1000 packets per source/s, burst 100",
                           f"tcp/{TCP_PORT}: 30 SYNs per source/m, burst 1"]
    found = json.loads(limit(lab, "list", "--json").stdout)
    assert (found["schema_version"], found["interface"]) == (1, "sv0")
    assert found["limits"][0] == {"service": None, "per_source": False, "syn": False, "rate": 500_000, "per": "s",
                                  "burst": 500_000}
    assert found["limits"][2] == {"service": f"tcp/{TCP_PORT}", "per_source": True, "syn": True, "rate": 30, "per": "m",
                                  "burst": 1}
    (shown,) = lab.status()["attachments"]
    assert shown["limits"] == found["limits"] and shown["modules"]["limits"]
    assert "  limit all services: 500000 packets/s, burst 500000\n" in lab.loader("status", "sv0").stdout
    # The same again is a change; an attach in place keeps it; a service that comes anew has none.
    limit(lab, "add", "--rate", "5/h")
    assert listed(lab)[0] == "all services: 5 packets/h, burst 1"
    lab.loader("attach", "sv0", "--cpus", "0-1")
    assert len(listed(lab)) == 3
    limit(lab, "del")
    lab.loader("service", "del", "sv0", f"tcp/{TCP_PORT}")
    assert listed(lab) == []
    lab.loader("service", "add", "sv0", f"tcp/{TCP_PORT}")
    assert listed(lab) == []


def test_refusals(lab):
    attach(lab, "native")
    for args, words in (([], "no rate"), (["--rate", "0"], "not from 1"), (["--rate", "200000000"], "not from 1"),
                        (["--rate", "5/d"], "not a rate"), (["--rate", "-1"], "not a rate"), (["--rate", "/s"], "not a rate"),
                        (["--rate", "5", "--burst", "0"], "not a number"), (["--rate", "5", "--burst", "x"], "not a number"),
                        (["--rate", "1/h", "--burst", "1000000"], "more than a year"),
                        (["--rate", "5", "--service", "sctp/1"], "not a service"),
                        (["--rate", "5", "--syn", "--service", "udp/1"], "only for TCP")):
        refused(limit(lab, "add", *args, check=False), words, code=2)
    refused(limit(lab, "add", "--service", "tcp/1", "--rate", "5", check=False), "tcp/1: no such service")
    refused(limit(lab, "del", "--per-source", check=False), "all services: no such limit")
    refused(limit(lab, "del", "--service", f"tcp/{TCP_PORT}", check=False), f"tcp/{TCP_PORT}: no such limit")
    refused(lab.loader("limit", "list", "lo", check=False), "not attached")
    assert listed(lab) == []
