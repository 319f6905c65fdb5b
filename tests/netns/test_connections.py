# SPDX-License-Identifier: MIT
"""Connections of a service as its packets tell of them: opened, closed, live, and their bytes."""

import json
import subprocess

import pytest

from conftest import wait_until
from test_loader import TCP_PORT, python, service
from tools import connections

COUNT = 20

# Never accepts: the kernel opens the connections all the same, and closes none by itself.
LISTENER = """
import signal, socket
sock = socket.create_server(("", 8080), backlog=128)
print("ready", flush=True)
signal.pause()
"""


@pytest.mark.parametrize("mode", ["native", "skb"])
@pytest.mark.parametrize("cpus", ["0", "1", "0-1"])
def test_connections_are_counted(lab, mode, cpus):
    """Wherever they are received: on their dedicated CPU already, or sent there."""
    listener = python(lab.server, LISTENER, stdout=subprocess.PIPE)
    assert listener.stdout.readline() == "ready\n"
    lab.loader("attach", "sv0", "--cpus", cpus, "--mode", mode, "--service", f"tcp/{TCP_PORT}")
    opened = connections(lab, COUNT)
    assert wait_until(lambda: service(lab, f"tcp/{TCP_PORT}")["opened"] == COUNT)
    found = service(lab, f"tcp/{TCP_PORT}")
    assert (found["closed"], found["live"]) == (0, COUNT)
    assert f" {COUNT} " in lab.loader("status", "sv0").stdout
    for sock in opened[:5]:
        sock.close()
    assert wait_until(lambda: service(lab, f"tcp/{TCP_PORT}")["live"] == COUNT - 5)
    (rates,) = json.loads(lab.loader("stats", "sv0", "--interval", "0.1", "--json").stdout)["attachments"]
    assert rates["services"][0]["live"] == COUNT - 5
    for sock in opened:
        sock.close()
    assert wait_until(lambda: service(lab, f"tcp/{TCP_PORT}")["live"] == 0)
    found = service(lab, f"tcp/{TCP_PORT}")
    assert found["local_bytes"] + found["arrived_bytes"] >= 60 * (found["local"] + found["arrived"]) > 0
