# SPDX-License-Identifier: MIT
"""attach --file and the options that a file and the command line share."""

import json
import re

import pytest

from conftest import REPO
from test_lists import listed
from test_loader import attachment, link_id, pins, refused, services

WHOLE = """
# all keys
interface  = sv0
cpus       = 0-1     # both
mode=skb
service    = tcp/80
service    = udp/[fd00:77::1]:53
validity   = on
options    = drop
fragments  = drop
syn-rate   = 5000
syn        = auto
syn-mss    = 1400
limit      = per-source,1000/s
limit      = tcp/80,30/m,syn,burst=7,per-source
never-drop = tcp/22
deny-file  = {dir}/deny
allow-file = {dir}/allow
no-fifo    = on
"""


def config(lab, text):
    path = lab.dir / "sidecore.conf"
    path.write_text(text.format(dir=lab.dir))
    return path


def screen(lab):
    return json.loads(lab.loader("screen", "sv0", "--json").stdout)


def limits(lab):
    return lab.loader("limit", "list", "sv0").stdout.splitlines()


def lists(lab, deny="192.0.2.0/24\n2001:db8::/32\n", allow="192.0.2.7\n"):
    (lab.dir / "deny").write_text(deny)
    (lab.dir / "allow").write_text(allow)


def test_file_says_all(lab):
    lists(lab)
    path = config(lab, WHOLE)
    done = lab.loader("attach", "--file", path)
    assert done.stdout == "sv0: attached in skb mode, CPUs 0-1, 2 services\n"
    assert attachment(lab)["mode"] == "skb" and [cpu["cpu"] for cpu in attachment(lab)["cpus"]] == [0, 1]
    assert services(lab) == ["tcp/80", "udp/[fd00:77::1]:53"]
    found = screen(lab)
    assert (found["validity"], found["lists"], found["never_drop"]) == (True, True, ["tcp/22"])
    assert (found["options"], found["fragments"]) == ("drop", "drop")
    assert listed(lab, "deny") == ["192.0.2.0/24", "2001:db8::/32"] and listed(lab, "allow") == ["192.0.2.7/32"]
    assert lab.loader("syn", "sv0").stdout == "sv0: SYN cookies auto, from 5000 SYN/s on one CPU, MSS at most 1400\n"
    assert limits(lab) == ["all services: 1000 packets per source/s, burst 1000", "tcp/80: 30 SYNs per source/m, burst 7"]
    # A file that says nothing of them takes them away.
    lab.loader("attach", "sv0", "-f", config(lab, "cpus = 0\nservice = tcp/80\nxsk = udp/9\n"))
    assert lab.loader("service", "list", "sv0").stdout == "tcp/80\nudp/9 xsk\n"
    assert attachment(lab)["modules"]["sockets"]
    lab.loader("attach", "sv0", "-f", config(lab, "cpus = 0\nservice = tcp/80\nservice = udp/9\n"))
    assert lab.loader("service", "list", "sv0").stdout == "tcp/80\nudp/9\n"
    assert not attachment(lab)["modules"]["sockets"]
    lab.loader("attach", "sv0", "-f", config(lab, "cpus = 0\nservice = tcp/80\n"))
    assert lab.loader("syn", "sv0").stdout == "sv0: SYN cookies off\n" and limits(lab) == []
    assert (screen(lab)["options"], screen(lab)["fragments"]) == ("pass", "pass")
    # The command line leaves alone what it does not name.
    lab.loader("attach", "sv0", "--cpus", "0", "--syn", "on", "--limit", "tcp/80,5/h", "--limit", "7/s")
    lab.loader("attach", "sv0", "--cpus", "0", "--limit", "tcp/80,6/h")
    assert lab.loader("syn", "sv0").stdout == "sv0: SYN cookies on\n"
    assert limits(lab) == ["all services: 7 packets/s, burst 7", "tcp/80: 6 packets/h, burst 1"]


