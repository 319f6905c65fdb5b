# SPDX-License-Identifier: MIT
"""SYN cookies on real devices: clients connect through a flood, ACKs of a flood are dropped, the command says what is."""

import json
import pathlib
import subprocess
import sys
import time

import pytest

from conftest import wait_until
from test_loader import TCP_PORT, python, refused
from tools import socket, sockets

FLOOD = pathlib.Path(__file__).with_name("flood.py")
PER_S = 20_000

# argv: port. Answers each connection with the number of bytes it sent before it finished.
COUNTING_SERVER = r"""
import socket, sys, threading
server = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
print("ready", flush=True)
def serve(conn):
    total = 0
    while data := conn.recv(65536):
        total += len(data)
    conn.sendall(str(total).encode())
    conn.close()
while True:
    threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
"""


def prepare(lab, mode, syncookies=1):
    # Sources that do not exist must be routable, or the kernel forgets their SYNs; and a veth sends back only to who polls.
    lab.client.run("ethtool", "-K", "cl0", "gro", "on")
    for family, host in (("-4", lab.client.ip4), ("-6", lab.client.ip6)):
        lab.server.run("ip", family, "route", "add", "default", "via", host)
    lab.server.run("sysctl", "-qw", f"net.ipv4.tcp_syncookies={syncookies}")
    lab.loader("attach", "sv0", "--cpus", "1", "--mode", mode, "--service", f"tcp/{TCP_PORT}")
    server = python(lab.server, COUNTING_SERVER, TCP_PORT, stdout=subprocess.PIPE)
    assert server.stdout.readline() == "ready\n"


def flood(lab, address, seconds, *options, rate=PER_S):
    source = lab.client.popen("taskset", "-c", 0, sys.executable, FLOOD, "cl0", lab.server.link()["address"], address,
                              TCP_PORT, rate, seconds, *options, stdout=subprocess.PIPE)
    assert source.stdout.readline() == "ready\n"
    return source


def sent(source):
    return int(source.communicate(timeout=30)[0])


def counters(lab):
    (found,) = lab.status()["attachments"]
    return found["counters"]


def syn(lab, *options):
    return json.loads(lab.loader("syn", "sv0", *options, "--json").stdout)["syn"]


def visit(sock, address, size, timeout):
    """Connects, sends size bytes at once and reads how many came; how long it took to connect, or None."""
    start = time.monotonic()
    try:
        with sock:
            sock.settimeout(timeout)
            sock.connect((address, TCP_PORT))
            connected = time.monotonic() - start
            sock.settimeout(10)
            sock.sendall(bytes(size))
            sock.shutdown(socket.SHUT_WR)
            return connected if sock.recv(16) == str(size).encode() else None
    except OSError:
        return None


