# SPDX-License-Identifier: MIT
"""Death of each part in the middle of work: who notices, how soon, and what is left."""

import os
import select
import signal
import socket
import time

import pytest

from tools import (NOBODY, PORT, Http, Httpd, Ringsvc, channels, connections, gone, memory_kib, server_sockets,
                   wait_until)

# From the death of an app to the end of all it had.
RELEASE_S = 0.1


@pytest.fixture
def served(lab, ringsvc, site):
    """The lab with ringsvc and httpd on engine direct; lab.engine is the pid of the one engine."""
    # What lies in send buffers still arrives before the end does: little of it, so that the end is what is timed.
    lab.server.run("sysctl", "-qw", "net.ipv4.tcp_wmem=4096 16384 65536")
    lab.ringsvc, lab.httpd = ringsvc, Httpd(lab, site.dir)
    [lab.engine] = ringsvc.engines(NOBODY)
    return lab


def transfers(lab, count):
    """count connections that each have begun to receive 100 MB and then stopped reading."""
    socks = connections(lab, count, receive_room=1 << 16)
    for sock in socks:
        Http(sock).ask("/big")
    for sock in socks:
        assert sock.recv(1000)
    return socks


def await_end(socks, within):
    """Reads all of them to their ends; fails if one has none in time. Returns the seconds the slowest took."""
    start, left = time.monotonic(), {sock.fileno(): sock for sock in socks}
    poller = select.epoll()
    for fd, sock in left.items():
        sock.setblocking(False)
        poller.register(fd, select.EPOLLIN)
    while left:
        assert time.monotonic() < start + within, f"{len(left)} of {len(socks)} connections hang"
        for fd, _ in poller.poll(0.1):
            try:
                ended = not left[fd].recv(1 << 20)
            except ConnectionResetError:
                ended = True
            if ended:
                poller.unregister(fd)
                left.pop(fd).close()
    return time.monotonic() - start


def seconds_until(condition, within=5):
    start = time.monotonic()
    assert wait_until(condition, within, 0.001), f"not within {within} s"
    return time.monotonic() - start


def ends_with_one_line(httpd, within=1):
    """The app must not hang, and says once what happened."""
    seconds_until(lambda: not httpd.alive(), within)
    assert httpd.process.returncode == 1
    assert len(httpd.last_words()) == 1 and "engine: lost" in httpd.last_words()[0], httpd.last_words()


def serves(lab, site, **kwargs):
    """A new app works; it is ended again."""
    httpd = Httpd(lab, site.dir, **kwargs)
    [sock] = connections(lab, 1, port=httpd.port)
    with sock:
        assert Http(sock).get("/page") == (200, site.bodies["page"])
    assert httpd.stop() == 0


def test_app_killed_with_200_transfers(served, site, small_site):
    for _ in range(3):
        socks = transfers(served, 200)
        assert channels(served.engine) == 1 and server_sockets(served) == 201
        served.httpd.kill()  # returns when it is dead
        released = seconds_until(lambda: channels(served.engine) == 0 and server_sockets(served) == 0, 1)
        await_end(socks, 1)
        seconds_until(lambda: gone(served.engine), 3)  # it waits a second for another session
        if released < RELEASE_S:
            break
        served.httpd = Httpd(served, site.dir)  # the machine may have been busy: that is not the service's time
        [served.engine] = served.ringsvc.engines(NOBODY)
    assert released < RELEASE_S
    serves(served, small_site)


def test_app_killed_while_another_of_its_user_is_served(served, site, small_site):
    other = Httpd(served, small_site.dir, port=PORT + 1)
    assert served.ringsvc.engines() == [served.engine] and channels(served.engine) == 2
    before = memory_kib(served.engine)
    socks = transfers(served, 50)
    [kept] = connections(served, 1, port=other.port)
    served.httpd.kill()
    seconds_until(lambda: channels(served.engine) == 1 and server_sockets(served) == 0, 1)
    assert Http(kept).get("/small") == (200, site.bodies["small"])
    await_end(socks, 1)
    assert memory_kib(served.engine) <= before
    assert other.stop() == 0


