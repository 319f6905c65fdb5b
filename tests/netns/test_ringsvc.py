# SPDX-License-Identifier: MIT
"""sidecore-ringsvc by itself: start and end, identity, jail, control protocol, death of each side. No XDP, no libapp."""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import pathlib
import random
import re
import select
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import BUILD, wait_until

PROGRAM = BUILD / "bin" / "sidecore-ringsvc"
NOBODY = 65534

MAGIC, VERSION = 0x4C544353, 2
HELLO, FILE_ADD, KICK, SEGMENT_ADD, SEGMENT_DEL, FILE_TAKE, REPLY = 1, 2, 3, 4, 5, 6, 0x8000
NONE, WRONG_VERSION, MALFORMED, LIMIT, ENGINES, SESSIONS, MEMLOCK, _MEMORY, _RING, _CPU, IDENTITY = range(11)
FIELDS = ("magic version type status reason lane slot lane_cnt conn_cnt buf_cnt buf_len sq_entries "
          "flags mem_len mem_base").split()
MESSAGE = struct.Struct("<IHHiIIIIIIIIIQQ")
CHANNEL = struct.Struct("<IHHIIQQQQI")
LANE = struct.Struct("<10Q6I")
LANE_FIELDS = ("sqes_off buf_ring_off bufs_off sq_head_off sq_tail_off sq_flags_off cq_head_off cq_tail_off "
               "cq_flags_off cqes_off sq_entries cq_entries buf_cnt buf_len cpu ring").split()
F_GET_SEALS, SEALS = 1034, 0x1 | 0x2 | 0x4  # SEAL, SHRINK, GROW
NEED_WAKEUP = 1
OP_NOP, OP_READ, OP_ACCEPT, OP_OPENAT, OP_SEND, OP_RECV, OP_MSG_RING, OP_FIXED_FD_INSTALL = 0, 22, 13, 18, 26, 27, 40, 54
MSG_SEND_FD, FILE_INDEX_ALLOC = 1, 0xFFFFFFFF
THREADS = 1  # flag of HELLO
FIXED_FILE, IO_LINK, BUFFER_SELECT = 1 << 0, 1 << 2, 1 << 5
RECV_MULTISHOT = 1 << 1
SLOT_FILES, SLOT_CONNS = 16, 80

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be several users")


def message(kind, **fields):
    values = dict.fromkeys(FIELDS, 0) | {"magic": MAGIC, "version": VERSION, "type": kind} | fields
    return MESSAGE.pack(*(values[name] for name in FIELDS))


def last_cpu():
    return max(os.sched_getaffinity(0))


def request(op, *, flags=0, ioprio=0, fd=-1, off=0, addr=0, length=0, msg_flags=0, user_data=0, file_index=0, addr3=0):
    """An SQE."""
    return struct.pack("<BBHiQQIIQHHIQ8x", op, flags, ioprio, fd, off, addr, length, msg_flags, user_data, 0, 0, file_index,
                       addr3)


class Refused(Exception):
    """The service said no: args are status and reason."""


class App:
    """An application: one control connection, and after hello() one mapped channel."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(5)
        self.socket.connect(str(path))
        self.memory, self.fds = None, []

    def receive(self):
        data, fds, _, _ = socket.recv_fds(self.socket, MESSAGE.size, 64)
        if not data:
            raise ConnectionResetError
        return dict(zip(FIELDS, MESSAGE.unpack(data))), fds

    def call(self, data, fds=()):
        with contextlib.suppress(BrokenPipeError):  # refused already: the reply tells why
            socket.send_fds(self.socket, [data], fds)
        reply, got = self.receive()
        assert reply["magic"] == MAGIC and reply["version"] == VERSION
        if reply["status"]:
            assert not got
            raise Refused(reply["status"], reply["reason"])
        return reply, got

    def hello(self, **wishes):
        reply, self.fds = self.call(message(HELLO, **wishes))
        assert reply["type"] == HELLO | REPLY and len(self.fds) == 1 + 2 * reply["lane_cnt"]
        self.memory = mmap.mmap(self.fds[0], reply["mem_len"])
        self.header = dict(zip("magic version lane_cnt header_len features channel_len base arena_off arena_len "
                               "conn_cnt".split(), CHANNEL.unpack_from(self.memory, 0)))
        self.lanes = [dict(zip(LANE_FIELDS, LANE.unpack_from(self.memory, 64 + 112 * i)))
                      for i in range(reply["lane_cnt"])]
        self.words = [memoryview(self.memory).cast("I")[lane[name] // 4:lane[name] // 4 + 1]
                      for lane in self.lanes for name in ("sq_tail_off", "sq_flags_off", "cq_head_off", "cq_tail_off")]
        return reply

    def file_add(self, sock, slot, lane=0):
        return self.call(message(FILE_ADD, lane=lane, slot=slot), [sock.fileno()])

    def segment_add(self, slot, length):
        return self.call(message(SEGMENT_ADD, slot=slot, mem_len=length))

    def kick(self, lane=0):
        return self.call(message(KICK, lane=lane))

    def submit(self, *requests, lane=0):
        """Queues requests and wakes the poller if it sleeps."""
        at = self.lanes[lane]
        tail, sq_flags = self.words[4 * lane:4 * lane + 2]
        for i, request in enumerate(requests):
            start = at["sqes_off"] + 64 * ((tail[0] + i) % at["sq_entries"])
            self.memory[start:start + 64] = request
        tail[0] = (tail[0] + len(requests)) & 0xFFFFFFFF
        if sq_flags[0] & NEED_WAKEUP:
            os.write(self.fds[2 + 2 * lane], (1).to_bytes(8, "little"))

    def completions(self, lane=0):
        at = self.lanes[lane]
        head, tail = self.words[4 * lane + 2:4 * lane + 4]
        while head[0] != tail[0]:
            cqe = struct.unpack_from("<QiI", self.memory, at["cqes_off"] + 16 * (head[0] % at["cq_entries"]))
            head[0] = (head[0] + 1) & 0xFFFFFFFF
            yield cqe

    def complete(self, user_data, timeout=3.0, lane=0):
        """The result of the request with this user_data."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for tag, result, _ in self.completions(lane):
                if tag == user_data:
                    return result
            time.sleep(0.001)
        raise TimeoutError(f"request {user_data:#x} did not complete")

    def offer_buffers(self):
        """Gives the kernel all receive buffers of lane 0."""
        at = self.lanes[0]
        for i in range(at["buf_cnt"]):
            struct.pack_into("<QIH", self.memory, at["buf_ring_off"] + 16 * i,
                             self.header["base"] + at["bufs_off"] + i * at["buf_len"], at["buf_len"], i)
        struct.pack_into("<H", self.memory, at["buf_ring_off"] + 14, at["buf_cnt"])

    def close(self):
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []


