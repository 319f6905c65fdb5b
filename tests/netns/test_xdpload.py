# SPDX-License-Identifier: MIT
"""xdpload against small real servers: it counts what they count, and a fault is reported, never hidden."""

import json
import signal
import sys
import time

import pytest

from conftest import wait_until

PORT = 8080

# Writes head and body apart, so Nagle's algorithm waits for the client's ACK in between. Prints a count at SIGTERM.
# /N answers N bytes, /slow after 20 ms. /fail, /long and /close misbehave from the 21st request on.
SERVER = r"""
import http.server, itertools, signal, sys, threading, time

served = itertools.count()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        nth = next(served)
        what = self.path[1:]
        body = b"x" * int(what) if what.isdigit() else b"y" * 100
        bad = what if nth >= 20 else ""
        if bad == "long":
            body += b"z"
        time.sleep(0.02 if what == "slow" else 0)
        self.send_response(500 if bad == "fail" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = bad == "close"

    def log_message(self, *args):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *args):
        pass  # a reset ends each connection

server = Server(("0.0.0.0", int(sys.argv[1])), Handler)
def end(*args):
    print(next(served), flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
server.serve_forever()
"""


@pytest.fixture
def served(lab):
    """The lab with the server running; lab.count() ends it and returns how many requests it saw."""
    server = lab.server.popen(sys.executable, "-c", SERVER, PORT, stdout=-1)
    assert server.stdout.readline() == "ready\n"
    lab.server.run("ethtool", "-K", lab.server.ifname, "gro", "on")

    def count():
        server.terminate()
        server.wait(timeout=5)
        return int(server.stdout.readline())

    lab.http, lab.count = server, count
    yield lab
    assert not lab.client.xdp_id()


def argv(lab, *args, path="/128"):
    return [lab.bin("xdpload"), "--iface", lab.client.ifname, "--target", f"{lab.server.ip4}:{PORT}", "--path", path,
            *args]


