# SPDX-License-Identifier: MIT
"""What several test files need: Sidecore's daemons, sockets in a namespace, and HTTP spoken by hand."""

import concurrent.futures
import contextlib
import ctypes
import hashlib
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

PORT = 8080
NOBODY = 65534
APP_CPU, SERVICE_CPU = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
CLONE_NEWNET = 0x40000000
KERNEL_TROUBLE = re.compile(r"WARNING: |BUG: |Oops|KASAN|general protection|blocked for more than")


def wait_until(condition, timeout=5.0, step=0.02):
    """Poll condition() until it is true; returns its value, or its last false value after timeout seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() >= end:
            return value
        time.sleep(step)


def kernel_trouble():
    """What the kernel has said of bugs so far; the same list before and after means a quiet test."""
    said = subprocess.run(["dmesg"], capture_output=True, text=True, errors="replace", check=True).stdout
    return [line for line in said.splitlines() if KERNEL_TROUBLE.search(line)]


# --- processes --------------------------------------------------------------------------------------------------------

def processes():
    """Every process as (pid, parent's pid, name)."""
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
                if not rest.startswith(" Z"):
                    yield int(entry.name), int(rest.split()[1]), name


def gone(pid):
    """True once the process has ended, reaped or not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")
    except OSError:
        return True


def memory_kib(pid):
    """Resident memory of the process."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def channels(pid):
    """How many channels the process has mapped."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/maps").read_text().count("memfd:sidecore-channel")
    return 0


class Daemon:
    """A program started in a namespace: ready when its stderr, kept in a file, says so."""

    def __init__(self, lab, host, argv, ready, uid=0):
        name = pathlib.Path(argv[0]).name
        self.log = lab.dir / f"{name}-{len(host.processes)}.log"
        if uid:
            argv = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *argv]
        with open(self.log, "wb") as log:
            self.process = host.popen(*argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        self.pid, self.name = self.process.pid, name
        assert wait_until(lambda: ready in self.said() or self.process.poll() is not None) and self.alive(), \
            f"{name} did not start: {self.said()}"
        self.spoken = len(self.said())

    def said(self):
        """All of its stderr."""
        return self.log.read_text()

    def last_words(self):
        """Its stderr since it was ready, as lines."""
        return self.said()[self.spoken:].splitlines()

    def alive(self):
        return self.process.poll() is None

    def kill(self):
        """Ends it without warning; returns once it is dead."""
        self.process.kill()
        self.process.wait(timeout=5)

    def stop(self):
        """Asks it to end; returns its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=5)


