# SPDX-License-Identifier: MIT
"""upgrade, its health check, and changes that go back unless they are confirmed."""

import json
import os
import re
import signal
import subprocess

import pytest

from conftest import wait_until
from test_killed import Killer
from test_lists import listed
from test_loader import (UDP_PORT, UDP_SOURCE, attachment, bpftool, link_id, pin_dir, pins, python, refused, services, settled,
                         udp_count, udp_sink)

SERVICE = f"udp/{UDP_PORT}"


def attach(lab, *more, cpus="1"):
    return lab.loader("attach", "sv0", "--cpus", cpus, "--service", SERVICE, *more)


def start(lab, *args):
    """A loader that runs on; wait for a line of its output."""
    return lab.server.popen(lab.bin("sidecore-loader"), *args, "--bpffs", lab.bpffs, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def waits(process):
    """Reads up to the line that asks for confirmation."""
    lines = [process.stdout.readline()]
    while lines[-1] and "confirm" not in lines[-1]:
        lines.append(process.stdout.readline())
    assert lines[-1], process.stderr.read()
    return lines


def ended(process, *words, code=1):
    assert process.wait(30) == code
    error = process.stderr.read().splitlines()[-1]
    for word in words:
        assert word in error, error


def halted(lab, upgrade, before):
    """Stops an upgrade once its programs are in use: what the test does now comes before the second half of its check."""
    assert wait_until(lambda: lab.server.xdp_id() not in (0, before), 20)
    upgrade.send_signal(signal.SIGSTOP)


@pytest.mark.parametrize("mode", ["native", "skb"])
def test_upgrade_loses_nothing(lab, mode):
    """Datagrams are numbered and counted at both ends, while programs are exchanged, kept, and taken back."""
    attach(lab, "--mode", mode)
    link, programs = link_id(lab), {lab.server.xdp_id()}
    sink = udp_sink(lab)
    source = python(lab.client, UDP_SOURCE, lab.server.ip4, UDP_PORT, 12000, 4, cpu=0)
    assert wait_until(lambda: attachment(lab)["counters"]["steered"] > 0)
    found = json.loads(lab.loader("upgrade", "sv0", "--health", "0.4", "--json").stdout)
    assert found["schema_version"] == 1 and found["interface"] == "sv0"
    assert {found["program_before"]} == programs and found["program"] == lab.server.xdp_id()
    assert found["packets_before"] > 0 and found["packets_after"] > 0
    programs.add(lab.server.xdp_id())
    upgrades = 0
    while source.poll() is None:
        lab.loader("upgrade", "sv0", "--health", "0")
        programs.add(lab.server.xdp_id())
        upgrades += 1
        if upgrades == 2:
            # Back and forth as well.
            before = lab.server.xdp_id()
            watcher = start(lab, "upgrade", "sv0", "--health", "0", "--rollback-after", "60")
            waits(watcher)
            assert lab.server.xdp_id() != before
            watcher.send_signal(signal.SIGINT)
            ended(watcher, "asked to end", "as before")
            assert lab.server.xdp_id() == before
    assert source.returncode == 0 and upgrades > 3 and len(programs) == upgrades + 2
    settled(lab, SERVICE)
    assert udp_count(sink) == 12000
    assert link_id(lab) == link and attachment(lab)["mode"] == mode
    assert bpftool("prog", "show", "pinned", pin_dir(lab) / "steer")["id"] == lab.server.xdp_id()


def test_upgrade_keeps_modules(lab):
    attach(lab, "--validity", "on", "--never-drop", "tcp/22")
    text = lab.loader("upgrade", "sv0", "--health", "0.2").stdout
    assert re.match(r"sv0: program \d+ in the place of \d+; packets in 0.1 s before: \d+, after: \d+\n", text)
    found = attachment(lab)
    assert found["modules"]["validity"] and not found["modules"]["lists"]
    assert found["never_drop"] == ["tcp/22"] and found["unconfirmed_s"] is None
    text = lab.loader("status", "sv0").stdout
    assert "validity on" in text and "lists off" in text and "never dropped: tcp/22" in text


def test_silence_is_no_illness(lab):
    """A device without traffic before has nothing to be compared with."""
    attach(lab)
    lab.client.run("ip", "link", "set", "cl0", "down")
    lab.loader("upgrade", "sv0", "--health", "0.2")


def test_sick_programs_go_back(lab):
    """Packets that miss their CPU's entry after the exchange, as if the new programs looked in a wrong place."""
    attach(lab)
    before = lab.server.xdp_id()
    sink = udp_sink(lab)
    source = python(lab.client, UDP_SOURCE, lab.server.ip4, UDP_PORT, 25000, 20, cpu=0)
    assert wait_until(lambda: attachment(lab)["counters"]["steered"] > 0)
    upgrade = start(lab, "upgrade", "sv0", "--health", "3")
    halted(lab, upgrade, before)
    bpftool("map", "delete", "pinned", pin_dir(lab) / "cpus", "key", 1, 0, 0, 0)
    upgrade.send_signal(signal.SIGCONT)
    ended(upgrade, "did not find their CPU", "programs before run again", "doctor sv0")
    assert lab.server.xdp_id() == before == attachment(lab)["program"]["id"]
    assert bpftool("prog", "show", "pinned", pin_dir(lab) / "steer")["id"] == before
    source.terminate()
    source.wait()
    udp_count(sink)


def test_packets_that_stop_coming_go_back(lab):
    attach(lab)
    before = lab.server.xdp_id()
    source = python(lab.client, UDP_SOURCE, lab.server.ip4, UDP_PORT, 25000, 20, cpu=0)
    assert wait_until(lambda: attachment(lab)["counters"]["steered"] > 0)
    upgrade = start(lab, "upgrade", "sv0", "--health", "3")
    halted(lab, upgrade, before)
    lab.client.run("ip", "link", "set", "cl0", "down")
    upgrade.send_signal(signal.SIGCONT)
    ended(upgrade, "none in the same time after", "programs before run again")
    assert lab.server.xdp_id() == before
    source.kill()
    source.wait()


def test_upgrade_asked_to_end(lab):
    attach(lab)
    before = lab.server.xdp_id()
    upgrade = start(lab, "upgrade", "sv0", "--health", "5")
    assert wait_until(lambda: lab.server.xdp_id() not in (0, before), 20)
    upgrade.terminate()
    ended(upgrade, "asked to end", "programs before run again")
    assert lab.server.xdp_id() == before


# ---- from an older version -------------------------------------------------------------------------------------------


def make_older(lab):
    """As schema 4 was: shorter samplings, fewer reasons, no blocks."""
    (pin_dir(lab) / "blocks").unlink(missing_ok=True)
    for name, kind, value, entries in (("sampling", "array", 16, 1), ("counters", "percpu_array", 8, 26)):
        bpftool("map", "create", lab.bpffs / name, "type", kind, "key", 4, "value", value, "entries", entries, "name", name)
        os.rename(lab.bpffs / name, pin_dir(lab) / name)
    table = pin_dir(lab) / "steering"
    now = [int(byte, 16) for byte in bpftool("map", "lookup", "pinned", table, "key", 0, 0, 0, 0)["value"]]
    bpftool("map", "update", "pinned", table, "key", 0, 0, 0, 0, "value", 4, 0, 0, 0, *now[4:])


def older(lab):
    """Attached by an older version, with something of each kind."""
    attach(lab, "--never-drop", "tcp/22", "--validity", "on")
    lab.loader("deny", "add", "sv0", "192.0.2.0/24")
    lab.loader("limit", "add", "sv0", "--service", SERVICE, "--per-source", "--rate", "5000000/s")
    lab.loader("service", "add", "sv0", "udp/53", "--xsk")
    lab.loader("syn", "sv0", "--mode", "auto", "--rate", 5000)
    kept = settings(lab)
    make_older(lab)
    return kept


def settings(lab):
    found = attachment(lab)
    return [{key: found[key] for key in ("modules", "never_drop", "cpus", "mode", "syn")}, link_id(lab),
            *(lab.loader(*command, "sv0").stdout for command in (("service", "list"), ("deny", "list"), ("limit", "list")))]


def test_older_version_is_taken_over(lab):
    """All but the counters is kept, and no packet is lost. Every other command says which one does it."""
    kept = older(lab)
    for command in (("attach", "sv0", "--cpus", "1"), ("attach", "sv0", "--cpus", "1", "--dry-run"), ("status", "sv0"),
                    ("deny", "list", "sv0"), ("screen", "sv0"), ("confirm", "sv0")):
        refused(lab.loader(*command, check=False), "older version", "run sidecore-loader upgrade sv0")
    assert "run sidecore-loader upgrade sv0" in lab.loader("doctor", "sv0", check=False).stdout
    refused(lab.loader("upgrade", "sv0", "--rollback-after", "9", check=False), "no way back", "without --rollback-after")
    sink = udp_sink(lab)
    source = python(lab.client, UDP_SOURCE, lab.server.ip4, UDP_PORT, 4000, 2, cpu=0)
    assert lab.loader("upgrade", "sv0", "--health", "1").stdout.endswith("; begun anew: blocks sampling counters\n")
    assert source.wait(20) == 0 and udp_count(sink) == 4000
    assert settings(lab) == kept and attachment(lab)["counters"]["steered"] > 0
    assert "begun anew" not in lab.loader("upgrade", "sv0", "--health", "0").stdout
    # The lists stay whole while there are no blocks of them, and get theirs.
    for command in (("deny", "add", "sv0", "198.51.100.0/24"), ("allow", "import", "sv0", "/dev/null")):
        lab.loader(*command)
        assert lab.loader("deny", "list", "sv0").stdout.split() == ["192.0.2.0/24", "198.51.100.0/24"]
    # To detach it takes no upgrade.
    make_older(lab)
    lab.loader("detach", "sv0")
    assert pins(lab) == []


def test_killed_while_it_takes_over(lab):
    """While pins are changed: the same command takes over the rest."""
    command = ("upgrade", "sv0", "--health", "0")
    attach(lab)
    lab.loader("deny", "add", "sv0", "192.0.2.0/24")
    kept = settings(lab)
    make_older(lab)
    killer = Killer(lab, command)
    points = killer.steps()[-7::2]
    assert {call for call, _ in points} >= {"bpf", "rename"}, points
    for call, number in points:
        make_older(lab)
        killer.kill(call, number)
        lab.loader(*command)
        assert settings(lab) == kept and not list(pin_dir(lab).glob("*-new")), (call, number)


# ---- --rollback-after ------------------------------------------------------------------------------------------------


def test_confirmed(lab):
    watcher = start(lab, "attach", "sv0", "--cpus", "1", "--rollback-after", "60")
    assert "within 60 s, or all goes back" in waits(watcher)[-1]
    found = attachment(lab)
    assert 0 < found["unconfirmed_s"] <= 60
    assert "not confirmed: taken back in" in lab.loader("status", "sv0").stdout
    # Another change on top would be taken back with it.
    for command in (("attach", "sv0", "--cpus", "0"), ("upgrade", "sv0"), ("screen", "sv0", "--validity", "on")):
        refused(lab.loader(*command, check=False), "waits to be confirmed", "confirm sv0 first")
    assert json.loads(lab.loader("confirm", "sv0", "--json").stdout) == {
        "schema_version": 1, "interface": "sv0", "confirmed": True}
    assert watcher.wait(10) == 0 and watcher.stdout.read() == "sv0: confirmed\n"
    assert attachment(lab)["unconfirmed_s"] is None and "confirm" not in lab.loader("status", "sv0").stdout
    refused(lab.loader("confirm", "sv0", check=False), "nothing waits", "status sv0")
    lab.loader("screen", "sv0", "--validity", "on")


def test_first_attach_goes_back(lab):
    """Who has locked himself out is let in again."""
    (lab.dir / "deny").write_text("0.0.0.0/0\n")
    watcher = start(lab, "attach", "sv0", "--cpus", "1", "--deny-file", lab.dir / "deny", "--rollback-after", "1")
    waits(watcher)
    ended(watcher, "not confirmed in time", "as before")
    assert pins(lab) == [] and wait_until(lambda: lab.server.xdp_id() == 0)
    lab.client.run("ping", "-c", "1", "-W", "5", lab.server.ip4)


def test_goes_back_when_nobody_reads(lab):
    """A pipe whose reader went, as of `| head`, is no reason to leave the change there."""
    watcher = start(lab, "attach", "sv0", "--cpus", "1", "--rollback-after", "1")
    watcher.stdout.close()
    ended(watcher, "not confirmed in time", "as before")
    assert pins(lab) == [] and wait_until(lambda: lab.server.xdp_id() == 0)


def test_attach_in_place_goes_back(lab):
    """All of it: programs, modules, CPUs, services, spared ports, lists, limits and SYN cookies."""
    (lab.dir / "deny").write_text("0.0.0.0/0\n::/0\n")
    (lab.dir / "conf").write_text(f"cpus = 0\nservice = tcp/1\nvalidity = on\nnever-drop = tcp/2\ndeny-file = {lab.dir}/deny\n")
    attach(lab, "--never-drop", "tcp/22", cpus="0-1")
    lab.loader("deny", "add", "sv0", "192.0.2.0/24")
    lab.loader("allow", "add", "sv0", "192.0.2.1")
    lab.loader("limit", "add", "sv0", "--rate", "5000000/s")
    lab.loader("limit", "add", "sv0", "--service", SERVICE, "--per-source", "--rate", "30/m", "--burst", 10000)
    lab.loader("syn", "sv0", "--mode", "auto", "--rate", 5000, "--mss", 1400)
    limits = lab.loader("limit", "list", "sv0").stdout
    before, link = attachment(lab), link_id(lab)
    watcher = start(lab, "attach", "sv0", "-f", lab.dir / "conf", "--rollback-after", "60")
    waits(watcher)
    assert services(lab) == ["tcp/1"] and attachment(lab)["never_drop"] == ["tcp/2"] and len(listed(lab, "deny")) == 2
    assert attachment(lab)["syn"]["mode"] == "off" and lab.loader("limit", "list", "sv0").stdout == ""
    watcher.send_signal(signal.SIGHUP)  # the terminal went
    ended(watcher, "asked to end", "as before")
    after = attachment(lab)
    for key in ("program", "modules", "never_drop", "cpus", "mode", "unconfirmed_s", "syn"):
        assert after[key] == before[key], key
    assert services(lab) == [SERVICE] and listed(lab, "deny") == ["192.0.2.0/24"]
    assert listed(lab, "allow") == ["192.0.2.1/32"] and link_id(lab) == link
    assert limits.count("\n") == 2 and lab.loader("limit", "list", "sv0").stdout == limits


def test_services_for_sockets_go_back(lab):
    (lab.dir / "conf").write_text("cpus = 0\nservice = tcp/1\n")
    attach(lab)
    lab.loader("service", "add", "sv0", "udp/53", "--xsk")
    lab.loader("service", "add", "sv0", "udp/54")
    before = lab.loader("service", "list", "sv0").stdout
    assert "udp/53 xsk\n" in before
    watcher = start(lab, "attach", "sv0", "-f", lab.dir / "conf", "--rollback-after", "60")
    waits(watcher)
    assert lab.loader("service", "list", "sv0").stdout == "tcp/1\n"
    watcher.terminate()
    ended(watcher, "asked to end", "as before")
    assert lab.loader("service", "list", "sv0").stdout == before and attachment(lab)["modules"]["sockets"]


def documents(text):
    """The JSON documents that follow one another in text."""
    found, decoder = [], json.JSONDecoder()
    while text.strip():
        document, end = decoder.raw_decode(text.lstrip())
        found.append(document)
        text = text.lstrip()[end:]
    return found


@pytest.mark.parametrize("command", [("attach", "sv0", "--cpus", "0"), ("upgrade", "sv0", "--health", "0")])
def test_waiting_in_json(lab, command):
    """A document of what was done, one that it waits, and one that it was confirmed."""
    attach(lab)
    watcher = start(lab, *command, "--rollback-after", "60", "--json")
    assert wait_until(lambda: attachment(lab)["unconfirmed_s"] or watcher.poll() is not None)
    lab.loader("confirm", "sv0")
    out, err = watcher.communicate(timeout=10)
    done, waiting, confirmed = documents(out)
    assert watcher.returncode == 0, err
    assert done.get("program") == lab.server.xdp_id() or done["attachments"][0]["interface"] == "sv0"
    assert waiting == {"schema_version": 1, "interface": "sv0", "rollback_after_s": 60}
    assert confirmed == {"schema_version": 1, "interface": "sv0", "confirmed": True}


def test_dry_run_does_not_wait(lab):
    assert "native mode" in lab.loader("attach", "sv0", "--cpus", "0", "--rollback-after", "60", "--dry-run").stdout
    assert pins(lab) == []


def test_detached_before_it_was_confirmed(lab):
    watcher = start(lab, "attach", "sv0", "--cpus", "1", "--rollback-after", "60")
    waits(watcher)
    lab.loader("detach", "sv0")
    assert wait_until(lambda: lab.server.xdp_id() == 0)
    ended(watcher, "detached before it was confirmed")
    assert pins(lab) == []


def test_who_waited_was_killed(lab):
    """Nobody takes it back any more: status says so once the time is over, and nothing stands in the way for ever."""
    attach(lab)
    watcher = start(lab, "upgrade", "sv0", "--health", "0", "--rollback-after", "60")
    waits(watcher)
    watcher.kill()
    watcher.wait()
    refused(lab.loader("upgrade", "sv0", check=False), "confirm sv0 first")
    # As if the time were over: the mark is a map of two words, the end and whether it was confirmed.
    bpftool("map", "update", "pinned", pin_dir(lab) / "pending", "key", 0, 0, 0, 0, "value", *[0] * 16)
    assert "who waited was killed" in lab.loader("status", "sv0").stdout
    assert attachment(lab)["unconfirmed_s"] == 0
    done = lab.loader("upgrade", "sv0", "--health", "0")
    assert "never confirmed" in done.stderr
    assert attachment(lab)["unconfirmed_s"] is None


USAGE = [
    (("upgrade",), "no interface"),
    (("upgrade", "sv0", "--health", "6"), "--health 6"),
    (("upgrade", "sv0", "--health", "nan"), "--health nan"),
    (("upgrade", "sv0", "--rollback-after", "0"), "--rollback-after 0"),
    (("attach", "sv0", "--cpus", "1", "--rollback-after", "x"), "--rollback-after x"),
    (("attach", "sv0", "--cpus", "1", "--rollback-after", "86401"), "1 to 86400"),
    (("confirm",), "no interface"),
]


def test_usage_errors(lab):
    for args, word in USAGE:
        refused(lab.server.run(lab.bin("sidecore-loader"), *args, check=False), word, "--help", code=2)
    refused(lab.loader("upgrade", "sv0", check=False), "not attached")
    refused(lab.loader("confirm", "sv0", check=False), "not attached")
