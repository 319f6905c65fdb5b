# SPDX-License-Identifier: MIT
"""Bad input: every program says in one line what is wrong with what, and what to do; 2 for usage, 1 for all else."""

import array
import contextlib
import errno
import fcntl
import os
import re
import shutil
import socket
import struct
import subprocess
import threading

import pytest

from conftest import REPO
from tools import NOBODY, PORT, SERVICE_CPU, Httpd, Ringsvc, in_namespace

PROGRAMS = ["sidecore-loader", "sidecore-ringsvc", "httpd", "echo", "httpd_epoll", "httpd_uring", "xdpload",
            "ops_epoll", "ops_libapp", "sockload"]
HELLO_REPLY = struct.Struct("<IHHiIIIIIIIIIQQ")
CHANNEL = struct.Struct("<IHHII")
CHANNEL_LEN = 1 << 20
ABI_VERSION = int(re.search(r"SC_ABI_VERSION = (\d+)", (REPO / "include/sidecore/abi.h").read_text())[1])
REGISTER_PBUF_RING = 22


def one_line(done, code, *words):
    """The program failed with this code and one line on stderr that holds all words."""
    said = done.stderr.splitlines()
    assert done.returncode == code, done
    assert len(said) == 1, done.stderr
    assert done.stdout == ""
    for word in words:
        assert re.search(word, said[0]), f"{word!r} is not in: {said[0]}"


def as_nobody(*command):
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]


def attach(lab, bpffs, *wrapper):
    """What the loader says when it attaches, run by a wrapper."""
    return lab.server.run(*wrapper, lab.bin("sidecore-loader"), "attach", "sv0", "--cpus", SERVICE_CPU, "--service",
                          f"tcp/{PORT}", "--bpffs", bpffs, check=False)


@pytest.fixture
def run(lab, small_site):
    """Runs a built program in the server's namespace with a place to look for ringsvc; uid and a wrapper on request."""
    lab.dir.chmod(0o755)
    (lab.dir / "bin").mkdir()

    def run_it(name, *args, uid=0, wrapper=()):
        program = lab.dir / "bin" / name
        if not program.exists():
            shutil.copy(lab.bin(name), program)
        if name.startswith("httpd"):
            args = ("--root", small_site.dir, *args)
        if name in ("httpd", "echo"):
            args = ("--socket", lab.dir / "ringsvc.sock", *args)
        command = [*wrapper, program, *args]
        return lab.server.run(*(as_nobody(*command) if uid else command), check=False, timeout=20)

    return run_it


# --- usage ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("program", PROGRAMS)
def test_unknown_option(lab, program):
    done = lab.server.run(lab.bin(program), "--no-such-option", check=False)
    one_line(done, 2, program, "--no-such-option", "--help")


@pytest.mark.parametrize("program", PROGRAMS)
def test_unexpected_word(lab, program):
    done = lab.server.run(lab.bin(program), "no-such-word", check=False)
    one_line(done, 2, program, "no-such-word", "--help")


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_version(lab, program):
    for option, word in (("--help", "[Uu]sage"), ("--version", r"\d\.\d")):
        done = lab.server.run(lab.bin(program), option, check=False)
        assert done.returncode == 0 and re.search(word, done.stdout) and done.stderr == "", (option, done)


@pytest.mark.parametrize("program, args, words", [
    ("httpd", ["--port", "70000"], ["--port 70000"]),
    ("httpd", ["--engine", "magic"], ["--engine magic", "direct"]),
    ("httpd", ["--lanes", "0"], ["--lanes 0"]),
    ("httpd", ["--port", ""], ["--port"]),
    ("sidecore-ringsvc", [], ["--cpus"]),
    ("sidecore-ringsvc", ["--cpus", "1-"], ["--cpus 1-"]),
    ("sidecore-ringsvc", ["--cpus", "1", "--idle-ms", "x"], ["--idle-ms x"]),
    ("sidecore-loader", [], ["command"]),
    ("sidecore-loader", ["attach"], ["interface"]),
    ("sidecore-loader", ["attach", "sv0"], ["--cpus"]),
    ("sidecore-loader", ["attach", "sv0", "--cpus", "x"], ["--cpus x"]),
    ("sidecore-loader", ["attach", "sv0", "--cpus", "0", "--mode", "fast"], ["--mode fast", "native"]),
    ("sidecore-loader", ["attach", "sv0", "--cpus", "0", "--service", "tcp/0x50"], ["--service tcp/0x50", "tcp/8080"]),
    ("xdpload", ["--iface", "cl0", "--target", "nowhere"], ["nowhere"]),
])
def test_bad_value(lab, program, args, words):
    one_line(lab.server.run(lab.bin(program), *args, check=False), 2, program, *words)


# --- the machine ------------------------------------------------------------------------------------------------------

