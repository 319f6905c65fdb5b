# SPDX-License-Identifier: MIT
"""sidecore-loader's commands for operators: rates, live CPUs, what is wrong here, what this kernel can, completions."""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time

import pytest

from conftest import wait_until
from tools import SERVICE_CPU, Httpd
from test_loader import UDP_PORT, UDP_SOURCE, attachment, pins, python, refused, settled, udp_count, udp_sink

SERVICE = f"udp/{UDP_PORT}"


def attach(lab, cpus="1", *more):
    return lab.loader("attach", "sv0", "--cpus", cpus, "--service", SERVICE, *more)


def send(lab, count, seconds):
    """Numbered datagrams from CPU 0, which then receives them too."""
    return python(lab.client, UDP_SOURCE, lab.server.ip4, UDP_PORT, count, seconds, cpu=0)


# ---- stats and top ---------------------------------------------------------------------------------------------------


def test_stats_measures_rates(lab):
    attach(lab)
    sink = udp_sink(lab)
    source = send(lab, 4000, 4)
    assert wait_until(lambda: attachment(lab)["counters"]["steered"] > 0)
    done = lab.loader("stats", "sv0", "--interval", "0.5", "--count", "3", "--json")
    assert source.wait(20) == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 3
    for line in lines:
        assert line["schema_version"] == 1
        (found,) = line["attachments"]
        assert found["interface"] == "sv0" and found["interval_s"] >= 0.4
        assert set(found["reasons"]) == set(attachment(lab)["counters"])
        assert [s["service"] for s in found["services"]] == [SERVICE]
    # What the rates say came by is what the totals say: the intervals touch.
    rates = [line["attachments"][0] for line in lines]
    counted = sum(rate["reasons"]["steered"]["per_s"] * rate["interval_s"] for rate in rates[1:])
    assert abs(counted - (rates[2]["reasons"]["steered"]["packets"] - rates[0]["reasons"]["steered"]["packets"])) < 2
    assert sum(rate["reasons"]["steered"]["per_s"] for rate in rates) > 0
    assert sum(rate["services"][0]["arrived_per_s"] for rate in rates) > 0
    cpus = {cpu["cpu"]: cpu for cpu in rates[2]["cpus"]}
    assert "steered" in cpus[0]["reasons_per_s"] and "arrived" in cpus[1]["reasons_per_s"]
    udp_count(sink)


def test_stats_text(lab):
    attach(lab)
    text = lab.loader("stats", "--interval", "0.1").stdout
    assert text.startswith("sv0: over 0.") and SERVICE in text
    for word in ("packets/s", "steered/s", "Mbit/s", "received/s"):
        assert word in text
    lab.loader("detach", "sv0")
    assert "nothing is attached" in lab.loader("stats", "--interval", "0.1").stdout
    refused(lab.loader("stats", "sv0", "--interval", "0.1", check=False), "sv0", "not attached")


