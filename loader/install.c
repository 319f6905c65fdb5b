// SPDX-License-Identifier: MIT
// Puts the programs on a device for the first time, or changes those that are there in place.
#include <errno.h>
#include <string.h>

#include "hint.h"
#include "install.h"
#include "log.h"
#include "modules.h"
#include "object.h"
#include "pending.h"
#include "steering.h"
#include "swap.h"
#include "target.h"

/* Another's program is never displaced. */
static int check_foreign(const struct sc_place *place)
{
	enum sc_mode mode;
	char name[64];
	__u32 id;
	int err;

	err = sc_device_query(place->ifindex, &id, &mode);
	if (err) {
		sc_error("%s: cannot ask for its XDP program: %s; see ip link show %s", place->ifname, strerror(-err),
			 place->ifname);
		return err;
	}
	if (!id)
		return 0;
	sc_error(
		"%s: XDP program %s (id %u, %s mode) is there and not ours; remove it by its own tool, or choose the --bpffs "
		"that holds its pins if it is",
		place->ifname, sc_program_name(id, name, sizeof(name)), id, sc_mode_name(mode));
	return -EBUSY;
}

static bool mode_is_refused(int err)
{
	return err == -EOPNOTSUPP || err == -ERANGE || err == -EINVAL || err == -ENOSPC || err == -ENOMEM;
}

/* Stores the link in pins. -EAGAIN: the device refuses native mode, and skb mode is to be tried instead. */
static int bind_device(const struct sc_place *place, struct sc_pins *pins, enum sc_mode mode, bool may_fall_back)
{
	int link = sc_device_attach(place->ifindex, pins->steer, mode);

	if (link < 0 && may_fall_back && mode_is_refused(link)) {
		sc_warn("%s: native mode refused: %s; taking skb mode, which is slower", place->ifname,
			sc_hint_reason(link));
		return -EAGAIN;
	}
	if (link < 0) {
		sc_hint_error(place->ifname, mode == SC_MODE_SKB ? SC_STEP_ATTACH_SKB : SC_STEP_ATTACH_NATIVE, link);
		return link;
	}
	pins->link = link;
	return 0;
}

/* Loads programs with the modules of the plan, and fills maps of their own before the first packet meets them. */
static int load_filled(const struct sc_place *place, struct sc_pins *pins, const struct sc_plan *plan,
		       enum sc_mode mode, __u32 modules)
{
	int err;

	err = sc_object_load(pins, mode, modules);
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_LOAD, err);
		return err;
	}
	err = sc_steering_init(pins);
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_MAPS, err);
		return err;
	}
	err = sc_plan_prepare(plan, place, pins);
	if (err)
		return err;
	err = sc_plan_fill_lists(plan, pins);
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_LISTS, err);
		return err;
	}
	err = sc_plan_carry_out(plan, pins);
	if (err)
		sc_hint_error(place->ifname, SC_STEP_MAPS, err);
	return err;
}

static int attach_in_mode(const struct sc_place *place, struct sc_pins *pins, const struct sc_plan *plan,
			  enum sc_mode mode, bool may_fall_back)
{
	int err;

	/* Left by a device that is gone, or by an attach that was killed. */
	err = sc_place_remove_dir(place);
	err = err ?: sc_place_make_dir(place);
	if (err) {
		sc_hint_error(place->dir, SC_STEP_PIN, err);
		return err;
	}
	err = load_filled(place, pins, plan, mode, sc_plan_modules(plan, 0));
	if (err)
		goto err_dir;
	err = sc_pins_store(pins, place->dir);
	if (err) {
		sc_hint_error(place->dir, SC_STEP_PIN, err);
		goto err_dir;
	}
	err = bind_device(place, pins, mode, may_fall_back);
	if (err)
		goto err_dir;
	/* An unpinned link ends with this process: whoever kills it here leaves no program on the device. */
	err = sc_pins_store_link(pins, place->dir);
	if (err) {
		sc_hint_error(place->dir, SC_STEP_PIN, err);
		goto err_dir;
	}
	return 0;

err_dir:
	(void)sc_place_remove_dir(place);
	sc_pins_close(pins);
	return err;
}

/* Puts the mode that was got into *mode. */
static int attach_first(const struct sc_place *place, struct sc_pins *pins, const struct sc_plan *plan,
			enum sc_mode *mode)
{
	bool may_fall_back = *mode == SC_MODE_AUTO;
	int err;

