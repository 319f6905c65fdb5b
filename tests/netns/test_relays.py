# SPDX-License-Identifier: MIT
"""
The examples udp_echo and proxy, on the local and the direct engine: what goes in comes out, ends and resets are passed on, and who
does not read stops nobody else. And that libapp, sending much over a veth, soon sees that zero copy is none there.
"""

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from tools import PORT, connections, in_namespace, wait_until

ENGINES = ["local", "direct"]
SERVER_PORT = PORT + 100


class Program:
    """One that runs on the server host."""

    def __init__(self, lab, request, *args, address="::"):
        name, engine = args[0], request.param
        options = ["--engine", engine]
        if engine == "direct":
            options += ["--socket", request.getfixturevalue("ringsvc").socket]
        self.lab = lab
        self.process = lab.server.popen(lab.bin(name), "--address", address, "--port", PORT, "--stats", *options, *args[1:],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stderr.readline()
        assert re.fullmatch(rf"{name}: listening on \[{re.escape(address)}\]:{PORT} \(engine {engine}.*\)\n", line), line

    def stop(self):
        """SIGTERM; returns the statistics line, parsed, and what it said on stderr."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=5)
        assert self.process.returncode == 0, err
        return json.loads(out), err


# --- udp_echo -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=ENGINES)
def udp_echo(request, lab):
    return Program(lab, request, "udp_echo")


def test_datagrams_come_back(udp_echo):
    lab, count = udp_echo.lab, 0
    for family, address in (socket.AF_INET, lab.server.ip4), (socket.AF_INET6, lab.server.ip6):
        socks = in_namespace(lab.client.netns, lambda: [socket.socket(family, socket.SOCK_DGRAM) for _ in range(3)])
        for sock in socks:
            sock.settimeout(10)
            sock.connect((address, PORT))
        for size in (0, 1, 100, 1400, 4000):
            for sock in socks:
                data = os.urandom(size)
                sock.send(data)
                assert sock.recv(65536) == data
                count += 1
        socks[0].send(bytes(20000))  # does not fit a receive buffer
        socks[0].send(b"next")
        assert socks[0].recv(65536) == b"next"
        count += 1
        for sock in socks:
            sock.close()
    stats, err = udp_echo.stop()
    assert stats["requests"] == count and err == ""


def test_flood_is_survived(udp_echo):
    sock, = in_namespace(udp_echo.lab.client.netns, lambda: [socket.socket(socket.AF_INET, socket.SOCK_DGRAM)])
    sock.connect((udp_echo.lab.server.ip4, PORT))
    sock.settimeout(10)
    for _ in range(20000):
        with contextlib.suppress(ConnectionRefusedError):
            sock.send(bytes(1000))
    sock.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while sock.recv(65536):
            pass

    def answers():
        with contextlib.suppress(TimeoutError):
            sock.send(b"still there?")
            return sock.recv(65536) == b"still there?"
        return False

    assert wait_until(answers)
    sock.close()
    assert udp_echo.stop()[1] == ""


def link_local(host):
    """The address of its device that means nothing without the device."""
    said = json.loads(host.run("ip", "-j", "-6", "addr", "show", "dev", host.ifname).stdout)
    return next(info["local"] for info in said[0]["addr_info"] if info["scope"] == "link")


@pytest.mark.parametrize("request_engine", ENGINES)
def test_link_local_addresses(request, lab, request_engine):
    """Listening, answering a datagram and connecting by way of the device that the address names."""
    request.param = request_engine
    address = link_local(lab.server)
    here, there = (f"{link_local(host)}%{lab.server.ifname}" for host in (lab.server, lab.client))
    index = lab.client.link()["ifindex"]
    end, sock, upstream = in_namespace(lab.client.netns, lambda: [
        socket.socket(socket.AF_INET6, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_STREAM)])
    for made in end, sock, upstream:
        made.settimeout(10)
    echo = Program(lab, request, "udp_echo", address=here)
    end.connect((address, PORT, 0, index))
    end.send(b"and back")
    assert end.recv(100) == b"and back"
    echo.stop()
    upstream.bind(("::", SERVER_PORT))
    upstream.listen()
    proxy = Program(lab, request, "proxy", "--to", there, "--to-port", SERVER_PORT, address=here)
    sock.connect((address, PORT, 0, index))
    sock.sendall(b"over")
    server, peer = upstream.accept()
    server.settimeout(10)
    assert (peer[0].partition("%")[0], peer[3]) == (address, index) and server.recv(4) == b"over"
    for made in end, sock, upstream, server:
        made.close()
    assert proxy.stop()[1] == ""


# --- proxy --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def upstream(lab):
    """A plain listening socket on the server host."""
    sock, = in_namespace(lab.server.netns, lambda: [socket.socket()])
    sock.bind((lab.server.ip4, SERVER_PORT))
    sock.listen(128)
    sock.settimeout(10)
    yield sock
    sock.close()


@pytest.fixture(params=ENGINES)
def proxy(request, lab, upstream):
    return Program(lab, request, "proxy", "--to", lab.server.ip4, "--to-port", SERVER_PORT)


def pair(proxy, upstream, **options):
    """A client and what the server sees of it."""
    client, = connections(proxy.lab, 1, **options)
    server, _ = upstream.accept()
    server.settimeout(10)
    return client, server


def receive_all(sock):
    data = bytearray()
    while piece := sock.recv(65536):
        data += piece
    return bytes(data)


def resets(sock):
    """True if the connection ends by a reset."""
    try:
        receive_all(sock)
    except ConnectionResetError:
        return True
    return False


def send_and_end(sock, data):
    def work():
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_every_byte_both_ways(proxy, upstream):
    up, down = os.urandom(1 << 20) * 8, os.urandom(1 << 20) * 8
    client, server = pair(proxy, upstream)
    threads = [send_and_end(client, up), send_and_end(server, down)]
    result = []
    reader = threading.Thread(target=lambda: result.append(receive_all(client)))
    reader.start()
    assert receive_all(server) == up
    reader.join(timeout=30)
    assert result == [down]
    for thread in threads:
        thread.join(timeout=10)
    client.close()
    server.close()
    stats, err = proxy.stop()
    assert stats["received"] == stats["sent"] == 2 * len(up) and err == ""


def test_one_direction_ends_first(proxy, upstream):
    client, server = pair(proxy, upstream)
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    assert receive_all(server) == b"question"
    server.sendall(b"answer")
    assert client.recv(100) == b"answer"
    server.sendall(b" and more")
    server.close()
    assert receive_all(client) == b" and more"


def test_many_clients(proxy, upstream):
    clients = connections(proxy.lab, 50)
    for i, client in enumerate(clients):
        client.sendall(b"%d" % i)
    for _ in clients:
        server, _ = upstream.accept()
        with server:
            server.settimeout(10)
            server.sendall(b"you are " + server.recv(100))
    assert [receive_all(client) for client in clients] == [b"you are %d" % i for i in range(50)]
    for client in clients:
        client.close()
    stats, err = proxy.stop()
    assert stats["accepted"] == stats["connected"] == 50 and err == ""


def test_who_does_not_read_stops_nobody_else(proxy, upstream):
    client, server = pair(proxy, upstream)
    client.setblocking(False)
    sent, quiet = 0, time.monotonic() + 1
    while time.monotonic() < quiet:
        with contextlib.suppress(BlockingIOError):
            sent += client.send(bytes(65536))
            quiet = time.monotonic() + 1
        assert sent < 64 << 20, "it takes bytes without end"
    other, other_server = pair(proxy, upstream)
    for _ in range(100):
        other.sendall(b"ping")
        assert other_server.recv(4) == b"ping"
        other_server.sendall(b"pong")
        assert other.recv(4) == b"pong"
    client.shutdown(socket.SHUT_WR)
    assert len(receive_all(server)) == sent
    for sock in client, server, other, other_server:
        sock.close()


def test_resets_are_passed_on(proxy, upstream):
    abort = struct.pack("ii", 1, 0)
    for which in 0, 1:
        both = pair(proxy, upstream)
        both[0].sendall(b"x")
        assert both[1].recv(1) == b"x"
        both[which].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abort)
        both[which].close()
        assert resets(both[1 - which])
        both[1 - which].close()
    assert proxy.stop()[1] == ""


def test_no_server(proxy, upstream):
    upstream.close()
    for _ in range(3):
        with contextlib.suppress(ConnectionResetError):  # so early that connecting meets it
            client, = connections(proxy.lab, 1)
            assert resets(client)
            client.close()
    _, err = proxy.stop()
    assert "nobody listens" in err and err.count("\n") == 1


@pytest.mark.parametrize("request_engine", ENGINES)
def test_unix_server(request, lab, request_engine):
    path = lab.dir / "server.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    server.settimeout(10)
    request.param = request_engine
    proxy = Program(lab, request, "proxy", "--to", f"unix:{path}")
    client, end = pair(proxy, server)
    client.sendall(b"over")
    assert end.recv(4) == b"over"
    end.sendall(b"and back")
    end.close()
    assert receive_all(client) == b"and back"
    client.close()
    server.close()
    proxy.stop()


@pytest.mark.parametrize("engine", ENGINES)
def test_zero_copy_is_not_tried_for_long(request, lab, engine):
    path = request.getfixturevalue("ringsvc").socket if engine == "direct" else "-"
    sink, = in_namespace(lab.client.netns, lambda: [socket.socket()])
    sink.settimeout(10)
    sink.bind((lab.client.ip4, PORT))
    sink.listen()
    bulk = lab.server.popen(lab.bin("bulk"), engine, path, lab.client.ip4, PORT, stdout=subprocess.PIPE)
    server, _ = sink.accept()
    server.settimeout(10)
    assert len(receive_all(server)) == 256 << 16
    server.close()
    sink.close()
    tries, copied, refused = map(int, re.findall(r"\d+", bulk.communicate(timeout=10)[0]))
    assert 0 < tries <= 4 and copied + refused == tries


@pytest.fixture
def two_lanes(lab):
    """What a program needs to have two lanes."""
    path = lab.dir / "two.sock"
    service = lab.server.popen(lab.bin("sidecore-ringsvc"), "--cpus", "0,1", "--socket", path, stderr=subprocess.DEVNULL)
    assert wait_until(path.exists) and service.poll() is None
    return ["--engine", "direct", "--socket", path, "--lanes", "2", "--stats"]


def answers(lab, program, two_lanes, address, clients):
    """Whether each of the clients gets its own bytes back from the program."""
    process = lab.server.popen(lab.bin(program), "--address", address, "--port", PORT, *two_lanes, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    assert f"listening on {address}" in process.stderr.readline()
    socks = clients()
    for i, sock in enumerate(socks):
        sock.settimeout(10)
        sock.send(b"%d" % i)
    got = [sock.recv(100) for sock in socks]
    for sock in socks:
        sock.close()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=5)
    assert json.loads(out)["lanes"] == 2
    return got == [b"%d" % i for i in range(len(socks))]


def connected(kind, address):
    made = socket.socket(*kind)
    made.connect(address)
    return made


def test_unix_socket_of_two_lanes(lab, two_lanes):
    """One socket, from which both accept."""
    path = str(lab.dir / "echo.sock")
    assert answers(lab, "echo", two_lanes, f"unix:{path}", lambda: [connected((socket.AF_UNIX,), path) for _ in range(50)])


def test_datagrams_of_two_lanes(lab, two_lanes):
    """A socket each, among which the kernel deals them out."""
    kind = (socket.AF_INET, socket.SOCK_DGRAM)
    assert answers(lab, "udp_echo", two_lanes, lab.server.ip4, lambda: in_namespace(
        lab.client.netns, lambda: [connected(kind, (lab.server.ip4, PORT)) for _ in range(30)]))


@pytest.mark.parametrize("args, says", [
    ((), "--to"),
    (("--to", "server.example", "--to-port", "80"), "--to server.example"),
    (("--to", "10.0.0.1"), "--to-port"),
    (("--to", "unix:"), "--to unix:"),
    (("--to", "10.0.0.1", "--to-port", "0"), "--to-port 0"),
    (("--to", "10.0.0.1", "--timeout-ms", "x"), "--timeout-ms x"),
])
def test_bad_options(lab, args, says):
    done = lab.server.run(lab.bin("proxy"), *args, check=False)
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1
