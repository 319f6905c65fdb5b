# SPDX-License-Identifier: MIT
"""The files that are served: random bytes, so that a wrong one cannot pass for a right one."""

import hashlib
import pathlib
import random

from .process import run
from .trouble import Failure

SIZES = (128, 16384)


class Site:
    """One file per size, named by it, in a folder anybody may read."""

    def __init__(self, folder):
        self.root = pathlib.Path(folder) / "www"
        self.root.mkdir(mode=0o755)
        self.digests = {}
        for size in SIZES:
            body = random.randbytes(size)
            path = self.root / str(size)
            path.write_bytes(body)
            path.chmod(0o644)
            self.digests[size] = hashlib.sha256(body).hexdigest()
        self.root.chmod(0o755)

    def check(self, client, cpu, address, port, size):
        """Fetch one file by curl and compare its SHA-256."""
        host = f"[{address}]" if ":" in address else address
        url, copy = f"http://{host}:{port}/{size}", self.root.parent / "fetched"
        client.run("curl", "--silent", "--show-error", "--fail", "--globoff", "--noproxy", "*", "--max-time", "5",
                   "--output", copy, url, cpu=cpu, why=f"{url} was not served")
        digest = hashlib.sha256(copy.read_bytes()).hexdigest()
        if digest != self.digests[size]:
            raise Failure(f"{url}: SHA-256 {digest}, the file's is {self.digests[size]}: the server sends wrong bytes")


def size_name(size):
    return f"{size // 1024} KiB" if size >= 1024 else f"{size} B"