def status_of(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return {}
    return dict(re.findall(r"^(\w+):[ \t]*(.*?)[ \t]*$", text, re.M))


def alive(pid):
    return status_of(pid).get("State", "Z")[0] not in "ZX"


class Service:
    """A running sidecore-ringsvc."""

    def __init__(self, directory, *options, uid=None, env=None, verbose=True):
        self.path = directory / "ringsvc.sock"
        self.log = directory / "log"
        prefix = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"] if uid else []
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*prefix, PROGRAM, "--cpus", str(last_cpu()), "--socket", self.path, *["--verbose"] * verbose, *options],
                stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})

    def lines(self):
        return self.log.read_text().splitlines()

    def ready(self):
        assert wait_until(lambda: any(": ready, " in line for line in self.lines()) or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()
        return self

    def engines(self):
        """Pids of its engines that have reached their jail."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if status_of(pid).get("Seccomp") == "2"]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=5)


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory(prefix="sc-ringsvc-") as name:
        os.chmod(name, 0o777)
        yield pathlib.Path(name)


@pytest.fixture
def start(directory):
    """Starts services; all must be gone, and their engines with them, after the test."""
    services = []

    def make(*options, **kwargs):
        services.append(Service(directory, *options, **kwargs))
        return services[-1]

    yield make
    engines = [pid for service in services if service.process.poll() is None for pid in service.engines()]
    for service in services:
        service.stop()
    assert wait_until(lambda: not any(alive(pid) for pid in engines), 1), "engines outlive the service"


@pytest.fixture
def service(start):
    return start().ready()


@contextlib.contextmanager
def child(function, uid=None, netns=False):
    """Runs function in a child, as uid and in a network namespace of its own; it stays until the end of the block or
    until it is killed. Yields its pid and what function returned, as text."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(read)
            if netns:
                assert not ctypes.CDLL(None).unshare(0x40000000)
            if uid is not None:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            os.write(write, str(function()).encode())
            time.sleep(30)
        except BaseException as error:  # pylint: disable=broad-except
            os.write(write, f"{type(error).__name__}{error.args}".encode())
            time.sleep(30)
        finally:
            os._exit(0)
    os.close(write)
    assert select.select([read], [], [], 10)[0], "the child says nothing"
    try:
        yield pid, os.read(read, 1000).decode()
    finally:
        os.close(read)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def say_hello(path, keep=[]):  # pylint: disable=dangerous-default-value
    """For child(): the session lives as long as the process."""
    app = App(path)
    keep.append(app)
    return app.hello()["lane_cnt"]


# ---- start and end ---------------------------------------------------------------------------------------------------


def test_start_and_stop_leave_nothing(start):
    service = start().ready()
    line = next(line for line in service.lines() if ": ready, " in line)
    assert line == f"sidecore-ringsvc: ready, CPUs {last_cpu()}, socket {service.path}"
    mode = service.path.stat().st_mode
    assert stat.S_ISSOCK(mode) and mode & 0o777 == 0o666
    app = App(service.path)
    app.hello()
    engines = service.engines()
    assert len(engines) == 1
    began = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - began < 1
    assert not service.path.exists()
    assert not any(alive(pid) for pid in engines)
    assert app.socket.recv(1) == b""
    app.close()


def test_kernel_that_gives_slots_up_late_takes_an_engine_for_each_session(start):
    """As Linux 6.12 does: the service says so, and what it says holds."""
    service = start(env={"SIDECORE_DESCRIPTORS": "1"}, verbose=False).ready()
    note, _ = service.lines()
    assert "each session takes an engine, and a user may have 8:" in note
    apps = [App(service.path) for _ in range(9)]
    for app in apps[:8]:
        app.hello()
    assert len(service.engines()) == 8
    with pytest.raises(Refused):
        apps[8].hello()
    for app in apps:
        app.close()
    assert wait_until(lambda: not service.engines())
    assert hello_works(service.path)


def test_interrupt_ends_too(start):
    service = start().ready()
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(timeout=3) == 0
    assert not service.path.exists()


@pytest.mark.parametrize("abstract", [False, True])
def test_tells_the_service_manager(start, directory, abstract):
    path = f"@sc-ringsvc-{os.getpid()}" if abstract else str(directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path.replace("@", "\0", 1))
        manager.settimeout(5)
        service = start(env={"NOTIFY_SOCKET": path})
        assert manager.recv(100) == b"READY=1"
        assert not any(": ready" in line for line in service.lines())
        service.process.terminate()
        assert manager.recv(100) == b"STOPPING=1"
        assert service.process.wait(timeout=3) == 0


def run(*options, **kwargs):
    return subprocess.run([PROGRAM, *map(str, options)], capture_output=True, text=True, timeout=10, check=False, **kwargs)


@pytest.mark.parametrize("options, said", [
    ([], "--cpus LIST is missing"),
    (["--cpus"], "--cpus: unknown option, or its value is missing"),
    (["--cpus", ""], "not a list"),
    (["--cpus", "a"], "--cpus a: not a list"),
    (["--cpus", "1-"], "--cpus 1-: not a list"),
    (["--cpus", "3-1"], "--cpus 3-1: not a list"),
    (["--cpus", "99999"], "--cpus 99999: CPU number over 1023"),
    (["--cpus", "0-16"], "more than 16 CPUs"),
    (["--cpus", "0", "--idle-ms", "0"], "--idle-ms 0: not a number from 1"),
    (["--cpus", "0", "--idle-ms", "1x"], "--idle-ms 1x"),
    (["--cpus", "0", "--memlock", "0"], "--memlock 0: not a number from 1"),
    (["--cpus", "0", "--frobnicate"], "--frobnicate: unknown option"),
    (["--cpus", "0", "now"], "now: too many arguments"),
])
def test_wrong_usage(options, said):
    done = run(*options)
    assert done.returncode == 2 and said in done.stderr and not done.stdout
    assert done.stderr.count("\n") == 1


def test_help_and_version():
    assert run("--help").returncode == 0 and "--idle-ms" in run("--help").stdout
    assert re.fullmatch(r"sidecore-ringsvc \d+\.\d+\.\d+\n", run("--version").stdout)


def refused_start(*options, **kwargs):
    done = run(*options, **kwargs)
    assert done.returncode == 1 and not done.stdout
    line, = done.stderr.splitlines()
    assert line.startswith("sidecore-ringsvc: ")
    return line


def test_refuses_a_cpu_that_is_not_there(directory):
    text = refused_start("--cpus", 1000, "--socket", directory / "s")
    assert "CPU 1000: offline or not there: name online CPUs" in text
    assert not (directory / "s").exists()


@pytest.mark.parametrize("errno", [1, 38])
def test_says_when_io_uring_is_not_there(directory, errno):
    """As under a container's filter (EPERM), or on a kernel without it (ENOSYS)."""
    filters = struct.pack("<" + "HBBI" * 4, 0x20, 0, 0, 0,  # load the number of the call
                          0x15, 0, 1, 425,  # io_uring_setup?
                          0x06, 0, 0, 0x00050000 | errno,  # return errno
                          0x06, 0, 0, 0x7FFF0000)  # allow

    def forbid():
        program = ctypes.create_string_buffer(filters)
        fprog = struct.pack("<H6xQ", 4, ctypes.addressof(program))
        assert not ctypes.CDLL(None).prctl(22, 2, fprog)

    text = refused_start("--cpus", last_cpu(), "--socket", directory / "s", preexec_fn=forbid)
    assert "io_uring: " in text and {1: "EPERM", 38: "ENOSYS"}[errno] in text and "seccomp filter" in text
    assert not (directory / "s").exists()


def test_refuses_places_it_can_not_listen_at(directory):
    cpu = last_cpu()
    (directory / "file").write_text("precious")
    assert f"{directory}/file: not a socket: " in refused_start("--cpus", cpu, "--socket", directory / "file")
    assert (directory / "file").read_text() == "precious"
    assert "no such directory: make it" in refused_start("--cpus", cpu, "--socket", directory / "none" / "s")
    assert "give a shorter --socket" in refused_start("--cpus", cpu, "--socket", directory / ("x" * 200))
    env = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
    assert "XDG_RUNTIME_DIR names no directory: give --socket" in refused_start("--cpus", cpu, "--user", env=env)


def test_second_service_is_refused_and_harms_nothing(service):
    text = refused_start("--cpus", last_cpu(), "--socket", service.path)
    assert f"{service.path}: another sidecore-ringsvc answers there: stop it" in text
    app = App(service.path)
    app.hello()
    app.close()


def test_replaces_what_a_killed_service_left(start):
    first = start().ready()
    first.process.kill()
    first.process.wait()
    assert first.path.exists()
    second = start().ready()
    app = App(second.path)
    app.hello()
    app.close()


# ---- sessions --------------------------------------------------------------------------------------------------------


def test_hello_gives_a_sealed_channel(service):
    app = App(service.path)
    reply = app.hello()
    assert reply["lane_cnt"] == 1 and reply["reason"] == NONE
    header, lane = app.header, app.lanes[0]
    assert header["magic"] == 0x4E484353 and header["version"] == VERSION and header["header_len"] == 1856
    assert header["channel_len"] == reply["mem_len"] == os.fstat(app.fds[0]).st_size
    assert header["conn_cnt"] == 4096 and header["arena_len"] == 16 << 20
    assert header["arena_off"] + header["arena_len"] == header["channel_len"]
    assert lane["buf_cnt"] == 1024 and lane["buf_len"] == 4096 and lane["sq_entries"] == 1024
    assert lane["cq_entries"] == 16384 and lane["cpu"] == last_cpu()
    assert all(value % 4 == 0 and 0 < value < header["channel_len"]
               for name, value in lane.items() if name.endswith("_off"))
    assert fcntl.fcntl(app.fds[0], F_GET_SEALS) & SEALS == SEALS
    with pytest.raises(OSError):
        os.ftruncate(app.fds[0], 4096)
    for fd in app.fds[1:]:
        assert "eventfd" in os.readlink(f"/proc/self/fd/{fd}")
    word = lambda name: struct.unpack_from("<I", app.memory, lane[name])[0]
    assert word("sq_tail_off") == word("sq_head_off") == 1  # the doorbell is watched
    assert word("cq_flags_off") == 1  # IORING_CQ_EVENTFD_DISABLED
    assert word("cq_tail_off") == 0
    app.close()


def test_wishes(service):
    app = App(service.path)
    app.hello(lane_cnt=16, conn_cnt=5, buf_cnt=8, buf_len=256, sq_entries=64, mem_len=1)
    lane = app.lanes[0]
    assert len(app.lanes) == 1 and app.header["conn_cnt"] == 5 and app.header["arena_len"] == 4096
    assert (lane["buf_cnt"], lane["buf_len"], lane["sq_entries"], lane["cq_entries"]) == (8, 256, 64, 128)
    app.close()


@pytest.mark.parametrize("wishes", [{"lane_cnt": 17}, {"conn_cnt": 16385}, {"buf_cnt": 3}, {"buf_len": 128},
                                    {"sq_entries": 8192}, {"mem_len": (1 << 30) + 1}])
def test_wishes_out_of_bounds(service, wishes):
    app = App(service.path)
    with pytest.raises(Refused) as refused:
        app.hello(**wishes)
    assert refused.value.args == (-22, LIMIT)
    assert app.socket.recv(1) == b""
    app.close()


def test_requests_are_served_and_restricted(service):
    app = App(service.path)
    app.hello()
    for tag in range(2000):  # around the queue
        app.submit(request(OP_NOP, user_data=tag))
        if tag % 500 == 499:
            assert app.complete(tag) == 0
    app.submit(request(OP_OPENAT, user_data=9001, fd=-100))
    assert app.complete(9001) == -13
    for flag in (IO_LINK, 1 << 3, 1 << 4):  # and IOSQE_IO_HARDLINK, IOSQE_ASYNC
        app.submit(request(OP_NOP, user_data=9002, flags=flag))
        assert app.complete(9002) == -13
    time.sleep(0.3)  # longer than --idle-ms
    assert app.words[1][0] & NEED_WAKEUP
    app.submit(request(OP_NOP, user_data=9003))
    assert app.complete(9003) == 0
    time.sleep(0.3)
    app.words[0][0] += 1  # again what lies there, with no doorbell but a kick
    assert app.kick()[0]["type"] == KICK | REPLY
    assert wait_until(lambda: app.memory[app.lanes[0]["sq_head_off"]] == app.words[0][0] & 0xFF)
    app.close()


def test_completion_event(service):
    app = App(service.path)
    app.hello()
    app.submit(request(OP_NOP, user_data=1))
    assert app.complete(1) == 0
    assert not select.select([app.fds[1]], [], [], 0)[0]  # disabled at first
    struct.pack_into("<I", app.memory, app.lanes[0]["cq_flags_off"], 0)
    app.submit(request(OP_NOP, user_data=2))
    assert select.select([app.fds[1]], [], [], 2)[0]
    app.close()


def test_file_add_takes_sockets_only(service):
    app = App(service.path)
    app.hello(conn_cnt=4)
    with socket.socket() as sock, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as seqpacket, \
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as netlink, tempfile.TemporaryFile() as file:
        app.file_add(sock, 2)
        app.file_add(sock, SLOT_CONNS + 3)
        for bad, slot, lane, want in ((sock, 0, 0, (-22, LIMIT)), (sock, 1, 0, (-22, LIMIT)), (sock, SLOT_CONNS + 4, 0, (-22, LIMIT)),
                                      (sock, 1 << 31, 0, (-22, LIMIT)), (sock, 2, 1, (-22, LIMIT)),
                                      (sock, 2, 1 << 31, (-22, LIMIT)), (file, 2, 0, (-88, NONE)),
                                      (netlink, 2, 0, (-97, NONE)), (seqpacket, 2, 0, (-94, NONE))):
            with pytest.raises(Refused) as refused:
                app.file_add(bad, slot, lane)
            assert refused.value.args == want
        app.file_add(sock, 2)  # the session goes on
    with pytest.raises(Refused) as refused:
        app.kick(lane=1)
    assert refused.value.args == (-22, LIMIT)
    app.close()


def test_file_add_takes_regular_files_to_their_slots(service):
    app, (near, far) = App(service.path), socket.socketpair()
    app.hello(conn_cnt=4)
    with tempfile.TemporaryFile() as file, near, far, open("/dev/zero", "rb") as device:
        file.write(b"0123456789")
        file.flush()
        app.file_add(file, SLOT_FILES)
        app.file_add(file, SLOT_CONNS - 1)
        for bad, slot, want in ((near, SLOT_FILES, -22), (device, SLOT_FILES, -22), (file, SLOT_FILES - 1, -88),
                                (file, SLOT_CONNS, -88)):
            with pytest.raises(Refused) as refused:
                app.file_add(bad, slot)
            assert refused.value.args == (want, NONE)
        arena = app.header["arena_off"]
        read = {"flags": FIXED_FILE, "addr": app.header["base"] + arena, "user_data": 8}
        app.submit(request(OP_READ, fd=SLOT_CONNS - 1, length=5, **read))
        assert app.complete(8) == 5 and app.memory[arena:arena + 5] == b"01234"
        app.submit(request(OP_READ, fd=SLOT_FILES + 1, length=5, **read))
        assert app.complete(8) == -9  # EBADF: an empty slot
    app.close()


def test_lanes_of_threads_share_cores_and_hand_over_sockets(service):
    app, (near, far) = App(service.path), socket.socketpair()
    far.settimeout(5)
    app.hello(lane_cnt=3, conn_cnt=4, flags=THREADS)
    assert [lane["cpu"] for lane in app.lanes] == [last_cpu()] * 3
    app.file_add(near, SLOT_CONNS + 1, lane=0)
    near.close()
    for nth in range(5):  # behind the slots that the app deals out, and no more than it may have connections
        app.submit(request(OP_MSG_RING, fd=app.lanes[2]["ring"], addr=MSG_SEND_FD, addr3=SLOT_CONNS + 1, off=70 + nth,
                           file_index=FILE_INDEX_ALLOC, user_data=7))
        assert app.complete(7) == (SLOT_CONNS + 4 + nth if nth < 4 else -23)  # ENFILE
    assert app.complete(70, lane=2) == SLOT_CONNS + 4
    arena = app.header["arena_off"]
    app.memory[arena:arena + 5] = b"hello"
    app.submit(request(OP_SEND, flags=FIXED_FILE, fd=SLOT_CONNS + 4, addr=app.header["base"] + arena, length=5, user_data=8),
               lane=2)
    assert app.complete(8, lane=2) == 5 and far.recv(10) == b"hello"
    app.submit(request(OP_MSG_RING, fd=0, addr=MSG_SEND_FD, addr3=SLOT_CONNS + 1, file_index=FILE_INDEX_ALLOC, user_data=9))
    assert app.complete(9) == -77  # EBADFD: not a ring
    app.close()
    assert far.recv(1) == b""  # nothing of it stays behind


def test_segments(service):
    app, (near, far) = App(service.path), socket.socketpair()
    far.settimeout(5)
    app.hello(conn_cnt=4)
    engine, = service.engines()
    app.file_add(near, SLOT_CONNS)
    near.close()
    reply, (memfd,) = app.segment_add(3, 1 << 20)
    assert fcntl.fcntl(memfd, F_GET_SEALS) & SEALS == SEALS and os.fstat(memfd).st_size == reply["mem_len"] == 1 << 20
    assert reply["lane_cnt"] == 1  # registered
    os.pwrite(memfd, b"hello", 4096)
    send = {"flags": FIXED_FILE, "fd": SLOT_CONNS, "addr": reply["mem_base"] + 4096, "length": 5, "user_data": 8}
    app.submit(request(OP_SEND, **send))
    assert app.complete(8) == 5 and far.recv(10) == b"hello"
    assert channels_of(engine) == 2
    app.call(message(SEGMENT_DEL, slot=3))
    assert channels_of(engine) == 1
    app.submit(request(OP_SEND, **send))
    assert app.complete(8) == -14  # EFAULT: the address is nobody's, and will not be used again
    for slot, length, want in ((64, 4096, (-22, LIMIT)), (1 << 31, 4096, (-22, LIMIT)), (0, 0, (-22, LIMIT)),
                               (0, 4095, (-22, LIMIT)), (0, (1 << 30) + 4096, (-22, LIMIT)),
                               (0, 1 << 63, (-22, LIMIT)), (0, (1 << 64) - 4096, (-22, LIMIT))):
        with pytest.raises(Refused) as refused:
            app.segment_add(slot, length)
        assert refused.value.args == want
    for slot in (3, 64, 1 << 31):
        with pytest.raises(Refused) as refused:
            app.call(message(SEGMENT_DEL, slot=slot))
        assert refused.value.args == (-22, LIMIT)
    os.close(memfd)
    os.close(app.segment_add(0, 4096)[1][0])
    with pytest.raises(Refused) as refused:
        app.segment_add(0, 4096)
    assert refused.value.args == (-16, LIMIT)  # EBUSY
    app.close()
    assert wait_until(lambda: not channels_of(engine), 1)


def test_segments_are_bounded_together(start):
    """4 GiB of address space; none of it is touched, nor may be registered: that would take the memory."""
    service = start("--memlock", "4").ready()

    def fill():
        app = App(service.path)
        app.hello(conn_cnt=4)
        assert app.segment_add(10, 1 << 20)[0]["lane_cnt"] == 1  # within the limit
        app.call(message(SEGMENT_DEL, slot=10))
        for slot in range(4):
            assert app.segment_add(slot, 1 << 30)[0]["lane_cnt"] == 0
        try:
            app.segment_add(4, 4096)
        except Refused as refused:
            return refused.args
        return "never"

    with child(fill, uid=60124) as (_, said):
        assert said == f"(-22, {LIMIT})"


def test_memlock_that_may_not_be_raised(directory):
    text = refused_start("--cpus", last_cpu(), "--socket", directory / "s", "--memlock", 1 << 20,
                         user=NOBODY, group=NOBODY, extra_groups=[])
    assert "--memlock 1048576: " in text and "LimitMEMLOCK" in text


def test_many_sessions(service):
    apps = [App(service.path) for _ in range(64)]
    for app in apps[:20]:
        app.hello(conn_cnt=16, buf_cnt=16, sq_entries=64, mem_len=4096)
    with pytest.raises(Refused) as refused:
        App(service.path).hello()
    assert refused.value.args == (-11, SESSIONS)
    assert len(service.engines()) == 1
    apps.pop().close()
    assert wait_until(lambda: hello_works(service.path))
    for app in apps:
        app.close()


def hello_works(path):
    app = App(path)
    try:
        app.hello(conn_cnt=16, buf_cnt=16, sq_entries=64, mem_len=4096)
        return True
    except Refused:
        return False
    finally:
        app.close()


def test_engine_without_sessions_ends(service):
    app = App(service.path)
    app.hello()
    engine, = service.engines()
    app.close()
    time.sleep(0.5)
    assert service.engines() == [engine]
    app = App(service.path)  # comes back in time
    app.hello()
    time.sleep(1.5)
    assert service.engines() == [engine]
    app.close()
    assert wait_until(lambda: not service.engines(), 3)
    for _ in range(30):
        assert hello_works(service.path)


def test_sessions_one_after_another(service):
    """Together far beyond the limit on locked memory: what a session held must come back in time."""
    for _ in range(100):
        app = App(service.path)
        app.hello()
        app.close()
    engine, = service.engines()
    assert wait_until(lambda: not channels_of(engine))


def test_locked_memory_limit_is_told(start):
    # The limit is of a uid, over all its rings: take one that no other test uses
    service = start().ready()
    uid = 60123

    def fill():
        apps = []
        try:
            for _ in range(64):
                apps.append(App(service.path))
                apps[-1].hello(conn_cnt=16384, buf_cnt=32768, buf_len=256, sq_entries=4096)
        except Refused as refused:
            return refused.args
        finally:
            for app in apps:
                app.close()
        return "never"

    with child(fill, uid=uid) as (_, said):
        assert said == f"(-12, {MEMLOCK})"
    with child(lambda: say_hello(service.path), uid=uid) as (_, said):  # what they held is free again
        assert said == "1"


def files_of(pid):
    """What the process holds; it may be closing some of it just now."""
    held = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            held.append(re.sub(r"\d+", "N", os.readlink(f"/proc/{pid}/fd/{fd}")))
    return sorted(held)


# ---- identity and jail -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uid", [0, NOBODY])
def test_engine_is_in_jail(service, uid):
    with child(lambda: say_hello(service.path), uid=uid) as (pid, said):
        assert said == "1"
        engine, = service.engines()
        status = status_of(engine)
        assert status["Uid"].split() == [str(uid)] * 4 and status["Gid"].split() == [str(uid)] * 4
        assert status["Groups"] == "" and status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
        for caps in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[caps], 16) == 0
        # stdio; the loop; anchor and lane; the app's process; the broker and the app's control socket
        want = ["/dev/null"] * 3 + ["anon_inode:[eventpoll]"] + ["anon_inode:[io_uring]"] * 2 + \
            ["anon_inode:[pidfd]"] + ["socket:[N]"] * 2
        assert wait_until(lambda: files_of(engine) == want, 1), files_of(engine)
        assert not os.listdir(f"/proc/{engine}/root/")
        netns = {os.stat(f"/proc/{who}/ns/net").st_ino for who in (pid, engine, "self")}
        assert len(netns) == 2
        assert os.readlink(f"/proc/{engine}/ns/net") == os.readlink(f"/proc/{service.process.pid}/ns/net")
        limits = pathlib.Path(f"/proc/{engine}/limits").read_text()
        assert re.search(r"Max core file size\s+0\s+0", limits)