def test_file_on_an_attached_interface(lab):
    """What is not in the file goes, lists stay, counters and program link too."""
    lab.loader("attach", "sv0", "--cpus", "0-1", "--service", "tcp/80", "--service", "tcp/81", "--never-drop", "tcp/22",
               "--never-drop", "udp/53", "--validity", "on")
    lab.loader("deny", "add", "sv0", "192.0.2.0/24")
    link = link_id(lab)
    lab.loader("attach", "sv0", "-f", config(lab, "cpus = 1\nservice = tcp/0.0.0.0:80\nservice = tcp/[::]:80\nnever-drop = tcp/22"))
    assert services(lab) == ["tcp/80"]
    found = screen(lab)
    assert (found["validity"], found["lists"], found["never_drop"]) == (False, True, ["tcp/22"])
    assert listed(lab, "deny") == ["192.0.2.0/24"]
    assert [cpu["cpu"] for cpu in attachment(lab)["cpus"]] == [1]
    assert link_id(lab) == link
    # An empty list is one that drops nothing; a family that is not in the file goes alone.
    (lab.dir / "deny").write_text("# nobody\n")
    lab.loader("attach", "sv0", "-f", config(lab, "cpus = 1\nservice = tcp/[::]:80\ndeny-file = {dir}/deny"))
    assert services(lab) == ["tcp/[::]:80"] and listed(lab, "deny") == []
    assert not screen(lab)["lists"] and screen(lab)["never_drop"] == []
    # More spared ports than a file can name go as well.
    for first in range(1, 400, 50):
        lab.loader("screen", "sv0", *[f"--never-drop=tcp/{port}" for port in range(first, first + 50)])
    lab.loader("attach", "sv0", "-f", config(lab, "cpus = 1\nnever-drop = tcp/390"))
    assert screen(lab)["never_drop"] == ["tcp/390"]


def test_command_line_goes_before_file(lab):
    path = config(lab, "cpus = 1\nservice = tcp/80\nmode = skb\n")
    found = json.loads(lab.loader("attach", "sv0", "-f", path, "--cpus", "0", "--service", "tcp/81", "--mode", "native",
                                  "--dry-run", "--json").stdout)
    assert (found["cpus"], found["services"], found["mode"]) == ([0], ["tcp/80", "tcp/81"], "native")
    refused(lab.loader("attach", "lo", "-f", config(lab, "interface = sv0\ncpus = 1"), check=False), "lo", "for sv0", code=2)
    refused(lab.loader("attach", "-f", config(lab, "cpus = 1"), check=False), "no interface", code=2)
    refused(lab.loader("attach", "sv0", "-f", config(lab, ""), check=False), "no CPUs", code=2)
    refused(lab.loader("attach", "sv0", "-f", path, "-f", path, check=False), "one file", code=2)


def test_dry_run_of_a_file(lab):
    lists(lab)
    text = lab.loader("attach", "-f", config(lab, WHOLE), "--dry-run").stdout
    for words in ("nothing changed", "skb mode, CPUs 0-1", "service tcp/80", "never dropped: tcp/22", "validity on",
                  "options drop", "fragments drop",
                  "deny list: 2 prefixes", "allow list: 1 prefixes", "SYN cookies auto, from 5000", "limit tcp/80: 30 SYNs per source/m"):
        assert words in text
    found = json.loads(lab.loader("attach", "-f", config(lab, WHOLE), "--dry-run", "--json").stdout)
    assert (found["whole"], found["validity"], found["never_drop"], found["deny_prefixes"]) == (True, True, ["tcp/22"], 2)
    assert (found["options"], found["fragments"]) == ("drop", "drop")
    assert found["syn"]["mode"] == "auto" and [each["burst"] for each in found["limits"]] == [1000, 7]
    done = lab.loader("attach", "sv0", "--cpus", "1", "--xsk", "udp/9", "--dry-run")
    assert "service udp/9\n  to AF_XDP sockets: udp/9\n" in done.stdout
    found = json.loads(lab.loader("attach", "sv0", "--cpus", "1", "--dry-run", "--json").stdout)
    assert (found["whole"], found["validity"], found["options"], found["deny_prefixes"]) == (False, None, None, None)
    assert pins(lab) == [] and not lab.server.xdp_id()


BAD = [
    ("cpus = 1\ncpu = 1", 2, "cpu = 1", "no such key"),
    ("cpus = x", 1, "cpus = x", "not a list of CPUs"),
    ("cpus = 1\n\n# x\ncpus = 0\n", 4, "given twice"),
    ("cpus = 1\nservice = tcp/0", 2, "tcp/0", "not a service"),
    ("cpus = 1\nxsk = tcp/53", 2, "xsk = tcp/53", "only for UDP on any address"),
    ("cpus = 4096", 1, "no CPU has a number"),
    ("cpus", 1, "not a key, = and a value"),
    ("cpus =", 1, "has no value"),
    ("cpus = # 1", 1, "has no value"),
    ("mode = fast", 1, "not one of native, skb, auto"),
    ("no-fifo = yes", 1, "not one of on, off"),
    ("validity = 1", 1, "not one of on, off"),
    ("options = on", 1, "not one of drop, pass"),
    ("fragments = off", 1, "not one of drop, pass"),
    ("never-drop = tcp/10.0.0.1:22", 1, "not a port"),
    ("syn = yes", 1, "not one of auto, on, off"),
    ("syn-rate = 99", 1, "not a number from 100"),
    ("syn-mss = 1e3", 1, "not a number from 536"),
    ("limit = per-source", 1, "has no rate"),
    ("limit = 5/s,6/s", 1, "not one rate"),
    ("limit = 5/d", 1, "not one rate"),
    ("limit = 5/s,tcp/1,tcp/2", 1, "not a limit such as"),
    ("limit = 5/s,,syn", 1, "not a limit such as"),
    ("limit = udp/53,5/s,syn", 1, "only for TCP"),
    ("limit = 1/h,burst=1000000", 1, "more than a year"),
    ("limit = 5/s,burst=0", 1, "burst is not a number"),
    ("interface = sv0\ninterface = sv0", 2, "given twice"),
    ("interface = " + "x" * 16, 1, "longer"),
    ("dry-run = on", 1, "no such key"),
    ("[steering]\ncpus = 1", 1, "[steering]"),
    ("".join(f"never-drop = tcp/{port}\n" for port in range(1, 1026)), 1025, "1024 ports"),
]


