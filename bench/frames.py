# SPDX-License-Identifier: MIT
"""Frames of 64 bytes for the XDP programs, and lists of prefixes to look their sources up in."""

import random
import struct

SEED = 20021
TCP, UDP = 6, 17
SYN, ACK = 0x02, 0x10
NOBODY, LISTENER = bytes([198, 18, 0, 1]), bytes([198, 18, 0, 2])
MAC = "02:00:00:00:00:01"  # all frames are sent to it


def _sum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~((total & 0xffff) + (total >> 16)) & 0xffff


def _ipv4(source, target, protocol, transport):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(transport), 0, 0x4000, 64, protocol, 0, source, target)
    return head[:10] + struct.pack("!H", _sum(head)) + head[12:] + transport


def _ethernet(payload):
    return (bytes.fromhex(MAC.replace(":", "")) + b"\2\0\0\0\0\2\x08\0" + payload).ljust(64, b"\0")


def tcp(source, port, flags=ACK, source_port=40000, target=NOBODY):
    """What arrives for nobody ends in the routing of the stack."""
    transport = struct.pack("!HHIIBBHHH", source_port, port, 1, 1, 5 << 4, flags, 64000, 0, 0)
    pseudo = source + target + struct.pack("!BBH", 0, TCP, len(transport))
    transport = transport[:16] + struct.pack("!H", _sum(pseudo + transport)) + transport[18:]
    return _ethernet(_ipv4(source, target, TCP, transport))


def prefixes(count):
    """Random prefixes of 24 bits, the same each time; none begins as sources() do."""
    chosen = random.Random(SEED)
    found = {}
    while len(found) < count:
        found[bytes([chosen.randrange(11, 198), chosen.randrange(256), chosen.randrange(256)])] = None
    return list(found)


def dotted(address):
    return ".".join(map(str, address))


def text(prefix, host=False):
    """The prefix, or the address in it that listed() takes."""
    return dotted(prefix) + (".7" if host else ".0/24")


def listed(count, cnt):
    """Sources within cnt of these prefixes, spread over all of them."""
    chosen = prefixes(count)
    return [chosen[i * count // cnt] + bytes([7]) for i in range(cnt)]


def unlisted(count, cnt):
    """Sources in no prefix, but deep in the same trie: beside some that are."""
    chosen = set(prefixes(count))
    near = (prefix[:2] + bytes([prefix[2] ^ 1]) for prefix in prefixes(count))
    found = [prefix + bytes([7]) for prefix in near if prefix not in chosen]
    return [found[i * len(found) // cnt] for i in range(cnt)]