def test_broker_keeps_few_capabilities(service):
    status = status_of(service.process.pid)
    # KILL 5, SETGID 6, SETUID 7, SYS_CHROOT 18, SYS_PTRACE 19
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 1 << 5 | 1 << 6 | 1 << 7 | 1 << 18 | 1 << 19
    assert int(status["CapBnd"], 16) == int(status["CapInh"], 16) == 0 and status["NoNewPrivs"] == "1"


def test_one_engine_per_trust_domain(service):
    hello = lambda: say_hello(service.path)
    with child(hello), child(hello), child(hello, uid=NOBODY), child(hello, uid=NOBODY), child(hello, netns=True):
        uids = sorted(status_of(pid)["Uid"].split()[0] for pid in service.engines())
        assert uids == ["0", "0", str(NOBODY)]


def test_too_many_engines_of_one_user(service):
    hello = lambda: say_hello(service.path)
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            assert stack.enter_context(child(hello, uid=NOBODY, netns=True))[1] == "1"
        assert stack.enter_context(child(hello, uid=NOBODY, netns=True))[1] == f"Refused(-11, {ENGINES})"
        assert stack.enter_context(child(hello))[1] == "1"  # another user's business goes on


def test_rootless_serves_its_own_user_only(start):
    service = start(uid=NOBODY).ready()
    assert service.path.stat().st_mode & 0o777 == 0o600
    status = status_of(service.process.pid)
    assert int(status["CapPrm"], 16) == 0 and status["NoNewPrivs"] == "1"
    with child(lambda: say_hello(service.path), uid=NOBODY) as (_, said):
        assert said == "1"
        assert status_of(service.engines()[0])["Uid"].split() == [str(NOBODY)] * 4
    with pytest.raises(Refused) as refused:
        App(service.path).hello()
    assert refused.value.args == (-13, IDENTITY)


