# SPDX-License-Identifier: MIT
# Builds all of Sidecore out of tree, in $(O).
#
# make [all|tests|test|install|uninstall|format|clean|help]
#   O=build           build folder       V=1       show commands        CC=clang   the other compiler
#   SAN=1 / TSAN=1    sanitizers, in build/san and build/tsan           WERROR=1   warnings stop the build (CI=true sets it)
#   PREFIX=/usr/local DESTDIR=           for install and uninstall
#
# A folder joins with a short rules.mk (FOLDER/rules.mk or FOLDER/SUB/rules.mk), which only fills lists:
#
#   programs += sidecore-loader                        -> $(O)/bin/; names that begin with sidecore- are installed
#   sidecore-loader_src  := $(wildcard loader/*.c)        its own sources, each compiled with -Iinclude -IFOLDER
#   sidecore-loader_objs := bench/lib/stats.c             borrowed sources: compiled as their own folder does; their folder
#                                                         joins the include path of _src
#   sidecore-loader_dirs := bench/lib                     further include folders, for headers without a .c
#   sidecore-loader_bpf  := steer                         bpf/steer.bpf.c -> #include "steer.skel.h", struct steer_bpf,
#                                                         steer_bpf__open(); a name with a slash (bench/xdpload/xdpload)
#                                                         is looked up from the top
#   sidecore-loader_libs := -lbpf -ljansson $(libapp)     $(libapp) is the static libapp and what it needs
#   sidecore-loader_cflags, _ldflags                      rarely needed
#
#   tests += channel                                   -> $(O)/tests/channel, linked with cmocka; same variables as a program.
#                                                         `make test` runs it: each TAP line counts, without TAP the program
#                                                         counts as one; exit 77 is a skip. Needs root? Skip without.
#   tests_plain += channel                                not repeated under SAN=1 and TSAN=1
#   libs += libapp                                     -> $(O)/lib/libapp.a and .so.N; exports by libapp/libapp.map, whose
#   libapp_src, libapp_libs                               node must be LIBAPP_N. Hidden unless marked: the public header has
#                                                         #pragma GCC visibility push(default) around its functions
#
# Names are unique over programs, tests and libs. Every tests/*.sh is run by `make test` too. Code gets SC_VERSION (a string)
# and _GNU_SOURCE. libapp/, loader/ and ringsvc/ use nothing of each other: tests/layers.sh reads the dependency files.
# Installed as well: include/sidecore/*.h, docs/man/*.[1-8], pkg/*.pc.in, ringsvc/ and pkg/*.service (@bindir@ filled in), and what
# sidecore-loader writes for the completion of its command line. It fills in its own man page, too.

.DEFAULT_GOAL := all

version := 0.1.0
soversion := 0

ifeq ($(origin O),undefined)
O := build$(if $(SAN),/san)$(if $(TSAN),/tsan)
endif
ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(CI),true)
WERROR ?= 1
endif
ifneq ($(and $(SAN),$(TSAN)),)
$(error SAN=1 and TSAN=1 exclude each other: build them one after the other)
endif

BPF_CLANG ?= clang
BPFTOOL ?= $(or $(shell command -v bpftool),/usr/sbin/bpftool)
PKG_CONFIG ?= pkg-config
PREFIX ?= /usr/local

bindir := $(PREFIX)/bin
libdir := $(PREFIX)/lib
includedir := $(PREFIX)/include
mandir := $(PREFIX)/share/man
unitdir := $(PREFIX)/lib/systemd/system
bash_dir := $(PREFIX)/share/bash-completion/completions
zsh_dir := $(PREFIX)/share/zsh/site-functions
fish_dir := $(PREFIX)/share/fish/vendor_completions.d

libapp := $(O)/lib/libapp.a -luring
cmocka := $(shell $(PKG_CONFIG) --libs cmocka 2>/dev/null || echo -lcmocka)

# ---- flags -------------------------------------------------------------------------------------------------------------

