# SPDX-License-Identifier: MIT
"""Runs after all other tests of the session, wherever they are (see conftest.py): nothing of them may be left."""

import contextlib
import os
import pathlib
import subprocess
import tempfile

import pytest

from tools import processes, wait_until

SESSION = f"SIDECORE_TEST_SESSION={os.getpid()}".encode()
TAG = f"sclab-{os.getpid()}-"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to see everybody's processes")


def lines(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def pins():
    return set(pathlib.Path("/sys/fs/bpf").glob("sidecore/*/*"))


PINS_BEFORE = pins()  # read when tests are collected, before the first


def ours():
    """Processes that this session started, however far down: all carry its mark in their environment."""
    found = []
    for pid, _, name in processes():
        with contextlib.suppress(OSError):
            marked = SESSION in pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if marked and pid != os.getpid():
                found.append((pid, name))
    return found


def test_no_process_is_left():
    # What reads this machine's processes may be one of ours itself; a dead one's last parts take a moment.
    assert wait_until(lambda: not ours(), 3), ours()


def test_no_namespace_is_left():
    assert [line for line in lines("ip", "netns", "list") if TAG in line] == []


def test_no_mount_is_left():
    assert [line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines() if TAG in line] == []


def test_no_device_is_left():
    links = lines("ip", "-o", "link", "show")
    assert [line for line in links if line.split()[1].split("@")[0].rstrip(":") in ("sv0", "cl0")] == []


def test_no_pin_is_left():
    """Tests pin in file systems of their own: the machine's must have seen nothing of them."""
    assert pins() == PINS_BEFORE


def test_no_file_is_left():
    left = [entry for entry in os.listdir(tempfile.gettempdir()) if entry.startswith(TAG)]
    assert [entry for entry in left if not entry.startswith(f"{TAG}site-")] == []  # that is removed with the session


def test_no_socket_is_left():
    assert [line for line in lines("ss", "-xlH") if TAG in line] == []