def test_no_such_interface(lab):
    done = lab.loader("attach", "nosuch0", "--cpus", SERVICE_CPU, check=False)
    one_line(done, 1, "nosuch0", "no such interface|No such device", "ip ")
    target = f"{lab.server.ip4}:{PORT}"
    one_line(lab.client.run(lab.bin("xdpload"), "--iface", "nosuch0", "--target", target, check=False), 1, "nosuch0")


@pytest.mark.parametrize("command", [["attach", "sv0", "--cpus", "0"], ["detach", "sv0"], ["status"], ["clean"],
                                     ["service", "list", "sv0"]], ids=lambda words: words[0])
def test_no_root_for_the_loader(run, lab, command):
    one_line(run("sidecore-loader", *command, "--bpffs", lab.bpffs, uid=NOBODY), 1, "root|CAP_|capabilit", "sudo|root")


def test_no_root_for_xdpload(run, lab):
    one_line(run("xdpload", "--iface", "sv0", "--target", f"{lab.client.ip4}:{PORT}", uid=NOBODY), 1,
             "root|CAP_|capabilit|permitted")


def test_no_root_for_ringsvc(run):
    """It serves its own user then; without a place for the socket it says so."""
    one_line(run("sidecore-ringsvc", "--cpus", SERVICE_CPU, "--socket", "/run/ringsvc.sock", uid=NOBODY), 1,
             "/run/ringsvc.sock", "permission", "--socket")


def test_no_btf(lab):
    """Hidden behind an empty directory, in a mount namespace of this one process."""
    empty = lab.dir / "empty"
    empty.mkdir()
    hidden = 'mount --bind "$0" /sys/kernel/btf && exec "$@"'
    done = attach(lab, lab.bpffs, "unshare", "--mount", "sh", "-c", hidden, empty)
    one_line(done, 1, "/sys/kernel/btf/vmlinux", "BTF", "CONFIG_DEBUG_INFO_BTF")
    assert lab.server.xdp_id() == 0 and list(lab.bpffs.rglob("*/steer")) == []


def test_cpu_out_of_range(run, lab):
    one_line(lab.loader("attach", "sv0", "--cpus", "999", check=False), 1, "CPU 999", "choose from")
    one_line(run("sidecore-ringsvc", "--cpus", "999", "--socket", lab.dir / "s"), 1, "CPU 999", "--cpus")
    for server in ("httpd", "httpd_epoll", "httpd_uring"):
        one_line(run(server, "--cpu", "999"), 1, "CPU 999", "online")


@pytest.mark.parametrize("server, args", [("httpd", ["--engine", "local"]), ("httpd", ["--engine", "direct"]),
                                          ("httpd_epoll", []), ("httpd_uring", []), ("echo", ["--engine", "local"])])
def test_port_taken(run, lab, ringsvc, server, args):
    sock = in_namespace(lab.server.netns, lambda: socket.create_server(("0.0.0.0", PORT)))
    with sock:
        one_line(run(server, *args, "--port", PORT), 1, server, f"port {PORT}", "in use", "another port|free port")
    assert ringsvc.alive()


def test_port_of_the_privileged(run, lab):
    lab.server.run("sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=1024")
    for server in ("httpd", "httpd_epoll", "httpd_uring"):
        args = ["--engine", "local"] if server == "httpd" else []
        one_line(run(server, *args, "--port", 80, uid=NOBODY), 1, "port 80", "Permission denied", "CAP_NET_BIND_SERVICE",
                 "higher")


def test_address_that_is_none(run):
    for server in ("httpd", "httpd_epoll", "httpd_uring"):
        args = ["--engine", "local"] if server == "httpd" else []
        one_line(run(server, *args, "--address", "localhost"), 1, "localhost", "numeric")
        one_line(run(server, *args, "--address", "192.0.2.1"), 1, "192.0.2.1", "assign")


def test_root_that_is_not_there(lab):
    for server in ("httpd", "httpd_epoll", "httpd_uring"):
        one_line(lab.server.run(lab.bin(server), "--root", "/nowhere", check=False), 1, "/nowhere", "No such file")


# --- the service ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("server", ["httpd", "echo"])
def test_no_ringsvc(run, server):
    one_line(run(server, "--engine", "direct"), 1, server, "ringsvc.sock", "no sidecore-ringsvc answers", "start it")


def test_stale_socket_is_no_ringsvc(run, lab):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.bind(str(lab.dir / "ringsvc.sock"))
    one_line(run("httpd", "--engine", "direct"), 1, "ringsvc.sock", "no sidecore-ringsvc answers", "start it")


def test_socket_that_is_not_for_us(run, lab):
    Ringsvc(lab)
    (lab.dir / "ringsvc.sock").chmod(0o600)
    one_line(run("httpd", "--engine", "direct", uid=NOBODY), 1, "ringsvc.sock", "no right", "--user")


def test_second_ringsvc(run, lab, ringsvc, small_site):
    one_line(run("sidecore-ringsvc", "--cpus", SERVICE_CPU, "--socket", ringsvc.socket), 1, "ringsvc.sock", "another",
             "--socket")
    Httpd(lab, small_site.dir)  # the first one goes on


