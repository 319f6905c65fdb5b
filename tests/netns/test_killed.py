# SPDX-License-Identifier: MIT
"""The loader killed at each step of each command: what runs works, status tells it, and the same command mends the rest."""

import json
import re
import socket

import pytest

from conftest import wait_until
from test_lists import listed
from test_loader import UDP_PORT, bpftool, pin_dir, pins, refused
from tools import in_namespace

# What changes more than the process itself. Programs that are loaded and maps that are made die with it.
CALLS = ("bpf", "mkdir", "rmdir", "rename", "unlink", "unlinkat", "write")
BPF_COMMANDS = ("BPF_OBJ_PIN", "BPF_LINK_CREATE", "BPF_LINK_UPDATE", "BPF_MAP_UPDATE_ELEM", "BPF_MAP_DELETE_ELEM")
LINE = re.compile(r"^(?:\[pid +\d+\] )?(\w+)\((?:(BPF_\w+), \{(?:pathname=\"[^\"]*/(\w[\w-]*)\")?)?")


def steps(trace):
    """(call, which of its kind) of all that change something; of many in a row of one kind the first three and the last."""
    counts, found = dict.fromkeys(CALLS, 0), []
    for line in trace.splitlines():
        match = LINE.match(line)
        if not match or match[1] not in CALLS:
            continue
        counts[match[1]] += 1
        if match[1] == "bpf" and match[2] not in BPF_COMMANDS:
            continue
        kind = (match[1], match[2], match[3] and match[3].endswith("-new"))
        if len(found) > 3 and all(each[0] == kind for each in found[-4:]):
            found.pop()
        found.append((kind, match[1], counts[match[1]]))
    return [(call, number) for _, call, number in found]


class Killer:
    """Runs one command of the loader with a trace, or up to a step."""

    def __init__(self, lab, command):
        self.lab, self.command = lab, [lab.bin("sidecore-loader"), *command, "--bpffs", lab.bpffs]

    def steps(self):
        log = self.lab.dir / "trace"
        self.lab.server.run("strace", "-f", "-qq", "-s", "200", "-o", log, "-e", "trace=" + ",".join(CALLS), *self.command)
        return steps(re.sub(r"^\d+ +", "", log.read_text(), flags=re.MULTILINE))

    def kill(self, call, number):
        done = self.lab.server.run("strace", "-f", "-qq", "-o", "/dev/null", "-e",
                                   f"inject={call}:signal=KILL:when={number}", *self.command, check=False)
        assert done.returncode in (-9, 137), done


class Echo:
    """Datagrams to the service arrive, steered or not."""

    def __init__(self, lab):
        self.lab = lab
        self.server, self.client = (in_namespace(host.netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                                    for host in (lab.server, lab.client))
        self.server.settimeout(10)
        self.server.bind((lab.server.ip4, UDP_PORT))

    def check(self):
        for i in range(8):
            self.client.sendto(bytes([i]), (self.lab.server.ip4, UDP_PORT))
            assert self.server.recv(8) == bytes([i])

    def close(self):
        self.server.close()
        self.client.close()


def check_truth(lab):
    """status and the device agree. Returns whether it is attached."""
    done = lab.loader("status", "sv0", "--json", check=False)
    if done.returncode:
        refused(done, "not attached")
        # A link that its process did not pin ends with it, at once or nearly so.
        assert wait_until(lambda: lab.server.xdp_id() == 0)
        return False
    (found,) = json.loads(done.stdout)["attachments"]
    assert found["program"]["id"] == lab.server.xdp_id() != 0
    return True


def device_knobs(lab):
    return lab.server.run("unshare", "-m", "sh", "-c", "mount -t sysfs none /sys; cd /sys/class/net/sv0; "
                          "cat threaded queues/*/?ps_cpus", check=False).stdout.split()


ATTACH = ("attach", "sv0", "--cpus", "1", "--service", f"udp/{UDP_PORT}")


def attached(lab):
    lab.loader(*ATTACH)


def detached(lab):
    if pins(lab):
        lab.loader("detach", "sv0", check=False)
    assert pins(lab) == [] and wait_until(lambda: lab.server.xdp_id() == 0)


def with_list(lab):
    attached(lab)
    lab.loader("deny", "add", "sv0", "192.0.2.0/24")


COMMANDS = {
    "attach": (detached, (*ATTACH, "--validity", "on", "--never-drop", "tcp/22")),
    "attach --irq": (detached, (*ATTACH, "--irq", "--busy-poll")),
    "attach again": (attached, (*ATTACH, "--cpus", "0-1", "--validity", "on", "--service", "tcp/80")),
    "upgrade": (attached, ("upgrade", "sv0", "--health", "0")),
    "detach": (attached, ("detach", "sv0")),
    "service add": (attached, ("service", "add", "sv0", "tcp/80", "tcp/81")),
    "limit add": (attached, ("limit", "add", "sv0", "--per-source", "--rate", "1000000/s")),
    "list import": (with_list, ("deny", "import", "sv0", "LIST")),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_each_step(lab, name):
    before, command = COMMANDS[name]
    (lab.dir / "list").write_text("198.51.100.0/24\n203.0.113.0/24\n")
    killer = Killer(lab, [lab.dir / "list" if word == "LIST" else word for word in command])
    echo = Echo(lab)
    detached(lab)
    knobs = device_knobs(lab)
    before(lab)
    points = killer.steps()
    if name == "attach --irq":
        points = points[-8:]  # what goes before is the same as in attach
    assert len(points) > 2, points
    detached(lab)
    for call, number in points:
        before(lab)
        killer.kill(call, number)
        now = check_truth(lab)
        assert now or name in ("attach", "attach --irq", "detach"), (call, number)
        echo.check()
        if name == "list import":
            assert listed(lab, "deny") in (["192.0.2.0/24"], ["198.51.100.0/24", "203.0.113.0/24"]), (call, number)
        done = lab.server.run(*killer.command, check=False)
        if done.returncode:
            # The one thing that cannot be done twice.
            assert name == "detach" and not now, (call, number, done)
            refused(done, "not attached")
        assert check_truth(lab) == (name != "detach"), (call, number)
        echo.check()
        if name != "detach":
            assert bpftool("prog", "show", "pinned", pin_dir(lab) / "steer")["id"] == lab.server.xdp_id()
            assert not list(pin_dir(lab).glob("*-new")), (call, number)
            lab.loader("detach", "sv0")
        assert pins(lab) == [] and device_knobs(lab) == knobs, (call, number)
    echo.close()
