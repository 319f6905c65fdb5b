# SPDX-License-Identifier: MIT
"""BPF programs run on frames by the kernel's test run, and small ones written by hand; through libbpf."""

import contextlib
import ctypes
import os
import struct
import time

from rig.trouble import Failure

XDP_PASS = 2
LIVE_FRAMES = 1 << 1
LIVE_BATCH = 64
PROG_TYPE_XDP = 6
CLONE_NEWNET = 0x40000000


class _RunOptions(ctypes.Structure):
    _fields_ = [("sz", ctypes.c_size_t), ("data_in", ctypes.c_char_p), ("data_out", ctypes.c_void_p),
                ("data_size_in", ctypes.c_uint32), ("data_size_out", ctypes.c_uint32), ("ctx_in", ctypes.c_char_p),
                ("ctx_out", ctypes.c_void_p), ("ctx_size_in", ctypes.c_uint32), ("ctx_size_out", ctypes.c_uint32),
                ("retval", ctypes.c_uint32), ("repeat", ctypes.c_int), ("duration", ctypes.c_uint32),
                ("flags", ctypes.c_uint32), ("cpu", ctypes.c_uint32), ("batch_size", ctypes.c_uint32)]


def _libbpf():
    try:
        return ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        raise Failure(f"libbpf.so.1: {error}: run sudo ./run deps") from None


def _checked(result, what):
    if result < 0:
        raise Failure(f"{what}: {os.strerror(ctypes.get_errno())}: run it as root on a kernel with BPF")
    return result


def open_pin(path):
    return _checked(_libbpf().bpf_obj_get(str(path).encode()), path)


def open_program(number):
    return _checked(_libbpf().bpf_prog_get_fd_by_id(number), f"BPF program {number}")


def open_inner_map(outer, place):
    """The map in one place of an array of maps."""
    key, number = ctypes.c_uint32(place), ctypes.c_uint32()
    _checked(_libbpf().bpf_map_lookup_elem(outer, ctypes.byref(key), ctypes.byref(number)), "map of maps")
    return _checked(_libbpf().bpf_map_get_fd_by_id(number), f"BPF map {number.value}")


def _instruction(code, dst=0, src=0, off=0, imm=0):
    return struct.pack("=BBhi", code, src << 4 | dst, off, imm)


def _load(name, instructions):
    code = b"".join(instructions)
    return _checked(_libbpf().bpf_prog_load(PROG_TYPE_XDP, name.encode(), b"GPL", code, len(code) // 8, None),
                    f"BPF program {name}")


_RETURN_PASS = [_instruction(0xb7, 0, imm=XDP_PASS), _instruction(0x95)]


def load_empty():
    """A program that passes every packet: what the test run itself costs."""
    return _load("empty", _RETURN_PASS)


def load_lpm(trie):
    """Looks the source of an untagged IPv4 packet up in a trie of struct sc_list_key, and does nothing else."""
    return _load("lpm", [
        _instruction(0x61, 6, 1, 0),  # r6 = data
        _instruction(0x61, 7, 1, 4),  # r7 = data_end
        _instruction(0xbf, 8, 6), _instruction(0x07, 8, imm=34), _instruction(0x2d, 8, 7, 11),  # 34 bytes, or the end
        _instruction(0x61, 2, 6, 26),  # source
        _instruction(0x62, 10, off=-24, imm=64), _instruction(0x62, 10, off=-20, imm=4),  # length, family
        _instruction(0x63, 10, 2, -16), _instruction(0x62, 10, off=-12), _instruction(0x7a, 10, off=-8),
        _instruction(0xbf, 2, 10), _instruction(0x07, 2, imm=-24),
        _instruction(0x18, 1, 1, imm=trie), _instruction(0),
        _instruction(0x85, imm=1),  # map_lookup_elem
        *_RETURN_PASS])


def attach(program, ifindex):
    """To a device of this thread's namespace. One that is on none costs each test run an RCU grace period."""
    _checked(_libbpf().bpf_xdp_attach(ifindex, program, 0, None), f"XDP program on interface {ifindex}")


def _run(program, frame, repeat, **options):
    run = _RunOptions(sz=ctypes.sizeof(_RunOptions), data_in=frame, data_size_in=len(frame), repeat=repeat, **options)
    start = time.perf_counter()
    _checked(_libbpf().bpf_prog_test_run_opts(program, ctypes.byref(run)), "BPF test run")
    return run, time.perf_counter() - start


def verdict(program, frame):
    return _run(program, frame, 1)[0].retval


def nanoseconds(program, frames, repeat):
    """
    Per packet, the test run's own share included: over all frames, each `repeat` times. The kernel's own watch stands
    still while others have the CPU; it shows whole nanoseconds, so that the mean is half a nanosecond low.
    """
    return sum(_run(program, frame, repeat)[0].duration for frame in frames) / len(frames)


def live(program, frame, packets, ifindex):
    """Seconds for packets that go on: into the stack as if from the device, through the CPU map, or nowhere."""
    context = struct.pack("=IIIIII", 0, len(frame), 0, ifindex, 0, 0)
    return _run(program, frame, packets, flags=LIVE_FRAMES, batch_size=LIVE_BATCH, ctx_in=context,
                ctx_size_in=len(context))[1]


@contextlib.contextmanager
def within(netns):
    """This thread in another network namespace, by name."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", encoding="ascii") as home, \
            open(f"/run/netns/{netns}", encoding="ascii") as there:
        _checked(libc.setns(there.fileno(), CLONE_NEWNET), netns)
        try:
            yield
        finally:
            _checked(libc.setns(home.fileno(), CLONE_NEWNET), "network namespace")