	err = check_foreign(place);
	if (err)
		return err;
	if (*mode != SC_MODE_SKB)
		*mode = SC_MODE_NATIVE;
	err = attach_in_mode(place, pins, plan, *mode, may_fall_back);
	if (err != -EAGAIN)
		return err;
	/* All anew: skb mode takes other programs, and a CPU map is bound to the kind it met first. */
	*mode = SC_MODE_SKB;
	return attach_in_mode(place, pins, plan, *mode, false);
}

static int keep_mode(const struct sc_place *place, enum sc_mode *mode)
{
	enum sc_mode now;
	__u32 id;
	int err;

	err = sc_device_query(place->ifindex, &id, &now);
	if (err) {
		sc_error("%s: cannot ask for its XDP mode: %s; see ip link show %s", place->ifname, strerror(-err),
			 place->ifname);
		return err;
	}
	if (*mode != SC_MODE_UNSET && *mode != SC_MODE_AUTO && *mode != now) {
		sc_error("%s: attached in %s mode, which cannot change in place; run sidecore-loader detach %s first",
			 place->ifname, sc_mode_name(now), place->ifname);
		return -EBUSY;
	}
	*mode = now;
	return 0;
}

/* Maps stay, so nothing is lost or forgotten; the device goes from the old program to the new between two packets. */
static int attach_again(const struct sc_place *place, struct sc_pins *pins, const struct sc_plan *plan,
			enum sc_mode *mode, struct sc_undo *undo)
{
	struct sc_swap swap;
	__u32 modules;
	int err;

	err = keep_mode(place, mode);
	err = err ?: sc_pending_refuse(place);
	err = err ?: sc_undo_remember(undo, place, pins, plan);
	if (err)
		return err;
	err = sc_modules_keep(place, pins, &modules);
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_SWAP, err);
		return err;
	}
	err = sc_plan_prepare(plan, place, pins);
	if (err)
		return err;
	err = sc_swap_init(&swap, place, pins, sc_plan_modules(plan, modules));
	if (err)
		return err;
	undo->swap = swap;
	err = sc_plan_fill_lists(plan, pins);
	if (err) {
		sc_hint_error(place->ifname, SC_STEP_LISTS, err);
		return err;
	}
	err = sc_lists_settle(place, pins);
	if (err)
		return err;
	err = sc_plan_carry_out(plan, pins);
	if (err)
		sc_hint_error(place->ifname, SC_STEP_MAPS, err);
	return err;
}

int sc_install(const struct sc_place *place, struct sc_pins *pins, const struct sc_plan *plan, enum sc_mode *ret_mode,
	       struct sc_undo *undo)
{
	int err = sc_pins_open(pins, place->dir);

	*ret_mode = plan->mode;
	if (!err) {
		err = attach_again(place, pins, plan, ret_mode, undo);
		if (err && undo->was_attached)
			(void)sc_undo_run(undo, place, pins);
		return err;
	}
	if (err == -ENOENT || err == -ENODEV)
		return attach_first(place, pins, plan, ret_mode);
	sc_target_say_unreadable(place, err);
	return err;
}

/* What is pinned stays out of it: programs that are only tried must not fill the maps of those that run. */
static int check_place(const struct sc_place *place, enum sc_mode *mode, bool *ret_attached, __u32 *ret_modules)
{
	struct sc_pins there;
	int err = sc_pins_open(&there, place->dir);

	*ret_attached = !err;
	*ret_modules = 0;
	err = err ?: sc_modules_keep(place, &there, ret_modules);
	sc_pins_close(&there);
	if (!err)
		return keep_mode(place, mode);
	if (err != -ENOENT && err != -ENODEV) {
		sc_target_say_unreadable(place, err);
		return err;
	}
	if (*mode != SC_MODE_SKB)
		*mode = SC_MODE_NATIVE;
	return check_foreign(place);
}

int sc_install_try(const struct sc_place *place, struct sc_pins *pins, const struct sc_plan *plan,
		   enum sc_mode *ret_mode, bool *ret_attached)
{
	__u32 modules;
	int err;

	*ret_mode = plan->mode;
	err = check_place(place, ret_mode, ret_attached, &modules);
	if (err)
		return err;
	return load_filled(place, pins, plan, *ret_mode, sc_plan_modules(plan, modules));
}