def load(lab, *args, path="/128"):
    """Exit code, parsed JSON report (None without), stderr."""
    done = lab.client.run(*argv(lab, "--json", *args, path=path), check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


@pytest.mark.parametrize("size", [128, 16384, 100000])
def test_counts_what_the_server_counts(served, size):
    code, report, stderr = load(served, "--connections", 8, "--duration", 1, "--warmup", 0.2, path=f"/{size}")
    assert code == 0, (report, stderr)
    assert report["errors"] == report["resets"] == report["lost"] == 0
    assert report["stalled"] < report["requests"] / 10, "requests get there by XDP, not by the help of user space"
    assert report["total"]["responses"] == report["total"]["requests"]
    assert report["total"]["responses"] == served.count() - 2  # the probe's
    assert report["total"]["bytes"] == report["total"]["responses"] * report["response_bytes"]
    assert 0 < report["requests"] <= report["total"]["responses"]
    assert report["requests_per_s"] == pytest.approx(report["requests"] / report["duration_s"], rel=1e-3)
    latency = report["latency_us"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p999"] <= latency["max"]


def test_latency_is_that_of_the_server(served):
    code, report, stderr = load(served, "--connections", 4, "--duration", 1, "--warmup", 0.1, path="/slow")
    assert code == 0, (report, stderr)
    assert 20000 < report["latency_us"]["p50"] < 40000
    assert report["requests_per_s"] == pytest.approx(4e6 / report["latency_us"]["p50"], rel=0.5)


@pytest.mark.parametrize("path, counter, errors", [("/fail", "bad_status", 8), ("/long", "bad_length", 8),
                                                   ("/close", "closed", 0)])
def test_wrong_answers_are_reported(served, path, counter, errors):
    code, report, _ = load(served, "--connections", 8, "--duration", 5, path=path)
    assert code == 1
    assert report["total"][counter] == report["lost"] == 8
    assert report["errors"] == errors
    assert report["duration_s"] < 2, "nothing was left to wait for"


def test_server_killed_under_load(served):
    client = served.client.popen(*argv(served, "--json", "--connections", 8, "--duration", 20), stdout=-1)
    assert wait_until(served.client.xdp_id)
    time.sleep(1.5)
    served.http.kill()
    report = json.loads(client.communicate(timeout=5)[0])
    assert client.returncode == 1
    assert report["lost"] == 8 and report["requests"] > 0
    assert report["resets"] + report["total"]["closed"] == 8


def test_lost_responses_are_sent_again(served):
    served.server.run("tc", "qdisc", "add", "dev", served.server.ifname, "root", "tbf", "rate", "400mbit",
                      "burst", "10kb", "limit", "30kb")  # drops the tail of most bursts
    code, report, stderr = load(served, "--connections", 16, "--duration", 1.5, path="/16384")
    assert code == 0, (report, stderr)
    assert report["out_of_order"] > 0 and report["lost"] == report["errors"] == 0
    assert report["total"]["responses"] == served.count() - 2
    assert report["total"]["bytes"] == report["total"]["responses"] * report["response_bytes"]


def test_lost_requests_stall_and_recover(served):
    client = served.client.popen(*argv(served, "--json", "--connections", 8, "--duration", 3), stdout=-1)
    time.sleep(1.5)
    served.server.run("ethtool", "-K", served.server.ifname, "gro", "off")  # all that comes by XDP is lost
    time.sleep(0.5)
    served.server.run("ethtool", "-K", served.server.ifname, "gro", "on")
    report = json.loads(client.communicate(timeout=10)[0])
    assert client.returncode == 0
    assert report["stalled"] >= 8 and report["lost"] == report["errors"] == 0
    assert report["latency_us"]["max"] > 200000
    assert report["total"]["responses"] == served.count() - 2


def test_server_that_does_not_poll(served):
    served.server.run("ethtool", "-K", served.server.ifname, "gro", "off")
    code, report, stderr = load(served, "--connections", 4)
    assert code == 1 and report is None
    assert "ethtool -K VETH gro on" in stderr


def test_interrupt_reports_and_detaches(served):
    client = served.client.popen(*argv(served, "--json", "--duration", 30), stdout=-1)
    time.sleep(1.8)
    assert served.client.xdp_id()
    client.send_signal(signal.SIGINT)
    report = json.loads(client.communicate(timeout=5)[0])
    assert client.returncode == 1
    assert report["interrupted"] and report["lost"] == 0 and report["requests"] > 0
    assert not served.client.xdp_id()
    established = served.server.run("ss", "-Htn", "state", "established", f"sport = :{PORT}").stdout
    assert established == ""


def test_killed_leaves_nothing_and_the_ports_serve_again(served):
    client = served.client.popen(*argv(served, "--connections", 8, "--duration", 30))
    time.sleep(1)
    client.kill()
    client.wait()
    assert wait_until(lambda: not served.client.xdp_id())
    code, report, stderr = load(served, "--connections", 8, "--duration", 0.5, "--warmup", 0.1)
    assert code == 0, (report, stderr)
    assert report["lost"] == 0


def test_table_for_people(served):
    done = served.client.run(*argv(served, "--connections", 2, "--duration", 0.3, "--warmup", 0.1, "--cpu", "0-1"))
    assert "requests/s" in done.stdout and "p999" in done.stdout and "lost 0" in done.stdout


def test_foreign_program_is_kept(lab):
    # The kernel accepts for it; nobody answers.
    code = "import signal, socket; s = socket.create_server(('0.0.0.0', 8080)); print('up', flush=True); signal.pause()"
    server = lab.server.popen(sys.executable, "-c", code, stdout=-1)
    assert server.stdout.readline() == "up\n"
    first = lab.client.popen(*argv(lab), stderr=-1)  # holds the interface for the 3 s its probe waits
    assert wait_until(lab.client.xdp_id)
    held = lab.client.xdp_id()
    done = lab.client.run(*argv(lab), check=False)
    assert done.returncode == 1 and "another XDP program is attached" in done.stderr
    assert lab.client.xdp_id() == held
    assert first.wait(timeout=10) == 1
    assert "no response within 3 s" in first.stderr.read()
    assert not lab.client.xdp_id()


def test_needs_one_queue(lab):
    lab.client.run("ip", "link", "add", "many", "numrxqueues", "2", "type", "veth", "peer", "name", "peer")
    lab.client.run("ethtool", "-L", "many", "rx", "2")
    done = lab.client.run(lab.bin("xdpload"), "--iface", "many", "--target", "10.0.0.1:80", check=False)
    assert done.returncode == 1
    assert "has 2 receive queues" in done.stderr


@pytest.mark.parametrize("args, code, words", [
    ([], 2, "--iface and --target are needed"),
    (["--nope"], 2, "--nope: unknown option"),
    (["--iface", "lo", "--target", "10.0.0.1"], 2, "is not ADDR:PORT"),
    (["--iface", "lo", "--target", "[::1]:80"], 2, "is not ADDR:PORT"),
    (["--iface", "lo", "--target", "10.0.0.1:70000"], 2, "target port"),
    (["--connections", "0"], 2, "is not a number from 1 to 16384"),
    (["--duration", "x"], 2, "is not a time"),
    (["--path", "no-slash"], 2, "is not a path"),
    (["--iface", "lo", "--target", "10.0.0.1:80", "--source-port", "65530"], 2, "do not fit below 65536"),
    (["--iface", "nope0", "--target", "10.77.0.1:8080"], 1, "nope0: no such interface"),
    (["--iface", "cl0", "--target", "10.77.0.1:8080"], 1, "Connection refused"),
    (["--iface", "cl0", "--target", "10.77.0.1:8080", "--path", "/" + "x" * 200], 1, "use a shorter path"),
    (["--iface", "lo", "--target", "10.77.0.1:8080"], 1, "lo: cannot attach"),
    (["--iface", "cl0", "--target", "10.77.0.1:8080", "--cpu", "1000"], 1, "cpu: cannot run there"),
])
def test_bad_input(lab, args, code, words):
    done = lab.client.run(lab.bin("xdpload"), *args, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
