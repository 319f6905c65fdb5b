// SPDX-License-Identifier: MIT
// xdpload: a closed-loop HTTP/1.1 load generator whose client side is an XDP program, so that it costs next to nothing.
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "clock.h"
#include "conns.h"
#include "object.h"
#include "options.h"
#include "probe.h"
#include "report.h"

enum {
	SCAN_MS = 50,
	HANDSHAKE_S = 5,
	DRAIN_S = 2,
};

static const double NS_PER_S = 1e9;

struct run {
	const struct sc_options *options;
	struct sc_object *object;
	struct sc_conns *conns;
	struct sc_report report;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int signo)
{
	(void)signo;
	interrupted = 1;
}

static void sleep_until(__u64 when_ns)
{
	struct timespec ts = { .tv_sec = (time_t)(when_ns / 1000000000), .tv_nsec = (long)(when_ns % 1000000000) };

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* Scans until that long has passed, done() says so, a signal came or no connection is left. 0 or -errno. */
static int watch(struct run *run, double time_s, bool (*done)(struct run *run))
{
	__u64 end_ns = sc_clock_ns() + (__u64)(time_s * NS_PER_S);
	struct sc_conns_tally *tally = &run->report.tally;
	int err;

	for (;;) {
		__u64 now = sc_clock_ns(), next = now + SCAN_MS * 1000000ULL;

		err = sc_conns_scan(run->conns, tally);
		if (err || now >= end_ns || (done && done(run)))
			return err;
		if ((interrupted && !done) || tally->lost == run->options->connections)
			return 0;
		sleep_until(next < end_ns ? next : end_ns);
	}
}

static bool handshakes_done(struct run *run)
{
	return interrupted || (!run->report.tally.connecting && !sc_object_stats(run->object, &run->report.total) &&
			       run->report.total.counter[XDPLOAD_RESPONSES]);
}

static bool drained(struct run *run)
{
	return !run->report.tally.open && !run->report.tally.connecting;
}

/* 0 if at least one request of the program was answered; what else goes wrong is a matter for the report. */
static int explain_silence(struct run *run)
{
	const char *target = run->options->probe.name;
	const __u64 *counter = run->report.total.counter;

	/* A response per stall: only what user space sent again got through. */
	if (counter[XDPLOAD_RESPONSES] > run->report.tally.stalled || interrupted)
		return 0;
	if (counter[XDPLOAD_REQUESTS])
		warnx("%s: accepts connections but gets no request from XDP: its end of the veth pair does not poll: run "
		      "`ethtool -K VETH gro on` there or attach an XDP program",
		      target);
	else if (counter[XDPLOAD_RESETS])
		warnx("%s: refuses connections: is the server still up?", target);
	else
		warnx("%s: did not answer a SYN within %d s: is the server still up, is a firewall in between?", target,
		      HANDSHAKE_S);
	return -ETIMEDOUT;
}

/* Learns the responses by ordinary means and the MAC addresses from the frames that carried them, then hands over. */
static int learn(struct run *run)
{
	struct xdpload_config *shared = sc_object_config(run->object);
	const volatile struct xdpload_peer *peer = sc_object_peer(run->object);
	const struct sc_options *o = run->options;
	struct xdpload_config config = { .port_base = o->source_port };
	int err;

	err = sc_probe_prepare(&o->probe, &config);
	if (err)
		return err;
	*shared = config;
	err = sc_probe_learn(&o->probe, &config);
	if (err)
		return err;
	if (!peer->learnt) {
		warnx("%s: the answers of %s do not come in here: name the interface they come in by", o->probe.ifname,
		      o->probe.name);
		return -ENETUNREACH;
	}
	memcpy(config.local_mac, (const void *)peer->local_mac, sizeof(config.local_mac));
	memcpy(config.target_mac, (const void *)peer->target_mac, sizeof(config.target_mac));
	config.conns_cnt = o->connections;
	*shared = config;
	return 0;
}

/* Warm-up and measured time. */
static int measure(struct run *run)
{
	struct sc_report *r = &run->report;
	__u64 begin_ns;
	int err;

	err = watch(run, run->options->warmup_s, NULL);
	if (err)
		return err;
	begin_ns = sc_clock_ns();
	err = sc_object_stats(run->object, &r->begin);
	if (!err)
		err = watch(run, run->options->duration_s, NULL);
	if (err)
		return err;
	r->window_ns = sc_clock_ns() - begin_ns;
	return sc_object_stats(run->object, &r->end);
}

/* Lets the outstanding requests finish, so that a request the server counted is one that was counted here. */
static int finish(struct run *run)
{
	volatile struct xdpload_config *config = sc_object_config(run->object);
	int err;

	config->stop = 1;
	err = watch(run, DRAIN_S, drained);
	if (!err)
		err = sc_object_stats(run->object, &run->report.total);
	return err;
}

static int load(struct run *run)
{
	int err;

	err = learn(run);
	if (err)
		return err;
	run->conns = sc_conns_create(run->options->probe.ifname, sc_object_conns_fd(run->object),
				     sc_object_config(run->object));
	if (!run->conns)
		return -ENOMEM;
	err = sc_conns_connect(run->conns);
	if (!err)
		err = watch(run, HANDSHAKE_S, handshakes_done);
	if (!err)
		err = sc_object_stats(run->object, &run->report.total);
	if (!err)
		err = explain_silence(run);
	if (!err)
		err = measure(run);
	if (!err)
		err = finish(run);
	sc_conns_reset(run->conns);
	return err;
}

static int report(struct run *run)
{
	const struct sc_options *o = run->options;
	struct sc_report *r = &run->report;

	r->target = o->probe.name;
	r->path = o->probe.path;
	r->connections = o->connections;
	r->response_len = sc_object_config(run->object)->response_len;
	r->ns_per_packet = sc_object_ns_per_packet(run->object);
	r->interrupted = interrupted;
	if (o->json)
		sc_report_print_json(r);
	else
		sc_report_print(r);
	return sc_report_errors(r) || sc_report_lost(r) || r->interrupted || !r->total.counter[XDPLOAD_RESPONSES];
}

int main(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = on_signal };
	struct sc_options options;
	struct run run = { .options = &options };
	int status = 1;

	sc_options_parse(&options, argc, argv);
	if (options.pinned && sched_setaffinity(0, sizeof(options.cpus), &options.cpus))
		errx(1, "cpu: cannot run there: %s: name CPUs of /sys/devices/system/cpu/online", strerror(errno));
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);

	run.object = sc_object_create(options.probe.ifname, options.connections);
	if (run.object && !load(&run))
		status = report(&run);
	sc_conns_free(run.conns);
	sc_object_free(run.object);
	return status;
}