warnings := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wformat-security $(if $(WERROR),-Werror)
hardening := -fPIE -fstack-protector-strong -fstack-clash-protection
CFLAGS ?= -O2 -g
sanitize :=
ifdef SAN
sanitize := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else ifdef TSAN
sanitize := -fsanitize=thread -fno-omit-frame-pointer
else
hardening += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif

c_flags := -std=gnu11 $(warnings) $(hardening) $(sanitize) -D_GNU_SOURCE -DSC_VERSION='"$(version)"' -Iinclude
ld_flags := $(sanitize) -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed

bpf_arch := $(patsubst aarch64,arm64,$(patsubst x86_64,x86,$(shell uname -m)))
# clang does not look into Debian's multiarch folder for another target: asm/types.h lives there
bpf_flags := -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(bpf_arch) -Wall -Werror -Iinclude -Ivmlinux -Ibpf \
	-idirafter /usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)

# What tests start is never sanitized: its jail knows nothing of a sanitizer's system calls.
service := $(O)/$(if $(sanitize),plain/)bin/sidecore-ringsvc

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' '$(1)' '$(2)')

# ---- what the folders hold -------------------------------------------------------------------------------------------

programs :=
libs :=
tests :=
tests_plain :=

include $(sort $(wildcard */rules.mk */*/rules.mk))

names := $(programs) $(libs) $(tests)
ifneq ($(words $(names)),$(words $(sort $(names))))
$(error a name is used twice among programs, libs and tests: $(sort $(foreach n,$(names),$(if $(word 2,$(filter $n,$(names))),$n))))
endif

ifneq ($(filter-out clean format help uninstall,$(or $(MAKECMDGOALS),all)),)
ifneq ($(names),)
ifneq ($(shell $(PKG_CONFIG) --exists 'liburing >= 2.9' 'libbpf >= 1.4' 2>&1 || echo missing),)
$(error liburing >= 2.9 or libbpf >= 1.4 not found by $(PKG_CONFIG): run `sudo ./run deps`)
endif
endif
endif

objects = $(patsubst %.c,$(O)/obj/%.o,$1)
folders = $(sort $(foreach f,$1,$(firstword $(subst /, ,$f))))
rules_of = $(wildcard $(sort $(foreach f,$1,$(dir $f)rules.mk $(firstword $(subst /, ,$f))/rules.mk)))
bpf_source = $(if $(findstring /,$1),$1,bpf/$1)
skeletons = $(foreach b,$1,$(O)/skel/$(notdir $b).skel.h)

bpf_programs := $(sort $(foreach n,$(names),$(foreach b,$($n_bpf),$(call bpf_source,$b))))
test_programs := $(tests:%=$(O)/tests/%)
test_scripts := $(sort $(wildcard tests/*.sh))
outputs := $(programs:%=$(O)/bin/%) $(foreach l,$(libs),$(O)/lib/$l.a $(O)/lib/$l.so.$(soversion) $(O)/lib/$l.so)

.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
.PHONY: all tests test install uninstall format clean help FORCE

all: $(outputs)
tests: $(test_programs)

# ---- rules -----------------------------------------------------------------------------------------------------------

# The flags are a prerequisite of every object: another compiler or switch in the same folder rebuilds.
stamp := $(CC) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(c_flags) $(ld_flags) $(BPF_CLANG) $(bpf_flags)
$(O)/flags: FORCE
	@mkdir -p $(@D); printf '%s\n' $(call quote,$(stamp)) | cmp -s - $@ || printf '%s\n' $(call quote,$(stamp)) >$@

quote = '$(subst ','\'',$1)'

$(O)/obj/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(c_flags) -I$(firstword $(subst /, ,$<)) $(local) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(O)/bpf/%.bpf.o: %.bpf.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,BPF,$<)
	$(Q)$(BPF_CLANG) $(bpf_flags) -I$(<D) -MMD -MP -MF $(@:.o=.d) -MT $@ -c -o $(@:.bpf.o=.tmp.o) $<
	$(Q)$(BPFTOOL) gen object $@ $(@:.bpf.o=.tmp.o)

# $1 = BPF program from the top, without .bpf.c
define skeleton_rules
$(O)/skel/$(notdir $1).skel.h: $(O)/bpf/$1.bpf.o
	@mkdir -p $$(@D)
	$$(call say,SKEL,$$@)
	$$(Q)$(BPFTOOL) gen skeleton $$< name $$(subst -,_,$(notdir $1))_bpf >$$@
endef

# $1 = program, $2 = folder below $(O), $3 = libraries every program of this kind needs
define program_rules
ifeq ($($1_src),)
$$(error $1 has no sources: set $1_src in its rules.mk)
endif
$(call objects,$($1_src)): local += $(addprefix -I,$(call folders,$($1_objs)) $($1_dirs)) $(if $($1_bpf),-isystem $(O)/skel) $($1_cflags)
$(call objects,$($1_src)): $(call skeletons,$($1_bpf)) $(call rules_of,$($1_src))
$(O)/$2/$1: $(call objects,$($1_src) $($1_objs)) $(filter %.a,$($1_libs)) $(call rules_of,$($1_src))
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$(CC) $(ld_flags) -pie $($1_ldflags) $(LDFLAGS) -o $$@ $$(filter %.o,$$^) $($1_libs) $3
endef

# $1 = library. A map that does not name this soversion, or names a symbol that is not there, stops the build.
define library_rules
$(call objects,$($1_src)): local += -fPIC -fvisibility=hidden $($1_cflags)
$(call objects,$($1_src)): $(call rules_of,$($1_src))
$(O)/lib/$1.a: $(call objects,$($1_src))
	@mkdir -p $$(@D)
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $(AR) rcs $$@ $$^
$(O)/lib/$1.so.$(soversion): $(call objects,$($1_src)) $1/$1.map
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)grep -q '^$(call upper,$1)_$(soversion) {' $1/$1.map || \
		{ echo '$1/$1.map: no version node $(call upper,$1)_$(soversion): it must match soversion in Makefile' >&2; exit 1; }
	$$(Q)$(CC) $(ld_flags) $(if $(sanitize),,-Wl,-z,defs) -shared -Wl,-soname,$1.so.$(soversion) \
		-Wl,--version-script=$1/$1.map $(LDFLAGS) -o $$@ $$(filter %.o,$$^) $($1_libs)
	$$(Q)for s in $$$$(sed -n 's/^[[:space:]]*\(sc_[a-z0-9_]*\);.*/\1/p' $1/$1.map); do \
		nm -D --defined-only $$@ | grep -Eq " $$$$s(@|$$$$)" || \
		{ echo "$1/$1.map: $$$$s is not defined in $1: take it out or write it" >&2; exit 1; }; done
$(O)/lib/$1.so: $(O)/lib/$1.so.$(soversion)
	$$(Q)ln -sf $$(<F) $$@
endef
upper = $(shell echo $1 | tr a-z A-Z)

$(foreach b,$(bpf_programs),$(eval $(call skeleton_rules,$b)))
$(foreach l,$(libs),$(eval $(call library_rules,$l)))
$(foreach p,$(programs),$(eval $(call program_rules,$p,bin,)))
$(foreach t,$(tests),$(eval $(call program_rules,$t,tests,$(cmocka))))

ifneq ($(sanitize),)
$(service): FORCE
	$(Q)$(MAKE) --no-print-directory SAN= TSAN= O=$(O)/plain $@
endif

-include $(patsubst %.c,$(O)/obj/%.d,$(sort $(foreach n,$(names),$($n_src) $($n_objs))))
-include $(bpf_programs:%=$(O)/bpf/%.bpf.d)

# ---- test ------------------------------------------------------------------------------------------------------------

tested := $(if $(sanitize),$(filter-out $(tests_plain),$(tests)),$(tests))
test: all $(tested:%=$(O)/tests/%)
	$(Q)SIDECORE_BUILD=$(abspath $(O)) CC=$(CC) $(if $(sanitize),setarch -R) \
		tests/run-suites programs $(tested:%=$(O)/tests/%) $(if $(sanitize),,$(test_scripts))

# ---- install ---------------------------------------------------------------------------------------------------------

loader := $(filter sidecore-loader,$(programs))
completions := $(loader:%=$(O)/completions/bash/%) $(loader:%=$(O)/completions/zsh/_%) $(loader:%=$(O)/completions/fish/%.fish)
$(completions): $(O)/completions/%: $(O)/bin/sidecore-loader
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)$< completions $(*D) >$@

# Options in it come from the table that parses them.
manual := $(loader:%=$(O)/man/%.8)
$(manual): docs/man/sidecore-loader.8 $(O)/bin/sidecore-loader
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)$(O)/bin/sidecore-loader manual <$< >$@
all: $(manual)

