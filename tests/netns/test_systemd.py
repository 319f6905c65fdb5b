# SPDX-License-Identifier: MIT
"""Our units under a systemd of their own: in namespaces, with copies of what it would write to."""

import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import REPO, wait_until
from test_loader import pins, services

SYSTEMD = pathlib.Path("/lib/systemd/systemd")
STOCK = SYSTEMD.parent / "system"
STOCK_UNITS = ("sysinit.target", "basic.target", "shutdown.target", "systemd-journald.service", "systemd-journald.socket")
CONF = "/etc/sidecore/sv0.conf"

# First process of the namespaces. udev's files say that the device is there: in a real machine udevd writes them.
BOOT = r"""
set -eu
dir=$1 bpffs=$2 index=$3
mount --make-rprivate /
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --bind "$bpffs" /sys/fs/bpf
mkdir -p "$dir/etc/sidecore" "$dir/etc/default"
cp -a /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache "$dir/etc"
mount --bind "$dir/etc" /etc
mount -t tmpfs tmpfs /var/log
mount --bind "$dir/run" /run
mkdir -p /run/udev/data /run/udev/tags/systemd
touch /run/udev/control "/run/udev/tags/systemd/n$index"
printf '%s\n' I:1 E:SYSTEMD_ALIAS=/sys/subsystem/net/devices/sv0 G:systemd Q:systemd V:1 >"/run/udev/data/n$index"
exec env -i container=test SYSTEMD_UNIT_PATH=/run/units PATH=/usr/bin:/usr/sbin:/bin:/sbin "$4" --system --unit=test.target \
	--show-status=0
"""

TARGET = "[Unit]\nRequires=systemd-journald.service basic.target\nAfter=systemd-journald.service basic.target\n"


def make_cgroup(name):
    """A control group for all that the systemd starts; skips where there can be none."""
    mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    roots = [fields[1] for fields in mounts if fields[2] == "cgroup2"]
    if not SYSTEMD.exists() or not roots:
        pytest.skip("needs systemd and control groups of version 2")
    cgroup = pathlib.Path(roots[0], name)
    try:
        cgroup.mkdir()
    except OSError as error:
        pytest.skip(f"cannot make a control group: {error}")
    return cgroup


class Machine:
    """What runs under the systemd, and commands beside it."""

    def __init__(self, lab, cgroup):
        self.cgroup, self.dir, self.run_dir = cgroup, lab.dir, lab.dir / "run"
        for folder in ("bin", "units"):
            (self.run_dir / folder).mkdir(parents=True)
        for name in STOCK_UNITS:
            shutil.copy(STOCK / name, self.run_dir / "units")
        (self.run_dir / "units" / "test.target").write_text(TARGET)
        for unit in (REPO / "pkg" / "sidecore@.service", REPO / "ringsvc" / "sidecore-ringsvc.service"):
            (self.run_dir / "units" / unit.name).write_text(unit.read_text().replace("@bindir@", "/run/bin"))
        for program in ("sidecore-loader", "sidecore-ringsvc"):
            shutil.copy(lab.bin(program), self.run_dir / "bin")
        self.unshare = lab.server.popen(
            "sh", "-c", 'echo $$ >"$0"; exec "$@"', cgroup / "cgroup.procs", "unshare", "--mount", "--pid", "--uts", "--ipc",
            "--cgroup", "--fork", "--kill-child", "bash", "-c", BOOT, "bash", lab.dir, lab.bpffs, lab.server.link()["ifindex"],
            SYSTEMD, stdin=subprocess.DEVNULL)
        assert wait_until(lambda: self.run("systemctl", "is-system-running").stdout == "running\n", 30)

    def run(self, *command):
        children = pathlib.Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children")
        first = children.read_text().split()
        if not first:
            return subprocess.CompletedProcess(command, 1, "", "")
        return subprocess.run(["nsenter", "-t", first[0], "--all", *command], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, check=False)

    def unit(self, verb, unit, code=0):
        done = self.run("systemctl", verb, unit)
        assert done.returncode == code, (verb, unit, done, self.journal(unit))

    def journal(self, unit):
        self.run("journalctl", "--sync")
        return self.run("journalctl", "-q", "-u", unit, "-o", "cat", "--no-pager").stdout

    def etc(self, path, text):
        (self.dir / path.lstrip("/")).write_text(text)

    def stop(self):
        self.unshare.kill()
        self.unshare.wait()
        groups = [self.cgroup, *(path for path in self.cgroup.rglob("*") if path.is_dir())]
        assert wait_until(lambda: all((group / "cgroup.procs").read_text() == "" for group in groups))
        for group in reversed(groups):
            group.rmdir()


@pytest.fixture
def machine(lab):
    machine = Machine(lab, make_cgroup(lab.dir.name))
    yield machine
    machine.stop()


def test_steering(lab, machine):
    unit = "sidecore@sv0.service"
    machine.unit("start", unit, code=1)
    assert re.search(rf"^sidecore-loader: {CONF}: .*No such file or directory; .+$", machine.journal(unit), re.M)
    machine.etc(CONF, "cpus = 1\nservice = tcp/nowhere\n")
    machine.unit("start", unit, code=1)
    assert re.search(rf"^sidecore-loader: {CONF}:2: service = tcp/nowhere: not a service", machine.journal(unit), re.M)
    assert pins(lab) == [] and lab.server.xdp_id() == 0
    machine.etc(CONF, "cpus = 1\nservice = tcp/80\n")
    machine.unit("start", unit)
    assert services(lab) == ["tcp/80"] and machine.run("systemctl", "is-active", unit).stdout == "active\n"
    machine.etc(CONF, "cpus = 0\nservice = tcp/81\n")
    machine.unit("reload", unit)
    assert services(lab) == ["tcp/81"]
    machine.etc(CONF, "cpus = 0\nservice = nothing\n")
    machine.unit("reload", unit, code=1)
    assert services(lab) == ["tcp/81"] and machine.run("systemctl", "is-active", unit).stdout == "active\n"
    machine.unit("stop", unit)
    assert pins(lab) == [] and wait_until(lambda: lab.server.xdp_id() == 0)


def test_ringsvc(machine):
    """Without cores, and with one that is not there, it does not start; else it listens until it is stopped."""
    unit, conf = "sidecore-ringsvc.service", "/etc/default/sidecore-ringsvc"

    def start(code):
        # It is started again by itself, some times.
        machine.run("systemctl", "stop", unit)
        machine.run("systemctl", "reset-failed", unit)
        machine.unit("start", unit, code)

    start(1)
    assert "Failed to load environment files" in machine.journal(unit)
    machine.etc(conf, "SIDECORE_CPUS=99999\n")
    start(1)
    assert re.search("^sidecore-ringsvc: .*99999", machine.journal(unit), re.M)
    machine.etc(conf, "SIDECORE_CPUS=0\n")
    start(0)
    assert machine.run("ls", "/run/sidecore").stdout != ""
    machine.unit("stop", unit)
    assert machine.run("ls", "/run/sidecore").stdout == ""
