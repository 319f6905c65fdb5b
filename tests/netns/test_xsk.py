# SPDX-License-Identifier: MIT
"""UDP services that are handed to AF_XDP sockets: while an application has one there, and steered before and after."""

import json
import os
import subprocess
import sys

import pytest

from conftest import wait_until
from test_loader import (UDP_PORT, UDP_SOURCE, attachment, pin_dir, python, refused, service, settled, udp_count,
                         udp_sink)

# argv: device, pinned map. Receives on queue 0 in copy mode until SIGTERM, then prints how many different ones came.
RECEIVER = r"""
import ctypes, mmap, os, select, signal, socket, struct, sys
SOL_XDP, OFFSETS, RX_RING, UMEM_REG, FILL_RING, COMPLETION_RING = 283, 1, 2, 4, 5, 6
COPY, FRAME, CNT = 2, 2048, 1024
libbpf, libc = ctypes.CDLL("libbpf.so.1", use_errno=True), ctypes.CDLL(None, use_errno=True)
sock = socket.socket(44, socket.SOCK_RAW)
umem = mmap.mmap(-1, FRAME * CNT)
base = ctypes.addressof(ctypes.c_char.from_buffer(umem))
sock.setsockopt(SOL_XDP, UMEM_REG, struct.pack("=QQIIII", base, FRAME * CNT, FRAME, 0, 0, 0))
for ring in (RX_RING, FILL_RING, COMPLETION_RING):
    sock.setsockopt(SOL_XDP, ring, CNT)
at = struct.unpack("=16Q", sock.getsockopt(SOL_XDP, OFFSETS, 128))
rx = mmap.mmap(sock.fileno(), at[2] + 16 * CNT, offset=0)
fill = mmap.mmap(sock.fileno(), at[10] + 8 * CNT, offset=0x100000000)
word = lambda ring, where: struct.unpack_from("=I", ring, where)[0]
for i in range(CNT):
    struct.pack_into("=Q", fill, at[10] + 8 * i, i * FRAME)
struct.pack_into("=I", fill, at[8], CNT)
address = struct.pack("=HHIII", 44, COPY, socket.if_nametoindex(sys.argv[1]), 0, 0)
assert libc.bind(sock.fileno(), address, len(address)) == 0, os.strerror(ctypes.get_errno())
key, value = ctypes.c_uint32(0), ctypes.c_uint32(sock.fileno())
sockets = libbpf.bpf_obj_get(sys.argv[2].encode())
assert libbpf.bpf_map_update_elem(sockets, ctypes.byref(key), ctypes.byref(value), ctypes.c_uint64(0)) == 0
seen = set()
def end(*_):
    print(len(seen), flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    select.select([sock], [], [])
    consumer, producer = word(rx, at[1]), word(rx, at[0])
    while consumer != producer:
        addr, length, _ = struct.unpack_from("=QII", rx, at[2] + consumer % CNT * 16)
        seen.add(umem[addr:addr + length][42:])
        struct.pack_into("=Q", fill, at[10] + word(fill, at[8]) % CNT * 8, addr - addr % FRAME)
        struct.pack_into("=I", fill, at[8], (word(fill, at[8]) + 1) & 0xffffffff)
        consumer = (consumer + 1) & 0xffffffff
    struct.pack_into("=I", rx, at[1], consumer)
"""


