// SPDX-License-Identifier: MIT
/* abi.h means the same bytes to the C compiler and, by the BTF of an object made of it, to the BPF compiler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include <sidecore/abi.h>

#include "abi_fields.h"
#include "abi_layout.skel.h"

static const struct {
	const char *name;
	size_t size;
} structs[] = {
#define STRUCT(name) { #name, sizeof(struct name) },
	ABI_STRUCTS(STRUCT)
};

static const struct {
	const char *name, *field;
	size_t off, size;
} fields[] = {
#define FIELD(name, field) { #name, #field, offsetof(struct name, field), sizeof(((struct name *)0)->field) },
	ABI_FIELDS(FIELD)
};

static int open_object(void **state)
{
	*state = abi_layout_bpf__open();
	return *state ? 0 : -1;
}

static int close_object(void **state)
{
	abi_layout_bpf__destroy(*state);
	return 0;
}

static const struct btf_type *struct_of(const struct btf *btf, const char *name)
{
	__s32 id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);

	if (id < 0)
		fail_msg("struct %s is not in the BTF", name);
	return btf__type_by_id(btf, (__u32)id);
}

static void test_structs(void **state)
{
	const struct btf *btf = bpf_object__btf(((struct abi_layout_bpf *)*state)->obj);

	for (size_t i = 0; i < sizeof(structs) / sizeof(*structs); i++) {
		const struct btf_type *type = struct_of(btf, structs[i].name);
		size_t listed = 0;

		if (type->size != structs[i].size)
			fail_msg("struct %s: %zu bytes in C, %u in BPF", structs[i].name, structs[i].size, type->size);
		for (size_t f = 0; f < sizeof(fields) / sizeof(*fields); f++)
			listed += !strcmp(fields[f].name, structs[i].name);
		if (btf_vlen(type) != listed) /* abi_fields.h has forgotten one */
			fail_msg("struct %s: %u fields, %zu listed", structs[i].name, btf_vlen(type), listed);
	}
}

static void test_fields(void **state)
{
	const struct btf *btf = bpf_object__btf(((struct abi_layout_bpf *)*state)->obj);

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		const struct btf_type *type = struct_of(btf, fields[i].name);
		const struct btf_member *member = btf_members(type);
		unsigned int m = 0;

		while (m < btf_vlen(type) && strcmp(btf__name_by_offset(btf, member[m].name_off), fields[i].field))
			m++;
		if (m == btf_vlen(type))
			fail_msg("%s.%s is not in the BTF", fields[i].name, fields[i].field);
		if (btf_member_bit_offset(type, m) != fields[i].off * 8 ||
		    btf__resolve_size(btf, member[m].type) != (__s64)fields[i].size)
			fail_msg("%s.%s: at %zu, %zu bytes in C; at %u, %lld bytes in BPF", fields[i].name,
				 fields[i].field, fields[i].off, fields[i].size, btf_member_bit_offset(type, m) / 8,
				 (long long)btf__resolve_size(btf, member[m].type));
	}
}

/* No hole that a compiler could fill with what lay there before: fields follow each other. */
static void test_no_holes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(structs) / sizeof(*structs); i++) {
		size_t end = 0;

		for (size_t f = 0; f < sizeof(fields) / sizeof(*fields); f++) {
			if (strcmp(fields[f].name, structs[i].name))
				continue;
			if (fields[f].off != end)
				fail_msg("%s.%s: %zu bytes before it belong to no field", fields[f].name,
					 fields[f].field, fields[f].off - end);
			end += fields[f].size;
		}
		if (end != structs[i].size)
			fail_msg("struct %s: %zu bytes at its end belong to no field", structs[i].name,
				 structs[i].size - end);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_structs),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_no_holes),
	};

	return cmocka_run_group_tests_name("abi_layout", tests, open_object, close_object);
}