def test_rootless_by_root_works_without_capabilities(start):
    service = start("--user").ready()
    app = App(service.path)
    app.hello()
    app.close()


# ---- hostile apps ----------------------------------------------------------------------------------------------------


def cut(app):
    """True if the service has ended the session; the reply that says why is optional."""
    try:
        while app.socket.recv(4096):
            pass
        return True
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("data, want", [
    (message(HELLO, magic=1), (-74, MALFORMED)),
    (message(HELLO, version=VERSION + 1), (-71, WRONG_VERSION)),
    (message(HELLO, flags=2), (-22, LIMIT)),
    (message(HELLO, status=-1), (-74, MALFORMED)),
    (message(HELLO, mem_base=1), (-74, MALFORMED)),
    (message(0), (-74, MALFORMED)),
    (message(4), (-74, MALFORMED)),
    (message(HELLO | REPLY), (-74, MALFORMED)),
    (message(FILE_ADD), (-74, MALFORMED)),
    (message(KICK), (-74, MALFORMED)),  # before HELLO
    (message(HELLO)[:-1], (-74, MALFORMED)),
    (message(HELLO) + b"x", (-74, MALFORMED)),
    (b"x", (-74, MALFORMED)),
    (b"\xff" * 64, (-74, MALFORMED)),
    (b"x" * 100000, (-74, MALFORMED)),
])
def test_malformed_first_message(service, data, want):
    app = App(service.path)
    with pytest.raises(Refused) as refused:
        app.call(data)
    assert refused.value.args == want and cut(app)
    app.close()
    assert hello_works(service.path)