def test_more_connections_than_a_lane_has(run, ringsvc):
    one_line(run("httpd", "--engine", "direct", "--conns", 65536), 1, "conns|--conns")
    assert ringsvc.alive()


@contextlib.contextmanager
def fake_service(lab, answer):
    """Somebody who listens where ringsvc should and answers the first message with answer(): bytes and descriptors."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(lab.dir / "ringsvc.sock"))
        listener.listen()

        def serve():
            sock, _ = listener.accept()
            with sock:
                sock.recv(4096)
                data, fds = answer()
                if data:
                    sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
                for fd in fds:
                    os.close(fd)
                sock.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def reply(status=0, reason=0, version=ABI_VERSION, magic=0x4C544353, lanes=1):
    return HELLO_REPLY.pack(magic, version, 0x8001, status, reason, 0, 0, lanes, 0, 0, 0, 0, 0, 0, CHANNEL_LEN)


def channel(magic=0x4E484353, version=ABI_VERSION, header_len=64 + 16 * 112, seal=True):
    """What a service hands out for one lane: memfd with this header, completion and doorbell."""
    memfd = os.memfd_create("fake", os.MFD_ALLOW_SEALING)
    os.truncate(memfd, CHANNEL_LEN)
    os.pwrite(memfd, CHANNEL.pack(magic, version, 1, header_len, 0), 0)
    if seal:
        fcntl.fcntl(memfd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return [memfd, os.open("/dev/null", os.O_RDWR), os.open("/dev/null", os.O_RDWR)]


@pytest.mark.parametrize("answer, words", [
    (lambda: (reply(), channel(magic=0x12345678)), ["wrong magic 0x12345678", "expected 0x4e484353"]),
    (lambda: (reply(), channel(version=7)), ["version 7", str(ABI_VERSION), "one release"]),
    (lambda: (reply(), channel(header_len=64)), ["out of bounds|length", "one release"]),
    (lambda: (reply(), channel()), ["out of bounds|length", "one release"]),  # all else is zero
    (lambda: (reply(), channel(seal=False)), ["not sealed"]),
    (lambda: (reply(), []), ["without a channel"]),
    (lambda: (reply(-errno.EPROTO, 1, version=7, lanes=0), []), ["version", "one release"]),
    (lambda: (reply(-errno.EINVAL, 3, lanes=0), []), ["bounds", "less"]),
    (lambda: (reply(-errno.EAGAIN, 99, lanes=0), []), ["temporarily unavailable"]),
    (lambda: (reply(magic=1), []), ["Protocol error"]),
    (lambda: (b"HTTP/1.1 400 Bad Request\r\n", []), ["Protocol error"]),
    (lambda: (b"", []), ["no answer"]),
], ids=["magic", "version", "short-header", "zero-lanes", "unsealed", "no-channel", "refused-version", "refused-limit",
        "refused-unknown", "reply-magic", "another-protocol", "silence"])
def test_service_that_is_wrong(run, lab, answer, words):
    with fake_service(lab, answer):
        one_line(run("httpd", "--engine", "direct"), 1, "httpd", *words)


# --- the kernel -------------------------------------------------------------------------------------------------------

LACKS = [("io_uring_setup", errno.ENOSYS), ("io_uring_setup", errno.EPERM),
         (f"io_uring_register={REGISTER_PBUF_RING}", errno.EINVAL)]


@pytest.mark.parametrize("call, error", LACKS, ids=["none", "forbidden", "old"])
def test_kernel_without_io_uring(run, lab, call, error):
    """As an older kernel, or a container, would have it."""
    wrapper = [lab.bin("norights"), call, error]
    for program, args in (("httpd", ["--engine", "local"]), ("httpd_uring", []),
                          ("sidecore-ringsvc", ["--cpus", SERVICE_CPU, "--socket", lab.dir / "s"])):
        one_line(run(program, *args, wrapper=wrapper), 1, program, "io_uring|buffer ring", "kernel|seccomp|[Ll]inux")
    assert not (lab.dir / "s").exists()


def test_kernel_without_bpf(lab):
    done = attach(lab, lab.bpffs, lab.bin("norights"), "bpf", errno.EPERM)
    one_line(done, 1, "sv0|bpf", "not permitted", "root|lockdown")


def test_bpffs_that_is_none(lab):
    one_line(attach(lab, lab.dir), 1, re.escape(str(lab.dir)), "not a BPF file system|bpffs|mount")


def test_loader_leaves_another_program_alone(lab):
    lab.loader("attach", "sv0", "--cpus", SERVICE_CPU)
    other = lab.dir / "other"
    other.mkdir()
    subprocess.run(["mount", "-t", "bpf", "sclab", other], check=True)
    try:
        done = attach(lab, other)
    finally:
        subprocess.run(["umount", other], check=True)
    one_line(done, 1, "sv0", "not ours", "remove it")
    assert lab.server.xdp_id()
