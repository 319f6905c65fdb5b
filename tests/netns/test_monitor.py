# SPDX-License-Identifier: MIT
"""monitor: what it shows of packets, the share it takes, what it leaves behind however it ends."""

import json
import re
import signal
import struct
import subprocess
import time

import pytest

from conftest import wait_until
from test_loader import UDP_PORT, UDP_SOURCE, attachment, bpftool, pin_dir, python, refused

TCP_PORT = 8080


def attach(lab, mode="native"):
    lab.loader("attach", "sv0", "--cpus", "1", "--mode", mode, "--service", f"udp/{UDP_PORT}")


def sampling(lab):
    return attachment(lab)["modules"]["samples"]


def monitor(lab, *options, **kwargs):
    """Running, and sampling already."""
    process = lab.server.popen(lab.bin("sidecore-loader"), "monitor", "sv0", *options, "--bpffs", lab.bpffs,
                               **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kwargs})
    assert wait_until(lambda: sampling(lab) or process.poll() is not None)
    return process


def killed(process):
    process.kill()
    process.wait()


def send(lab, count, seconds=0.2, address=None, cpu=0):
    assert python(lab.client, UDP_SOURCE, address or lab.server.ip4, UDP_PORT, count, seconds, cpu=cpu).wait(30) == 0


def ended(process, code=0):
    out, err = process.communicate(timeout=15)
    assert process.returncode == code, (out, err)
    return out.splitlines(), err


@pytest.mark.parametrize("mode", ["native", "skb"])
def test_each_packet_at_both_ends(lab, mode):
    """1/1 shows every datagram twice: sent to its CPU, arrived there."""
    attach(lab, mode)
    before = time.time()
    process = monitor(lab, "--rate", "1/1", "--json")
    send(lab, 50)
    send(lab, 50, address=lab.server.ip6)
    assert wait_until(lambda: attachment(lab)["counters"]["arrived"] == 100)
    process.send_signal(signal.SIGINT)
    lines, err = ended(process)
    assert not err and not sampling(lab)
    samples = [sample for sample in map(json.loads, lines) if sample["to_port"] == UDP_PORT]
    for family, source, target in ((4, lab.client.ip4, lab.server.ip4), (6, lab.client.ip6, lab.server.ip6)):
        mine = [sample for sample in samples if sample["family"] == family]
        sent = [sample for sample in mine if sample["reason"] == "steered"]
        arrived = [sample for sample in mine if sample["reason"] == "arrived"]
        assert len(sent) == len(arrived) == 50
        assert {sample["cpu"] for sample in sent} == {0} and {sample["cpu"] for sample in arrived} == {1}
        assert {sample["verdict"] for sample in sent} == {"steer"} and {s["verdict"] for s in arrived} == {"pass"}
        assert {(s["from"], s["to"], s["protocol"], s["tcp_flags"]) for s in mine} == {(source, target, "udp", "")}
        assert sorted(s["from_port"] for s in sent) == sorted(s["from_port"] for s in arrived)
        assert all(before <= s["time"] <= time.time() and s["len"] > 42 for s in mine)
        assert all(s["schema_version"] == 1 and s["interface"] == "sv0" for s in mine)


def test_text_of_drops_and_of_what_is_not_ip(lab):
    attach(lab)
    lab.loader("deny", "add", "sv0", lab.client.ip4)
    process = monitor(lab, "--rate", "1/1")
    send(lab, 3, 0)
    lab.client.run("ping", "-c", 1, "-W", 1, lab.server.ip4, check=False)
    lab.client.run("ip", "neigh", "flush", "dev", "cl0")
    lab.client.run("ping", "-c", 1, "-W", 1, lab.server.ip4, check=False)
    assert wait_until(lambda: attachment(lab)["counters"]["denied"] >= 4)
    process.terminate()
    text = "\n".join(ended(process)[0])
    clock = r"^\d\d:\d\d:\d\d\.\d{6} CPU \d+ "
    denied = clock + r"drop   denied +"
    assert re.search(denied + rf"10\.77\.0\.2:\d+ > 10\.77\.0\.1:{UDP_PORT} udp, 43 bytes$", text, re.M), text
    assert re.search(denied + r"10\.77\.0\.2 > 10\.77\.0\.1 1, 98 bytes$", text, re.M), text
    assert re.search(clock + r"pass   not_ip +42 bytes$", text, re.M), text


def test_tcp_flags(lab):
    attach(lab)
    process = monitor(lab, "--rate", "1/1")
    code = "import socket, sys\nsocket.socket().connect_ex((sys.argv[1], 9))"
    assert python(lab.client, code, lab.server.ip4).wait(10) == 0
    assert wait_until(lambda: attachment(lab)["counters"]["no_service"] > 0)
    process.terminate()
    assert any("> 10.77.0.1:9 tcp S, 74 bytes" in line for line in ended(process)[0])


def test_share(lab):
    """1/10 of 8000 packets, each seen twice, is 1600, sigma 38."""
    attach(lab)
    process = monitor(lab, "--rate", "1/10")
    send(lab, 8000, 2)
    assert wait_until(lambda: attachment(lab)["counters"]["arrived"] == 8000)
    process.terminate()
    lines, err = ended(process)
    assert not err
    assert abs(sum(f":{UDP_PORT} udp" in line for line in lines) - 1600) < 230  # 6 sigma


def test_count_and_closed_pipe(lab):
    attach(lab)
    process = monitor(lab, "--rate", "1/1", "--count", "5")
    send(lab, 50)
    assert len(ended(process)[0]) == 5 and not sampling(lab)
    # `monitor | head`: who goes away ends it, and it still switches sampling off.
    process = monitor(lab, "--rate", "1/1")
    process.stdout.close()
    send(lab, 50)
    assert process.wait(10) == 0
    assert process.stderr.read() == "" and not sampling(lab)