def test_app_stopped_closes_what_it_had(served):
    socks = transfers(served, 20)
    served.httpd.process.terminate()
    await_end(socks, 1)
    assert served.httpd.process.wait(timeout=1) == 0
    seconds_until(lambda: channels(served.engine) == 0 and server_sockets(served) == 0, 1)


def test_broker_killed(served, small_site):
    socks = transfers(served, 200)
    served.ringsvc.kill()
    ends_with_one_line(served.httpd)
    seconds_until(lambda: gone(served.engine), 1)
    await_end(socks, 1)
    seconds_until(lambda: server_sockets(served) == 0, 1)
    assert served.ringsvc.socket.exists()  # stale: the next one must get over it
    again = Ringsvc(served)
    serves(served, small_site)
    assert again.stop() == 0 and not again.socket.exists()


def test_engine_killed(served, small_site):
    socks = transfers(served, 200)
    os.kill(served.engine, signal.SIGKILL)
    ends_with_one_line(served.httpd)
    await_end(socks, 1)
    assert served.ringsvc.alive()
    serves(served, small_site)


def test_killed_engine_is_in_the_log(served):
    os.kill(served.engine, signal.SIGKILL)
    [line] = wait_until(served.ringsvc.last_words, 2) or ["(nothing)"]
    assert f"engine {served.engine} of uid {NOBODY}: killed by signal 9" in line


def test_engine_killed_under_an_idle_app(served):
    os.kill(served.engine, signal.SIGKILL)
    ends_with_one_line(served.httpd)


def test_engine_of_another_user_killed(served, site, small_site):
    other = Httpd(served, small_site.dir, uid=NOBODY - 1, port=PORT + 1)
    [engine] = served.ringsvc.engines(NOBODY - 1)
    os.kill(engine, signal.SIGKILL)
    ends_with_one_line(other)
    [sock] = connections(served, 1)
    with sock:
        assert Http(sock).get("/page") == (200, site.bodies["page"])


def test_broker_stopped(served):
    socks = transfers(served, 20)
    assert served.ringsvc.stop() == 0
    assert gone(served.engine) and not served.ringsvc.socket.exists()
    ends_with_one_line(served.httpd)
    await_end(socks, 1)


def test_app_on_auto_goes_on_alone_without_a_broker(served, small_site):
    """auto is direct while somebody answers, and local, saying why, when nobody does."""
    served.httpd.stop()
    served.ringsvc.kill()
    httpd = Httpd(served, small_site.dir, "--socket", served.ringsvc.socket, engine="auto", says="local")
    assert "not direct: " in httpd.said() and "no sidecore-ringsvc answers" in httpd.said()
    [sock] = connections(served, 1)
    with sock:
        assert Http(sock).get("/small") == (200, small_site.bodies["small"])


def test_app_killed_at_any_moment(lab, ringsvc, small_site):
    """From before its first message to the middle of service: nothing of it stays with the service."""
    serves(lab, small_site)
    [engine] = ringsvc.engines(NOBODY)
    keeper = Httpd(lab, small_site.dir, port=PORT + 1)  # holds the engine, so that its files can be counted
    files = lambda: len(os.listdir(f"/proc/{engine}/fd"))
    before, broker_before = files(), ringsvc.files()
    for step in range(40):
        app = lab.server.popen("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", lab.dir / "httpd",
                               "--engine", "direct", "--socket", ringsvc.socket, "--root", small_site.dir,
                               "--port", PORT)
        time.sleep(step * 0.0008)
        app.kill()
        app.wait()
    assert wait_until(lambda: (channels(engine), files(), ringsvc.files()) == (1, before, broker_before), 2), \
        (channels(engine), files(), before, ringsvc.files(), broker_before)
    assert wait_until(lambda: server_sockets(lab) == 0, 1)
    assert keeper.stop() == 0
    assert ringsvc.alive() and ringsvc.last_words() == []
