// SPDX-License-Identifier: MIT
// Opens, makes and replaces the pins of one interface.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "caps.h"
#include "pins.h"
#include "place.h"
#include "steering.h"

/* "/" and the longest name of a pin, with its suffix while it is replaced. */
#define PIN_PATH_LEN (SC_PATH_LEN + 64 + 32)

struct pin {
	const char *name;
	size_t offset; /* of its descriptor in struct sc_pins */
};

/* Everything but the link, which has an order of its own. */
static const struct pin pin_table[] = { { SC_STEER_PIN_STEER, offsetof(struct sc_pins, steer) },
					{ SC_STEER_PIN_ON_CPU, offsetof(struct sc_pins, on_cpu) },
#define PIN(name, help) { #name, offsetof(struct sc_pins, name) },
					SC_STEER_PINS(PIN)
#undef PIN
};

enum {
	PROGRAM_CNT = 2, /* first entries of the table */
	PIN_CNT = sizeof(pin_table) / sizeof(pin_table[0]),
};

static int *pin_fd(struct sc_pins *pins, const struct pin *pin)
{
	return (int *)((char *)pins + pin->offset);
}

static int pin_fd_of(const struct sc_pins *pins, const struct pin *pin)
{
	return *(const int *)((const char *)pins + pin->offset);
}

void sc_pins_init(struct sc_pins *pins)
{
	memset(pins, 0xff, sizeof(*pins));
}

bool sc_pins_are_whole(const struct sc_pins *pins)
{
	int i;

	for (i = 0; i < PIN_CNT; i++)
		if (pin_fd_of(pins, &pin_table[i]) < 0)
			return false;
	return true;
}

void sc_pins_close(struct sc_pins *pins)
{
	int i;

	for (i = 0; i < PIN_CNT; i++)
		if (*pin_fd(pins, &pin_table[i]) >= 0)
			close(*pin_fd(pins, &pin_table[i]));
	if (pins->link >= 0)
		close(pins->link);
	sc_pins_init(pins);
}

bool sc_link_is_alive(int link)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);

	return !bpf_link_get_info_by_fd(link, &info, &len) && info.xdp.ifindex;
}

int sc_link_program(int link)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	int program, err;

	if (bpf_link_get_info_by_fd(link, &info, &len))
		return -errno;
	/* The kernel gives a program by its id to nobody else. */
	sc_caps_admin(true);
	program = bpf_prog_get_fd_by_id(info.prog_id);
	err = -errno;
	sc_caps_admin(false);
	return program < 0 ? err : program;
}

static int open_pin(const char *dir, const char *name)
{
	char path[PIN_PATH_LEN];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

static int open_all(struct sc_pins *pins, const char *dir)
{
	bool missing = false;
	int i, fd, err;

	fd = open_pin(dir, SC_STEER_PIN_LINK);
	if (fd < 0)
		return fd;
	pins->link = fd;
	if (!sc_link_is_alive(fd))
		return -ENODEV;
	for (i = 0; i < PIN_CNT; i++) {
		fd = open_pin(dir, pin_table[i].name);
		if (fd < 0 && (fd != -ENOENT || i < PROGRAM_CNT))
			return fd == -ENOENT ? -EPROTO : fd;
		if (fd < 0)
			missing = true;
		else
			*pin_fd(pins, &pin_table[i]) = fd;
	}
	err = pins->steering < 0 ? -EPROTO : sc_steering_check(pins->steering);
	/* Attached, but not all there: made by a version with other pins. An older one did not have them yet. */
	return missing && err != -ESTALE ? -EPROTO : err;
}

int sc_pins_open_older(struct sc_pins *pins, const char *dir)
{
	int err;

	sc_pins_init(pins);
	err = open_all(pins, dir);
	if (err && err != -ESTALE)
		sc_pins_close(pins);
	return err;
}

int sc_pins_open(struct sc_pins *pins, const char *dir)
{
	int err = sc_pins_open_older(pins, dir);

	if (err == -ESTALE)
		sc_pins_close(pins);
	return err;
}

static int store(int fd, const char *dir, const char *name)
{
	char path[PIN_PATH_LEN];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return bpf_obj_pin(fd, path) ? -errno : 0;
}

int sc_pins_store(const struct sc_pins *pins, const char *dir)
{
	int i, err = 0;

	for (i = 0; i < PIN_CNT && !err; i++)
		err = store(pin_fd_of(pins, &pin_table[i]), dir, pin_table[i].name);
	return err;
}

int sc_pins_store_link(const struct sc_pins *pins, const char *dir)
{
	return store(pins->link, dir, SC_STEER_PIN_LINK);
}

/* bpffs renames over an existing pin, so nobody finds the name missing. */
static int replace(int fd, const char *dir, const char *name)
{
	char path[PIN_PATH_LEN], fresh[PIN_PATH_LEN];
	int err;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(fresh, sizeof(fresh), "%s/%s-new", dir, name);
	(void)unlink(fresh);
	if (bpf_obj_pin(fd, fresh))
		return -errno;
	if (!rename(fresh, path))
		return 0;
	err = -errno;
	(void)unlink(fresh);
	return err;
}

static int replace_first(const struct sc_pins *pins, const char *dir, int cnt)
{
	int i, err = 0;

	for (i = 0; i < cnt && !err; i++)
		err = replace(pin_fd_of(pins, &pin_table[i]), dir, pin_table[i].name);
	return err;
}

int sc_pins_replace_programs(const struct sc_pins *pins, const char *dir)
{
	return replace_first(pins, dir, PROGRAM_CNT);
}

int sc_pins_replace(const struct sc_pins *pins, const char *dir)
{
	return replace_first(pins, dir, PIN_CNT);
}
