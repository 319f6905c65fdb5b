# SPDX-License-Identifier: MIT
"""The demo and the benchmarks in short mode: they run, write what they promise, leave nothing behind. No timings."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from conftest import BUILD, REPO
from tools import wait_until

SERVERS = ("epoll", "local", "direct")
SIZES = (128, 16384)
RUN_KEYS = {"name", "file_bytes", "connections", "requests_per_s", "p50_us", "p99_us", "errors",
            "app_core_us_per_request", "service_core_busy"}

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces"),
              pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")]


@pytest.fixture
def build(tmp_path):
    """A build folder with the real programs whose demo.json is ours: that of a long run stays."""
    (tmp_path / "bin").symlink_to(BUILD / "bin")
    return tmp_path


def start(build, script, *args):
    return subprocess.Popen([sys.executable, REPO / script, *args], env={**os.environ, "SIDECORE_BUILD": str(build)},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=build)


def finish(process, timeout_s=120):
    out, err = process.communicate(timeout=timeout_s)
    return process.returncode, out, err


def traces(pid):
    """What a run with this process id has left: namespaces, folders, mounts, processes."""
    tags = [f"sidecore-demo-{pid}-", f"sidecore-bench-{pid}-"]
    found = [str(path) for folder in ("/run/netns", "/tmp") for path in pathlib.Path(folder).glob("sidecore-*")]
    found += pathlib.Path("/proc/mounts").read_text().splitlines()
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(f"{path}: " + path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            pass  # has just ended
    return [line for line in found if any(tag in line for tag in tags)]


def assert_no_traces(pid):
    wait_until(lambda: not traces(pid), 3)
    assert not traces(pid)


def test_demo(build):
    process = start(build, "demo/demo.py", "--seconds", "1", "--rounds", "1", "--json")
    code, out, err = finish(process)
    assert (code, err) == (0, "")
    assert_no_traces(process.pid)
    result = json.loads((build / "demo.json").read_text())
    assert json.loads(out) == result
    assert [(run["name"], run["file_bytes"]) for run in result["runs"]] == [(n, s) for n in SERVERS for s in SIZES]
    for run in result["runs"]:
        assert RUN_KEYS <= run.keys()
        assert run["connections"] == 64 and run["errors"] == 0
        assert run["requests_per_s"] > 0 and 0 < run["p50_us"] <= run["p99_us"] and run["app_core_us_per_request"] > 0
        assert (0 < run["service_core_busy"] <= 1) if run["name"] == "direct" else run["service_core_busy"] is None
    assert result["app_core_ratio"].keys() == {"128", "16384"} and min(result["app_core_ratio"].values()) > 0
    assert result["one_connection"]["epoll_p50_us"] > 0 and result["one_connection"]["direct_p50_us"] > 0
    assert {"kernel", "cpu_model", "cpus", "congestion_control"} <= result["machine"].keys()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("after_s", [0.15, 0.4, 3.0, 7.5])
def test_demo_stopped_in_the_middle(build, signum, after_s):
    process = start(build, "demo/demo.py", "--seconds", "1", "--rounds", "1")
    time.sleep(after_s)
    process.send_signal(signum)
    code, _, err = finish(process, 20)
    assert code in (128 + signum, -signum), err  # the latter: before it began
    assert "Traceback" not in err
    assert_no_traces(process.pid)
    assert not (build / "demo.json").exists()


def test_bench_core(build):
    process = start(build, "bench/bench.py", "core", "--quick")
    code, _, err = finish(process)
    assert (code, err) == (0, "")
    assert_no_traces(process.pid)
    result = json.loads((build / "bench/core.json").read_text())
    assert {row["name"] for row in result["rows"]} == {"epoll", "uring", "local", "direct"}
    assert all(row["requests_per_s"] > 0 for row in result["rows"])
    assert all({"name", "value", "relation", "target", "holds"} == target.keys() for target in result["targets"])


def test_bench_libapp(build):
    process = start(build, "bench/bench.py", "libapp", "--quick")
    code, out, err = finish(process)
    assert (code, err) == (0, "")
    assert_no_traces(process.pid)
    assert "epoll : direct" in out
    result = json.loads((build / "bench/libapp.json").read_text())
    for operation in ("send", "receive", "round trip", "accept, close", "request", "connection, request"):
        assert set(SERVERS) <= {row["name"] for row in result["rows"] if row["operation"] == operation}
    assert all(row["ops_per_s"] > 0 and not row["errors"] for row in result["rows"])
    assert all(row["app_core_us_per_op"] > 0 for row in result["rows"] if row["name"] != "epoll2")
    assert [target["holds"] for target in result["targets"] if target["name"].startswith("errors")] == [True]


@pytest.mark.parametrize("script, name, args", [
    ("demo/demo.py", "demo", ["--seconds", "0"]),
    ("demo/demo.py", "demo", ["--bogus"]),
    ("bench/bench.py", "bench", ["no-such"]),
])
def test_usage(build, script, name, args):
    code, out, err = finish(start(build, script, *args))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"{name}: error: ")


def test_not_built(tmp_path):
    process = start(tmp_path, "demo/demo.py")
    code, _, err = finish(process)
    assert code == 1
    assert err.startswith("demo: ") and "run ./run build" in err and err.count("\n") == 1
    assert_no_traces(process.pid)


def test_a_server_that_fails_is_quoted(tmp_path):
    """A step that fails says which, and what the program said."""
    (tmp_path / "bin").mkdir()
    for path in (BUILD / "bin").iterdir():
        (tmp_path / "bin" / path.name).symlink_to(path)
    (tmp_path / "bin/httpd_epoll").unlink()
    (tmp_path / "bin/httpd_epoll").write_text("#!/bin/sh\necho the reason >&2\nexit 3\n")
    (tmp_path / "bin/httpd_epoll").chmod(0o755)
    process = start(tmp_path, "demo/demo.py")
    code, _, err = finish(process)
    assert code == 1
    assert err.startswith("demo: httpd_epoll: exit code 3 ") and "the reason" in err and "Traceback" not in err
    assert_no_traces(process.pid)