def receiver(lab):
    process = lab.server.popen(sys.executable, "-c", RECEIVER, "sv0", pin_dir(lab) / "sockets", stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    return process


def send(lab, count, seconds=0.5):
    assert python(lab.client, UDP_SOURCE, lab.server.ip4, UDP_PORT, count, seconds, cpu=0).wait(20) == 0


def handed(lab):
    return attachment(lab)["counters"]["socket"]


@pytest.mark.parametrize("mode", ["native", "skb"])
def test_handed_while_there_is_a_socket(lab, mode):
    name = f"udp/{UDP_PORT}"
    if mode == "skb":
        lab.loader("attach", "sv0", "--cpus", "1", "--mode", mode, "--xsk", name)
    else:
        lab.loader("attach", "sv0", "--cpus", "1", "--mode", mode)
        lab.loader("service", "add", "sv0", name, "--xsk")
    assert lab.loader("service", "list", "sv0").stdout == f"{name} xsk\n"
    assert json.loads(lab.loader("service", "list", "sv0", "--json").stdout)["xsk"] == [name]
    # Nobody asks for them: to the kernel's socket.
    sink = udp_sink(lab)
    send(lab, 200)
    assert settled(lab, name)["steered"] + service(lab, name)["local"] == 200 and handed(lab) == 0
    assert udp_count(sink) == 200
    # To the application, and not to the kernel's socket.
    sink, process = udp_sink(lab), receiver(lab)
    send(lab, 300)
    assert wait_until(lambda: handed(lab) == 300)
    process.terminate()
    assert process.communicate(timeout=10)[0] == "300\n"
    assert udp_count(sink) == 0
    # It is gone: steered again.
    sink = udp_sink(lab)
    send(lab, 200)
    assert udp_count(sink) == 200 and handed(lab) == 300


def test_other_services_and_the_end_of_one(lab):
    """A service without it is steered beside a socket; one that is deleted and added again has lost it."""
    name = f"udp/{UDP_PORT}"
    lab.loader("attach", "sv0", "--cpus", "1", "--service", name)
    lab.loader("service", "add", "sv0", "udp/53", "--xsk")
    assert attachment(lab)["modules"]["sockets"]
    process = receiver(lab)
    send(lab, 100)
    assert settled(lab, name)["steered"] + service(lab, name)["local"] == 100 and handed(lab) == 0
    lab.loader("service", "add", "sv0", name, "--xsk")
    send(lab, 100)
    assert wait_until(lambda: handed(lab) == 100)
    for other in ("udp/53", name):
        lab.loader("service", "del", "sv0", other)
    assert not attachment(lab)["modules"]["sockets"]
    lab.loader("service", "add", "sv0", name)
    send(lab, 100)
    assert settled(lab, name)["steered"] + service(lab, name)["local"] == 100 and handed(lab) == 100
    process.terminate()
    assert process.wait(10) == 0


# As a kernel without CONFIG_XDP_SOCKETS: no map of that type.
WITHOUT = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>

long syscall(long number, long a, long b, long c, long d, long e, long f)
{
	long (*real)(long, ...) = dlsym(RTLD_NEXT, "syscall");
	union bpf_attr *attr = (void *)b;

	if (number == SYS_bpf && a == BPF_MAP_CREATE && attr->map_type == BPF_MAP_TYPE_XSKMAP) {
		errno = EINVAL;
		return -1;
	}
	return real(number, a, b, c, d, e, f);
}
"""


@pytest.mark.parametrize("mode", ["native", "skb"])
def test_kernel_without_them(lab, mode):
    """All else works, upgrades too; --xsk is refused; features and doctor say it."""
    shim, name = lab.dir / "without.so", f"udp/{UDP_PORT}"
    subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", shim, "-ldl"], input=WITHOUT, text=True, check=True)
    without = {"env": {**os.environ, "LD_PRELOAD": str(shim)}}
    lab.loader("attach", "sv0", "--cpus", "1", "--mode", mode, "--service", name, "--validity", "on", **without)
    done = lab.loader("service", "add", "sv0", "udp/53", "--xsk", check=False, **without)
    refused(done, "udp/53", "no AF_XDP sockets", "without --xsk")
    done = lab.loader("attach", "sv0", "--cpus", "1", "--xsk", "udp/53", check=False, **without)
    refused(done, "udp/53", "no AF_XDP sockets", "without xsk")
    assert lab.loader("service", "list", "sv0", **without).stdout == f"{name}\n"
    for command in (("upgrade", "sv0", "--health", "0"), ("screen", "sv0", "--validity", "off"),
                    ("service", "add", "sv0", "tcp/80"), ("attach", "sv0", "--cpus", "0-1", "--syn", "on")):
        lab.loader(*command, **without)
    sink = udp_sink(lab)
    send(lab, 200)
    assert settled(lab, name)["steered"] + service(lab, name)["local"] == 200 and udp_count(sink) == 200
    found = json.loads(lab.loader("features", "--json", **without).stdout)["kernel"]
    assert [key for key in found if not found[key]["supported"]] == ["xskmap"]
    assert "note     AF_XDP: the kernel has no such sockets" in lab.loader("doctor", check=False, **without).stdout
    # It is the kernel that decides, not this binary.
    assert json.loads(lab.loader("features", "--json").stdout)["kernel"]["xskmap"]["supported"]


def test_refusals(lab):
    lab.loader("attach", "sv0", "--cpus", "1")
    for spec in ("tcp/80", "udp/10.77.0.1:53"):
        done = lab.loader("service", "add", "sv0", spec, "--xsk", check=False)
        refused(done, f"--xsk {spec}", "only for UDP", code=2)