def visits(lab, address, seconds, *, most=500, size=20_000, timeout=5):
    """One client after the other for that long: how many came through, of how many, and the median to connect in ms."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    end, times = time.monotonic() + seconds, []
    for sock in sockets(lab.client, most, family):
        if time.monotonic() < end:
            times.append(visit(sock, address, size, timeout))
        sock.close()
    good = sorted(filter(None, times))
    return len(good), len(times), good[len(good) // 2] * 1e3 if good else float("nan")


@pytest.mark.parametrize("mode,family", [("native", 4), ("native", 6), ("skb", 4)])
def test_clients_connect_through_a_flood(lab, mode, family):
    prepare(lab, mode)
    address = lab.server.ip6 if family == 6 else lab.server.ip4
    source = flood(lab, address, 1)
    print("off: %d of %d came through, %.2f ms to connect" % visits(lab, address, 0.5))
    sent(source)
    assert counters(lab)["cookie"] == 0
    assert syn(lab, "--mode", "auto", "--rate", 2000) == {"mode": "auto", "rate": 2000, "mss_max": 0, "flooded_cpus": []}
    source = flood(lab, address, 2.5)
    assert wait_until(lambda: counters(lab)["cookie"] > 1000)
    assert wait_until(lambda: syn(lab)["flooded_cpus"])
    before = counters(lab)["cookie"]
    good, tried, median = visits(lab, address, 1)
    print(f"auto: {good} of {tried} came through, {median:.2f} ms to connect")
    assert counters(lab)["cookie"] > before
    assert tried >= 5 and good >= 0.99 * tried
    total = sent(source)
    found = counters(lab)
    # What clients sent right behind their ACK was let through, and nearly all of the flood was answered.
    assert found["bad_cookie"] == 0
    assert found["cookie"] > 0.8 * total
    # It ends by itself; connections made in the flood were ordinary ones, and so are those made now.
    assert wait_until(lambda: not syn(lab)["flooded_cpus"], 10)
    before = counters(lab)["cookie"]
    good, tried, median = visits(lab, address, 5, most=20)
    assert good == tried and counters(lab)["cookie"] == before


def test_unprotected_without_the_kernels_cookies(lab):
    """What a flood does to a listener that has neither: the figures a reader compares with."""
    prepare(lab, "native", syncookies=0)
    source = flood(lab, lab.server.ip4, 2)
    assert wait_until(lambda: lab.server.run("ss", "-Hnt", "state", "syn-recv").stdout.count("\n") > 32)
    good, tried, _ = visits(lab, lab.server.ip4, 1, timeout=0.5)
    print(f"off, tcp_syncookies 0: {good} of {tried} came through")
    assert good < tried
    sent(source)


@pytest.mark.parametrize("mode", ["native", "skb"])
def test_ack_flood(lab, mode):
    prepare(lab, mode, syncookies=2)
    assert syn(lab, "--mode", "on")["mode"] == "on"
    [sock] = sockets(lab.client, 1)
    with sock:
        sock.connect((lab.server.ip4, TCP_PORT))
        assert counters(lab)["cookie"] == 1
        sock.sendall(b"1234")
        total = sent(flood(lab, lab.server.ip4, 0.5, "--ack", rate=2000))
        found = counters(lab)
        assert 0.9 * total <= found["bad_cookie"] <= total
        # An open connection is none of it.
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(8) == b"4"
    assert counters(lab)["bad_cookie"] == found["bad_cookie"]


def test_command(lab):
    lab.loader("attach", "sv0", "--cpus", "1")
    off = {"mode": "off", "rate": 0, "mss_max": 0, "flooded_cpus": []}
    assert syn(lab) == off
    assert lab.loader("syn", "sv0").stdout == "sv0: SYN cookies off\n"
    # The peer polls no more than by default: what would be sent back is lost, and it is said.
    done = lab.loader("syn", "sv0", "--mode", "auto")
    assert "sv0: its peer has neither GRO nor an XDP program" in done.stderr and "gro on" in done.stderr
    assert done.stdout == "sv0: SYN cookies auto, from 10000 SYN/s on one CPU\n"
    lab.client.run("ethtool", "-K", "cl0", "gro", "on")
    done = lab.loader("syn", "sv0", "--mode", "on", "--mss", 1300)
    assert done.stdout == "sv0: SYN cookies on, MSS at most 1300\n"
    assert "net.ipv4.tcp_syncookies: it is 1" in done.stderr and done.stderr.count("\n") == 1
    assert "  SYN cookies on, MSS at most 1300\n" in lab.loader("status", "sv0").stdout
    # It outlives an attach in place.
    lab.loader("attach", "sv0", "--cpus", "0-1")
    (found,) = lab.status()["attachments"]
    assert found["syn"] == {"mode": "on", "rate": 0, "mss_max": 1300, "flooded_cpus": []}
    lab.server.run("sysctl", "-qw", "net.ipv4.tcp_syncookies=0")
    lab.server.run("ip", "link", "set", "sv0", "address", "02:00:00:00:00:77")
    found = json.loads(lab.loader("doctor", "sv0", "--json", check=False).stdout)["findings"]
    said = {f["object"]: f for f in found if "cookies" in f["reason"]}
    assert said["net.ipv4.tcp_syncookies"]["grade"] == "problem"
    assert "its MAC address has changed" in said["sv0"]["reason"]
    lab.loader("syn", "sv0", "--mode", "off")
    assert syn(lab) == off
    assert not [f for f in json.loads(lab.loader("doctor", "sv0", "--json", check=False).stdout)["findings"]
                if "cookies" in f["reason"]]


def test_refusals(lab):
    lab.loader("attach", "sv0", "--cpus", "1")
    for args, words in ((["--mode", "maybe"], "not one of auto, on, off"), (["--rate", "5000"], "only with --mode auto"),
                        (["--mode", "on", "--rate", "5000"], "only with --mode auto"),
                        (["--mode", "auto", "--rate", "99"], "not a number from 100 to"),
                        (["--mode", "auto", "--rate", "1e5"], "not a number"),
                        (["--mode", "auto", "--mss", "535"], "not a number from 536"),
                        (["--mode", "off", "--mss", "1400"], "only with"), (["x"], "one interface")):
        refused(lab.loader("syn", "sv0", *args, check=False), words, code=2)
    refused(lab.loader("syn", "lo", check=False), "not attached")
