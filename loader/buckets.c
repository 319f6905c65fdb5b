// SPDX-License-Identifier: MIT
// Changes and reads the rate limits, token buckets in the pinned maps.
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "buckets.h"
#include "services.h"

#define NS_PER_S 1000000000ULL

enum {
	YEAR_S = 365 * 24 * 3600,
	RATE_MAX = 100000000, /* per second: below 10 ns between two, a unit of time is too coarse */
};

static const struct {
	char unit;
	__u32 seconds;
} periods[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 } };

static __u32 parse_period(const char *text)
{
	size_t i;

	if (!*text)
		return 1;
	for (i = 0; i < sizeof(periods) / sizeof(periods[0]); i++)
		if (text[0] == '/' && text[1] == periods[i].unit && !text[2])
			return periods[i].seconds;
	return 0;
}

int sc_rate_parse(const char *text, struct sc_rate *ret_rate)
{
	struct sc_rate rate = { 0 };
	unsigned long cnt;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	cnt = strtoul(text, &end, 10);
	rate.period_s = parse_period(end);
	if (!rate.period_s)
		return -EINVAL;
	if (errno || !cnt || cnt > RATE_MAX)
		return -ERANGE;
	rate.cnt = cnt;
	*ret_rate = rate;
	return 0;
}

int sc_burst_parse(const char *text, struct sc_rate *ret_rate)
{
	unsigned long burst;
	char *end;

	errno = 0;
	burst = strtoul(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || !burst || burst > SC_BURST_MAX)
		return -EINVAL;
	ret_rate->burst = burst;
	return 0;
}

int sc_rate_complete(struct sc_rate *rate)
{
	if (!rate->burst)
		rate->burst = rate->cnt / rate->period_s ?: 1;
	rate->interval = rate->period_s * NS_PER_S * SC_RATE_UNITS_PER_NS / rate->cnt;
	if ((__u64)rate->burst * rate->period_s / rate->cnt > YEAR_S)
		return -ERANGE;
	rate->room = rate->interval * rate->burst;
	return 0;
}

static const char *take_word(struct sc_limit_entry *entry, const char *word)
{
	__u32 burst = entry->rate.burst;

	if (!strcmp(word, "per-source")) {
		entry->kind &= ~SC_LIMIT_TOTAL_BIT;
	} else if (!strcmp(word, "syn")) {
		entry->kind |= SC_LIMIT_SYN;
	} else if (!strncmp(word, "burst=", 6)) {
		return sc_burst_parse(word + 6, &entry->rate) ? "its burst is not a number from 1 to 1000000" : NULL;
	} else if (*word >= '0' && *word <= '9') {
		if (entry->rate.cnt || sc_rate_parse(word, &entry->rate))
			return "not one rate from 1 to 100000000, such as 1000/s, 30/m, 5/h";
		entry->rate.burst = burst;
	} else if (!entry->all || sc_spec_parse(word, &entry->spec)) {
		return "not a limit such as 1000/s, tcp/8080,per-source,syn,30/m,burst=10";
	} else {
		entry->all = false;
	}
	return NULL;
}

const char *sc_limit_parse(const char *text, struct sc_limit_entry *ret_entry)
{
	struct sc_limit_entry entry = { .all = true, .kind = SC_LIMIT_TOTAL };
	char copy[256], *rest = copy, *word;
	const char *why = NULL;

	snprintf(copy, sizeof(copy), "%s", text);
	while (!why && (word = strsep(&rest, ",")))
		why = take_word(&entry, word);
	if (why)
		return why;
	if (!entry.rate.cnt)
		return "has no rate such as 1000/s, 30/m, 5/h";
	if (entry.kind & SC_LIMIT_SYN && entry.spec.protocol == IPPROTO_UDP)
		return "syn is only for TCP";
	if (sc_rate_complete(&entry.rate))
		return "its burst takes more than a year to come at this rate";
	*ret_entry = entry;
	return NULL;
}

static char period_unit(const struct sc_rate *rate)
{
	return rate->period_s == 1 ? 's' : rate->period_s == 60 ? 'm' : 'h';
}

const char *sc_limit_format(const struct sc_limit_entry *entry, char buf[SC_LIMIT_LEN])
{
	char spec[SC_SPEC_LEN];

	snprintf(buf, SC_LIMIT_LEN, "%s: %u %s%s/%c, burst %u",
		 entry->all ? "all services" : sc_spec_format(&entry->spec, spec), entry->rate.cnt,
		 entry->kind & SC_LIMIT_SYN ? "SYNs" : "packets", entry->kind & SC_LIMIT_TOTAL_BIT ? "" : " per source",
		 period_unit(&entry->rate), entry->rate.burst);
	return buf;
}

static json_t *entry_json(const struct sc_limit_entry *entry)
{
	char spec[SC_SPEC_LEN], unit[2] = { period_unit(&entry->rate) };

	return json_pack("{s:s?, s:b, s:b, s:I, s:s, s:I}", "service",
			 entry->all ? NULL : sc_spec_format(&entry->spec, spec), "per_source",
			 !(entry->kind & SC_LIMIT_TOTAL_BIT), "syn", !!(entry->kind & SC_LIMIT_SYN), "rate",
			 (json_int_t)entry->rate.cnt, "per", unit, "burst", (json_int_t)entry->rate.burst);
}