class Ringsvc(Daemon):
    """sidecore-ringsvc of the lab, root's, open to every user."""

    def __init__(self, lab, *options):
        lab.dir.chmod(0o755)
        self.socket = lab.dir / "ringsvc.sock"
        super().__init__(lab, lab.server, [lab.bin("sidecore-ringsvc"), "--cpus", SERVICE_CPU, "--socket", self.socket,
                                           *options], "ready, CPUs")

    def engines(self, uid=None):
        """Pids of its engines, or of those of one uid."""
        pids = [pid for pid, parent, name in processes() if parent == self.pid and name == "sc-engine"]
        return pids if uid is None else [pid for pid in pids if owner(pid) == uid]

    def files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def owner(pid):
    """The process's effective uid; unlike the owner of its /proc entry right for one that cannot be dumped, too."""
    with contextlib.suppress(OSError):
        return int(re.search(r"Uid:\s+\d+\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
    return None


class Httpd(Daemon):
    """
    examples/httpd as a user without any right, on both address families; says: the engine it ends up with; wrapper: a
    command that runs it.
    """

    def __init__(self, lab, root, *options, engine="direct", says=None, uid=NOBODY, port=PORT, wrapper=()):
        lab.dir.chmod(0o755)
        program = lab.dir / "httpd"
        if not program.exists():  # where every user may run it: the build folder may be in somebody's private home
            shutil.copy(lab.bin("httpd"), program)
        argv = [*wrapper, program, "--engine", engine, "--address", "::", "--port", port, "--root", root, *options]
        if engine == "direct":
            argv += ["--socket", lab.dir / "ringsvc.sock"]
        self.port = port
        # The service takes back what a former one had within a tenth of a second of its end, not before it.
        assert wait_until(lambda: server_sockets(lab, port) == 0, 1), f"port {port} is not given back"
        super().__init__(lab, lab.server, argv, f"listening on [::]:{port} (engine {says or engine}", uid)


# --- the network ------------------------------------------------------------------------------------------------------

def in_namespace(netns, work):
    """Runs work() in a thread of that network namespace: sockets made there belong to it wherever they are used."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter():
        with open(f"/run/netns/{netns}", "rb") as namespace:
            if libc.setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns {netns}")
        return work()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(enter).result()


def sockets(host, count, family=socket.AF_INET):
    return in_namespace(host.netns, lambda: [socket.socket(family, socket.SOCK_STREAM) for _ in range(count)])


def connections(lab, count, *, port=PORT, family=socket.AF_INET, receive_room=None):
    """count connections of the client to the server; receive_room bounds what the client's kernel takes in."""
    made = sockets(lab.client, count, family)
    for sock in made:
        if receive_room:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_room)
        sock.settimeout(10)
        sock.connect((lab.server.ip6 if family == socket.AF_INET6 else lab.server.ip4, port))
    return made


def server_sockets(lab, port=PORT):
    """
    How many sockets the server's namespace has on the port, those aside that no process can hold any more. Read from
    the kernel's own table: starting ss would take longer than what is measured.
    """
    states = ("01", "03", "08", "0A")  # established, SYN received, close-wait, listening

    def read():
        found = 0
        for table in ("tcp", "tcp6"):
            for line in pathlib.Path(f"/proc/thread-self/net/{table}").read_text().splitlines()[1:]:
                local, state = line.split()[1:4:2]
                found += local.endswith(f":{port:04X}") and state in states
        return found

    return in_namespace(lab.server.netns, read)


# --- HTTP -------------------------------------------------------------------------------------------------------------

class Http:
    """One keep-alive connection."""

    def __init__(self, sock):
        self.sock, self.pending = sock, b""

    def ask(self, path, **headers):
        lines = [f"GET {path} HTTP/1.1", "Host: test"] + [f"{name}: {value}" for name, value in headers.items()]
        self.sock.sendall("\r\n".join(lines + ["", ""]).encode())

    def more(self):
        data = self.sock.recv(1 << 18)
        if not data:
            raise ConnectionError(f"the server ended the connection after {len(self.pending)} bytes of a response")
        return data

    def head(self):
        """The next response's status and Content-Length."""
        while b"\r\n\r\n" not in self.pending:
            self.pending += self.more()
        head, _, self.pending = self.pending.partition(b"\r\n\r\n")
        return int(head.split()[1]), int(re.search(rb"(?i)content-length: (\d+)", head)[1])

    def answer(self):
        """The next response: status and body."""
        status, length = self.head()
        while len(self.pending) < length:
            self.pending += self.more()
        body, self.pending = self.pending[:length], self.pending[length:]
        return status, body

    def get(self, path):
        self.ask(path)
        return self.answer()

    def digest(self):
        """The next response's body as SHA-256, without keeping it."""
        status, length = self.head()
        assert status == 200
        seen, sha = 0, hashlib.sha256()
        while seen < length:
            data, self.pending = self.pending or self.more(), b""
            sha.update(data[:length - seen])
            seen, self.pending = seen + len(data), data[length - seen:]
        return sha.hexdigest()


class Site:
    """A directory of files of known contents."""

    def __init__(self, directory, **sizes):
        self.dir, self.digests, self.bodies = directory, {}, {}
        directory.mkdir(mode=0o755)
        for name, size in sizes.items():
            body = random.Random(name).randbytes(size)
            (directory / name).write_bytes(body)
            self.digests[name] = hashlib.sha256(body).hexdigest()
            if size <= 1 << 20:
                self.bodies[name] = body


class Customer(threading.Thread):
    """Fetches a site's small files over and over, on fresh and on kept connections, and checks every byte."""

    def __init__(self, lab, site, port=PORT):
        super().__init__(daemon=True)
        self.lab, self.site, self.port = lab, site, port
        self.served, self.slowest_s, self.errors, self.ending = 0, 0.0, [], threading.Event()

    def visit(self):
        [sock] = connections(self.lab, 1, port=self.port)
        with sock:
            http = Http(sock)
            for _ in range(20):
                for name, body in self.site.bodies.items():
                    start = time.monotonic()
                    if http.get(f"/{name}") != (200, body):
                        self.errors.append(f"/{name}: wrong answer")
                    self.served += 1
                    self.slowest_s = max(self.slowest_s, time.monotonic() - start)

    def run(self):
        while not self.ending.is_set():
            try:
                self.visit()
            except Exception as error:  # pylint: disable=broad-except  # a thread that dies would only be silent
                self.errors.append(repr(error))
                time.sleep(0.05)

    def __enter__(self):
        self.start()
        assert wait_until(lambda: self.served or self.errors)
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join(15)


def wrk(lab, path, *, seconds=1, connections_count=64, pin=None, port=PORT):
    """Starts wrk on the client; wrk_result() of its Popen gives what it saw."""
    pinned = ["taskset", "-c", pin] if pin is not None else []
    return lab.client.popen(*pinned, "wrk", "-t1", f"-c{connections_count}", f"-d{seconds}s", "--timeout", "5s",
                            f"http://{lab.server.ip4}:{port}{path}", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wrk_result(process):
    """(requests, what went wrong: "" if nothing)."""
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    return (int(re.search(r"(\d+) requests in", out)[1]),
            "".join(line for line in out.splitlines() if "errors" in line or "Non-2xx" in line))


def wrk_stop(process):
    """The result so far of one that still runs."""
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    return wrk_result(process)


def stop_and_continue(pid, seconds):
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)
