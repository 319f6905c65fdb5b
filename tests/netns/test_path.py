# SPDX-License-Identifier: MIT
"""The whole path under traffic: XDP steers, an engine serves, a client in another namespace checks the bytes."""

import contextlib
import hashlib
import select
import socket
import struct
import time

import pytest

from tools import (APP_CPU, PORT, SERVICE_CPU, Customer, Http, Httpd, Ringsvc, connections, server_sockets,
                   stop_and_continue, wait_until, wrk, wrk_result, wrk_stop)

FAMILIES = [socket.AF_INET, socket.AF_INET6]
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() says RST


@pytest.fixture
def steered(lab):
    """The lab with the service's packets steered to the dedicated CPU."""
    lab.loader("attach", lab.server.ifname, "--cpus", SERVICE_CPU, "--mode", "native", "--service", f"tcp/{PORT}")
    yield lab
    lab.loader("detach", lab.server.ifname)


@pytest.fixture(params=["direct", "local"])
def path(request, steered, site):
    """The steered lab with httpd serving the site on one engine or the other."""
    steered.ringsvc = Ringsvc(steered) if request.param == "direct" else None
    steered.httpd = Httpd(steered, site.dir, engine=request.param)
    yield steered
    assert steered.httpd.alive() and steered.httpd.last_words() == []
    assert steered.httpd.stop() == 0


def url(lab, name, family=socket.AF_INET):
    return f"http://{lab.server.ip4 if family == socket.AF_INET else f'[{lab.server.ip6}]'}:{PORT}/{name}"


def connect(lab, **kwargs):
    return contextlib.closing(connections(lab, 1, **kwargs)[0])


@pytest.mark.parametrize("family", FAMILIES, ids=["ipv4", "ipv6"])
def test_curl_gets_the_right_bytes(path, site, family):
    for name, digest in site.digests.items():
        got = path.client.run("sh", "-c", 'curl -sS --fail "$0" | sha256sum', url(path, name, family)).stdout.split()[0]
        assert got == digest, name


def counts(lab):
    [attachment] = lab.status()["attachments"]
    [service] = attachment["services"]
    return service


def test_packets_land_on_the_dedicated_cpu(path):
    if APP_CPU == SERVICE_CPU:
        pytest.skip("one CPU: nowhere to steer to")
    requests, trouble = wrk_result(wrk(path, "/small", pin=APP_CPU))
    assert trouble == "" and requests > 500
    # A packet is on the dedicated CPU already, or goes there and arrives: there is no third way.
    assert wait_until(lambda: counts(path)["steered"] == counts(path)["arrived"]), counts(path)
    seen = counts(path)
    assert list(seen["arrived_by_cpu"]) == [str(SERVICE_CPU)]
    assert seen["steered"] + seen["local"] >= requests
    assert seen["steered"] > requests / 2  # the client sends from the other CPU


@pytest.mark.parametrize("name", ["small", "page"])
def test_load_without_an_error(path, name):
    requests, trouble = wrk_result(wrk(path, f"/{name}", seconds=2, pin=SERVICE_CPU))
    assert trouble == "" and requests > 1000


def test_a_thousand_connections(path, site):
    https = [Http(sock) for family in FAMILIES for sock in connections(path, 500, family=family)]
    for name in ("small", "page"):
        for http in https:
            http.ask(f"/{name}")
        for http in https:
            assert http.answer() == (200, site.bodies[name])
    for http in https:
        http.sock.close()
    assert wait_until(lambda: server_sockets(path) == 1)


def test_slow_reader_gets_all_and_hurts_nobody(path, site):
    with connect(path, receive_room=4096) as sock, Customer(path, site) as customer:
        http = Http(sock)
        http.ask("/big")
        taken, end = b"", time.monotonic() + 3
        while time.monotonic() < end:
            taken += sock.recv(1000)
            time.sleep(0.02)
        served = customer.served
        assert served > 100 and customer.slowest_s < 1
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        http.pending = taken
        assert http.digest() == site.digests["big"]
        assert http.get("/small") == (200, site.bodies["small"])
    assert customer.errors == []