json_t *sc_limits_json(const struct sc_limit_entry *entries, int cnt)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < cnt; i++)
		json_array_append_new(list, entry_json(&entries[i]));
	return list;
}

bool sc_limit_is_same(const struct sc_limit_entry *left, const struct sc_limit_entry *right)
{
	return left->all == right->all && left->kind == right->kind &&
	       (left->all || !memcmp(&left->spec, &right->spec, sizeof(left->spec)));
}

/* Of the service's two families one is enough: they share the row. */
static int find_row(const struct sc_pins *pins, const struct sc_limit_entry *entry, __u32 *ret_row)
{
	static struct sc_service_entry services[SC_STEER_KEYS_MAX];
	int cnt, i;

	*ret_row = SC_LIMIT_ALL;
	if (entry->all)
		return 0;
	cnt = sc_services_list(pins, services);
	if (cnt < 0)
		return cnt;
	for (i = 0; i < cnt; i++) {
		if (memcmp(&services[i].spec, &entry->spec, sizeof(entry->spec)))
			continue;
		*ret_row = services[i].row;
		return 0;
	}
	return -ENOENT;
}

static int read_row(const struct sc_pins *pins, __u32 row, struct sc_limit_row *ret_limits)
{
	return bpf_map_lookup_elem(pins->limits, &row, ret_limits) ? -errno : 0;
}

static int write_row(const struct sc_pins *pins, __u32 row, const struct sc_limit_row *limits)
{
	return bpf_map_update_elem(pins->limits, &row, limits, BPF_ANY) ? -errno : 0;
}

/* The table of sources takes some megabytes: it is made when it is first wanted, and stays. */
static int make_sources(const struct sc_pins *pins)
{
	__u32 zero = 0, id;
	int table, err;

	if (!bpf_map_lookup_elem(pins->sources, &zero, &id))
		return 0;
	table = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "sources", sizeof(struct sc_source), sizeof(__u64),
			       SC_STEER_SOURCES_MAX, NULL);
	if (table < 0)
		return -errno;
	err = bpf_map_update_elem(pins->sources, &zero, &table, BPF_ANY) ? -errno : 0;
	close(table);
	return err;
}

int sc_limits_set(const struct sc_pins *pins, const struct sc_limit_entry *entry)
{
	struct sc_limit_row limits;
	__u32 row;
	int err;

	err = find_row(pins, entry, &row);
	err = err ?: read_row(pins, row, &limits);
	if (!err && !(entry->kind & SC_LIMIT_TOTAL_BIT))
		err = make_sources(pins);
	if (err)
		return err;
	/* Packets meet it before or after, not half of it: a row is copied while programs read. */
	limits.kinds &= ~(1U << entry->kind);
	err = write_row(pins, row, &limits);
	limits.rates[entry->kind] = entry->rate;
	err = err ?: write_row(pins, row, &limits);
	limits.kinds |= 1U << entry->kind;
	return err ?: write_row(pins, row, &limits);
}

int sc_limits_del(const struct sc_pins *pins, const struct sc_limit_entry *entry)
{
	struct sc_limit_row limits;
	__u32 row;
	int err;

	err = find_row(pins, entry, &row);
	err = err ?: read_row(pins, row, &limits);
	if (err)
		return err;
	if (!(limits.kinds & 1U << entry->kind))
		return -ENOENT;
	limits.kinds &= ~(1U << entry->kind);
	return write_row(pins, row, &limits);
}

static int append_row(const struct sc_pins *pins, __u32 row, const struct sc_spec *spec,
		      struct sc_limit_entry *ret_entries)
{
	struct sc_limit_row limits;
	int kind, cnt = 0, err;

	err = read_row(pins, row, &limits);
	if (err)
		return err;
	for (kind = 0; kind < SC_LIMIT_KINDS; kind++) {
		if (!(limits.kinds & 1U << kind))
			continue;
		ret_entries[cnt] = (struct sc_limit_entry){ .all = !spec, .kind = kind, .rate = limits.rates[kind] };
		if (spec)
			ret_entries[cnt].spec = *spec;
		cnt++;
	}
	return cnt;
}

int sc_limits_list(const struct sc_pins *pins, struct sc_limit_entry ret_entries[SC_LIMITS_MAX])
{
	static struct sc_service_entry services[SC_STEER_KEYS_MAX];
	int service_cnt, i, cnt, added;

	service_cnt = sc_services_list(pins, services);
	if (service_cnt < 0)
		return service_cnt;
	cnt = append_row(pins, SC_LIMIT_ALL, NULL, ret_entries);
	for (i = 0; i < service_cnt && cnt >= 0; i++) {
		added = append_row(pins, services[i].row, &services[i].spec, &ret_entries[cnt]);
		cnt = added < 0 ? added : cnt + added;
	}
	return cnt;
}
