# SPDX-License-Identifier: MIT
"""The parser of the XDP programs against another's: dpkt reads the same 200,000 packets and must find the same flows.

The programs tell what they found by samples, for half of the packets while they refuse IP options and fragments. Generated
packets have up to three VLAN tags, all lengths of IPv4 options, chains of IPv6 extension headers, fragments; a fifth of them is
cut, a fifth has some bits flipped.
"""

import collections
import ctypes
import itertools
import os
import random
import signal
import struct
import subprocess

import dpkt
import pytest

from conftest import wait_until
from test_loader import attachment, pin_dir

SEED = 20021
COUNT = 100_000  # each way
BATCH = 2000
# enum sc_reason: the parser came to its end, and nobody is interested in the flow
NO_SERVICE, REFUSED_OPTION, REFUSED_FRAGMENT = 2, 26, 27
VLAN_TYPES = (0x8100, 0x88a8)
TCP, UDP = 6, 17
ROUTING, FRAGMENT, AUTH, DEST_OPTIONS, MOBILITY = 43, 44, 51, 60, 135
MARTIAN_OPTIONS = (7, 68, 131, 137)  # record route, timestamp, loose and strict source route

Found = collections.namedtuple("Found", "reason family source target protocol from_port to_port")


class Options(ctypes.Structure):
    """struct bpf_test_run_opts"""
    _fields_ = [("sz", ctypes.c_size_t), ("data_in", ctypes.c_char_p), ("data_out", ctypes.c_void_p),
                ("data_size_in", ctypes.c_uint32), ("data_size_out", ctypes.c_uint32), ("rest", ctypes.c_uint64 * 6)]


class Programs:
    """The program on an interface and its ring of samples."""

    def __init__(self, pins):
        self.libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
        self.libbpf.ring_buffer__new.restype = ctypes.c_void_p
        self.program = self.libbpf.bpf_obj_get(str(pins / "steer").encode())
        self.found = []
        on_sample = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
        self.callback = on_sample(self.take)  # must live as long as the ring
        self.samples = self.libbpf.bpf_obj_get(str(pins / "samples").encode())
        assert self.program >= 0 and self.samples >= 0
        self.sample_on(pins)
        self.ring = ctypes.c_void_p(self.libbpf.ring_buffer__new(self.samples, self.callback, None, None))
        assert self.ring

    def sample_on(self, pins):
        """Every packet, without an end: struct sc_sampling as a monitor writes it that lives for long."""
        sampling = self.libbpf.bpf_obj_get(str(pins / "sampling").encode())
        setting = struct.pack("=QQII", 1 << 63, 0, 0xffffffff, 0)
        assert sampling >= 0 and self.libbpf.bpf_map_update_elem(sampling, bytes(4), setting, ctypes.c_uint64(0)) == 0
        os.close(sampling)

    def close(self):
        self.libbpf.ring_buffer__free(self.ring)
        os.close(self.samples)
        os.close(self.program)

    def take(self, _context, data, _len):
        reason, family, protocol, from_port, to_port, source, target = struct.unpack(
            ">16xBxBBx3xHH16s16s4x", ctypes.string_at(data, 64))
        length = 4 if family == 4 else 16
        self.found.append(Found(reason, family, source[:length], target[:length], protocol, from_port, to_port))
        return 0

    def run(self, frames):
        """What the program found in each."""
        self.found.clear()
        options = Options(sz=ctypes.sizeof(Options))
        for frame in frames:
            options.data_in, options.data_size_in, options.data_size_out = frame, len(frame), 0
            assert self.libbpf.bpf_prog_test_run_opts(self.program, ctypes.byref(options)) == 0
        assert self.libbpf.ring_buffer__consume(self.ring) == len(frames)
        return self.found


# ---- generating ------------------------------------------------------------------------------------------------------


def transport(chosen, protocol):
    if protocol == TCP:
        data_offset = chosen.choice((5, 5, 5, 5, 6, 7, 8, 12, 15, 4, 0))
        return struct.pack("!HHIIBBHHH", chosen.randrange(65536), chosen.randrange(65536), 1, 1, data_offset << 4,
                           chosen.randrange(256), 100, 0, 0) + bytes(max(data_offset - 5, 0) * 4)
    if protocol == UDP:
        return struct.pack("!HHHH", chosen.randrange(65536), chosen.randrange(65536), 8, 0)
    return chosen.randbytes(20)


def options(chosen, length):
    """Mostly such as follow each other to the end."""
    made = b""
    while len(made) < length:
        if chosen.randrange(3):
            made += b"\1"
        else:
            made += bytes([chosen.choice((*MARTIAN_OPTIONS, 0, 148, 148, 130, 130, 94, 255))])
            size = chosen.choice((2, 3, 4, 8, 11))
            made += bytes([chosen.choice((size,) * 8 + (0, 1, 39))]) + chosen.randbytes(size - 2)
    return made[:length]


