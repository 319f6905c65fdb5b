# SPDX-License-Identifier: MIT
"""wrk, a closed-loop HTTP client: keep-alive connections that ask again as soon as they are answered.

It runs at real-time priority, whatever the server: a client that shares its core with a poller would otherwise wait for
the end of a time slice (milliseconds) in which the poller has nothing to do but look for the client's next request.
"""

import functools
import json

from .process import ended, last_lines, run
from .trouble import Failure

# Its own report rounds: this one does not.
SCRIPT = """
function done(summary, latency, requests)
	local e = summary.errors
	io.write(string.format('\\nRESULT {"requests": %d, "duration_us": %d, "bytes": %d, "p50_us": %d, "p99_us": %d, ' ..
		'"errors": %d}\\n', summary.requests, summary.duration, summary.bytes, latency:percentile(50),
		latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"""


class Result:
    def __init__(self, requests, duration_us, p50_us, p99_us, errors, **_):
        self.requests, self.p50_us, self.p99_us, self.errors = requests, p50_us, p99_us, errors
        self.requests_per_s = requests / (duration_us / 1e6)


@functools.cache
def priority():
    """The prefix that gives wrk its priority, empty where the kernel or a container forbids it."""
    try:
        run("chrt", "--rr", "1", "true")
    except Failure:
        return ()
    return ("chrt", "--rr", "1")


def load(network, stack, cpu, url, connections, seconds):
    """Blocks for that time."""
    script = network.folder / "report.lua"
    script.write_text(SCRIPT)
    process = network.client.start(stack, "wrk", *priority(), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s",
                                   script, url, cpu=cpu)
    out = process.wait(seconds + 10)
    results = [line for line in out.splitlines() if line.startswith("RESULT ")]
    if process.popen.returncode or not results:
        raise Failure(f"wrk {url}: {ended(process.popen.returncode)}, no result: see its last lines" +
                      last_lines(process.said() or out))
    result = Result(**json.loads(results[-1].split(" ", 1)[1]))
    if not result.requests:
        raise Failure(f"wrk {url}: not one response in {seconds} s: see whether the server answers curl")
    return result