def test_losses_are_told(lab):
    """A monitor that is stopped empties no ring: what did not fit is counted, and told when it goes on."""
    attach(lab)
    process = monitor(lab, "--rate", "1/1")
    process.send_signal(signal.SIGSTOP)
    send(lab, 6000, 0)
    assert wait_until(lambda: attachment(lab)["counters"]["steered"] >= 5000)
    process.send_signal(signal.SIGCONT)
    process.terminate()
    lines, err = ended(process)
    lost = int(re.search(r"sv0: (\d+) samples lost", err)[1])
    counters = attachment(lab)["counters"]
    assert 3000 < len(lines) < 4000 and lost > 3000
    assert len(lines) + lost <= sum(counters.values())


def test_one_at_a_time_and_killed(lab):
    attach(lab)
    first = monitor(lab, "--rate", "1/1")
    refused(lab.loader("monitor", "sv0", check=False), "another monitor")
    # Others are not kept waiting.
    lab.loader("service", "add", "sv0", f"tcp/{TCP_PORT}")
    # Killed, it cannot switch sampling off. The next one does not show what it left, and does.
    killed(first)
    assert sampling(lab)
    send(lab, 100)
    assert wait_until(lambda: attachment(lab)["counters"]["arrived"] >= 100)
    start = time.time()
    second = monitor(lab, "--rate", "1/1", "--json", "--count", "1")
    assert wait_until(lambda: send(lab, 1, 0) or second.poll() is not None)
    (line,) = ended(second)[0]
    assert json.loads(line)["time"] >= start and not sampling(lab)


def setting(lab):
    """(until_ns, lost) of the pinned map."""
    return struct.unpack("=QQ", bytes(int(byte, 16) for byte in bpftool(
        "map", "lookup", "pinned", pin_dir(lab) / "sampling", "key", 0, 0, 0, 0)["value"][:16]))


def test_sampling_ends_after_a_kill(lab):
    """By itself within 5 s, and the next exchange of programs takes its code out."""
    attach(lab)
    process = monitor(lab, "--rate", "1/1")
    lab.loader("service", "add", "sv0", f"tcp/{TCP_PORT}")
    assert sampling(lab) and process.poll() is None
    first = setting(lab)[0]
    assert wait_until(lambda: setting(lab)[0] > first), "it is made later while somebody watches"
    killed(process)
    until, lost = setting(lab)
    assert until < time.clock_gettime_ns(time.CLOCK_MONOTONIC) + 5e9 and lost == 0
    # As if that time were over: of twice as many packets as the ring has room for none is a sample, so none is lost.
    raw = struct.pack("=QQII", 1, 0, 0xffffffff, 0)
    bpftool("map", "update", "pinned", pin_dir(lab) / "sampling", "key", 0, 0, 0, 0, "value", *raw)
    send(lab, 6000, 0)
    assert wait_until(lambda: attachment(lab)["counters"]["steered"] >= 5000)
    assert setting(lab) == (1, 0) and sampling(lab)
    notes = json.loads(lab.loader("doctor", "sv0", "--json", check=False).stdout)["findings"]
    (note,) = [note for note in notes if "monitor was killed" in note["reason"]]
    assert note["fix"] == "run sidecore-loader upgrade sv0"
    lab.loader(*note["fix"].split()[2:], "--health", "0")
    assert not sampling(lab) and "monitor was killed" not in lab.loader("doctor", "sv0", check=False).stdout
    # Any other command that exchanges them does it too.
    killed(monitor(lab))
    lab.loader("screen", "sv0", "--validity", "on")
    assert not sampling(lab) and attachment(lab)["modules"]["validity"]


def test_detached_meanwhile(lab):
    attach(lab)
    process = monitor(lab)
    lab.loader("detach", "sv0")
    assert wait_until(lambda: lab.server.xdp_id() == 0), "the monitor must not keep the program alive"
    assert "sv0: detached meanwhile; attach it" in ended(process, code=1)[1]


def test_switching_sampling_loses_nothing(lab):
    """It exchanges on_cpu as well: the entries of the CPU map are made anew, their threads keep their priority."""
    from test_loader import udp_count, udp_sink  # pylint: disable=import-outside-toplevel
    attach(lab)
    sink = udp_sink(lab)
    source = python(lab.client, UDP_SOURCE, lab.server.ip4, UDP_PORT, 9000, 3, cpu=0)
    runs = 0
    while source.poll() is None:
        runs += 1
        process = monitor(lab, "--rate", "1/1000")
        process.terminate()
        ended(process)
    assert runs >= 1

    def taken():
        counters = attachment(lab)["counters"]
        return counters["arrived"] + counters["local"]  # an exchange may have had the dedicated CPU take some from the device

    assert wait_until(lambda: taken() >= 9000)
    assert udp_count(sink) == 9000
    policies = subprocess.run(["ps", "-eo", "comm,cls"], capture_output=True, text=True, check=True).stdout
    assert re.search(r"^cpumap/1/map:\d+ +FF$", policies, re.M)


def test_refusals(lab):
    attach(lab)
    for args, words in ((["--rate", "10"], "not a share such as 1/100"), (["--rate", "1/0"], "not a share"),
                        (["--count", "0"], "not a number"), (["--count", "x"], "not a number")):
        refused(lab.loader("monitor", "sv0", *args, check=False), words, code=2)
    refused(lab.loader("monitor", "lo", check=False), "not attached")