def ipv4(chosen):
    protocol = chosen.choice((TCP, TCP, TCP, UDP, UDP, UDP, 1, 47))
    fragment = chosen.choice((0, 0, 0, 0, 0x4000, 0x4000, 0x4000, 0x4000, 0x4000, 0x2000, 0x2001, 5))
    words = chosen.choice((5, 5, 5, *range(5, 16)))
    payload = transport(chosen, protocol)
    return struct.pack("!BBHHHBBH", 0x40 | words, 0, words * 4 + len(payload), 1, fragment, 64, protocol, 0) + \
        chosen.randbytes(8) + options(chosen, words * 4 - 20) + payload


def extension(chosen, kind, following):
    if kind == FRAGMENT:
        return struct.pack("!BBHI", following, 0, chosen.choice((0, 1, 8 << 3)), 1)
    if kind == AUTH:
        units = chosen.choice((1, 4, 5))
        return struct.pack("!BBHII", following, units, 0, 1, 1) + bytes((units + 2) * 4 - 12)
    units = chosen.choice((0, 0, 2, 4))
    if kind == ROUTING:
        return struct.pack("!BBBBI", following, units, chosen.choice((0, 2, 3, 4)), 0, 0) + bytes(units * 8)
    # One option of padding fills it.
    return bytes([following, units, 1, units * 8 + 4]) + bytes(units * 8 + 4)


def ipv6(chosen):
    protocol = chosen.choice((TCP, TCP, TCP, UDP, UDP, UDP, 58, 59))
    kinds = [chosen.choice((0, 0, 0, *(DEST_OPTIONS, ROUTING, AUTH) * 4, FRAGMENT))
             for _ in range(chosen.choice((0, 0, 0, 1, 1, 2, 3, 5, 6, 7)))]
    chain = b"".join(extension(chosen, kind, following) for kind, following in zip(kinds, kinds[1:] + [protocol]))
    payload = chain + transport(chosen, protocol)
    return struct.pack("!IHBB", 0x60000000, len(payload), (kinds + [protocol])[0], 64) + chosen.randbytes(32) + payload


def generate(chosen):
    kind, packet = chosen.choice(((0x0800, ipv4), (0x86dd, ipv6), (0x0800, ipv4), (0x86dd, ipv6),
                                (0x0800, ipv4), (0x86dd, ipv6), (0x0806, None)))
    tags = chosen.choice((0, 0, 0, 0, 1, 1, 1, 2, 2, 3))
    types = [chosen.choice(VLAN_TYPES), 0x8100, 0x8100][:tags] + [kind]
    frame = b"\2\0\0\0\0\1\2\0\0\0\0\2" + struct.pack("!H", types[0])
    frame += b"".join(struct.pack("!HH", 5, following) for following in types[1:])
    frame += packet(chosen) if packet else bytes(46)
    fate = chosen.randrange(5)
    if fate == 0:
        return frame[:chosen.randrange(14, len(frame) + 1)]
    if fate == 1:
        changed = bytearray(frame)
        for _ in range(chosen.choice((1, 1, 2, 5))):
            bit = chosen.randrange(12 * 8, len(changed) * 8)
            changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)
    return frame


# ---- reading by dpkt -------------------------------------------------------------------------------------------------


def without_lengths(frame):
    """The programs go by headers alone; dpkt cuts by the IP header's length, but not by one of zero. None: no IP."""
    at, kind = 14, frame[12:14]
    for _ in range(2):
        if int.from_bytes(kind, "big") not in VLAN_TYPES:
            break
        kind, at = frame[at + 2:at + 4], at + 4
    length_at = {b"\x08\x00": at + 2, b"\x86\xdd": at + 4}.get(kind)
    if length_at is None or length_at + 2 > len(frame):
        return None
    return frame[:length_at] + bytes(2) + frame[length_at + 2:]


def network(frame):
    """dpkt's IP or IP6, or None."""
    frame = without_lengths(frame)
    if not frame:
        return None
    try:
        found = dpkt.ethernet.Ethernet(frame).data
    except (dpkt.UnpackError, AttributeError):  # the latter of a fragment with more extension headers behind
        return None
    if isinstance(found, dpkt.ip.IP) and found.v == 4 or isinstance(found, dpkt.ip6.IP6) and found.v == 6:
        return found
    return None


