# SPDX-License-Identifier: MIT
"""How a run ends before its end: by a failure, told in one line, or by a signal, never in the middle of a step."""

import contextlib
import signal
import sys

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Failure(Exception):
    """Object, reason and next step on the first line; what the failing program last said may follow."""


class Interrupted(BaseException):
    """A signal asked to stop. Not an Exception: no handler on the way may swallow it."""

    def __init__(self, signum):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class Deferral:
    """Signals that arrive within a step wait for its end: what a step makes is on record before anything unwinds.

    Only the first one counts: what follows it is cleaning up, all of whose waits are bounded.
    """

    def __init__(self):
        self.depth, self.signum, self.delivered = 0, None, False

    def on_signal(self, signum, _frame):
        self.signum = self.signum or signum
        self.deliver()

    def deliver(self):
        if self.signum and not self.depth and not self.delivered:
            self.delivered = True
            raise Interrupted(self.signum)

    @contextlib.contextmanager
    def step(self):
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1
        self.deliver()


DEFERRAL = Deferral()
step = DEFERRAL.step


def guarded(program, main):
    """Run main() to an exit code; a failure is told in one line (and what the failing program said)."""
    for signum in SIGNALS:
        signal.signal(signum, DEFERRAL.on_signal)
    try:
        return main() or 0
    except Failure as failure:
        print(f"{program}: {failure}", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        print(f"{program}: {interrupted}: stopped, all is cleaned up", file=sys.stderr)
        return 128 + interrupted.signum
