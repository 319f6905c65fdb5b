#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs one benchmark, or all. Each writes what it measured, and which targets hold, to build/bench/NAME.json."""

import argparse
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "demo"))

# pylint: disable=wrong-import-position
import core
import libapp
import xdp
from rig import machine, servers
from rig.network import joined
from rig.trouble import Failure, guarded

BENCHMARKS = {"core": core, "libapp": libapp, "xdp": xdp}


def parse_options():
    names = "\n".join(f"  {name:8} {module.__doc__.splitlines()[0]}" for name, module in BENCHMARKS.items())
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, epilog=f"benchmarks:\n{names}",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", metavar="NAME", help="the benchmark; without it all of them, one by one")
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it works, not how fast")
    options = parser.parse_args()
    if options.name and options.name not in BENCHMARKS:
        parser.error(f"{options.name}: no such benchmark: choose from {', '.join(BENCHMARKS)}")
    return options


def print_targets(targets):
    for target in targets:
        print(f"{'holds ' if target['holds'] else 'MISSED'}  {target['name']}: {target['value']:g} "
              f"({target['relation']} {target['target']:g})")


def run_one(name, roles, about, quick):
    print(f"{name}: {BENCHMARKS[name].__doc__.splitlines()[0]}", flush=True)
    with joined("sidecore-bench") as network:
        rows, targets = BENCHMARKS[name].run(network, roles, quick, lambda text: print(text, flush=True))
    path = servers.BUILD / "bench" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"machine": about, "quick": quick, "rows": rows, "targets": targets}, indent=2,
                               ensure_ascii=False) + "\n")
    BENCHMARKS[name].print_rows(rows)
    print_targets(targets)
    print(f"Written to {os.path.relpath(path)}")


def main():
    options = parse_options()
    if os.geteuid():
        raise Failure("needs root to make network namespaces: run sudo ./run bench")
    roles = machine.Roles()
    about = machine.describe(roles)
    print(machine.headline(about, roles))
    os.sched_setaffinity(0, {roles.client})  # this program too stays off the application's core
    for name in [options.name] if options.name else BENCHMARKS:
        run_one(name, roles, about, options.quick)


if __name__ == "__main__":
    sys.exit(guarded("bench", main))
