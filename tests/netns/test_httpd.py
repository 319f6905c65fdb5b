# SPDX-License-Identifier: MIT
"""The web servers, one handler over four ways of moving bytes, and echo: everything a client can do to them."""

import contextlib
import ctypes
import email.utils
import hashlib
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

from conftest import wait_until

PORT = 8080
LIBAPP = ["local", "direct"]
SERVERS = ["epoll", "uring", *LIBAPP]
SMALL = b"s" * 127 + b"\n"
FILES = {
    "small.txt": SMALL,
    "16k.bin": bytes(range(256)) * 64,
    "index.html": b"<h1>it works</h1>\n",
    "empty.txt": b"",
    "a b.txt": b"spaced\n",
    "5m.bin": os.urandom(1 << 20) * 5,
}
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


class Server:
    """A running server, its files and its way of being reached."""

    def __init__(self, lab, kind, process, service):
        self.lab, self.kind, self.process, self.service = lab, kind, process, service

    def url(self, path, host=None):
        return f"http://{host or self.lab.server.ip4}:{PORT}{path}"

    def curl(self, *args, check=True):
        return self.lab.client.run("curl", "-sS", "--max-time", 20, *args, check=check)

    def connect(self, **options):
        return connect(self.lab.client, (self.lab.server.ip4, PORT), **options)

    def resident_kib(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024

    def stop(self):
        """SIGTERM; returns the statistics line, parsed."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=5)
        assert self.process.returncode == 0, err
        return json.loads(out)


def connect(host, address, receive_buffer=0):
    """A TCP connection made inside host's namespace: a thread may live in another one than its process."""
    made = []

    def in_namespace():
        with open(f"/run/netns/{host.netns}", encoding="ascii") as netns:
            if LIBC.setns(netns.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        made.append(socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET))

    thread = threading.Thread(target=in_namespace)
    thread.start()
    thread.join()
    sock = made[0]
    sock.settimeout(10)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(address)
    return sock


def start_ringsvc(lab):
    path = lab.dir / "ringsvc.sock"
    cpu = max(os.sched_getaffinity(0))
    service = lab.server.popen(lab.bin("sidecore-ringsvc"), "--cpus", cpu, "--socket", path, stderr=subprocess.DEVNULL)
    assert wait_until(path.exists), "sidecore-ringsvc did not come up"
    return service, path


def start(lab, program, kind, *args):
    """Starts program (httpd or echo) for kind and waits for its ready line."""
    service, options = None, []
    if kind in LIBAPP:
        options = ["--engine", kind]
    else:
        program = f"{program}_{kind}"
    if kind == "direct":
        service, path = start_ringsvc(lab)
        options += ["--socket", path]
    process = lab.server.popen(lab.bin(program), "--address", "::", "--port", PORT, "--stats", *options, *args,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    line = process.stderr.readline()
    assert re.fullmatch(rf"{program}: listening on \[::\]:{PORT} \(engine {kind}.*\)\n", line), line
    return Server(lab, kind, process, service)


def write_files(lab):
    root = lab.dir / "www"
    root.mkdir()
    for name, content in FILES.items():
        (root / name).write_bytes(content)
    return root


@pytest.fixture(params=SERVERS)
def server(request, lab):
    """Each HTTP server in turn, serving FILES on the lab's server host, IPv4 and IPv6."""
    return start(lab, "httpd", request.param, "--root", write_files(lab))


@pytest.fixture(params=LIBAPP)
def httpd(request, lab):
    """Only those on libapp."""
    return start(lab, "httpd", request.param, "--root", write_files(lab))


@pytest.fixture(params=LIBAPP)
def echo(request, lab):
    return start(lab, "echo", request.param)


def get(path, *fields, method="GET", version="1.1"):
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: x", *fields, "", ""]).encode()


class Reader:
    """Reads responses off a socket."""

    def __init__(self, sock):
        self.file = sock.makefile("rb")

    def response(self, body=True):
        """(status, fields in lower case, body); (0, {}, b"") at the end of the stream."""
        line = self.file.readline()
        if not line:
            return 0, {}, b""
        version, status, _ = line.decode().split(" ", 2)
        assert version == "HTTP/1.1"
        fields = {}
        while (line := self.file.readline()) != b"\r\n":
            name, value = line.decode().split(":", 1)
            assert name.lower() not in fields, "field given twice"
            fields[name.lower()] = value.strip()
        length = int(fields["content-length"])
        content = self.file.read(length) if body else b""
        assert not body or len(content) == length
        return int(status), fields, content


def receive_all(sock):
    data = bytearray()
    while piece := sock.recv(65536):
        data += piece
    return bytes(data)


# --- what is served -------------------------------------------------------------------------------------------------------


def test_files_by_curl(server):
    for name, content in FILES.items():
        path = "/" + name.replace(" ", "%20")
        out = server.lab.dir / "out"
        out.write_bytes(b"")
        head = server.curl("-D", "-", "-o", out, server.url(path)).stdout
        assert head.startswith("HTTP/1.1 200 OK\n") and f"\nContent-Length: {len(content)}\n" in head
        assert out.read_bytes() == content
    assert server.curl(server.url("/?a=b")).stdout.encode() == FILES["index.html"]
    assert server.curl("-g", server.url("/small.txt", f"[{server.lab.server.ip6}]")).stdout.encode() == SMALL


def test_head_tells_and_sends_nothing(server):
    with server.connect() as sock:
        sock.sendall(get("/16k.bin", method="HEAD") + get("/none", method="HEAD") + get("/small.txt", "Connection: close"))
        reader = Reader(sock)
        status, fields, _ = reader.response(body=False)
        assert status == 200 and fields["content-length"] == "16384"
        assert fields["content-type"] == "application/octet-stream"
        date = email.utils.parsedate_to_datetime(fields["date"]).timestamp()
        assert abs(date - time.time()) < 3
        assert reader.response(body=False)[0] == 404
        status, fields, body = reader.response()
        assert (status, body, fields["connection"]) == (200, SMALL, "close")
        assert reader.response()[0] == 0


def test_date_moves_on(server):
    with server.connect() as sock:
        reader, dates = Reader(sock), set()
        for _ in range(4):
            sock.sendall(get("/small.txt"))
            dates.add(reader.response()[1]["date"])
            time.sleep(0.4)
        assert 2 <= len(dates) <= 3


REFUSALS = [
    (["/none"], 404, ""),
    (["--path-as-is", "/../../../../etc/passwd"], 404, ""),
    (["/%2e%2e/%2e%2e/etc/passwd"], 404, ""),
    (["-X", "DELETE", "/small.txt"], 405, "Allow: GET, HEAD"),
    (["-d", "x=1", "/small.txt"], 405, "Allow: GET, HEAD"),
    (["-X", "OPTIONS", "--request-target", "*", "/"], 405, "Allow: GET, HEAD"),
    (["-H", "Host:", "/"], 400, "Connection: close"),
    (["-H", "A: " + "x" * 9000, "/"], 431, "Connection: close"),
    (["/" + "x" * 9000], 414, "Connection: close"),
    (["/%00"], 400, "Connection: close"),
]


def test_refusals_by_curl(server):
    for args, status, says in REFUSALS:
        head = server.curl("-i", *args[:-1], server.url(args[-1])).stdout
        assert head.startswith(f"HTTP/1.1 {status} ") and says in head, args
    assert server.curl(server.url("/small.txt")).stdout.encode() == SMALL


def test_large_body_by_sha256(lab, tmp_path):
    """100 MB through each server, one after the other: the file is made once."""
    root = write_files(lab)
    digest = hashlib.sha256()
    with open(root / "big.bin", "wb") as file:
        for _ in range(100):
            piece = os.urandom(1000000)
            digest.update(piece)
            file.write(piece)
    for kind in SERVERS:
        server = start(lab, "httpd", kind, "--root", root)
        out = tmp_path / "out"
        server.curl("-o", out, server.url("/big.bin"))
        assert hashlib.sha256(out.read_bytes()).hexdigest() == digest.hexdigest(), kind
        server.stop()
        if server.service:
            server.service.terminate()
            server.service.wait(5)


# --- connections ------------------------------------------------------------------------------------------------------------


def test_keep_alive_and_close(server):
    with server.connect() as sock:
        reader = Reader(sock)
        for _ in range(200):
            sock.sendall(get("/small.txt"))
            status, fields, body = reader.response()
            assert (status, body) == (200, SMALL) and "connection" not in fields
        sock.sendall(get("/small.txt", "Connection: keep-alive", version="1.0"))
        assert reader.response()[1]["connection"] == "keep-alive"
        sock.sendall(get("/small.txt", version="1.0"))
        assert reader.response()[1]["connection"] == "close"
        assert reader.response()[0] == 0


def test_pipelined_requests_are_answered_in_order(server):
    names = ["small.txt", "16k.bin", "empty.txt", "none", "a%20b.txt", "5m.bin", "index.html"] * 20
    with server.connect() as sock:
        requests = b"".join(get("/" + name) for name in names)
        threading.Thread(target=sock.sendall, args=(requests,)).start()
        reader = Reader(sock)
        for name in names:
            status, _, body = reader.response()
            if name == "none":
                assert status == 404
            else:
                assert status == 200 and body == FILES[name.replace("%20", " ")]


def test_requests_byte_by_byte(server):
    """A slow writer is answered, and others meanwhile."""
    with server.connect() as slow, server.connect() as other:
        slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        slow_reader, other_reader = Reader(slow), Reader(other)
        for byte in get("/small.txt") + b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + get("/16k.bin"):
            slow.sendall(bytes([byte]))
            other.sendall(get("/small.txt"))
            assert other_reader.response()[2] == SMALL
        assert slow_reader.response()[2] == SMALL
        assert slow_reader.response()[0] == 405
        assert slow_reader.response()[2] == FILES["16k.bin"]


def test_slow_reader_gets_all_and_holds_nobody_up(server):
    with server.connect(receive_buffer=4096) as slow, server.connect() as other:
        slow.sendall(get("/5m.bin"))
        reader = Reader(other)
        for _ in range(50):
            slow.recv(1024, socket.MSG_PEEK)
            began = time.monotonic()
            other.sendall(get("/small.txt"))
            assert reader.response()[2] == SMALL
            assert time.monotonic() - began < 1
        status, _, body = Reader(slow).response()
        assert status == 200 and body == FILES["5m.bin"]


def test_client_that_never_reads_is_stopped(server):
    """Its requests are not taken for ever, what is kept for it is bounded, and what was taken is answered."""
    request = get("/16k.bin", "Padding: " + "x" * 4000)  # long, or what the sockets hold is a gigabyte of answers
    with server.connect(receive_buffer=8192) as sock, server.connect() as other:
        before, sent = server.resident_kib(), 0
        sock.setblocking(False)
        pending = b""
        quiet = time.monotonic() + 1
        while time.monotonic() < quiet:
            with contextlib.suppress(BlockingIOError):
                pending = pending or request * 100
                done = sock.send(pending)
                pending, sent = pending[done:], sent + done
                quiet = time.monotonic() + 1
            assert sent < 64 << 20, "it takes requests without end"
        assert server.resident_kib() - before < 4096
        other.sendall(get("/small.txt"))
        assert Reader(other).response()[2] == SMALL
        sock.settimeout(10)
        cut = sent % len(request)
        rest = request[cut:] if cut else b""
        threading.Thread(target=sock.sendall, args=(rest,)).start()
        reader = Reader(sock)
        for _ in range((sent + len(rest)) // len(request)):
            status, _, body = reader.response()
            assert status == 200 and body == FILES["16k.bin"]


def test_half_close_after_the_requests(server):
    with server.connect() as sock:
        sock.sendall(get("/small.txt") + get("/5m.bin") + get("/small.txt"))
        sock.shutdown(socket.SHUT_WR)
        reader = Reader(sock)
        assert [reader.response()[2] for _ in range(3)] == [SMALL, FILES["5m.bin"], SMALL]
        assert reader.response()[0] == 0


def test_end_in_the_middle_of_a_request(server):
    with server.connect() as sock:
        sock.sendall(get("/small.txt") + b"GET /sma")
        sock.shutdown(socket.SHUT_WR)
        reader = Reader(sock)
        assert reader.response()[2] == SMALL
        assert reader.response()[0] == 0


def test_error_reaches_a_client_that_is_still_sending(server):
    """Closing with unread bytes would reset the connection and take the answer along."""
    for begin in (b"nonsense\r\n\r\n", b"POST / HTTP/1.0\r\nContent-Length: 3000000\r\n\r\n"):
        with server.connect() as sock:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(begin + b"x" * 3000000)
            time.sleep(0.1)
            status, fields, _ = Reader(sock).response()
            assert status in (400, 405) and fields["connection"] == "close"


def test_lingering_ends(server):
    """A client that goes on sending after its error is cut off within some seconds."""
    with server.connect() as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        assert Reader(sock).response()[0] == 400
        began = time.monotonic()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while time.monotonic() < began + 8:
                sock.sendall(b"x")
                time.sleep(0.05)
        assert 1 < time.monotonic() - began < 5


def test_resets_are_survived(server):
    for _ in range(30):
        sock = server.connect()
        sock.sendall(get("/5m.bin") + get("/16k.bin") * 50)
        sock.recv(1000)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    with server.connect() as sock:
        sock.sendall(get("/16k.bin"))
        assert Reader(sock).response()[2] == FILES["16k.bin"]


def test_a_thousand_connections(server):
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(server.connect()) for _ in range(1000)]
        for sock in socks:
            sock.sendall(get("/small.txt"))
        for sock in socks:
            assert Reader(sock).response()[2] == SMALL
    stats = server.stop()
    assert stats["requests"] == 1000


def test_short_connections(server):
    for _ in range(300):
        with server.connect() as sock:
            sock.sendall(get("/small.txt", version="1.0"))
            assert receive_all(sock).endswith(SMALL)


@pytest.mark.parametrize("name", ["small.txt", "16k.bin"])
def test_load_by_wrk(server, name):
    out = server.lab.client.run("wrk", "-t1", "-c50", "-d1", server.url("/" + name)).stdout
    assert "Socket errors" not in out and "Non-2xx" not in out, out
    stats = server.stop()
    assert stats["requests"] >= int(re.search(r"(\d+) requests in", out)[1]) >= 200


# --- life of a server ---------------------------------------------------------------------------------------------------------


def test_statistics_and_end_with_connections_open(server):
    with server.connect() as idle, server.connect() as stuck:
        stuck.sendall(get("/5m.bin"))
        idle.sendall(get("/small.txt"))
        Reader(idle).response()
        stats = server.stop()
    assert stats["name"].startswith("httpd") and stats["engine"] == server.kind
    assert stats["requests"] == 2 and stats["user_s"] + stats["system_s"] > 0
    if server.kind in LIBAPP:
        assert stats["accepted"] == 2 and stats["sent"] > 128


def test_work_takes_its_time(lab):
    server = start(lab, "httpd", "epoll", "--root", write_files(lab), "--work-us", "5000")
    with server.connect() as sock:
        sock.sendall(get("/small.txt") * 40)
        reader = Reader(sock)
        for _ in range(40):
            reader.response()
    assert 0.15 < server.stop()["user_s"] < 0.6


@pytest.mark.parametrize("kind", ["epoll", "uring"])
def test_workers_share_a_port(lab, kind):
    server = start(lab, "httpd", kind, "--root", write_files(lab), "--workers", 2)
    for _ in range(40):
        with server.connect() as sock:
            sock.sendall(get("/small.txt"))
            assert Reader(sock).response()[2] == SMALL
    server.process.send_signal(signal.SIGTERM)
    out, err = server.process.communicate(timeout=5)
    assert server.process.returncode == 0, err
    requests = [json.loads(line)["requests"] for line in out.splitlines()]
    assert len(requests) == 2 and sum(requests) == 40 and min(requests) > 0


BAD_OPTIONS = [
    (["--no-such-option"], 2, "--no-such-option: unknown option"),
    (["--port", "65536"], 2, "--port 65536: not a whole number of 0 to 65535"),
    (["--port", "-1"], 2, "--port -1: not a whole number"),
    (["--cpu", "4000"], 2, "--cpu 4000"),
    (["--cpu", "1000"], 1, "CPU 1000"),
    (["--root", "/no/such/directory"], 1, "/no/such/directory: No such file"),
    (["--address", "localhost"], 1, "localhost"),
    (["--address", "192.0.2.1"], 1, "192.0.2.1"),
]


@pytest.mark.parametrize("program", ["httpd", "httpd_epoll", "httpd_uring"])
def test_bad_options(lab, program):
    root = write_files(lab)
    engine = ["--engine", "local"] if program == "httpd" else []
    for args, status, says in BAD_OPTIONS:
        done = lab.server.run(lab.bin(program), "--port", "0", "--root", root, *engine, *args, check=False)
        assert done.returncode == status and says in done.stderr, (args, done.stderr)
        assert done.stderr.count("\n") == 1, done.stderr


def test_port_taken(server):
    program = "httpd" if server.kind in LIBAPP else f"httpd_{server.kind}"
    engine = ["--engine", "local"] if program == "httpd" else []
    done = server.lab.server.run(server.lab.bin(program), "--root", server.lab.dir / "www", "--address", "::", "--port",
                                 PORT, *engine, check=False)
    assert done.returncode == 1 and str(PORT) in done.stderr and "in use" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("program", ["httpd", "echo"])
def test_no_ringsvc(lab, program):
    path = lab.dir / "none.sock"
    done = lab.server.run(lab.bin(program), "--engine", "direct", "--socket", path, check=False)
    assert done.returncode == 1 and str(path) in done.stderr and done.stderr.count("\n") == 1


def test_auto_falls_back_and_says_so(lab):
    process = lab.server.popen(lab.bin("httpd"), "--root", write_files(lab), "--socket", lab.dir / "none.sock",
                               stderr=subprocess.PIPE)
    assert "(engine local; not direct: " in process.stderr.readline()


@pytest.mark.parametrize("program", ["httpd", "echo"])
def test_ringsvc_killed(lab, program):
    server = start(lab, program, "direct", *(["--root", write_files(lab)] if program == "httpd" else []))
    with server.connect():
        server.service.kill()
        _, err = server.process.communicate(timeout=5)
    assert server.process.returncode == 1 and "lost" in err and err.count("\n") == 1


# --- echo ---------------------------------------------------------------------------------------------------------------------


def test_echo_returns_every_byte(echo):
    data = os.urandom(1 << 20) * 10
    with echo.connect() as sock:
        def send():
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

        threading.Thread(target=send).start()
        assert receive_all(sock) == data


def test_echo_stops_a_client_that_never_reads(echo):
    with echo.connect(receive_buffer=8192) as greedy, echo.connect() as other:
        greedy.setblocking(False)
        sent = 0
        quiet = time.monotonic() + 1
        while time.monotonic() < quiet:
            with contextlib.suppress(BlockingIOError):
                sent += greedy.send(bytes(65536))
                quiet = time.monotonic() + 1
            assert sent < 64 << 20, "it takes bytes without end"
        for _ in range(100):
            other.sendall(b"ping")
            assert other.recv(4) == b"ping"
        greedy.settimeout(10)
        greedy.shutdown(socket.SHUT_WR)
        assert len(receive_all(greedy)) == sent
    assert echo.stop()["accepted"] == 2