def test_second_hello_and_stray_descriptors(service):
    app = App(service.path)
    app.hello()
    with pytest.raises(Refused) as refused:
        app.hello()
    assert refused.value.args == (-74, MALFORMED) and cut(app)
    for cnt in (1, 2, 40, 253):
        app = App(service.path)
        with pytest.raises(Refused) as refused:
            app.call(message(HELLO), [1] * cnt)
        assert refused.value.args == (-74, MALFORMED) and cut(app)
    engine, = service.engines()
    assert wait_until(lambda: len(os.listdir(f"/proc/{engine}/fd")) == 6)  # stdio, broker, loop, anchor


def test_only_sockets_of_apps_are_taken(service):
    app = App(service.path)
    app.hello()
    engine, = service.engines()

    def descriptors():
        """When all that came before is done: the engine closes its copies behind an answer."""
        with pytest.raises(Refused):
            app.call(message(FILE_TAKE, slot=0xFFFFFFFF))
        return os.listdir(f"/proc/{engine}/fd")

    before = descriptors()
    refused_with = set()
    for number in [int(name) for name in before] + [len(before) + 10, 0x7FFFFFFF, 0xFFFFFFFF]:
        with pytest.raises(Refused) as refused:
            app.call(message(FILE_TAKE, slot=number))
        refused_with.add(refused.value.args[0])
    assert refused_with == {-errno.ENOTSOCK, -errno.ESOCKTNOSUPPORT}  # no socket; the sockets to broker and app
    with socket.socket() as sock:
        app.file_add(sock, SLOT_CONNS)
        app.submit(request(OP_FIXED_FD_INSTALL, flags=FIXED_FILE, fd=SLOT_CONNS, user_data=3))
        number = app.complete(3)
        assert number >= 0
        _, (taken,) = app.call(message(FILE_TAKE, slot=number))
        assert os.fstat(taken).st_ino == os.fstat(sock.fileno()).st_ino
        os.close(taken)
    assert descriptors() == before  # it is closed there
    app.close()


