# SPDX-License-Identifier: MIT
"""sidecore-loader on real devices: where packets land, changes under traffic, refusals, and what is left behind."""

import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from conftest import wait_until

TCP_PORT = 8080
UDP_PORT = 5353

# argv: port. Says "ready", then counts datagrams until SIGTERM and prints how many.
UDP_SINK = r"""
import signal, socket, sys
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
sock.bind(("::", int(sys.argv[1])))
seen = set()
def end(*_):
    print(len(seen), flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    seen.add(sock.recv(64))
"""

# argv: address, port, datagrams, seconds. From many ports, numbered, at an even pace.
UDP_SOURCE = r"""
import socket, sys, time
address, port, count, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
socks = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(64)]
start = time.monotonic()
for i in range(count):
    socks[i % len(socks)].sendto(str(i).encode(), (address, port))
    wait = start + seconds * i / count - time.monotonic()
    if wait > 0:
        time.sleep(wait)
"""


def python(host, code, *args, cpu=None, **kwargs):
    pin = ["taskset", "-c", cpu] if cpu is not None else []
    return host.popen(*pin, sys.executable, "-c", code, *args, **kwargs)


def http_server(lab):
    """Serves lab.dir/www on all addresses."""
    www = lab.dir / "www"
    www.mkdir()
    server = lab.server.popen(sys.executable, "-m", "http.server", TCP_PORT, "--bind", "::", "--directory", www,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert wait_until(lambda: f":{TCP_PORT} " in lab.server.run("ss", "-Hltn").stdout)
    assert server.poll() is None
    return www


def url(address, path=""):
    return f"http://[{address}]:{TCP_PORT}/{path}" if ":" in address else f"http://{address}:{TCP_PORT}/{path}"


def curl(lab, address, path=""):
    # Its SYN is sent by CPU 0, so it is received there as well, and dedicated CPU 1 is another.
    return lab.client.run("taskset", "-c", 0, "curl", "-sS", "--fail", "--noproxy", "*", "-m", "20", "-o", lab.dir / "got", url(address, path))


def addresses(lab):
    return lab.server.ip4, lab.server.ip6


def udp_sink(lab):
    sink = python(lab.server, UDP_SINK, UDP_PORT, stdout=subprocess.PIPE)
    assert sink.stdout.readline() == "ready\n"
    return sink


def udp_count(sink):
    sink.terminate()
    return int(sink.communicate(timeout=10)[0])


def attachment(lab):
    (found,) = lab.status()["attachments"]
    return found


def service(lab, name):
    (found,) = [s for s in attachment(lab)["services"] if s["service"] == name]
    return found


def settled(lab, name):
    """The service's counters once nothing is under way to a dedicated CPU: all that was steered has arrived."""
    def arrived():
        found = service(lab, name)
        return found if found["arrived"] == found["steered"] else None
    found = wait_until(arrived)
    assert found, service(lab, name)
    return found


def pin_dir(lab):
    return lab.bpffs / "sidecore" / str(lab.server.inode) / str(lab.server.link()["ifindex"])


def pins(lab):
    """Everything below <bpffs>/sidecore."""
    return sorted(str(path) for path in (lab.bpffs / "sidecore").rglob("*"))


def bpftool(*args):
    return json.loads(subprocess.run(["bpftool", "-j", *map(str, args)], capture_output=True, text=True,
                                     check=True).stdout or "null")


def link_id(lab):
    """Of the link that is pinned. The exit code tells nothing here."""
    done = subprocess.run(["bpftool", "-j", "link", "show", "pinned", pin_dir(lab) / "link"], capture_output=True, check=False)
    return json.loads(done.stdout)["id"]


def refused(done, *words, code=1):
    """One line on stderr with all the words, and the exit code."""
    lines = [line for line in done.stderr.splitlines() if ": warning: " not in line]
    assert done.returncode == code, done
    assert len(lines) == 1 and lines[0].startswith("sidecore-loader"), done
    assert ";" in lines[0], f"no next step: {lines[0]}"
    for word in words:
        assert word in lines[0], done


# ---- where packets land ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["native", "skb"])
@pytest.mark.parametrize("cpu", [0, 1])
def test_udp_lands_on_the_dedicated_cpu(lab, mode, cpu):
    lab.loader("attach", "sv0", "--cpus", cpu, "--mode", mode, "--service", f"udp/{UDP_PORT}")
    sink = udp_sink(lab)
    # From the other CPU, which then does the receiving as well: a veth has no queue between its ends.
    for address in addresses(lab):
        assert python(lab.client, UDP_SOURCE, address, UDP_PORT, 500, 0.3, cpu=1 - cpu).wait(20) == 0
    assert wait_until(lambda: service(lab, f"udp/{UDP_PORT}")["steered"] + service(lab, f"udp/{UDP_PORT}")["local"] >= 1000)
    found = settled(lab, f"udp/{UDP_PORT}")
    assert found["steered"] + found["local"] == 1000
    assert found["steered"] > 900
    assert list(found["arrived_by_cpu"]) == [str(cpu)]
    assert attachment(lab)["mode"] == mode
    assert attachment(lab)["program"]["name"] == ("steer_skb" if mode == "skb" else "steer")
    assert attachment(lab)["cpus"] == [{"cpu": cpu, "slots": 128, "active": True}]
    assert udp_count(sink) == 500  # both families number theirs alike
    lab.loader("detach", "sv0")


@pytest.mark.parametrize("mode", ["native", "skb"])
@pytest.mark.parametrize("mtu", [1500, 9000])
def test_tcp_bytes_are_right(lab, mode, mtu):
    for host in lab.hosts:
        host.run("ip", "link", "set", host.ifname, "mtu", mtu)
    www = http_server(lab)
    body = os.urandom(5_000_000)
    (www / "body").write_bytes(body)
    lab.loader("attach", "sv0", "--cpus", "1", "--mode", mode, "--service", f"tcp/{TCP_PORT}")
    for address in addresses(lab):
        curl(lab, address, "body")
        assert hashlib.sha256((lab.dir / "got").read_bytes()).digest() == hashlib.sha256(body).digest()
    # Up as well: large segments towards the device.
    for address in addresses(lab):
        done = lab.client.run("curl", "-sS", "--noproxy", "*", "-m", "20", "-T", lab.dir / "got", "-o", "/dev/null", "-w",
                              "%{http_code} %{size_upload}", url(address), check=False)
        assert done.stdout.split()[0] == "501", done  # the server takes no uploads, and says so
    found = settled(lab, f"tcp/{TCP_PORT}")
    assert found["steered"] > 0
    assert list(found["arrived_by_cpu"]) == ["1"]
    lab.loader("detach", "sv0")


# argv: device, its MAC, peer's MAC, port, frames. UDP to 10.77.0.1 within an 802.1Q tag inside an 802.1ad one.
TAGGED_SOURCE = r"""
import socket, struct, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind((sys.argv[1], 0))
mac = lambda text: bytes.fromhex(text.replace(":", ""))
head = mac(sys.argv[3]) + mac(sys.argv[2]) + struct.pack("!HHHHH", 0x88a8, 7, 0x8100, 5, 0x0800)
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 32, 0, 0, 64, 17, 0, bytes([10, 77, 0, 2]), bytes([10, 77, 0, 1]))
for i in range(int(sys.argv[5])):
    sock.send(head + ip + struct.pack("!HHHH4x", 1000 + i, int(sys.argv[4]), 12, 0))
"""


def test_tagged_frames_are_steered(lab):
    lab.loader("attach", "sv0", "--cpus", "1", "--service", f"udp/{UDP_PORT}")
    source = python(lab.client, TAGGED_SOURCE, "cl0", lab.client.link()["address"], lab.server.link()["address"], UDP_PORT,
                    100, cpu=0)
    assert source.wait(20) == 0
    assert wait_until(lambda: service(lab, f"udp/{UDP_PORT}")["arrived"] == 100)
    assert service(lab, f"udp/{UDP_PORT}")["arrived_by_cpu"] == {"1": 100}


def needs_vlan(lab):
    done = lab.client.run("ip", "link", "add", "link", "cl0", "name", "probe", "type", "vlan", "id", "9", check=False)
    if done.returncode:
        pytest.skip("this kernel has no VLAN devices")


def test_vlan(lab):
    needs_vlan(lab)
    http_server(lab)
    for host, last in ((lab.server, 1), (lab.client, 2)):
        # A tag kept beside the packet is out of XDP's sight and lost in the CPU map.
        host.run("ethtool", "-K", host.ifname, "txvlan", "off")
        host.run("ip", "link", "add", "link", host.ifname, "name", "v5", "type", "vlan", "id", "5")
        host.run("ip", "addr", "add", f"10.78.0.{last}/24", "dev", "v5")
        host.run("ip", "link", "set", "v5", "up")
    lab.server.run("ethtool", "-K", "sv0", "rxvlan", "off", check=False)
    lab.loader("attach", "sv0", "--cpus", "1", "--service", f"tcp/10.78.0.1:{TCP_PORT}")
    curl(lab, "10.78.0.1")
    curl(lab, lab.server.ip4)  # the other address is not steered
    assert settled(lab, f"tcp/10.78.0.1:{TCP_PORT}")["steered"] > 0
    assert attachment(lab)["counters"]["no_service"] > 0
    lab.loader("detach", "sv0")


def test_both_cpus_share(lab):
    lab.loader("attach", "sv0", "--cpus", "0-1", "--service", f"udp/{UDP_PORT}")
    sink = udp_sink(lab)
    assert python(lab.client, UDP_SOURCE, lab.server.ip4, UDP_PORT, 640, 0.4, cpu=0).wait(20) == 0
    assert wait_until(lambda: service(lab, f"udp/{UDP_PORT}")["arrived"] > 0)
    assert udp_count(sink) == 640
    found = service(lab, f"udp/{UDP_PORT}")
    assert found["steered"] + found["local"] == 640
    # 64 flows over two CPUs; 4 sigma is 16 flows.
    assert 160 <= found["steered"] <= 480
    assert [cpu["slots"] for cpu in attachment(lab)["cpus"]] == [64, 64]


# ---- attach, again, detach -------------------------------------------------------------------------------------------


def test_attach_status_detach(lab):
    done = lab.loader("attach", "sv0", "--cpus", "1", "--service", "tcp/8080", "--service", "udp/53")
    assert done.stdout == "sv0: attached in native mode, CPUs 1, 2 services\n"
    text = lab.loader("status", "sv0").stdout
    found = attachment(lab)
    assert lab.status()["schema_version"] == 1
    assert found["interface"] == "sv0" and found["netns"] == lab.server.inode
    assert found["program"]["id"] == lab.server.xdp_id()
    for word in ("native mode", f"id {found['program']['id']}", found["program"]["tag"], "CPU 1", "tcp/8080", "udp/53"):
        assert word in text
    assert [s["service"] for s in found["services"]] == ["tcp/8080", "udp/53"]
    assert lab.loader("status").stdout.startswith("sv0: ")
    assert lab.loader("detach", "sv0").stdout == "sv0: detached\n"
    assert wait_until(lambda: lab.server.xdp_id() == 0)
    assert pins(lab) == []
    refused(lab.loader("detach", "sv0", check=False), "sv0", "not attached")
    refused(lab.loader("status", "sv0", check=False), "sv0", "not attached")
    assert json.loads(lab.loader("status", "--json").stdout)["attachments"] == []


def test_second_attach_keeps_and_adds(lab):
    lab.loader("attach", "sv0", "--cpus", "0-1", "--service", "tcp/8080")
    first = attachment(lab)
    lab.loader("attach", "sv0", "--cpus", "1", "--service", "udp/53")
    second = attachment(lab)
    assert [s["service"] for s in second["services"]] == ["tcp/8080", "udp/53"]
    assert second["cpus"] == [{"cpu": 1, "slots": 128, "active": True}]
    assert second["program"]["id"] == lab.server.xdp_id() != first["program"]["id"]
    assert second["program"]["tag"] == first["program"]["tag"]
    # Without --mode it stays as it is, and so it does with auto; another mode is a refusal that changes nothing.
    lab.loader("attach", "sv0", "--cpus", "1", "--mode", "auto")
    refused(lab.loader("attach", "sv0", "--cpus", "0", "--mode", "skb", check=False), "native", "detach sv0")
    assert attachment(lab)["cpus"] == second["cpus"]


def test_change_under_traffic_loses_nothing(lab):
    """Attach again and again, with other CPUs, with new entries in the CPU map, while numbered datagrams arrive."""
    lab.loader("attach", "sv0", "--cpus", "1", "--service", f"udp/{UDP_PORT}")
    sink = udp_sink(lab)
    source = python(lab.client, UDP_SOURCE, lab.server.ip4, UDP_PORT, 12000, 4, cpu=0)
    changes, before = 0, pins(lab)
    while source.poll() is None:
        if changes % 3 == 1:
            # As if an older version had pinned another on_cpu: every entry of the CPU map is made anew.
            directory = pin_dir(lab)
            bpftool("prog", "pin", "pinned", directory / "steer", directory / "older")
            os.rename(directory / "older", directory / "on_cpu")
        lab.loader("attach", "sv0", "--cpus", ("1", "0-1", "0")[changes % 3])
        changes += 1
    assert source.returncode == 0
    assert changes >= 2
    settled(lab, f"udp/{UDP_PORT}")
    assert udp_count(sink) == 12000
    counters = attachment(lab)["counters"]
    assert counters["steered"] > 0
    assert pins(lab) == before


def test_connection_survives_changes(lab):
    www = http_server(lab)
    (www / "body").write_bytes(bytes(3_000_000))
    lab.loader("attach", "sv0", "--cpus", "1", "--service", f"tcp/{TCP_PORT}")
    transfer = lab.client.popen("curl", "-sS", "--fail", "--noproxy", "*", "--limit-rate", "1M", "-m", "30", "-o",
                                lab.dir / "got", url(lab.server.ip6, "body"))
    for cpus in ("0", "0-1", "1"):
        lab.loader("attach", "sv0", "--cpus", cpus)
    lab.loader("detach", "sv0")
    lab.loader("attach", "sv0", "--cpus", "1", "--service", f"tcp/{TCP_PORT}")
    assert transfer.wait(30) == 0
    assert (lab.dir / "got").stat().st_size == 3_000_000


def test_another_process_switches_cpus_off(lab):
    """The map `steering` is the interface for whoever balances load."""
    http_server(lab)
    lab.loader("attach", "sv0", "--cpus", "1", "--service", f"tcp/{TCP_PORT}")
    table = pin_dir(lab) / "steering"
    value = [int(byte, 16) for byte in bpftool("map", "lookup", "pinned", table, "key", 0, 0, 0, 0)["value"]]
    bpftool("map", "update", "pinned", table, "key", 0, 0, 0, 0, "value", *value[:-512], *[255] * 512)
    curl(lab, lab.server.ip4)
    found = attachment(lab)
    assert found["cpus"] == [{"cpu": 1, "slots": 0, "active": False}]
    assert found["counters"]["no_cpu"] > 0 and found["counters"]["steered"] == 0
    lab.loader("attach", "sv0", "--cpus", "1")
    assert attachment(lab)["cpus"] == [{"cpu": 1, "slots": 128, "active": True}]


def test_attaches_at_the_same_time(lab):
    argv = [lab.bin("sidecore-loader"), "attach", "sv0", "--bpffs", lab.bpffs, "--cpus", "1", "--service"]
    racers = [lab.server.popen(*argv, f"tcp/{port}", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
              for port in range(8001, 8006)]
    assert [racer.wait(20) for racer in racers] == [0] * 5
    assert len(attachment(lab)["services"]) == 5


# ---- services --------------------------------------------------------------------------------------------------------


def services(lab):
    return lab.loader("service", "list", "sv0").stdout.split()


def test_services(lab):
    lab.loader("attach", "sv0", "--cpus", "1")
    lab.loader("service", "add", "sv0", "tcp/80", "udp/53", "tcp/10.77.0.1:81", "tcp/[fd00:77::1]:82")
    assert services(lab) == ["tcp/80", "udp/53", "tcp/10.77.0.1:81", "tcp/[fd00:77::1]:82"]
    lab.loader("service", "add", "sv0", "tcp/80")
    lab.loader("service", "del", "sv0", "udp/53")
    refused(lab.loader("service", "del", "sv0", "udp/53", check=False), "udp/53", "no such service", "list")
    # A family of a service on all addresses can go alone, and come back.
    lab.loader("service", "del", "sv0", "tcp/0.0.0.0:80")
    assert services(lab)[0] == "tcp/[::]:80"
    lab.loader("service", "add", "sv0", "tcp/80")
    found = json.loads(lab.loader("service", "list", "sv0", "--json").stdout)
    assert found == {"schema_version": 1, "interface": "sv0",
                     "services": ["tcp/80", "tcp/10.77.0.1:81", "tcp/[fd00:77::1]:82"], "xsk": []}


def test_a_new_service_counts_from_zero(lab):
    http_server(lab)
    lab.loader("attach", "sv0", "--cpus", "1", "--service", f"tcp/{TCP_PORT}")
    curl(lab, lab.server.ip4)
    assert service(lab, f"tcp/{TCP_PORT}")["steered"] > 0
    lab.loader("service", "del", "sv0", f"tcp/{TCP_PORT}")
    curl(lab, lab.server.ip4)
    lab.loader("service", "add", "sv0", "udp/1")
    assert service(lab, "udp/1")["steered"] == 0


def test_attach_in_place_is_whole_or_not_at_all(lab):
    """What fails in the end, for want of room, has changed nothing in the beginning."""
    lab.loader("attach", "sv0", "--cpus", "1", "--never-drop", "tcp/22", "--service", "udp/1")
    lab.loader("service", "add", "sv0", *[f"tcp/{port}" for port in range(1, 256)])
    lab.loader("deny", "add", "sv0", "192.0.2.0/24")
    before, listed = attachment(lab), services(lab)
    (lab.dir / "list").write_text("198.51.100.0/24\n")
    refused(lab.loader("attach", "sv0", "--cpus", "0-1", "--validity", "on", "--never-drop", "tcp/23", "--service", "udp/1",
                       "--service", "udp/2", "--deny-file", lab.dir / "list", "--irq", check=False), "sv0", "256")
    after = attachment(lab)
    for key in ("program", "modules", "never_drop", "cpus", "irq"):
        assert after[key] == before[key], key
    assert services(lab) == listed and lab.loader("deny", "list", "sv0").stdout == "192.0.2.0/24\n"
    assert after["program"]["id"] == lab.server.xdp_id()


def test_service_limit(lab):
    lab.loader("attach", "sv0", "--cpus", "1")
    lab.loader("service", "add", "sv0", *[f"tcp/{port}" for port in range(1, 257)])
    refused(lab.loader("service", "add", "sv0", "tcp/257", check=False), "tcp/257", "256")
    assert len(services(lab)) == 256


# ---- kernel threads, rights, warnings --------------------------------------------------------------------------------


def kthread_policy(lab, cpu):
    name = f"cpumap/{cpu}/map:{bpftool('map', 'show', 'pinned', pin_dir(lab) / 'cpus')['id']}"
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as comm:
                if comm.read().strip() == name:
                    return os.sched_getscheduler(int(pid))
        except OSError:
            continue
    return None


def test_kthreads_get_fifo(lab):
    lab.loader("attach", "sv0", "--cpus", "0-1")
    assert kthread_policy(lab, 0) == kthread_policy(lab, 1) == os.SCHED_FIFO
    lab.loader("detach", "sv0")
    lab.loader("attach", "sv0", "--cpus", "1", "--no-fifo")
    assert kthread_policy(lab, 1) == os.SCHED_OTHER


def test_few_capabilities_are_enough(lab):
    caps = "-all,+bpf,+net_admin,+perfmon,+sys_nice"
    done = lab.server.run("setpriv", f"--bounding-set={caps}", "--inh-caps=-all", lab.bin("sidecore-loader"), "attach",
                          "sv0", "--cpus", "1", "--bpffs", lab.bpffs)
    assert "no real-time priority" not in done.stderr
    assert kthread_policy(lab, 1) == os.SCHED_FIFO


def test_warns_of_tx_checksums(lab):
    assert "another network namespace" in lab.loader("attach", "sv0", "--cpus", "1").stderr
    assert "another network namespace" not in lab.loader("attach", "lo", "--cpus", "1", "--mode", "skb").stderr
    lab.server.run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there")
    assert "ethtool -K there tx off" in lab.loader("attach", "here", "--cpus", "1").stderr
    lab.server.run("ethtool", "-K", "there", "tx", "off")
    assert "checksums" not in lab.loader("attach", "here", "--cpus", "1").stderr


def test_warns_of_irqbalance(lab):
    shutil.copy(shutil.which("sleep"), lab.dir / "irqbalance")
    daemon = lab.server.popen(lab.dir / "irqbalance", "60")
    assert wait_until(lambda: pathlib.Path(f"/proc/{daemon.pid}/comm").read_text(encoding="utf-8") == "irqbalance\n")
    assert "irqbalance: it moves interrupts" in lab.loader("attach", "sv0", "--cpus", "1").stderr


def test_warns_of_stripped_vlan_tags(lab):
    needs_vlan(lab)
    lab.server.run("ip", "link", "add", "link", "sv0", "name", "sv0.5", "type", "vlan", "id", "5")
    assert "ethtool -K sv0 rxvlan off" in lab.loader("attach", "sv0", "--cpus", "1").stderr
    lab.server.run("ethtool", "-K", "sv0", "rxvlan", "off")
    assert "rxvlan" not in lab.loader("attach", "sv0", "--cpus", "1").stderr


def test_name_with_a_dot(lab):
    """As VLAN devices have; bpffs refuses a dot in a file's name."""
    lab.server.run("ip", "link", "add", "eth0.5", "type", "veth", "peer", "name", "peer")
    lab.loader("attach", "eth0.5", "--cpus", "1")
    lab.loader("attach", "sv0", "--cpus", "1")
    found = json.loads(lab.loader("status", "--json").stdout)["attachments"]
    assert sorted(each["interface"] for each in found) == ["eth0.5", "sv0"]
    lab.loader("detach", "eth0.5")


# ---- modes and refusals ----------------------------------------------------------------------------------------------


def test_auto_falls_back_and_says_so(lab):
    refused(lab.loader("attach", "lo", "--cpus", "1", check=False), "lo", "native",
            "Underlying driver does not support XDP in native mode", "--mode auto")
    assert pins(lab) == []
    done = lab.loader("attach", "lo", "--cpus", "1", "--mode", "auto")
    assert "in skb mode" in done.stdout and "native mode refused" in done.stderr
    assert json.loads(lab.loader("status", "lo", "--json").stdout)["attachments"][0]["mode"] == "skb"


def test_kernel_words_are_shown(lab):
    queues = ("numrxqueues", "4", "numtxqueues", "4")
    lab.server.run("ip", "link", "add", "few", *queues, "type", "veth", "peer", "name", "many", *queues)
    lab.server.run("ethtool", "-L", "few", "rx", "1")
    refused(lab.loader("attach", "few", "--cpus", "1", check=False), "few", "rx queues", "ethtool -L few rx N")
    assert pins(lab) == []


@pytest.mark.parametrize("mode", ["native", "skb"])
def test_foreign_program_is_kept(lab, mode):
    lab.loader("attach", "sv0", "--cpus", "1")
    os.rename(pin_dir(lab) / "link", lab.bpffs / "theirs")
    lab.loader("clean")
    theirs = lab.server.xdp_id()
    refused(lab.loader("attach", "sv0", "--cpus", "1", "--mode", mode, check=False), "sv0", "XDP program steer",
            f"id {theirs}", "native mode", "not ours")
    refused(lab.loader("detach", "sv0", check=False), f"id {theirs}", "not ours")
    refused(lab.loader("status", "sv0", check=False), f"id {theirs}", "not ours")
    assert lab.server.xdp_id() == theirs
    assert pins(lab) == []


def test_program_attached_by_netlink_is_kept(lab):
    lab.loader("attach", "lo", "--cpus", "1", "--mode", "skb")
    program = lab.bpffs / "sidecore" / str(lab.server.inode) / "1" / "steer"
    lab.server.run("bpftool", "net", "attach", "xdpgeneric", "pinned", program, "dev", "sv0")
    theirs = lab.server.xdp_id()
    refused(lab.loader("attach", "sv0", "--cpus", "1", check=False), "steer_skb", f"id {theirs}", "skb mode", "not ours")
    assert lab.server.xdp_id() == theirs


USAGE = [
    (("--bogus",), "--bogus"),
    ((), "no command"),
    (("bogus",), "bogus"),
    (("attach",), "no interface"),
    (("attach", "sv0"), "--cpus"),
    (("attach", "sv0", "--cpus"), "--cpus"),
    (("attach", "sv0", "--cpus", "x"), "--cpus x"),
    (("attach", "sv0", "--cpus", "1", "--bogus"), "--bogus"),
    (("attach", "sv0", "--cpus", "1", "-vq"), "-vq"),
    (("attach", "sv0", "sv1", "--cpus", "1"), "sv1"),
    (("attach", "sv0", "--cpus", "1", "--mode", "fast"), "fast"),
    (("attach", "sv0", "--cpus", "1", "--service", "tcp/0"), "tcp/0"),
    (("attach", "sv0", "--cpus", "4096"), "4096"),
    (("detach",), "no interface"),
    (("detach", "sv0", "sv1"), "sv1"),
    (("status", "sv0", "sv1"), "sv1"),
    (("status", "--bogus"), "--bogus"),
    (("service",), "no command"),
    (("service", "bogus"), "bogus"),
    (("service", "add", "sv0"), "no service"),
    (("service", "add", "sv0", "http"), "http"),
    (("service", "list"), "no interface"),
    (("clean", "sv0"), "sv0"),
]


def test_usage_errors(lab):
    for args, word in USAGE:
        done = lab.server.run(lab.bin("sidecore-loader"), *args, check=False)
        refused(done, word, "--help", code=2)
        assert not done.stdout


def test_help_and_version(lab):
    for args in (("--help",), ("attach", "--help"), ("service", "add", "--help"), ("--usage",), ("clean", "--usage")):
        done = lab.server.run(lab.bin("sidecore-loader"), *args)
        assert done.stdout.startswith("Usage: sidecore-loader") and not done.stderr
    assert lab.server.run(lab.bin("sidecore-loader"), "--version").stdout.startswith("sidecore-loader ")


def test_refusals(lab):
    refused(lab.loader("attach", "nope0", "--cpus", "1", check=False), "nope0", "no such interface")
    refused(lab.loader("attach", "sv0", "--cpus", "1,777", check=False), "CPU 777", "none of that number")
    loader = lab.bin("sidecore-loader")
    refused(lab.server.run(loader, "attach", "sv0", "--cpus", "1", "--bpffs", lab.dir, check=False), str(lab.dir),
            "mount -m -t bpf")
    refused(lab.server.run(loader, "clean", "--bpffs", "/nonexistent", check=False), "/nonexistent", "mount -m -t bpf")
    refused(lab.server.run(loader, "clean", "--bpffs", "/" + "x" * 300, check=False), "shorter")
    refused(lab.server.run("setpriv", "--bounding-set=-all", "--inh-caps=-all", loader, "status", "--bpffs", lab.bpffs,
                           check=False), "CAP_BPF", "sudo")
    assert pins(lab) == []


def hidden(lab, set_up, *args):
    """Runs the loader in a mount namespace of its own after a shell line of set-up."""
    return lab.server.run("unshare", "-m", "sh", "-ec", set_up + '\nexec "$@"', "sh", lab.bin("sidecore-loader"), *args,
                          "--bpffs", lab.bpffs, check=False)


def test_no_btf(lab):
    refused(hidden(lab, "mount -t tmpfs none /sys/kernel/btf", "attach", "sv0", "--cpus", "1"), "/sys/kernel/btf/vmlinux",
            "BTF", "CONFIG_DEBUG_INFO_BTF")


def test_offline_cpu(lab):
    (lab.dir / "online").write_text("0\n")
    refused(hidden(lab, f"mount --bind {lab.dir}/online /sys/devices/system/cpu/online", "attach", "sv0", "--cpus", "1"),
            "CPU 1", "offline", "choose from 0")


EVERY_COMMAND = [("attach", "sv0", "--cpus", "1"), ("attach", "sv0", "--cpus", "1", "--dry-run"), ("upgrade", "sv0"),
                 ("confirm", "sv0"), ("status", "sv0"), ("stats", "sv0"), ("top", "sv0"), ("cpus", "sv0", "0"),
                 ("service", "add", "sv0", "tcp/1"), ("service", "list", "sv0"), ("deny", "add", "sv0", "192.0.2.1"),
                 ("allow", "list", "sv0"), ("screen", "sv0"), ("syn", "sv0"), ("limit", "list", "sv0")]


def other_schema(lab):
    table = pin_dir(lab) / "steering"
    length = bpftool("map", "show", "pinned", table)["bytes_value"]
    bpftool("map", "update", "pinned", table, "key", 0, 0, 0, 0, "value", 99, *[255] * (length - 1))


def other_length(lab):
    """A `steering` of another length, as a version with more in it would have."""
    table, path = pin_dir(lab) / "steering", lab.bpffs / "longer"
    bpftool("map", "create", path, "type", "array", "key", 4, "value", 600, "entries", 1, "name", "steering")
    os.rename(path, table)


def fewer_pins(lab):
    (pin_dir(lab) / "ports").unlink()


@pytest.mark.parametrize("make_older", [other_schema, other_length, fewer_pins])
def test_other_version_is_not_touched(lab, make_older):
    """Every command refuses with the command that mends it; that one works."""
    lab.loader("attach", "sv0", "--cpus", "1", "--service", "tcp/80")
    make_older(lab)
    program = lab.server.xdp_id()
    for command in EVERY_COMMAND:
        refused(lab.loader(*command, check=False), "sv0", "another version", "run sidecore-loader detach sv0", "are lost")
    lab.loader("clean")
    assert lab.server.xdp_id() == program
    lab.loader("detach", "sv0")
    assert wait_until(lambda: lab.server.xdp_id() == 0) and pins(lab) == []
    lab.loader("attach", "sv0", "--cpus", "1")


def test_lock_keeps_changes_apart(lab):
    """Commands of all kinds at the same time: each is done, none half, and the lock of one that is killed is free."""
    lab.loader("attach", "sv0", "--cpus", "1")
    commands = [("service", "add", "sv0", f"tcp/{port}") for port in range(8001, 8005)]
    commands += [("deny", "add", "sv0", f"192.0.2.{i}") for i in range(4)]
    commands += [("screen", "sv0", "--validity", "on"), ("upgrade", "sv0", "--health", "0"), ("cpus", "sv0", "0-1"),
                 ("attach", "sv0", "--cpus", "0-1", "--never-drop", "tcp/22")]
    racers = [lab.server.popen(lab.bin("sidecore-loader"), *command, "--bpffs", lab.bpffs, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE) for command in commands]
    victim = lab.server.popen("flock", "-F", lab.bpffs / "sidecore", "sleep", 60)
    victim.kill()
    for racer in racers:
        assert racer.wait(60) == 0, racer.stderr.read()
    found = attachment(lab)
    assert sorted(services(lab)) == [f"tcp/{port}" for port in range(8001, 8005)]
    assert len(lab.loader("deny", "list", "sv0").stdout.split()) == 4
    assert found["modules"]["validity"] and found["modules"]["lists"] and found["never_drop"] == ["tcp/22"]
    assert [cpu["cpu"] for cpu in found["cpus"]] == [0, 1] and found["program"]["id"] == lab.server.xdp_id()


def test_lock_of_another_process(lab):
    lab.loader("attach", "sv0", "--cpus", "1")
    holder = os.open(lab.bpffs / "sidecore", os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        refused(lab.loader("detach", "sv0", check=False), "locked for 10 s", "fuser")
    finally:
        os.close(holder)
    assert lab.server.xdp_id()


# ---- what is left behind ---------------------------------------------------------------------------------------------


def test_clean_removes_what_is_dead_only(lab):
    lab.loader("attach", "sv0", "--cpus", "1")
    first = pins(lab)
    lab.server.run("ip", "link", "add", "gone", "type", "veth", "peer", "name", "gone-peer")
    lab.loader("attach", "gone", "--cpus", "1")
    alive = pins(lab)
    lab.server.run("ip", "link", "del", "gone")
    assert pins(lab) == alive
    # From another namespace too.
    done = lab.client.run(lab.bin("sidecore-loader"), "clean", "--bpffs", lab.bpffs)
    assert done.stdout.count("removed") == 1
    assert str(pin_dir(lab)) in pins(lab) and pins(lab) == first
    lab.server.run("ip", "link", "del", "sv0")
    lab.loader("clean")
    assert pins(lab) == []
    assert "nothing to clean" in lab.loader("clean").stdout


def test_attach_over_the_pins_of_a_dead_device(lab):
    add = ("ip", "link", "add", "re", "index", "77", "type", "veth", "peer", "name", "re-peer")
    lab.server.run(*add)
    lab.loader("attach", "re", "--cpus", "1", "--service", "tcp/80")
    lab.server.run("ip", "link", "del", "re")
    lab.server.run(*add)
    refused(lab.loader("status", "re", check=False), "re", "not attached")
    lab.loader("attach", "re", "--cpus", "1")
    found = json.loads(lab.loader("status", "re", "--json").stdout)["attachments"][0]
    assert found["services"] == []
    lab.loader("detach", "re")
