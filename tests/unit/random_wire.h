/* SPDX-License-Identifier: MIT */
/*
 * What both sides of the random test know: the random numbers, and the bytes that go each way.
 *
 * A peer sends one stream, told by its id and a position; its first bytes are the id. The application sends frames: a
 * header, then a piece of a stream of its own (WIRE_OWN), of what it has received from that peer (WIRE_ECHO), or of a file.
 */
#ifndef TESTS_RANDOM_WIRE_H
#define TESTS_RANDOM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

/* splitmix64: Steele, Lea, Flood, Fast splittable pseudorandom number generators. */
static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* 0 .. n - 1 */
static inline unsigned int rng_below(struct rng *rng, unsigned int n)
{
	return (unsigned int)(rng_next(rng) % n);
}

static inline bool rng_chance(struct rng *rng, unsigned int per_thousand)
{
	return rng_below(rng, 1000) < per_thousand;
}

/* 1 .. 2^max_shift bytes, each order of magnitude as often as another. */
static inline size_t rng_len(struct rng *rng, unsigned int max_shift)
{
	return 1 + rng_next(rng) % ((size_t)1 << rng_below(rng, max_shift + 1));
}

enum wire_kind { WIRE_OWN = 1, WIRE_ECHO, WIRE_FILE };
enum { WIRE_MAGIC = 0x5343524e, WIRE_ID_LEN = sizeof(uint32_t) };

struct wire_frame {
	uint32_t magic;
	uint32_t kind;
	uint32_t len; /* bytes that follow */
	uint32_t app_id; /* of the application's connection */
	uint64_t pos; /* in the stream they are taken from */
};

/* Streams of the application's connections are not those of the peers with the same id. */
#define WIRE_APP_STREAM	 (1ULL << 32)
#define WIRE_FILE_STREAM (1ULL << 33) /* what the file has that is sent from */
enum { WIRE_FILE_LEN = 1 << 20 };

/* The bytes of a stream from pos on. */
void wire_fill(void *data, size_t len, uint64_t stream, uint64_t pos);
bool wire_is(const void *data, size_t len, uint64_t stream, uint64_t pos);

#endif