def is_whole(packet):
    """Not a fragment, options all there, no more extension headers than the programs look behind."""
    if isinstance(packet, dpkt.ip.IP):
        return not packet.mf and not packet.offset and len(packet.opts) == packet.hl * 4 - 20
    headers = packet.all_extension_headers
    return len(headers) <= 6 and not any(isinstance(header, dpkt.ip6.IP6FragmentHeader) for header in headers)


def headers_before_fragment(packet):
    return list(itertools.takewhile(lambda header: not isinstance(header, dpkt.ip6.IP6FragmentHeader),
                                    packet.all_extension_headers))


def has_martian_options(packet):
    """Or, in IPv4, some that cannot be."""
    if isinstance(packet, dpkt.ip6.IP6):
        return any(isinstance(header, dpkt.ip6.IP6RoutingHeader) and header.type == 0
                   for header in headers_before_fragment(packet)[:6])
    rest = packet.opts if len(packet.opts) == packet.hl * 4 - 20 else b""
    while rest and rest[0]:
        if rest[0] == 1:
            rest = rest[1:]
            continue
        if rest[0] in MARTIAN_OPTIONS or len(rest) < 2 or not 2 <= rest[1] <= len(rest):
            return True
        rest = rest[rest[1]:]
    return False


def is_fragment(packet):
    if isinstance(packet, dpkt.ip.IP):
        return (packet.mf or packet.offset) and len(packet.opts) == packet.hl * 4 - 20
    before = headers_before_fragment(packet)
    return len(before) <= 6 and len(before) < len(packet.all_extension_headers)


def headers_are_cut(frame, packet):
    """dpkt takes an authentication header that the frame ends in."""
    if isinstance(packet, dpkt.ip.IP):
        return False
    room = len(frame) - frame.index(packet.src) - 32
    return sum(header.length for header in packet.all_extension_headers) > room


def compare_refused(frame, found, tally):
    """Whether it was to be refused; tells so if it was."""
    packet = network(frame)
    if packet and headers_are_cut(frame, packet):
        packet = None
    reason = packet and (REFUSED_OPTION if has_martian_options(packet) else REFUSED_FRAGMENT if is_fragment(packet) else None)
    if reason:
        tally[reason] += 1
        assert found.reason == reason, frame.hex()
    elif packet:
        assert found.reason not in (REFUSED_OPTION, REFUSED_FRAGMENT), frame.hex()
    return bool(reason)


def compare(frame, found, tally):
    packet = network(frame)
    if packet:
        assert (found.source, found.target) == (packet.src, packet.dst), frame.hex()
        assert found.family == (4 if isinstance(packet, dpkt.ip.IP) else 6), frame.hex()
    inner = packet.data if packet and is_whole(packet) else None
    if isinstance(inner, (dpkt.tcp.TCP, dpkt.udp.UDP)):
        tally["both"] += 1
        assert found.reason == NO_SERVICE, frame.hex()
        assert found.protocol == (TCP if isinstance(inner, dpkt.tcp.TCP) else UDP), frame.hex()
        assert (found.from_port, found.to_port) == (inner.sport, inner.dport), frame.hex()
    else:
        tally["neither"] += 1
        assert found.reason != NO_SERVICE, frame.hex()


# ---- the test --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["pass", "drop"])
def programs(lab, request):
    """Every packet a sample, and nobody reads them: a monitor that was killed has left its module on. The link is quiet."""
    lab.server.run("ip", "link", "set", "sv0", "down")
    lab.loader("attach", "sv0", "--cpus", "1", "--options", request.param, "--fragments", request.param)
    monitor = lab.server.popen(lab.bin("sidecore-loader"), "monitor", "sv0", "--rate", "1/1", "--bpffs", lab.bpffs,
                               stdout=subprocess.DEVNULL)
    assert wait_until(lambda: attachment(lab)["modules"]["samples"])
    monitor.send_signal(signal.SIGKILL)
    monitor.wait()
    made = Programs(pin_dir(lab))
    made.refuse = request.param == "drop"
    yield made
    made.close()


def test_both_find_the_same(programs):
    chosen = random.Random(SEED)
    tally = collections.Counter()
    for _ in range(COUNT // BATCH):
        frames = [generate(chosen) for _ in range(BATCH)]
        for frame, found in zip(frames, programs.run(frames)):
            if not programs.refuse or not compare_refused(frame, found, tally):
                compare(frame, found, tally)
    assert sum(tally.values()) == COUNT
    # The comparison is of something: understood and not understood, both are there in plenty, and what is refused.
    assert tally["both"] > COUNT / 5 and tally["neither"] > COUNT / 5, tally
    assert not programs.refuse or min(tally[REFUSED_OPTION], tally[REFUSED_FRAGMENT]) > COUNT / 20, tally
