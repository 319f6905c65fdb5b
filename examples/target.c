// SPDX-License-Identifier: MIT
/* Decodes a request target byte by byte, so that it needs no memory for what is still to come. */
#include <string.h>

#include "target.h"

enum state {
	START,
	SCHEME, /* "http" of an absolute form */
	COLON, /* after ':', one slash expected */
	SLASH, /* after ":/", the other one expected */
	AUTHORITY, /* after "://" */
	PATH,
	PERCENT, /* after '%' */
	DIGIT, /* after '%' and one digit */
	QUERY,
	OTHER, /* nothing with a path */
};

void sc_target_reset(struct sc_target *target)
{
	memset(target, 0, offsetof(struct sc_target, path));
}

static void put(struct sc_target *target, char byte)
{
	if (target->path_len < SC_TARGET_PATH_MAX)
		target->path[target->path_len++] = byte;
	else
		target->too_long = true;
}

static int digit(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static enum state in_path(struct sc_target *target, char byte)
{
	if (byte == '%')
		return PERCENT;
	if (byte == '?' || byte == '#')
		return QUERY;
	put(target, byte);
	return PATH;
}

static enum state in_escape(struct sc_target *target, char byte)
{
	int value = digit(byte);

	if (value < 0) {
		target->bad = true;
		return OTHER;
	}
	if (target->state == PERCENT) {
		target->high = (uint8_t)value;
		return DIGIT;
	}
	value |= target->high << 4;
	if (!value) { /* no file name holds one */
		target->bad = true;
		return OTHER;
	}
	put(target, (char)value);
	return PATH;
}

static enum state in_authority(struct sc_target *target, char byte)
{
	if (byte != '/' && byte != '?')
		return AUTHORITY;
	put(target, '/');
	return byte == '/' ? PATH : QUERY;
}

static enum state next(struct sc_target *target, char byte)
{
	switch ((enum state)target->state) {
	case START:
		return byte == '/' ? in_path(target, byte) : byte == '*' ? OTHER : SCHEME;
	case SCHEME:
		return byte == ':' ? COLON : SCHEME;
	case COLON:
		return byte == '/' ? SLASH : OTHER;
	case SLASH:
		return byte == '/' ? AUTHORITY : OTHER;
	case AUTHORITY:
		return in_authority(target, byte);
	case PATH:
		return in_path(target, byte);
	case PERCENT:
	case DIGIT:
		return in_escape(target, byte);
	case QUERY:
	case OTHER:
		break;
	}
	return (enum state)target->state;
}

void sc_target_add(struct sc_target *target, const char *data, size_t len)
{
	for (const char *end = data + len; data < end; data++)
		target->state = (uint8_t)next(target, *data);
}

bool sc_target_finish(struct sc_target *target)
{
	switch ((enum state)target->state) {
	case PATH:
	case QUERY:
		return true;
	case AUTHORITY: /* "http://host" means its root */
		put(target, '/');
		return true;
	case PERCENT:
	case DIGIT:
		target->bad = true;
		return false;
	default:
		return false;
	}
}
