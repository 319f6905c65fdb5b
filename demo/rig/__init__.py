# SPDX-License-Identifier: MIT
"""What the demo and the benchmarks share: a network of two namespaces, pinned processes, and honest CPU accounting."""
