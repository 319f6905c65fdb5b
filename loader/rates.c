// SPDX-License-Identifier: MIT
// Shows what an interface did in a stretch of time, as text or as JSON.
#include "rates.h"
#include "reasons.h"

static double seconds(const struct sc_reading *difference)
{
	return difference->time_ns / 1e9;
}

static double rate(__u64 packets, const struct sc_reading *difference)
{
	return difference->time_ns ? packets / seconds(difference) : 0;
}

static __u64 at(const struct sc_reading *reading, enum sc_reason reason, int cpu)
{
	return reading->reasons[(int)reason * reading->cpu_cnt + cpu];
}

static void reasons_text(const struct sc_reading *now, const struct sc_reading *difference, FILE *out)
{
	int reason;

	fprintf(out, "  %-32s %12s %15s\n", "verdict", "packets/s", "packets");
	for (reason = 0; reason < SC_REASON_CNT; reason++) {
		if (!sc_reading_reason(now, reason))
			continue;
		fprintf(out, "  %-32s %12.0f %15llu\n", sc_reason_name(reason),
			rate(sc_reading_reason(difference, reason), difference),
			(unsigned long long)sc_reading_reason(now, reason));
	}
}

static void services_text(const struct sc_reading *now, const struct sc_reading *difference, FILE *out)
{
	struct sc_service_count sum, ever;
	char text[SC_SPEC_LEN];
	int i;

	if (!difference->service_cnt)
		return;
	fprintf(out, "  %-32s %12s %12s %12s %12s %10s %10s\n", "service", "local/s", "steered/s", "arrived/s",
		"Mbit/s", "opened/s", "live");
	for (i = 0; i < difference->service_cnt; i++) {
		sum = sc_reading_service(difference, i);
		ever = sc_reading_service(now, i);
		fprintf(out, "  %-32s %12.0f %12.0f %12.0f %12.1f %10.0f %10llu\n",
			sc_spec_format(&difference->services[i].spec, text), rate(sum.local, difference),
			rate(sum.steered, difference), rate(sum.arrived, difference),
			rate(sum.local_bytes + sum.arrived_bytes, difference) * 8 / 1e6, rate(sum.opened, difference),
			(unsigned long long)sc_service_live(&ever));
	}
}

static void cpus_text(const struct sc_reading *now, const struct sc_reading *difference, FILE *out)
{
	int cpu;

	fprintf(out, "  %-32s %12s %12s %12s %12s\n", "CPU", "received/s", "local/s", "steered/s", "arrived/s");
	for (cpu = 0; cpu < now->cpu_cnt; cpu++) {
		if (!sc_reading_received(now, cpu) && !sc_reading_arrived(now, cpu))
			continue;
		fprintf(out, "  %-32d %12.0f %12.0f %12.0f %12.0f\n", cpu,
			rate(sc_reading_received(difference, cpu), difference),
			rate(at(difference, SC_REASON_LOCAL, cpu), difference),
			rate(at(difference, SC_REASON_STEERED, cpu), difference),
			rate(sc_reading_arrived(difference, cpu), difference));
	}
}

void sc_rates_text(const struct sc_reading *now, const struct sc_reading *difference, FILE *out)
{
	fprintf(out, "%s: over %.1f s\n", now->ifname, seconds(difference));
	reasons_text(now, difference, out);
	services_text(now, difference, out);
	cpus_text(now, difference, out);
}

static json_t *reasons_json(const struct sc_reading *now, const struct sc_reading *difference)
{
	json_t *object = json_object();
	int reason;

	for (reason = 0; reason < SC_REASON_CNT; reason++)
		json_object_set_new(object, sc_reason_name(reason),
				    json_pack("{s:I, s:f}", "packets", (json_int_t)sc_reading_reason(now, reason),
					      "per_s", rate(sc_reading_reason(difference, reason), difference)));
	return object;
}

static json_t *services_json(const struct sc_reading *now, const struct sc_reading *difference)
{
	json_t *list = json_array();
	struct sc_service_count sum, ever;
	char text[SC_SPEC_LEN];
	int i;

	for (i = 0; i < difference->service_cnt; i++) {
		sum = sc_reading_service(difference, i);
		ever = sc_reading_service(now, i);
		json_array_append_new(
			list, json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "service",
					sc_spec_format(&difference->services[i].spec, text), "local_per_s",
					rate(sum.local, difference), "steered_per_s", rate(sum.steered, difference),
					"arrived_per_s", rate(sum.arrived, difference), "arrived_bytes_per_s",
					rate(sum.arrived_bytes, difference), "local_bytes_per_s",
					rate(sum.local_bytes, difference), "opened_per_s", rate(sum.opened, difference),
					"closed_per_s", rate(sum.closed, difference), "live",
					(json_int_t)sc_service_live(&ever)));
	}
	return list;
}

static json_t *cpus_json(const struct sc_reading *now, const struct sc_reading *difference)
{
	json_t *list = json_array(), *reasons;
	int cpu, reason;

	for (cpu = 0; cpu < now->cpu_cnt; cpu++) {
		if (!sc_reading_received(now, cpu) && !sc_reading_arrived(now, cpu))
			continue;
		reasons = json_object();
		for (reason = 0; reason < SC_REASON_CNT; reason++)
			if (at(now, reason, cpu))
				json_object_set_new(reasons, sc_reason_name(reason),
						    json_real(rate(at(difference, reason, cpu), difference)));
		json_array_append_new(list,
				      json_pack("{s:i, s:f, s:f, s:o}", "cpu", cpu, "received_per_s",
						rate(sc_reading_received(difference, cpu), difference), "arrived_per_s",
						rate(sc_reading_arrived(difference, cpu), difference), "reasons_per_s",
						reasons));
	}
	return list;
}

json_t *sc_rates_json(const struct sc_reading *now, const struct sc_reading *difference)
{
	return json_pack("{s:s, s:i, s:f, s:o, s:o, s:o}", "interface", now->ifname, "ifindex", now->ifindex,
			 "interval_s", seconds(difference), "reasons", reasons_json(now, difference), "services",
			 services_json(now, difference), "cpus", cpus_json(now, difference));
}
