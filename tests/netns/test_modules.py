# SPDX-License-Identifier: MIT
"""Modules switched while packets flow: other programs each time, no packet lost, and the rest as it was."""

import json

import pytest

from conftest import wait_until
from test_loader import UDP_PORT, UDP_SOURCE, attachment, bpftool, pin_dir, python, settled, udp_count, udp_sink


def screen(lab, *options):
    return json.loads(lab.loader("screen", "sv0", *options, "--json").stdout)


def pinned_id(lab, name):
    return bpftool("prog", "show", "pinned", pin_dir(lab) / name)["id"]


def machine_code(lab):
    return bpftool("prog", "show", "id", lab.server.xdp_id())["bytes_jited"]


@pytest.mark.parametrize("mode", ["native", "skb"])
def test_switching_loses_nothing(lab, mode):
    lab.loader("attach", "sv0", "--cpus", "1", "--mode", mode, "--service", f"udp/{UDP_PORT}")
    sink = udp_sink(lab)
    source = python(lab.client, UDP_SOURCE, lab.server.ip4, UDP_PORT, 9000, 3, cpu=0)
    programs = {lab.server.xdp_id()}
    switches = 0
    while source.poll() is None:
        switches += 1
        on = switches % 2 == 1
        assert screen(lab, "--validity", "on" if on else "off")["validity"] == on
        programs.add(lab.server.xdp_id())
    assert source.returncode == 0
    assert switches >= 2 and len(programs) == switches + 1
    settled(lab, f"udp/{UDP_PORT}")
    assert udp_count(sink) == 9000
    assert attachment(lab)["mode"] == mode


def test_what_is_off_is_not_there(lab):
    lab.loader("attach", "sv0", "--cpus", "1")
    bare, first = machine_code(lab), lab.server.xdp_id()
    screen(lab, "--validity", "off")
    assert lab.server.xdp_id() == first, "nothing to switch, nothing to exchange"
    screen(lab, "--validity", "on")
    with_validity = machine_code(lab)
    lab.loader("deny", "add", "sv0", "192.0.2.0/24")
    assert bare < with_validity < machine_code(lab)
    # Pins and status name what runs; an attach in place keeps modules.
    assert pinned_id(lab, "steer") == lab.server.xdp_id() == attachment(lab)["program"]["id"]
    lab.loader("attach", "sv0", "--cpus", "1")
    assert screen(lab)["validity"] and screen(lab)["lists"]
    screen(lab, "--validity", "off")
    lab.loader("deny", "del", "sv0", "192.0.2.0/24")
    assert machine_code(lab) == bare


def test_one_exchange_for_all(lab):
    """What one command switches, some on and some off, comes into force together."""
    lab.loader("attach", "sv0", "--cpus", "1", "--validity", "on")
    before = lab.server.xdp_id()
    text = lab.loader("screen", "sv0", "--validity", "off", "--options", "drop", "--fragments", "drop").stdout
    assert text == "sv0: validity off, options drop, fragments drop, lists off, never dropped: nothing\n"
    found = attachment(lab)["modules"]
    assert (found["validity"], found["options"], found["fragments"]) == (False, True, True)
    changed = lab.server.xdp_id()
    assert changed != before
    found = screen(lab, "--options", "pass")
    assert (found["validity"], found["options"], found["fragments"]) == (False, "pass", "drop")
    assert screen(lab)["fragments"] == "drop"


def test_killed_between_device_and_pins(lab):
    """The device has the new program, the pins name the old: what runs is shown, and the next switch mends the pins."""
    lab.loader("attach", "sv0", "--cpus", "1")
    before = pinned_id(lab, "steer")
    killed = lab.server.run("strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=rename:signal=KILL:when=1",
                            lab.bin("sidecore-loader"), "screen", "sv0", "--validity", "on", "--bpffs", lab.bpffs,
                            check=False)
    assert killed.returncode != 0
    assert pinned_id(lab, "steer") == before != lab.server.xdp_id()
    assert screen(lab)["validity"] and attachment(lab)["program"]["id"] == lab.server.xdp_id()
    screen(lab, "--validity", "off")
    assert pinned_id(lab, "steer") == lab.server.xdp_id()
    assert not list(pin_dir(lab).glob("*-new"))
    lab.loader("detach", "sv0")
    assert wait_until(lambda: lab.server.xdp_id() == 0)
