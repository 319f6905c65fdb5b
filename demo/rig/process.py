# SPDX-License-Identifier: MIT
"""Programs: run to their end or in the background, each in its own session and never outliving this process."""

import os
import pathlib
import signal
import subprocess
import time

from .trouble import Failure, step

LAST_LINES = 5
STOP_S = 5
WRAPPERS = ("nsenter", "setpriv", "taskset", "chrt")


def last_lines(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return "".join(f"\n    {line}" for line in lines[-LAST_LINES:])


def command_name(argv):
    """The program a command line is about: behind nsenter, setpriv and taskset."""
    words = [str(word) for word in argv]
    while len(words) > 1 and (words[0] in WRAPPERS or words[0].startswith("-") or words[0].isdigit()):
        words.pop(0)
    return os.path.basename(words[0])


def run(*argv, timeout_s=30, why="see the message below", **kwargs):
    """Run to the end; returns stdout. A terminal's Ctrl-C reaches us alone: we decide in which order things end."""
    argv = [str(word) for word in argv]
    try:
        with step():
            done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=timeout_s,
                                  check=False, start_new_session=True, **kwargs)
    except FileNotFoundError:
        raise Failure(f"{argv[0]}: not found: run sudo ./run deps, then ./run build") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{command_name(argv)}: no end after {timeout_s} s: {why}") from None
    if done.returncode:
        raise Failure(f"{command_name(argv)}: {ended(done.returncode)}: {why}" + last_lines(done.stdout + done.stderr))
    return done.stdout


def ended(code):
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


class Process:
    """A program in the background; its output goes to files in `folder`. Also dies if we are killed."""

    def __init__(self, argv, folder, name):
        self.name = name
        self.out, self.err = (pathlib.Path(folder) / f"{name}.{stream}" for stream in ("out", "err"))
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.popen = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=err, start_new_session=True)

    @property
    def pid(self):
        return self.popen.pid

    def said(self):
        return self.err.read_text(errors="replace")

    def wait_for(self, text, timeout_s=10):
        """Until the program has written text to stderr."""
        end = time.monotonic() + timeout_s
        while text not in self.said():
            if self.popen.poll() is not None:
                raise Failure(f"{self.name}: {ended(self.popen.returncode)} before it was ready: see its last lines" +
                              last_lines(self.said()))
            if time.monotonic() > end:
                raise Failure(f"{self.name}: not ready after {timeout_s} s: see its last lines" +
                              last_lines(self.said()))
            time.sleep(0.01)

    def wait(self, timeout_s):
        """To its end, in slices so that a signal is noticed; returns stdout."""
        end = time.monotonic() + timeout_s
        while self.popen.poll() is None:
            if time.monotonic() > end:
                raise Failure(f"{self.name}: no end after {timeout_s:.0f} s: see its last lines" +
                              last_lines(self.said()))
            time.sleep(0.01)
        return self.out.read_text(errors="replace")

    def check(self):
        if self.popen.poll() is not None:
            raise Failure(f"{self.name}: {ended(self.popen.returncode)} while it was needed: see its last lines" +
                          last_lines(self.said()))

    def stop(self):
        """Ask, wait, insist. Returns whether it ended by itself, and well."""
        with step():
            if self.popen.poll() is None:
                self.popen.terminate()
            try:
                return self.popen.wait(STOP_S) == 0
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
                return False
