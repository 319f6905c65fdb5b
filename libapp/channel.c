// SPDX-License-Identifier: MIT
/* A channel: the sealed memfd of a session, mapped and checked. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "channel.h"
#include "reason.h"

static bool power_of_two(__u32 n)
{
	return n && !(n & (n - 1));
}

static bool inside(const struct sc_channel *header, __u64 off, __u64 len, __u64 align)
{
	return !(off & (align - 1)) && off >= sizeof(*header) && off <= header->channel_len &&
	       len <= header->channel_len - off;
}

static bool lane_valid(const struct sc_channel *header, const struct sc_lane *lane)
{
	const __u64 words[] = { lane->sq_head_off, lane->sq_tail_off, lane->sq_flags_off,
				lane->cq_head_off, lane->cq_tail_off, lane->cq_flags_off };

	for (unsigned int i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!inside(header, words[i], sizeof(__u32), sizeof(__u32)))
			return false;
	return power_of_two(lane->sq_entries) && lane->sq_entries <= SC_SQ_ENTRIES_MAX &&
	       power_of_two(lane->cq_entries) && lane->cq_entries <= SC_CQ_ENTRIES_MAX && power_of_two(lane->buf_cnt) &&
	       lane->buf_cnt <= SC_BUFS_MAX && power_of_two(lane->buf_len) && lane->buf_len >= SC_BUF_LEN_MIN &&
	       lane->buf_len <= SC_BUF_LEN_MAX &&
	       inside(header, lane->sqes_off, (__u64)lane->sq_entries * sizeof(struct io_uring_sqe), 64) &&
	       inside(header, lane->cqes_off, (__u64)lane->cq_entries * sizeof(struct io_uring_cqe), 16) &&
	       inside(header, lane->buf_ring_off, (__u64)lane->buf_cnt * sizeof(struct io_uring_buf), 4096) &&
	       inside(header, lane->bufs_off, (__u64)lane->buf_cnt * lane->buf_len, 64);
}

static bool header_valid(const struct sc_channel *header)
{
	if (header->features & ~(__u32)SC_CHANNEL_FEATURES_KNOWN)
		return false;
	if (!header->lane_cnt || header->lane_cnt > SC_LANES_MAX || !header->conn_cnt ||
	    header->conn_cnt > SC_CONNS_MAX || !inside(header, header->arena_off, header->arena_len, 4096))
		return false;
	for (unsigned int i = 0; i < header->lane_cnt; i++)
		if (!lane_valid(header, &header->lane[i]))
			return false;
	return true;
}

/* Without the seals a short file would turn a read of ours into SIGBUS. */
static bool sealed(int memfd)
{
	int want = F_SEAL_SHRINK | F_SEAL_GROW;

	return (fcntl(memfd, F_GET_SEALS) & want) == want;
}

static int header_check(const struct sc_channel *header, off_t size)
{
	if (header->magic != SC_CHANNEL_MAGIC)
		return sc_reason_set(
			-EPROTO, "channel: wrong magic 0x%08x, expected 0x%08x: is it sidecore-ringsvc that answers?",
			header->magic, SC_CHANNEL_MAGIC);
	if (header->version != SC_ABI_VERSION)
		return sc_reason_set(
			-EPROTO,
			"channel: version %u, this libapp speaks %d: install libapp and ringsvc of one release",
			header->version, SC_ABI_VERSION);
	if (header->header_len != sizeof(*header) || header->channel_len != (__u64)size || !header_valid(header))
		return sc_reason_set(
			-EBADMSG,
			"channel: a length or offset is out of bounds: install libapp and ringsvc of one release");
	return 0;
}

static void *sealed_map(int memfd, size_t min_len, off_t *ret_size, int *ret_err)
{
	struct stat stat;
	void *mem;

	if (fstat(memfd, &stat) || stat.st_size < (off_t)min_len || !sealed(memfd)) {
		*ret_err = sc_reason_set(
			-EBADMSG, "channel: the service's memory is not sealed: is it sidecore-ringsvc that answers?");
		return NULL;
	}
	mem = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (mem == MAP_FAILED) {
		*ret_err = sc_reason_set(-errno, "channel: mmap of %lld bytes: %s", (long long)stat.st_size,
					 strerror(errno));
		return NULL;
	}
	*ret_size = stat.st_size;
	return mem;
}

void *sc_channel_map(int memfd, struct sc_channel *ret_header, int *ret_err)
{
	off_t size;
	void *mem = sealed_map(memfd, sizeof(*ret_header), &size, ret_err);

	if (!mem)
		return NULL;
	memcpy(ret_header, mem, sizeof(*ret_header));
	*ret_err = header_check(ret_header, size);
	if (*ret_err) {
		(void)munmap(mem, (size_t)size);
		return NULL;
	}
	return mem;
}

void *sc_channel_map_segment(int memfd, size_t len, int *ret_err)
{
	off_t size;
	void *mem = sealed_map(memfd, len, &size, ret_err);

	if (mem && (size_t)size != len) {
		(void)munmap(mem, (size_t)size);
		*ret_err = sc_reason_set(
			-EBADMSG, "segment: not as long as asked for: install libapp and ringsvc of one release");
		return NULL;
	}
	return mem;
}