def test_random_messages(service):
    rng = random.Random(20021)
    honest = App(service.path)
    honest.hello()
    for _ in range(300):
        app = App(service.path)
        if rng.random() < 0.5:
            app.hello(conn_cnt=16, buf_cnt=16, sq_entries=64, mem_len=4096)
        data = bytearray(message(rng.choice((HELLO, FILE_ADD, KICK, SEGMENT_ADD, SEGMENT_DEL, FILE_TAKE)), lane=rng.choice((0, 1, 1 << 31))))
        for _ in range(rng.randrange(6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        data = bytes(data)[:rng.choice((64, 64, 64, rng.randrange(1, 64)))]
        with contextlib.suppress(OSError):
            socket.send_fds(app.socket, [data], [0] * rng.choice((0, 0, 1, 1, 2, 30)))
        app.close()  # often before the service has read it
    honest.submit(request(OP_NOP, user_data=5))
    assert honest.complete(5) == 0
    engine, = service.engines()
    assert wait_until(lambda: len(os.listdir(f"/proc/{engine}/fd")) == 9)
    honest.close()


def test_flood_of_messages_does_not_starve_others(service):
    flooder, honest = App(service.path), App(service.path)
    flooder.hello()
    honest.hello()
    flooder.socket.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):  # it may be cut off
        while sent < 100000:
            flooder.socket.send(message(KICK))
            sent += 1
    began = time.monotonic()
    honest.kick()
    assert time.monotonic() - began < 0.5
    flooder.close()
    honest.close()


def test_random_memory(service):
    """An app that fills its rings with noise harms at most its own engine: not the broker, not other domains."""
    def scribble():
        rng = random.Random(7)
        app = App(service.path)
        app.hello(conn_cnt=16, buf_cnt=16, buf_len=256, sq_entries=64, mem_len=4096)
        lane = app.lanes[0]
        start = lane["sqes_off"]
        for _ in range(400):
            app.memory[start:start + 64 * 64] = rng.randbytes(64 * 64)
            for i in range(64):
                app.memory[start + 64 * i] = rng.choice((0, 9, 13, 14, 19, 26, 27, 34, 47, rng.randrange(256)))
                if rng.random() < 0.7:  # past the check of flags, at descriptors that exist
                    app.memory[start + 64 * i + 1] = rng.choice((0, 1, 1 << 5, 1 << 6))
                    struct.pack_into("<i", app.memory, start + 64 * i + 4, rng.randrange(20))
            app.words[0][0] = (app.words[0][0] + rng.choice((1, 17, 64))) & 0xFFFFFFFF
            app.words[2][0] = rng.choice((app.words[3][0], rng.randrange(1 << 32)))
            os.write(app.fds[2], (1).to_bytes(8, "little"))
        return "scribbled"

    honest = App(service.path)
    honest.hello()
    with child(scribble, uid=NOBODY) as (_, said):
        assert said == "scribbled"
        honest.submit(request(OP_NOP, user_data=5))
        assert honest.complete(5) == 0
        assert service.process.poll() is None
    with child(lambda: say_hello(service.path), uid=NOBODY) as (_, said):
        assert said == "1"
    honest.close()


# ---- death -----------------------------------------------------------------------------------------------------------


def serve(path, keep=[]):  # pylint: disable=dangerous-default-value
    """For child(): a session with two ports, one it will receive from and one it will send 8 MiB to."""
    app = App(path)
    keep.append(app)
    app.hello()
    app.offer_buffers()
    ports, then = [], {}
    for listener_slot, slot in ((2, SLOT_CONNS), (3, SLOT_CONNS + 1)):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            app.file_add(listener, listener_slot)
            ports.append(listener.getsockname()[1])
        accept = request(OP_ACCEPT, fd=listener_slot, flags=FIXED_FILE, user_data=slot, file_index=slot + 1)
        if slot == SLOT_CONNS:
            then[slot] = request(OP_RECV, fd=slot, flags=FIXED_FILE | BUFFER_SELECT, ioprio=RECV_MULTISHOT,
                                 user_data=100)
        else:
            then[slot] = request(OP_SEND, fd=slot, flags=FIXED_FILE, user_data=101, length=8 << 20,
                                 msg_flags=socket.MSG_WAITALL, addr=app.header["base"] + app.header["arena_off"])
        app.submit(accept)

    def use_accepted():
        while then:
            for tag, result, _ in app.completions():
                if tag in then and not result:
                    app.submit(then.pop(tag))
            time.sleep(0.001)

    threading.Thread(target=use_accepted, daemon=True).start()
    return " ".join(map(str, ports))


def connect_two(ports):
    receiver, sender = (socket.create_connection(("127.0.0.1", port), 2) for port in ports)
    receiver.sendall(b"hello")
    assert sender.recv(1) == bytes(1)
    time.sleep(0.1)  # until the peer's buffer is full
    return receiver, sender


def channels_of(engine):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{engine}/maps").read_text().count("memfd:sidecore-channel")
    return 0


def refuses(port):
    with contextlib.suppress(ConnectionRefusedError, ConnectionResetError):
        socket.create_connection(("127.0.0.1", port)).close()
        return False
    return True


def sockets_on(ports):
    """States of the sockets on these ports that somebody still holds; orphans on their way out do not count."""
    lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [line[3] for line in lines if int(line[1].split(":")[1], 16) in ports and line[3] in ("01", "08", "0A")]


def assert_all_gone(engine, ports, receiver, sender, began):
    took = {}
    receiver.settimeout(1)
    with contextlib.suppress(ConnectionResetError):
        assert receiver.recv(1) == b""
    took["the receiving peer sees the end"] = time.monotonic()
    assert wait_until(lambda: not channels_of(engine), 1, 0.002)
    took["memory is unmapped"] = time.monotonic()
    assert wait_until(lambda: all(map(refuses, ports)), 1, 0.002)
    took["the ports refuse"] = time.monotonic()
    assert wait_until(lambda: not sockets_on(ports), 1, 0.002)
    took["no socket is left"] = time.monotonic()
    took = {what: (when - began) * 1000 for what, when in took.items()}
    print(", ".join(f"{what}: {ms:.1f} ms" for what, ms in took.items()))
    sender.settimeout(2)
    with contextlib.suppress(ConnectionResetError):
        total = 1
        while data := sender.recv(1 << 20):
            total += len(data)
        assert total < 8 << 20  # the rest died with the app
    return max(took.values())


def within_100_ms(attempt):
    """One of three attempts: the machine may have other things to do, the service may not."""
    took = []
    while not took or took[-1] >= 100:
        assert len(took) < 3, f"{took} ms"
        took.append(attempt())


def test_killed_app_loses_all_at_once(service):
    def attempt():
        with child(lambda: serve(service.path)) as (pid, said):
            ports = [int(port) for port in said.split()]
            peers = connect_two(ports)
            engine, = service.engines()
            assert channels_of(engine) == 1
            began = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            took = assert_all_gone(engine, ports, *peers, began)
        for peer in peers:
            peer.close()
        return took

    within_100_ms(attempt)
    assert service.process.poll() is None and hello_works(service.path)


def test_closed_session_loses_all_at_once(service):
    """The app lives on and keeps its memory mapped; only its control socket is closed."""
    def attempt():
        keep = []
        ports = [int(port) for port in serve(service.path, keep).split()]
        peers = connect_two(ports)
        engine, = service.engines()
        began = time.monotonic()
        keep[0].socket.close()
        took = assert_all_gone(engine, ports, *peers, began)
        for peer in peers:
            peer.close()
        keep[0].close()
        return took

    within_100_ms(attempt)


def test_killed_engine_is_told_and_replaced(service):
    app = App(service.path)
    app.hello()
    engine, = service.engines()
    began = time.monotonic()
    os.kill(engine, signal.SIGKILL)
    assert app.socket.recv(1) == b"" and time.monotonic() - began < 0.5
    app.close()
    assert wait_until(lambda: any(f"engine {engine} of uid 0: killed by signal 9" in line for line in service.lines()))
    assert hello_works(service.path)


def test_only_some_of_many_dead_engines_are_told(start):
    """The others are counted, per user, by the end of the service at the latest."""
    service = start(verbose=False).ready()

    def ruin():
        app = App(service.path)
        app.hello()
        engine, = service.engines()
        os.kill(engine, signal.SIGKILL)
        assert app.socket.recv(1) == b""
        app.close()
        assert wait_until(lambda: not status_of(engine))  # reaped: the next one gets another

    for _ in range(8):
        ruin()
    with child(lambda: say_hello(service.path), uid=NOBODY):
        engine, = service.engines()
        os.kill(engine, signal.SIGKILL)
        assert wait_until(lambda: any(f"engine {engine} of uid {NOBODY}: " in line for line in service.lines()))
    assert sum(" of uid 0: killed by signal 9" in line for line in service.lines()) == 5
    assert service.stop() == 0
    assert [line for line in service.lines() if "more" in line] == [
        "sidecore-ringsvc: engines of uid 0: 3 more failed within 10 s: see what its apps do; --verbose tells of each"]


def test_killed_broker_takes_its_engines_along(start):
    service = start().ready()
    app = App(service.path)
    app.hello()
    with child(lambda: say_hello(service.path), uid=NOBODY):
        engines = service.engines()
        assert len(engines) == 2
        began = time.monotonic()
        service.process.kill()
        service.process.wait()
        assert wait_until(lambda: not any(alive(pid) for pid in engines), 1, 0.005)
        assert app.socket.recv(1) == b"" and time.monotonic() - began < 0.5
    app.close()
