# SPDX-License-Identifier: MIT
"""attach --irq and --busy-poll on a veth of two queues: what is turned, what is said of the rest, and that it comes back."""

import json
import os
import pathlib
import re
import subprocess

import pytest

from test_loader import bpftool, pins

QUEUES = ("rx-0/rps_cpus", "rx-1/rps_cpus", "tx-0/xps_cpus", "tx-1/xps_cpus")


def sysfs(lab, script):
    """Runs a line of shell in the network namespace with its own sysfs: the machine's shows other devices."""
    return lab.server.run("unshare", "-m", "sh", "-ec", f"mount -t sysfs none /sys; cd /sys/class/net/wide; {script}").stdout


def knobs(lab):
    """(threaded, [RPS and XPS masks])."""
    lines = sysfs(lab, "cat threaded " + " ".join(f"queues/{queue}" for queue in QUEUES)).split()
    return int(lines[0]), [int(line.replace(",", ""), 16) for line in lines[1:]]


def threads():
    """CPUs and policy of each NAPI thread of a device named wide, by its name."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        try:
            name = (entry / "comm").read_text().strip() if entry.name.isdigit() else ""
            if name.startswith("napi/wide-"):
                pid = int(entry.name)
                found[name] = (sorted(os.sched_getaffinity(pid)), os.sched_getscheduler(pid))
        except OSError:
            continue
    return found


@pytest.fixture
def wide(lab):
    """A veth pair of two queues, with settings of the operator's own, in the server's namespace."""
    two = ("numrxqueues", "2", "numtxqueues", "2")
    lab.server.run("ip", "link", "add", "wide", *two, "type", "veth", "peer", "name", "wide-peer", *two)
    for name in ("wide", "wide-peer"):
        lab.server.run("ip", "link", "set", name, "up")
    sysfs(lab, "echo 3 >queues/rx-1/rps_cpus; echo 2 >queues/tx-0/xps_cpus")
    return lab


OPERATORS = (0, [0, 3, 2, 0])


def attach(lab, *args, **kwargs):
    return lab.loader("attach", "wide", "--cpus", "1", *args, **kwargs)


def found(lab):
    (each,) = json.loads(lab.loader("status", "wide", "--json").stdout)["attachments"]
    return each


def test_turned_and_put_back(wide):
    before = threads()
    assert knobs(wide) == OPERATORS
    done = attach(wide, "--irq", "--busy-poll")
    # What cannot be done here is said, item by item, and is no failure.
    for words in ("wide: interrupts: it has none", "wide: RSS: its queues cannot be chosen"):
        assert words in done.stderr
    for words in ("wide: RPS: 2 set", "wide: XPS: 2 set", "wide: threaded NAPI: 1 set", "wide: NAPI threads: 2 set"):
        assert words in done.stdout
    assert knobs(wide) == (1, [2, 2, 2, 2])
    ours = {name: thread for name, thread in threads().items() if name not in before}
    assert list(ours.values()) == [([1], os.SCHED_RR)] * 2
    assert (found(wide)["irq"], found(wide)["busy_poll"]) == (True, True)
    assert "NAPI, by threads" in wide.loader("status", "wide").stdout
    # It follows the CPUs. Among several, RPS would move once more what is steered.
    assert json.loads(wide.loader("cpus", "wide", "0-1", "--no-fifo", "--json").stdout)["cpus"] == [0, 1]
    assert knobs(wide) == (1, [0, 0, 1, 2])
    assert sorted(thread for name, thread in threads().items() if name in ours) == [
        ([0], os.SCHED_OTHER), ([1], os.SCHED_OTHER)]
    wide.loader("detach", "wide")
    assert knobs(wide) == OPERATORS
    assert pins(wide) == []


def test_in_place(wide):
    """An attach in place keeps what is turned; a file that does not name it puts it back, part by part."""
    attach(wide, "--irq")
    assert knobs(wide) == (0, [2, 2, 2, 2])
    attach(wide)
    assert knobs(wide) == (0, [2, 2, 2, 2])
    config = wide.dir / "conf"
    config.write_text("cpus = 1\nbusy-poll = on\n")
    text = wide.loader("attach", "wide", "-f", config, "--dry-run").stdout
    assert "RPS, XPS: as they were before" in text and "NAPI threads: turned to these CPUs" in text
    assert knobs(wide) == (0, [2, 2, 2, 2])
    wide.loader("attach", "wide", "-f", config)
    assert knobs(wide) == (1, OPERATORS[1])
    assert (found(wide)["irq"], found(wide)["busy_poll"]) == (False, True)
    config.write_text("cpus = 1\nirq = on\nbusy-poll = off\n")
    wide.loader("attach", "wide", "-f", config)
    assert knobs(wide) == (0, [2, 2, 2, 2])
    wide.loader("detach", "wide")
    assert knobs(wide) == OPERATORS


def test_packets_pass_through_polling_threads(lab):
    lab.loader("attach", "sv0", "--cpus", "1", "--busy-poll", "--service", "tcp/8080")
    lab.client.run("ping", "-c", "20", "-i", "0.01", "-W", "5", lab.server.ip4)
    lab.loader("detach", "sv0")
    lab.client.run("ping", "-c", "1", "-W", "5", lab.server.ip4)


def test_taken_back_with_the_rest(wide):
    """--rollback-after, of a first attach and of one in place."""
    for first in (True, False):
        if not first:
            attach(wide)
        watcher = wide.server.popen(wide.bin("sidecore-loader"), "attach", "wide", "--cpus", "1", "--irq", "--busy-poll",
                                    "--rollback-after", "60", "--bpffs", wide.bpffs, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL)
        while "confirm" not in watcher.stdout.readline():
            assert watcher.poll() is None
        assert knobs(wide) == (1, [2, 2, 2, 2])
        watcher.terminate()
        assert watcher.wait(20) == 1
        assert knobs(wide) == OPERATORS
    assert not found(wide)["irq"]


def test_device_without_any_of_it(lab):
    done = lab.loader("attach", "lo", "--cpus", "1", "--mode", "skb", "--irq", "--busy-poll")
    assert "lo: XPS: it has one queue" in done.stderr and "lo: threaded NAPI" in done.stderr
    assert not lab.loader("detach", "lo").stderr


def test_without_the_right_to_see_sysfs(wide):
    """It takes CAP_SYS_ADMIN to look into the sysfs of the own namespace; the machine's could show another's device."""
    caps = "-all,+bpf,+net_admin,+perfmon,+sys_nice"
    done = wide.server.run("setpriv", f"--bounding-set={caps}", "--inh-caps=-all", wide.bin("sidecore-loader"), "attach",
                           "wide", "--cpus", "1", "--irq", "--bpffs", wide.bpffs, check=False)
    assert done.returncode == 1 and pins(wide) == []
    assert re.search(r"wide: cannot turn interrupts and queues: Operation not permitted; .*plain root", done.stderr)
    assert knobs(wide) == OPERATORS


def test_note_is_a_pin(wide):
    """Who was killed while it turned has noted before what there was."""
    attach(wide, "--irq")
    (note,) = [pin for pin in pins(wide) if pin.endswith("/tuned")]
    text = bytes(int(byte, 16) for byte in bpftool("map", "dump", "pinned", note)[0]["value"]).decode().strip("\0")
    assert "rps rx-1 3\n" in text and "xps tx-0 2\n" in text


def test_doctor_sees_rps_and_changes_that_wait(wide):
    """RPS moves packets once more among several dedicated CPUs; the fix is a command that works."""
    def notes():
        findings = json.loads(wide.loader("doctor", "wide", "--json", check=False).stdout)["findings"]
        return [finding for finding in findings if finding["grade"] == "note"]

    attach(wide)
    assert not any("RPS" in note["reason"] for note in notes())
    wide.loader("cpus", "wide", "0-1")
    (note,) = [note for note in notes() if "RPS of 1 queues" in note["reason"]]
    wide.loader(*note["fix"].removeprefix("run sidecore-loader ").split())
    assert knobs(wide)[1][:2] == [0, 0] and not any("RPS" in note["reason"] for note in notes())
    watcher = wide.server.popen(wide.bin("sidecore-loader"), "upgrade", "wide", "--health", "0", "--rollback-after", "60",
                                "--bpffs", wide.bpffs, stdout=subprocess.PIPE)
    while "confirm" not in watcher.stdout.readline():
        assert watcher.poll() is None
    assert any("taken back in" in note["reason"] and "confirm wide" in note["fix"] for note in notes())
    wide.loader("confirm", "wide")
    assert watcher.wait(20) == 0