@pytest.mark.parametrize("text,line,words", [(bad[0], bad[1], bad[2:]) for bad in BAD])
def test_bad_lines(lab, text, line, words):
    path = config(lab, text)
    refused(lab.loader("attach", "sv0", "-f", path, check=False), f"{path}:{line}: ", "man sidecore.conf", *words)
    assert pins(lab) == []


def test_what_does_not_hang_together(lab):
    for text, words in (("syn-rate = 5000", "set syn to auto"), ("syn = on\nsyn-rate = 5000", "set syn to auto"),
                        ("syn-mss = 1400", "set syn to auto or on"), ("limit = tcp/80,5/s", "limit of tcp/80: there is no such")):
        refused(lab.loader("attach", "sv0", "-f", config(lab, f"cpus = 1\n{text}"), check=False), words)
    refused(lab.loader("attach", "sv0", "--cpus", "1", "--limit", "tcp/80,5/s", check=False), "name it by --service too")
    assert pins(lab) == []


def test_bad_files(lab):
    refused(lab.loader("attach", "sv0", "-f", lab.dir / "none", check=False), "none", "No such file")
    refused(lab.loader("attach", "sv0", "-f", lab.dir, check=False), str(lab.dir), "directory")
    path = lab.dir / "zero"
    path.write_bytes(b"cpus = 1\0\n")
    refused(lab.loader("attach", "sv0", "-f", path, check=False), "zero", "cannot be read")
    path.write_bytes(b"#" * (1 << 20) + b"\n")
    refused(lab.loader("attach", "sv0", "-f", path, check=False), "File too large")
    # The lists it names are checked before anything is changed, too.
    lists(lab, deny="192.0.2.0/24\nbogus\n")
    lab.loader("attach", "sv0", "--cpus", "1", "--service", "tcp/443")
    program = lab.server.xdp_id()
    refused(lab.loader("attach", "sv0", "-f", config(lab, "cpus = 1\ndeny-file = {dir}/deny"), check=False),
            f"{lab.dir}/deny:2: ", "not a prefix")
    assert services(lab) == ["tcp/443"] and lab.server.xdp_id() == program


def test_spared_from_the_first_packet(lab):
    """--never-drop and lists of an attach hold before its first packet: who administers the machine stays in."""
    lists(lab, deny="0.0.0.0/0\n::/0\n", allow="")
    lab.loader("attach", "sv0", "--cpus", "1", "--never-drop", "udp/9", "--deny-file", lab.dir / "deny", "--validity", "on")
    found = screen(lab)
    assert (found["validity"], found["lists"], found["never_drop"]) == (True, True, ["udp/9"])
    lab.server.run("ping", "-c", "1", "-W", "1", "127.0.0.1")
    assert lab.client.run("ping", "-c", "1", "-W", "1", lab.server.ip4, check=False).returncode
    assert attachment(lab)["counters"]["denied"] > 0
    # Read from standard input, as import does.
    lab.loader("attach", "sv0", "--cpus", "1", "--deny-file", "-", input="")
    assert not screen(lab)["lists"]
    lab.client.run("ping", "-c", "1", "-W", "5", lab.server.ip4)


def test_keys_are_the_options(lab):
    """The man page of the file has every option of attach but those that only a command line has."""
    page = (REPO / "docs/man/sidecore.conf.5").read_text(encoding="utf-8").split(".SH KEYS")[1].replace("\\-", "-")
    known = lab.server.run(lab.bin("sidecore-loader"), "manual", input=".\\\" @options@\n").stdout
    options = re.findall(r"\\fB--([a-z-]+)\\fR", known.split(".SS attach\n")[1].split(".SS")[0].replace("\\-", "-"))
    keys = set(options) - {"file", "rollback-after", "dry-run", "json"}
    assert len(keys) > 7
    for key in keys:
        assert re.search(rf'[ "]{key}[\n" ]', page), key
