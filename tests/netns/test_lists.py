# SPDX-License-Identifier: MIT
"""Deny and allow lists, validity checks and spared ports on real devices: what they stop, and what changes lose."""

import ctypes
import ipaddress
import json
import os
import random
import subprocess

import pytest

from conftest import wait_until
from test_loader import UDP_PORT, UDP_SOURCE, pin_dir, python, refused, udp_count, udp_sink
from test_parser import Options


def attach(lab, mode="native"):
    lab.loader("attach", "sv0", "--cpus", "1", "--mode", mode, "--service", f"udp/{UDP_PORT}")


def listed(lab, name):
    return sorted(lab.loader(name, "list", "sv0").stdout.split())


def screen(lab, *options):
    return json.loads(lab.loader("screen", "sv0", *options, "--json").stdout)


def counter(lab, name):
    (found,) = lab.status()["attachments"]
    return found["counters"][name]


def pings(lab, address):
    return not lab.client.run("ping", "-c", 1, "-W", 5, address, check=False).returncode


def silent(lab, address):
    return bool(lab.client.run("ping", "-c", 1, "-W", 1, address, check=False).returncode)


@pytest.mark.parametrize("mode", ["native", "skb"])
def test_deny_and_allow(lab, mode):
    attach(lab, mode)
    assert pings(lab, lab.server.ip4) and pings(lab, lab.server.ip6)
    assert not screen(lab)["lists"]
    lab.loader("deny", "add", "sv0", "10.0.0.0/8", "fd00::/16")
    assert screen(lab)["lists"]
    assert silent(lab, lab.server.ip4) and silent(lab, lab.server.ip6)
    assert counter(lab, "denied") >= 2
    lab.loader("allow", "add", "sv0", lab.client.ip4)
    assert pings(lab, lab.server.ip4) and silent(lab, lab.server.ip6)
    lab.loader("deny", "del", "sv0", "fd00::/16")
    assert pings(lab, lab.server.ip6)
    assert listed(lab, "deny") == ["10.0.0.0/8"] and listed(lab, "allow") == ["10.77.0.2/32"]
    # A prefix is on one list; without any, nothing is looked up.
    lab.loader("deny", "add", "sv0", lab.client.ip4)
    assert listed(lab, "allow") == []
    lab.loader("deny", "import", "sv0", "/dev/null")
    assert listed(lab, "deny") == [] and not screen(lab)["lists"]
    assert pings(lab, lab.server.ip4)


def test_import(lab):
    attach(lab)
    many = [f"{11 + i // 65536}.{i // 256 % 256}.{i % 256}.0/24" for i in range(100_000)]
    path = lab.dir / "list"
    path.write_text("# comment\n\n" + "\n".join(many) + "\n  2001:db8::/32 # end\n")
    lab.loader("allow", "add", "sv0", "192.0.2.0/24")
    lab.loader("deny", "import", "sv0", path)
    assert listed(lab, "deny") == sorted([*many, "2001:db8::/32"])
    assert listed(lab, "allow") == ["192.0.2.0/24"]
    # From standard input; the old content is gone.
    lab.loader("deny", "import", "sv0", "-", input="192.0.2.0/24\n198.51.100.7\n")
    assert listed(lab, "deny") == ["192.0.2.0/24", "198.51.100.7/32"] and listed(lab, "allow") == []
    found = json.loads(lab.loader("deny", "list", "sv0", "--json").stdout)
    assert (found["schema_version"], found["interface"], found["list"]) == (1, "sv0", "deny")
    # A bad line changes nothing.
    for text, words in (("1.2.3.4\nx\n", ":2: not a prefix"), ("10.0.0.1/8\n", ":1: a prefix with bits set"),
                        ("1.2.3.4 5.6.7.8\n", ":1: not a prefix")):
        path.write_text(text)
        refused(lab.loader("deny", "import", "sv0", path, check=False), words)
    assert listed(lab, "deny") == ["192.0.2.0/24", "198.51.100.7/32"]


