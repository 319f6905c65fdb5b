# SPDX-License-Identifier: MIT
"""
Sends SYNs of sources that do not exist, at an even pace for a bounded time. argv: device, destination MAC, destination address,
port, SYNs per second, seconds; --ack sends ACKs instead. Prints how many went out.
"""

import errno
import random
import socket
import struct
import sys
import time

SYN, ACK = 0x02, 0x10
FRAMES = 4096


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def segment(source, target, port, flags, rng):
    tcp = struct.pack("!HHIIHHHH", rng.randrange(1024, 65536), port, rng.getrandbits(32), rng.getrandbits(32),
                      6 << 12 | flags, 64240, 0, 0) + bytes((2, 4)) + struct.pack("!H", 1460)
    total = checksum(source + target + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp)) + tcp)
    return tcp[:16] + struct.pack("!H", total) + tcp[18:]


def packet(target, port, flags, rng):
    if len(target) == 16:
        source = bytes.fromhex("fd99") + rng.randbytes(14)
        tcp = segment(source, target, port, flags, rng)
        return b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(tcp), socket.IPPROTO_TCP, 64) + source + target + tcp
    source = b"\x0a" + bytes((rng.randrange(100, 200),)) + rng.randbytes(2)
    tcp = segment(source, target, port, flags, rng)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, socket.IPPROTO_TCP, 0) + source + target
    return b"\x08\x00" + ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + tcp


def send(sender, frame):
    """Whether the device took it: its queue may be full."""
    try:
        return sender.send(frame) == len(frame)
    except OSError as error:
        if error.errno != errno.ENOBUFS:
            raise
        return False


def main():
    flags = ACK if "--ack" in sys.argv else SYN
    device, mac, address, port, rate, seconds = [word for word in sys.argv[1:] if not word.startswith("--")]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    target, rng = socket.inet_pton(family, address), random.Random(1)
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind((device, 0))
    link = bytes.fromhex(mac.replace(":", "")) + sender.getsockname()[4]
    frames = [link + packet(target, int(port), flags, rng) for _ in range(FRAMES)]
    print("ready", flush=True)
    start, tried, sent = time.monotonic(), 0, 0
    while (elapsed := time.monotonic() - start) < float(seconds):
        due = int(elapsed * int(rate))
        for i in range(tried, min(due, tried + 128)):
            sent += send(sender, frames[i % FRAMES])
        tried = min(due, tried + 128)
        if tried == due:
            time.sleep(0.001)
    print(sent, flush=True)


main()
