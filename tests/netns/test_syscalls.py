# SPDX-License-Identifier: MIT
"""The direct engine makes no system call between requests: strace sees none in the middle of steady load."""

import re
import subprocess
import time

import pytest

from tools import PORT, Http, Httpd, Ringsvc, connections, wait_until

REQUESTS = 10_000
AT_ONCE = 16


class TracedHttpd(Httpd):
    """httpd under strace; every system call of it and its threads is in trace()."""

    def __init__(self, lab, root, *options):
        self.file = lab.dir / "strace"
        self.file.touch()
        self.file.chmod(0o666)
        # -D: the pid, and so the signals, are httpd's
        super().__init__(lab, root, *options, wrapper=["strace", "-D", "-f", "-ttt", "-o", self.file])

    def calls(self):
        """(seconds since 1970, name) of each."""
        return [(float(when), name)
                for when, name in re.findall(r"^\d+ +([\d.]+) (?:<\.\.\. )?(\w+)", self.file.read_text(), re.M)]


@pytest.fixture
def traced(lab, small_site):
    """httpd that rather spins than sleeps for want of work, and a poller that does not sleep either."""
    lab.ringsvc = Ringsvc(lab, "--idle-ms", 5000)
    lab.httpd = TracedHttpd(lab, small_site.dir, "--spin-us", 1000000)
    yield lab
    lab.httpd.stop()


def rounds(https, path, body, count):
    """count requests in a closed loop, each answer checked."""
    for _ in range(count // len(https)):
        for http in https:
            http.ask(path)
        for http in https:
            assert http.answer() == (200, body)


@pytest.mark.parametrize("name", ["small", "page"])
def test_no_system_call_between_requests(traced, small_site, name):
    https = [Http(sock) for sock in connections(traced, AT_ONCE)]
    rounds(https, f"/{name}", small_site.bodies[name], 1000)
    begin = time.time()
    rounds(https, f"/{name}", small_site.bodies[name], REQUESTS)
    end = time.time()
    rounds(https, f"/{name}", small_site.bodies[name], 1000)
    for http in https:
        http.sock.close()
    # It goes to sleep in the end, so the trace does see what it does.
    assert wait_until(lambda: any(when > end for when, _ in traced.httpd.calls()), 10)
    calls = traced.httpd.calls()
    assert [call for call in calls if begin <= call[0] <= end] == []
    assert not [call for call in calls if call[1].startswith("io_uring")]


def test_local_engine_is_seen_to_make_them(lab, small_site):
    """So that a trace that shows nothing would not pass for proof."""
    httpd = Httpd(lab, small_site.dir, engine="local")
    strace = lab.server.popen("strace", "-f", "-c", "-e", "trace=io_uring_enter", "-p", httpd.pid,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert "attached" in strace.stderr.readline()
    rounds([Http(sock) for sock in connections(lab, 4)], "/small", small_site.bodies["small"], 400)
    assert httpd.stop() == 0
    table = strace.communicate(timeout=10)[1].splitlines()
    [row] = [line.split() for line in table if line.endswith(" io_uring_enter")]
    assert int(row[3]) >= 100


def test_app_without_any_right_to_io_uring(lab, ringsvc, small_site):
    """Forbidden to it by seccomp, and it is served all the same."""
    wrapper = []
    for call in ("io_uring_setup", "io_uring_enter", "io_uring_register"):
        wrapper += [lab.bin("norights"), call, 1]
    httpd = Httpd(lab, small_site.dir, wrapper=wrapper, uid=0)
    [sock] = connections(lab, 1, port=PORT)
    assert Http(sock).get("/page") == (200, small_site.bodies["page"])
    assert httpd.stop() == 0 and ringsvc.alive()