def test_replacing_under_traffic_loses_nothing(lab):
    """Each list denies all but the client in its own way; a list in part, or none for a moment, would drop or let pass."""
    attach(lab)
    lists = [lab.dir / "one", lab.dir / "two"]
    lists[0].write_text("0.0.0.0/5\n8.0.0.0/7\n" + "\n".join(f"11.{i}.0.0/16" for i in range(256)) + "\n")
    lists[1].write_text("10.0.0.0/10\n10.128.0.0/9\n")
    sink = udp_sink(lab)
    source = python(lab.client, UDP_SOURCE, lab.server.ip4, UDP_PORT, 12000, 4, cpu=0)
    changes = 0
    while source.poll() is None:
        lab.loader("deny", "import", "sv0", lists[changes % 2])
        screen(lab, "--validity", ("on", "off")[changes // 2 % 2])
        changes += 1
    assert source.returncode == 0
    assert changes >= 2, "each list at least once"
    assert wait_until(lambda: counter(lab, "arrived") == counter(lab, "steered"))
    assert udp_count(sink) == 12000
    # What was changed survives an attach in place.
    lab.loader("deny", "import", "sv0", lists[1])
    lab.loader("attach", "sv0", "--cpus", "0-1")
    assert listed(lab, "deny") == ["10.0.0.0/10", "10.128.0.0/9"] and screen(lab)["lists"]


def test_replacing_under_traffic_lets_nobody_in(lab):
    """Each list denies the client, by its address or by its network: another kind of list, in another map."""
    attach(lab)
    by_address, by_network = lab.dir / "address", lab.dir / "network"
    by_address.write_text("10.77.0.2\n")
    by_network.write_text("10.77.0.0/24\n")
    lab.loader("deny", "import", "sv0", by_address)
    sink = udp_sink(lab)
    source = python(lab.client, UDP_SOURCE, lab.server.ip4, UDP_PORT, 6000, 3, cpu=0)
    changes = 0
    while source.poll() is None:
        changes += 1
        lab.loader("deny", "import", "sv0", (by_address, by_network)[changes % 2])
    assert source.returncode == 0
    assert changes >= 2, "each list at least once"
    assert udp_count(sink) == 0 and counter(lab, "denied") == 6000


class Lookups:
    """Asks the program on the device what becomes of a packet from an IPv4 address."""

    def __init__(self, lab):
        self.libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
        self.path = pin_dir(lab) / "steer"

    def denied(self, addresses):
        program = self.libbpf.bpf_obj_get(str(self.path).encode())
        assert program >= 0
        options, found = Options(sz=ctypes.sizeof(Options)), []
        for address in addresses:
            frame = bytes(12) + b"\x08\0\x45" + bytes(8) + b"\x06" + bytes(2) + address.packed + bytes(24)
            options.data_in, options.data_size_in, options.data_size_out = frame, len(frame), 0
            assert self.libbpf.bpf_prog_test_run_opts(program, ctypes.byref(options)) == 0
            found.append(options.rest[3] & 0xffffffff == 1)  # retval: XDP_DROP
        os.close(program)
        return found


def random_prefix(chosen):
    length = chosen.choice((0, 7, 8, 15, 16, 18, 19, 20, 23, 24, 24, 24, 25, 30, 32, 32, 32))
    mask = ~0 << 32 - length & 0xffffffff
    address = (10 << 24 | chosen.randrange(4) << 16 | chosen.randrange(4) << 11 | chosen.randrange(2048)) & mask
    return ipaddress.ip_network((address, length))


def test_changes_at_random(lab):
    """Lists that are replaced, added to and deleted from say what the longest prefix says, whichever way a packet asks."""
    attach(lab)
    lab.server.run("ip", "link", "set", "sv0", "down")  # who speaks otherwise is nobody's business
    chosen, lookups, model = random.Random(20022), Lookups(lab), {}
    for _ in range(40):
        name = chosen.choice(("deny", "deny", "allow"))
        some = {random_prefix(chosen) for _ in range(chosen.choice((1, 2, 12)))}
        action = chosen.choice(("add", "add", "del", "del", "import"))
        if action == "add":
            lab.loader(name, "add", "sv0", *some)
            model.update(dict.fromkeys(some, name))
        elif action == "del":
            gone = sorted(prefix for prefix in model if model[prefix] == name)[:2]
            if gone:
                lab.loader(name, "del", "sv0", *gone)
                model = {prefix: owner for prefix, owner in model.items() if prefix not in gone}
        else:
            lab.loader(name, "import", "sv0", "-", input="\n".join(map(str, some)))
            model = {prefix: owner for prefix, owner in model.items() if owner != name}
            model.update(dict.fromkeys(some, name))
        addresses = [random_prefix(chosen)[0] for _ in range(25)] + [prefix[-1] for prefix in model]
        for address, denied in zip(addresses, lookups.denied(addresses)):
            best = max((prefix for prefix in model if address in prefix), key=lambda prefix: prefix.prefixlen, default=None)
            assert denied == (best is not None and model[best] == "deny"), (address, best, model)


def test_never_drop(lab):
    attach(lab)
    assert screen(lab, "--never-drop", f"tcp/{UDP_PORT}", "--never-drop", "udp/53")["never_drop"] == [
        "udp/53", f"tcp/{UDP_PORT}"]
    lab.loader("deny", "add", "sv0", "0.0.0.0/0", "::/0")
    # ARP is no source: neighbours are found. The spared port answers, if only by a reset; another is silent.
    def answer(port):
        code = ("import socket, sys; s = socket.socket(); s.settimeout(3)\n"
                "try: s.connect((sys.argv[1], int(sys.argv[2])))\n"
                "except ConnectionRefusedError: print('refused')\n"
                "except TimeoutError: print('silence')")
        return python(lab.client, code, lab.server.ip4, port, stdout=subprocess.PIPE).communicate(timeout=10)[0].strip()
    assert answer(UDP_PORT) == "refused"
    assert answer(UDP_PORT + 1) == "silence"
    # Services come and go on a port that is spared.
    lab.loader("service", "add", "sv0", f"tcp/{UDP_PORT}")
    lab.loader("service", "del", "sv0", f"tcp/{UDP_PORT}")
    assert answer(UDP_PORT) == "refused"
    assert screen(lab, "--may-drop", f"tcp/{UDP_PORT}")["never_drop"] == ["udp/53"]
    assert answer(UDP_PORT) == "silence"


@pytest.mark.parametrize("mode", ["native", "skb"])
def test_validity_stops_no_honest_packet(lab, mode):
    """TCP both ways and pings in both families, with and without the kernel's offloads, meet no check."""
    attach(lab, mode)
    screen(lab, "--validity", "on")
    for address in (lab.server.ip4, lab.server.ip6):
        assert pings(lab, address)
        server = lab.server.popen("python3", "-c", "import socket\n"
                                  "s = socket.create_server(('::', 7000), family=socket.AF_INET6, dualstack_ipv6=True)\n"
                                  "print('ready', flush=True)\nc, _ = s.accept()\nn = 0\n"
                                  "while True:\n b = c.recv(65536)\n if not b: break\n n += len(b)\nprint(n)",
                                  stdout=subprocess.PIPE)
        assert server.stdout.readline() == "ready\n"
        python(lab.client, "import socket, sys\ns = socket.create_connection((sys.argv[1], 7000))\n"
               "s.sendall(bytes(5_000_000))\ns.close()", address).wait(20)
        assert server.communicate(timeout=20)[0] == "5000000\n"
    for name in ("bad_header", "bad_checksum", "bad_flags", "land"):
        assert counter(lab, name) == 0


def test_refusals(lab):
    attach(lab)
    for args, words in ((["add", "sv0", "10.0.0.1/8"], "bits set beyond"), (["add", "sv0", "10.0.0.0/33"], "not a prefix"),
                        (["add", "sv0"], "no prefix"), (["import", "sv0"], "no file"), (["list"], "no interface"),
                        (["flush", "sv0"], "no such command")):
        refused(lab.loader("deny", *args, check=False), words, code=2)
    refused(lab.loader("deny", "del", "sv0", "10.0.0.0/8", check=False), "10.0.0.0/8: not on the list")
    refused(lab.loader("deny", "import", "sv0", lab.dir / "none", check=False), "No such file")
    refused(lab.loader("screen", "sv0", "--validity", "maybe", check=False), "not one of on, off", code=2)
    refused(lab.loader("screen", "sv0", "--options", "on", check=False), "--options on: not one of drop, pass", code=2)
    refused(lab.loader("screen", "sv0", "--never-drop", "tcp/10.0.0.1:22", check=False), "not a port", code=2)
    refused(lab.loader("deny", "list", "lo", check=False), "not attached")


def test_pins_of_another_layout_are_refused(lab):
    """Before lists there was no such pin: the error names the commands that help, and they do."""
    attach(lab)
    (pin_dir(lab) / "lists").unlink()
    refused(lab.loader("deny", "list", "sv0", check=False), "another version", "detach sv0")
    refused(lab.loader("attach", "sv0", "--cpus", "1", check=False), "another version", "detach sv0")
    lab.loader("detach", "sv0", check=False)
    attach(lab)
    assert listed(lab, "deny") == []
