# SPDX-License-Identifier: MIT
"""
A hostile application against the service, while honest ones of other users are served.

Apps of one trust domain share an engine, and one of them may break it for the others: that is the design
(docs/security.md). So the honest ones here are of other users, and must notice nothing.
"""

import random
import shutil
import time

import pytest

from tools import (NOBODY, PORT, Customer, Httpd, gone, kernel_trouble, memory_kib, server_sockets, wait_until)

ENEMY = 61000
SEEDS = 24
RSS_SLACK_KIB = 512


@pytest.fixture
def attacked(lab, ringsvc, small_site):
    """Two honest servers of two users with busy customers, and a baseline; afterwards all must be as it was."""
    trouble = kernel_trouble()
    program = lab.dir / "hostile"
    shutil.copy(lab.bin("hostile"), program)
    lab.ringsvc, lab.hostile = ringsvc, program
    honest = [Httpd(lab, small_site.dir, uid=NOBODY - i, port=PORT + i) for i in range(2)]
    engines = sorted(ringsvc.engines())
    assert len(engines) == 2
    files = ringsvc.files()
    attack(lab, seed=0, milliseconds=300).communicate()  # what the first attack costs is not a leak
    assert wait_until(lambda: sorted(ringsvc.engines()) == engines, 15)
    memory = memory_kib(ringsvc.pid)
    with Customer(lab, small_site, PORT) as one, Customer(lab, small_site, PORT + 1) as two:
        lab.customers = (one, two)
        yield lab
    assert one.errors == [] and two.errors == []
    assert ringsvc.alive() and all(server.alive() and server.last_words() == [] for server in honest)
    assert wait_until(lambda: sorted(ringsvc.engines()) == engines, 15), "engines of the hostile user live on"
    assert wait_until(lambda: ringsvc.files() == files), (ringsvc.files(), files)
    assert memory_kib(ringsvc.pid) <= memory + RSS_SLACK_KIB
    assert server_sockets(lab) == server_sockets(lab, PORT + 1) == 1
    assert [line for line in ringsvc.last_words() if f"of uid {ENEMY}: " not in line] == []
    assert [server.stop() for server in honest] == [0, 0]
    assert wait_until(lambda: not ringsvc.engines(), 3)
    assert kernel_trouble() == trouble


def attack(lab, seed, milliseconds):
    return lab.server.popen("setpriv", f"--reuid={ENEMY}", f"--regid={ENEMY}", "--clear-groups", lab.hostile,
                            lab.ringsvc.socket, seed, milliseconds, stdout=-1, stderr=-1)


def result(process):
    """Sessions and attacks of one that ended by itself."""
    out, err = process.communicate(timeout=10)
    assert process.returncode == 0, err
    return [int(word) for word in out.split() if word.isdigit()]


def served(lab):
    return [customer.served for customer in lab.customers]


def test_all_attacks_in_random_order(attacked):
    sessions = attacks = 0
    for seed in range(1, SEEDS + 1):
        before = served(attacked)
        more = result(attack(attacked, seed, milliseconds=1000))
        sessions, attacks = sessions + more[0], attacks + more[1]
        assert all(now > then for now, then in zip(served(attacked), before)), \
            f"seed {seed}: honest apps stood still, {[customer.errors for customer in attacked.customers]}"
        assert attacked.ringsvc.alive(), f"seed {seed}"
    assert sessions > SEEDS and attacks > 20 * SEEDS
    assert max(customer.slowest_s for customer in attacked.customers) < 2


def test_attackers_that_die_at_any_moment(attacked):
    chance = random.Random(2)
    for seed in range(100, 160):
        process = attack(attacked, seed, milliseconds=1000)
        time.sleep(chance.random() * 0.15)
        process.kill()
        process.communicate()
    assert attacked.ringsvc.alive()


def test_attackers_all_at_once(attacked):
    processes = [attack(attacked, seed, milliseconds=2000) for seed in range(200, 206)]
    for process in processes:
        result(process)
    assert all(gone(process.pid) for process in processes)
    assert len(attacked.ringsvc.engines(ENEMY)) <= 8  # per user