# Every entry is mode:source:place
installed := $(foreach p,$(filter sidecore-%,$(programs)),755:$(O)/bin/$p:$(bindir)/$p) \
	$(foreach l,$(libs),644:$(O)/lib/$l.a:$(libdir)/$l.a 755:$(O)/lib/$l.so.$(soversion):$(libdir)/$l.so.$(soversion)) \
	$(foreach h,$(wildcard include/sidecore/*.h),644:$h:$(includedir)/sidecore/$(notdir $h)) \
	$(foreach m,$(filter-out docs/man/sidecore-loader.8,$(wildcard docs/man/*.[1-8])) $(manual),644:$m:$(mandir)/man$(subst .,,$(suffix $m))/$(notdir $m)) \
	$(foreach c,$(if $(libs),$(wildcard pkg/*.pc.in)),644:$c:$(libdir)/pkgconfig/$(notdir $(basename $c))) \
	$(foreach u,$(wildcard ringsvc/*.service pkg/*.service),644:$u:$(unitdir)/$(notdir $u)) \
	$(foreach c,$(completions),644:$c:$($(patsubst $(O)/completions/%/,%,$(dir $c))_dir)/$(notdir $c))
links := $(libs:%=$(libdir)/%.so)
fill := sed -e 's|@prefix@|$(PREFIX)|g' -e 's|@bindir@|$(bindir)|g' -e 's|@libdir@|$(libdir)|g' \
	-e 's|@includedir@|$(includedir)|g' -e 's|@version@|$(version)|g'

install: all $(completions)
	$(Q)set -e; for entry in $(installed); do \
		mode=$${entry%%:*}; rest=$${entry#*:}; from=$${rest%%:*}; to="$(DESTDIR)$${rest#*:}"; \
		case $$from in \
		*.pc.in | *.service) mkdir -p "$${to%/*}"; rm -f "$$to"; $(fill) "$$from" >"$$to"; chmod $$mode "$$to" ;; \
		*) install -D -m $$mode "$$from" "$$to" ;; \
		esac; $(if $(V),echo "$$to";) done; \
	for link in $(links); do ln -sf "$${link##*/}.$(soversion)" "$(DESTDIR)$$link"; done
	$(call say,INSTALL,$(words $(installed) $(links)) files below $(DESTDIR)$(PREFIX))
	$(if $(DESTDIR),,$(if $(links),-$(Q)ldconfig 2>/dev/null || true))

uninstall:
	$(Q)rm -f $(foreach i,$(installed),"$(DESTDIR)$(lastword $(subst :, ,$i))") $(links:%="$(DESTDIR)%")
	$(Q)rmdir "$(DESTDIR)$(includedir)/sidecore" 2>/dev/null || true

# ---- the rest --------------------------------------------------------------------------------------------------------

format:
	$(Q)git ls-files -co --exclude-standard '*.c' '*.h' | grep -v '^vmlinux/' | xargs -r clang-format -i

# A folder without our mark is somebody else's: a mistyped O= must not cost it.
clean:
	$(Q)if [ -e '$(O)/flags' ]; then rm -rf -- '$(O)'; elif [ -e '$(O)' ]; then \
		echo '$(O): not removed, nothing was built in it: name the build folder with O=' >&2; exit 1; fi

help:
	@sed -n '2,7s/^# \{0,1\}//p' Makefile
	@echo 'programs: $(programs)'; echo 'libs: $(libs)'; echo 'tests: $(tests)'