def test_stats_keeps_nobody_from_detaching(lab):
    """It holds neither the lock nor the link between two measurements, and ends when there is nothing left to measure."""
    attach(lab)
    watcher = lab.server.popen(lab.bin("sidecore-loader"), "stats", "sv0", "--interval", "0.1", "--count", "0", "--bpffs",
                               lab.bpffs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert watcher.stdout.readline().startswith("sv0: over")
    lab.loader("detach", "sv0")
    assert wait_until(lambda: lab.server.xdp_id() == 0)
    assert watcher.wait(20) == 1
    assert "not attached" in watcher.stderr.read()


def test_stats_over_a_new_attach(lab):
    """Counters that begin anew give no giant rates."""
    attach(lab)
    sink = udp_sink(lab)
    assert send(lab, 500, 0.2).wait(20) == 0
    watcher = lab.server.popen(lab.bin("sidecore-loader"), "stats", "--interval", "0.2", "--count", "0", "--json", "--bpffs",
                               lab.bpffs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    watcher.stdout.readline()
    lab.loader("detach", "sv0")
    attach(lab)
    for _ in range(5):
        for found in json.loads(watcher.stdout.readline())["attachments"]:
            assert found["reasons"]["steered"]["per_s"] < 1e6
    watcher.terminate()
    udp_count(sink)


def test_top_without_a_terminal_prints_once(lab):
    attach(lab)
    assert lab.loader("top", "sv0", "--interval", "0.1").stdout.count("sv0: over") == 1
    (found,) = json.loads(lab.loader("top", "sv0", "--interval", "0.1", "--json").stdout)["attachments"]
    assert found["interface"] == "sv0"


def read_until(terminal, words, timeout=20):
    """What comes from the terminal up to `words`, or to its end."""
    seen, end = b"", time.monotonic() + timeout
    while words not in seen and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                break
    return seen


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_top_on_a_terminal(lab, key):
    attach(lab)
    ours, theirs = pty.openpty()
    # A session of its own whose terminal this is, so that Ctrl-C is a signal there.
    process = subprocess.Popen(["setsid", "-c", *lab.server.argv(lab.bin("sidecore-loader"), "top", "sv0", "--interval", "0.1",
                                                                 "--bpffs", lab.bpffs)],
                               stdin=theirs, stdout=theirs, stderr=theirs)
    try:
        first = read_until(ours, b"q: quit")
        assert first.startswith(b"\x1b[?1049h") and b"sv0: over" in first
        assert b"sv0: over" in read_until(ours, b"q: quit")  # again
        os.write(ours, key)
        assert process.wait(20) == 0
        assert b"\x1b[?1049l" in read_until(ours, b"\x1b[?1049l")
        settings = subprocess.run(["stty", "-a"], stdin=theirs, capture_output=True, text=True, check=True).stdout
        assert " icanon" in settings and " echo " in settings
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)
        os.close(theirs)


# ---- cpus ------------------------------------------------------------------------------------------------------------


def test_cpus_changes_under_traffic_without_loss(lab):
    attach(lab)
    sink = udp_sink(lab)
    source = send(lab, 8000, 3)
    changes = 0
    while source.poll() is None:
        lab.loader("cpus", "sv0", ("0-1", "0", "1")[changes % 3])
        changes += 1
    assert source.returncode == 0 and changes > 3
    settled(lab, SERVICE)
    assert udp_count(sink) == 8000


def test_cpus(lab):
    attach(lab)
    assert lab.loader("cpus", "sv0", "0-1").stdout == "sv0: CPUs 0-1\n"
    assert [cpu["slots"] for cpu in attachment(lab)["cpus"]] == [64, 64]
    assert json.loads(lab.loader("cpus", "sv0", "0", "--json").stdout) == {
        "schema_version": 1, "interface": "sv0", "cpus": [0]}
    refused(lab.loader("cpus", "sv0", "0,777", check=False), "CPU 777", "choose from")
    assert [cpu["cpu"] for cpu in attachment(lab)["cpus"]] == [0]
    lab.loader("detach", "sv0")
    refused(lab.loader("cpus", "sv0", "0", check=False), "sv0", "not attached")


# ---- usage -----------------------------------------------------------------------------------------------------------

USAGE = [
    (("completions",), "no shell"),
    (("completions", "tcsh"), "tcsh"),
    (("cpus", "sv0"), "no list of CPUs"),
    (("cpus", "sv0", "x"), "x: not a list"),
    (("cpus", "sv0", "1", "2"), "2: one list of CPUs"),
    (("stats", "--interval", "0"), "--interval 0"),
    (("stats", "--interval", "nan"), "--interval nan"),
    (("stats", "--count", "-1"), "--count -1"),
    (("stats", "sv0", "sv1"), "sv1"),
    (("top", "--bogus"), "--bogus"),
]


def test_usage_errors(lab):
    for args, word in USAGE:
        done = lab.server.run(lab.bin("sidecore-loader"), *args, check=False)
        refused(done, word, "--help", code=2)
        assert not done.stdout


# ---- doctor ----------------------------------------------------------------------------------------------------------


def doctor(lab, *args, code=0, run=None):
    """Findings as {(object, grade): [(reason, fix)]}."""
    done = (run or lab.loader)("doctor", *args, "--json", check=False)
    assert done.returncode == code, done
    root = json.loads(done.stdout)
    assert root["schema_version"] == 1
    assert root["problems"] == sum(f["grade"] == "problem" for f in root["findings"])
    assert bool(root["problems"]) == bool(code)
    found = {}
    for finding in root["findings"]:
        assert bool(finding["fix"]) == (finding["grade"] != "ok"), f"a finding without a fix: {finding}"
        found.setdefault((finding["object"], finding["grade"]), []).append((finding["reason"], finding["fix"]))
    return found


def test_doctor_finds_nothing_wrong(lab):
    found = doctor(lab, "sv0")
    assert {("BTF", "ok"), ("rights", "ok"), ("bpffs", "ok"), ("kernel", "ok"), ("sv0", "ok")} <= set(found)
    assert "free to attach to" in str(found["sv0", "ok"])
    assert "driver veth" in str(found["sv0", "ok"])
    # The peer is in another namespace: that cannot be seen, and is no problem found.
    assert "ethtool -K PEER" in str(found["sv0", "note"])
    attach(lab)
    found = doctor(lab)
    assert "attached in native mode" in str(found["sv0", "ok"]) and ("CPU 1", "ok") in found
    text = lab.loader("doctor", "sv0").stdout
    assert "ok       sv0: attached in native mode" in text and "problem" not in text


def test_doctor_of_the_machine(lab):
    loader = lab.bin("sidecore-loader")

    def elsewhere(*args, check):
        return lab.server.run(loader, *args, "--bpffs", lab.dir, check=check)

    def without_rights(*args, check):
        return lab.server.run("setpriv", "--bounding-set=-all", "--inh-caps=-all", loader, *args, "--bpffs", lab.bpffs,
                              check=check)

    assert "mount -m -t bpf" in doctor(lab, code=1, run=elsewhere)["bpffs", "problem"][0][1]
    assert "sudo" in doctor(lab, code=1, run=without_rights)["rights", "problem"][0][1]
    refused(lab.loader("doctor", "nope0", check=False), "nope0", "no such interface")


def test_doctor_of_a_device(lab):
    queues = ("numrxqueues", "4", "numtxqueues", "4")
    lab.server.run("ip", "link", "add", "few", *queues, "type", "veth", "peer", "name", "many", *queues)
    lab.server.run("ethtool", "-L", "few", "rx", "1")
    problems = doctor(lab, "few", code=1)["few", "problem"]
    for word in ("ip link set few up", "ethtool -L many tx 1", "ethtool -K many tx off"):
        assert any(word in fix for _, fix in problems), problems
    # Each fix is a command that works.
    for _, fix in problems:
        lab.server.run(*fix.removeprefix("run ").split())
    lab.server.run("ip", "link", "set", "many", "up")
    assert ("few", "problem") not in doctor(lab, "few")
    lab.loader("attach", "few", "--cpus", "1")
    lab.loader("detach", "few")
    assert "--mode skb" in doctor(lab, "lo", code=1)["lo", "problem"][0][1]
    lab.loader("attach", "lo", "--cpus", "1", "--mode", "skb")
    assert "skb mode is slower" in str(doctor(lab, "lo")["lo", "note"])


def test_doctor_of_somebody_elses_program(lab):
    attach(lab)
    directory = lab.bpffs / "sidecore" / str(lab.server.inode) / str(lab.server.link()["ifindex"])
    os.rename(directory / "link", lab.bpffs / "theirs")
    reason, fix = doctor(lab, "sv0", code=1)["sv0", "problem"][0]
    assert f"id {lab.server.xdp_id()}" in reason and "not ours" in reason and "its own tool" in fix


def test_doctor_of_cpus(lab):
    attach(lab, "0-1", "--no-fifo")
    # Somebody else's poller may be bound to that CPU: then it is a problem.
    findings = json.loads(lab.loader("doctor", "sv0", "--json", check=False).stdout)["findings"]
    (found,) = [f for f in findings if f["object"] == "CPU 1"]
    assert ("normal priority" if found["grade"] == "note" else "poller") in found["reason"]
    assert "sidecore-loader cpus sv0 0-1" in found["fix"]
    lab.loader("cpus", "sv0", "1")
    assert ("CPU 1", "ok") in doctor(lab, "sv0")
    (lab.dir / "online").write_text("0\n")

    def offline(*args, check):
        return lab.server.run("unshare", "-m", "sh", "-ec",
                              f"mount --bind {lab.dir}/online /sys/devices/system/cpu/online\nexec \"$@\"", "sh",
                              lab.bin("sidecore-loader"), *args, "--bpffs", lab.bpffs, check=check)

    reason, fix = doctor(lab, "sv0", code=1, run=offline)["CPU 1", "problem"][0]
    assert "offline" in reason and "sidecore-loader cpus sv0" in fix


def test_doctor_finds_a_poller_beside_a_slow_thread(lab, ringsvc, small_site):
    attach(lab, str(SERVICE_CPU), "--no-fifo")
    httpd = Httpd(lab, small_site.dir)
    found = doctor(lab, "sv0", code=1)
    assert "poller" in found[f"CPU {SERVICE_CPU}", "problem"][0][0]
    lab.loader("cpus", "sv0", str(SERVICE_CPU))
    assert (f"CPU {SERVICE_CPU}", "ok") in doctor(lab, "sv0")
    assert httpd.stop() == 0 and ringsvc.stop() == 0


# ---- features --------------------------------------------------------------------------------------------------------


def test_features(lab):
    found = json.loads(lab.loader("features", "sv0", "--json").stdout)
    assert found["schema_version"] == 1 and found["interface"] == "sv0"
    assert all(feature["supported"] and feature["use"] for feature in found["kernel"].values())
    assert found["device"]["basic"]["supported"] and found["device"]["redirect"]["supported"]
    assert not found["device"]["hw-offload"]["supported"]
    assert not json.loads(lab.loader("features", "lo", "--json").stdout)["device"]["basic"]["supported"]
    assert "device" not in {key for key, value in json.loads(lab.loader("features", "--json").stdout).items() if value}
    text = lab.loader("features", "sv0").stdout
    assert "kernel:\n" in text and "sv0:\n" in text and "xdp_cpumap_program   yes" in text
    refused(lab.loader("features", "nope0", check=False), "nope0", "no such interface")


def test_features_without_type_information(lab):
    done = lab.server.run("unshare", "-m", "sh", "-ec", 'mount -t tmpfs none /sys/kernel/btf\nexec "$@"', "sh",
                          lab.bin("sidecore-loader"), "features", "--bpffs", lab.bpffs, check=False)
    refused(done, "BTF", "CONFIG_DEBUG_INFO_BTF")


# ---- attach --dry-run ------------------------------------------------------------------------------------------------


def test_dry_run_changes_nothing(lab):
    done = attach(lab, "1", "--dry-run")
    for word in ("nothing changed", "put programs on it", "native mode", "CPUs 1", SERVICE, "program steer: verified"):
        assert word in done.stdout, done
    assert pins(lab) == [] and not lab.server.xdp_id()
    found = json.loads(attach(lab, "0-1", "--dry-run", "--json", "--mode", "skb").stdout)
    assert found["schema_version"] == 1 and found["dry_run"] and not found["in_place"]
    assert (found["mode"], found["cpus"], found["services"]) == ("skb", [0, 1], [SERVICE])
    assert [program["name"] for program in found["programs"]] == ["steer_skb", "on_cpu_skb"]
    assert all(program["verified_instructions"] > 0 for program in found["programs"])
    assert pins(lab) == [] and not lab.server.xdp_id()


def test_dry_run_on_an_attached_interface(lab):
    attach(lab)
    before, program = attachment(lab), lab.server.xdp_id()
    found = json.loads(lab.loader("attach", "sv0", "--cpus", "0", "--service", "tcp/80", "--dry-run", "--json").stdout)
    assert found["in_place"] and found["cpus"] == [0]
    assert lab.server.xdp_id() == program
    after = attachment(lab)
    assert (after["cpus"], [s["service"] for s in after["services"]]) == (before["cpus"], [SERVICE])
    refused(lab.loader("attach", "sv0", "--cpus", "0", "--mode", "skb", "--dry-run", check=False), "native", "detach sv0")
    refused(lab.loader("attach", "sv0", "--cpus", "777", "--dry-run", check=False), "CPU 777")


# ---- what is done, as JSON -------------------------------------------------------------------------------------------


def test_done_as_json(lab):
    def told(*args):
        return json.loads(lab.loader(*args, "--json").stdout)

    lab.server.run("ip", "link", "add", "gone", "type", "veth", "peer", "name", "gone-peer")
    lab.loader("attach", "gone", "--cpus", "1")
    gone = [pin for pin in pins(lab) if pin.endswith("/link")][0].removesuffix("/link")
    lab.server.run("ip", "link", "del", "gone")
    assert told("clean") == {"schema_version": 1, "removed": [gone]}
    assert told("clean") == {"schema_version": 1, "removed": []}
    (found,) = told("attach", "sv0", "--cpus", "1", "--service", SERVICE, "--irq")["attachments"]
    assert found["interface"] == "sv0" and found["mode"] == "native" and found["services"][0]["service"] == SERVICE
    head = {"schema_version": 1, "interface": "sv0"}
    assert told("service", "add", "sv0", "udp/53", "--xsk") == {**head, "services": [SERVICE, "udp/53"], "xsk": ["udp/53"]}
    assert told("service", "del", "sv0", "udp/53") == {**head, "services": [SERVICE], "xsk": []}
    (limit,) = told("limit", "add", "sv0", "--rate", "5000000/s")["limits"]
    assert limit["rate"] == told("limit", "list", "sv0")["limits"][0]["rate"]
    assert told("limit", "del", "sv0") == {**head, "limits": []}
    (lab.dir / "list").write_text("192.0.2.0/24\n198.51.100.7\n")
    assert told("deny", "import", "sv0", lab.dir / "list") == {**head, "list": "deny", "prefix_cnt": 2}
    assert told("allow", "add", "sv0", "192.0.2.1") == {**head, "list": "allow", "prefix_cnt": 1}
    assert told("deny", "del", "sv0", "192.0.2.0/24") == {**head, "list": "deny", "prefix_cnt": 1}
    assert told("detach", "sv0") == {"schema_version": 1, "interface": "sv0", "detached": True}
    refused(lab.loader("detach", "sv0", "--json", check=False), "not attached")


# ---- completions -----------------------------------------------------------------------------------------------------

COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_sidecore_loader
printf '%s\\n' "${COMPREPLY[@]}"
"""


def test_bash_completion(lab):
    script = lab.dir / "completion"
    # A copy: a build that ends meanwhile must not put another's options beside ours.
    loader = shutil.copy(lab.bin("sidecore-loader"), lab.dir)
    script.write_text(lab.server.run(loader, "completions", "bash").stdout)

    def complete(*words):
        return lab.server.run("bash", "-euc", COMPLETE, "bash", script, "sidecore-loader", *words, check=False).stdout.split()

    commands = complete("")
    assert {"attach", "stats", "doctor", "service"} <= set(commands) and "completions" not in commands
    assert complete("service", "") == ["add", "del", "list"]
    assert complete("attach", "x", "--mode", "") == ["native", "skb", "auto"]
    assert complete("attach", "x", "--mode", "=", "s") == ["skb"]
    assert "lo" in complete("service", "add", "l")
    # Every command's options are those of its --help.
    for command in commands:
        if "add" not in complete(command, ""):
            known = lab.server.run(loader, command, "--help").stdout
            options = complete(command, "--")
            assert len(options) > 4 and all(option in known for option in options), command
            assert len(options) == len(re.findall(r"^ {2,6}-", known, re.MULTILINE)), command


def test_fish_completion(lab):
    if not shutil.which("fish"):
        pytest.skip("needs fish")
    script = lab.dir / "completion.fish"
    script.write_text(lab.server.run(lab.bin("sidecore-loader"), "completions", "fish").stdout)

    def complete(line):
        done = lab.server.run("fish", "-N", "-c", f"source {script}; complete -C '{line}'", env={**os.environ, "HOME": lab.dir})
        return [found.split("\t")[0] for found in done.stdout.splitlines()]

    assert complete("sidecore-loader service ") == ["add", "del", "list"]
    assert complete("sidecore-loader attach x --mo") == ["--mode"]
    assert complete("sidecore-loader attach x --mode s") == ["skb"]
    assert "lo" in complete("sidecore-loader service add l")
    assert complete("sidecore-loader screen lo --may") == ["--may-drop"]
    assert complete("sidecore-loader deny add lo --may") == []


def test_zsh_completion(lab):
    if not shutil.which("zsh"):
        pytest.skip("needs zsh")
    script = lab.dir / "_sidecore-loader"
    script.write_text(lab.server.run(lab.bin("sidecore-loader"), "completions", "zsh").stdout)
    terminal, theirs = pty.openpty()
    lab.server.popen("zsh", "-f", "-i", stdin=theirs, stdout=theirs, stderr=theirs,
                     env={**os.environ, "TERM": "dumb", "HOME": str(lab.dir)})
    os.close(theirs)

    def type_in(text, shows):
        os.write(terminal, text.encode())
        assert shows.encode() in read_until(terminal, shows.encode()), text

    # Ctrl-X shows the line as completed, which the screen itself tells in pieces only.
    type_in("show() { print -r \"<$BUFFER>\"; BUFFER=''; }; zle -N show; bindkey '^X' show; autoload -Uz compinit; "
            f"compinit -u -D; source {script}; echo re''ady\n", "ready")
    for typed, completed in (("serv\ta\t", "service add "), ("attach lo --mod\t", "attach lo --mode="),
                             ("attach lo --mode=s\t", "attach lo --mode=skb "), ("screen lo --may\t", "screen lo --may-drop="),
                             ("detach l\t", "detach lo ")):
        type_in(f"sidecore-loader {typed}\x18", f"<sidecore-loader {completed}>")
    os.close(terminal)


def test_manual(lab):
    """Every option of every command's --help is in the man page, under its command."""
    loader = lab.bin("sidecore-loader")
    page = lab.server.run(loader, "manual", input=".\\\" @usage@\nbetween\n.\\\" @options@\n").stdout
    usage, options = page.split("between\n")
    assert ".B sidecore-loader service add\n" in usage and ".B sidecore-loader attach\n" in usage
    section = options.split(".SS attach\n")[1].split(".SS")[0]
    words = {word for line in lab.server.run(loader, "attach", "--help").stdout.splitlines()
             for word in re.findall(r"^ +(?:-., )?--([a-z-]+)", line)}
    assert len(words) > 5
    common = options.split(".SS Every command\n")[1]
    for word in words - {"help", "usage", "version"}:
        assert "\\-\\-" + word.replace("-", "\\-") + "\\fR" in section + common, word