def test_slow_writer_is_served_and_hurts_nobody(path, site):
    with connect(path) as sock, Customer(path, site) as customer:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        http = Http(sock)
        for _ in range(2):
            for byte in b"GET /page HTTP/1.1\r\nHost: slow\r\n\r\n":
                sock.sendall(bytes([byte]))
                time.sleep(0.01)
            assert http.answer() == (200, site.bodies["page"])
    assert customer.errors == [] and customer.slowest_s < 1


def test_half_closed_connection_is_answered_to_the_end(path, site):
    for name in ("small", "big"):
        with connect(path) as sock:
            http = Http(sock)
            http.ask(f"/{name}")
            sock.shutdown(socket.SHUT_WR)
            assert http.digest() == site.digests[name]
            assert sock.recv(1) == b""


def test_reset_in_mid_transfer_costs_only_that_connection(path, site):
    with Customer(path, site) as customer:
        for _ in range(3):
            doomed = connections(path, 30, receive_room=1 << 16)
            for sock in doomed:
                Http(sock).ask("/big")
            for sock in doomed:
                assert sock.recv(1000)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                sock.close()
    assert customer.errors == []
    assert wait_until(lambda: server_sockets(path) == 1), "connections that were reset are still there"
    with connect(path) as sock:
        Http(sock).ask("/big")
        assert sock.recv(1)


def test_pipelined_requests_are_answered_in_order(path, site):
    names = ["small", "page", "small", "small"] * 100
    with connect(path) as sock:
        http = Http(sock)
        sock.sendall(b"".join(f"GET /{name} HTTP/1.1\r\nHost: t\r\n\r\n".encode() for name in names))
        for name in names:
            assert http.answer() == (200, site.bodies[name])


def test_pipeline_that_is_not_read_is_held_back(path, site):
    """The client asks for far more than it reads: the server must stop taking requests, not fill its memory."""
    asking = (b"GET /page HTTP/1.1\r\nHost: t\r\nX: " + b"x" * 2000 + b"\r\n\r\n") * 100
    with connect(path, receive_room=4096) as sock, Customer(path, site) as customer:
        sock.setblocking(False)
        sent, still = 0, time.monotonic()
        while sent < 64 << 20 and time.monotonic() - still < 1:  # until nothing moves for a second
            if select.select([], [sock], [], 0.1)[1]:
                sent += sock.send(asking[sent % len(asking):])
                still = time.monotonic()
        assert sent < 64 << 20, "requests were taken without end"
        sock.settimeout(10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        http = Http(sock)
        for _ in range(sent * 100 // len(asking)):
            assert hashlib.sha256(http.answer()[1]).hexdigest() == site.digests["page"]
    assert customer.errors == [] and customer.slowest_s < 1


def test_new_programs_under_traffic(path):
    load = wrk(path, "/small", seconds=60, pin=SERVICE_CPU)
    ids = [path.server.xdp_id()]
    for cpus in (SERVICE_CPU, f"{APP_CPU},{SERVICE_CPU}", SERVICE_CPU):
        time.sleep(0.4)
        path.loader("attach", path.server.ifname, "--cpus", cpus)
        ids.append(path.server.xdp_id())
    requests, trouble = wrk_stop(load)
    assert trouble == "" and requests > 1000
    assert len(set(ids)) == len(ids)


def test_detach_under_traffic(path):
    load = wrk(path, "/small", seconds=60, pin=SERVICE_CPU)
    time.sleep(0.4)
    path.loader("detach", path.server.ifname)
    time.sleep(0.4)
    path.loader("attach", path.server.ifname, "--cpus", SERVICE_CPU, "--service", f"tcp/{PORT}")
    time.sleep(0.4)
    assert wrk_stop(load)[1] == ""


def test_stopped_broker_does_not_stop_traffic(steered, small_site):
    """The pollers belong to the engines: the broker is needed to begin, not to go on."""
    broker = Ringsvc(steered)
    httpd = Httpd(steered, small_site.dir)
    with Customer(steered, small_site) as customer:
        stop_and_continue(broker.pid, 2)
        served = customer.served
        assert wait_until(lambda: customer.served > served)
    assert customer.errors == [] and customer.slowest_s < 1 and served > 500
    Httpd(steered, small_site.dir, port=PORT + 1)  # the broker serves again
    assert httpd.alive()
