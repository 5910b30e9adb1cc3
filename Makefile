# komainu. `make` builds; `make help` lists the targets.
VERSION  := 0.1.0
KARCH    := $(subst aarch64,arm64,$(subst x86_64,x86,$(shell uname -m)))
CLANG    ?= clang
BPFTOOL  ?= bpftool
CCNAME   ?= $(if $(findstring clang,$(CC)),clang)
# every way of building has its own folder: build, build-san, build-clang, build-fuzz
B        := build$(SAN:%=-san)$(FUZZ:%=-fuzz)$(CCNAME:%=-%)
ifneq ($(FUZZ),)
override CC := $(CLANG)
B        := build-fuzz
SAN      := fuzzer-no-link,address,undefined
endif

LIBS     := libbpf yaml-0.1 sqlite3 libcrypto libseccomp libcjson
PKGFLAGS := $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
LDLIBS   := $(shell pkg-config --libs $(LIBS) 2>/dev/null) -lelf -lz -lpthread
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
ABIFLAG  := $(KMN_ABI:%=-DKMN_ABI=%)
SANFLAGS := $(SAN:%=-fsanitize=%) $(if $(SAN),-fno-omit-frame-pointer -fno-sanitize-recover=undefined)
INC      := -Ibpf -Ibpf/include -I$(B) -I$(B)/bpf -Iuser -Itests
# what runs as root is hard to mislead, and does not say where it was built
NOPATH   := -ffile-prefix-map=$(CURDIR)=.
HARDEN   := -fPIE -fstack-protector-strong -fstack-clash-protection \
	    $(if $(filter x86,$(KARCH)),-fcf-protection,-mbranch-protection=standard) \
	    $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
LDFLAGS  += -pie -Wl,-z,relro,-z,now,-z,noexecstack
CFLAGS   += -std=gnu11 -O2 -g -MMD -MP $(WARN) $(SANFLAGS) $(HARDEN) $(NOPATH) -D_GNU_SOURCE \
	    -DKMN_VERSION='"$(VERSION)"' $(ABIFLAG) $(PKGFLAGS)
BPFFLAGS := -target bpf -mcpu=v2 $(NOPATH) -D__TARGET_ARCH_$(KARCH) -O2 -g -Wall -Wextra -Werror \
	    -Ibpf -Ibpf/include -isystem vmlinux/$(KARCH) $(ABIFLAG)

BPFO     := $(patsubst %.c,$(B)/%.o,$(wildcard bpf/*/*.bpf.c tests/*/*.bpf.c))
SKEL     := $(BPFO:.bpf.o=.skel.h)
ABI      := $(wildcard bpf/*/*_abi.h bpf/include/*.h)
ROOF     := $(B)/user/main.o $(B)/user/registry.o
OBJ      := $(patsubst %.c,$(B)/%.o,$(wildcard user/*/*.c user/*/*/*.c))
HARNESS  := $(patsubst %.c,$(B)/%.o,$(wildcard tests/harness/*.c))
TESTS    := $(patsubst %.c,$(B)/%,$(foreach k,unit prog bench tool,$(wildcard tests/*/$k_*.c)))
FUZZERS  := $(patsubst %.c,$(B)/%,$(wildcard tests/*/fuzz_*.c))
DIRS     := $(sort $(dir $(BPFO) $(ROOF) $(OBJ) $(HARNESS) $(TESTS) $(FUZZERS)) $(B)/ $(B)/tools/)

# as many jobs as processors, unless -j says otherwise
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
# under sudo, what was built belongs to who called
OURS     := $(if $(SUDO_UID),chown -R $(SUDO_UID):$(SUDO_GID) $(B),:)

build: $(B)/komainu ## build the binary, build/komainu (this is what `make` does)

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Variables: POLICY=FILE (run)  SAN=address,undefined  CC=clang  CLANG=clang-19  V=1  DATA=DIR (conformance)"

deps: ## install what is missing to build and to test, with the distribution's package manager
	@tools/deps build test

run: ## build, start the sensor in the foreground with POLICY=policies/default.yaml (root)
	@[ "$$(id -u)" = 0 ] || { echo "The sensor needs root: sudo make run" >&2; exit 4; }
	@tools/deps build
	@$(MAKE) -s --no-print-directory build && $(OURS)
	@$(B)/komainu run --foreground --unload --policy $(or $(POLICY),policies/default.yaml)

check: ## set up, build, and run every test that this machine can run (root, for all of them)
	@tests/check -b $(B) $(SAN:%=-s) "$(MAKE)"; r=$$?; $(OURS); exit $$r

tests: $(TESTS) $(B)/komainu next $(B)/abi.ok ## build the binary and all test programs
next: | $(B)/ ## build/next/komainu: the same with another ABI number, for upgrade tests
	@+$(MAKE) -s --no-print-directory B=$(B)/next KMN_ABI=2 $(B)/next/komainu
unit: tests ## tests that need no root
	@tests/run -b $(B) unit
prog: tests ## tests of BPF programs on this kernel (root)
	@tests/run -b $(B) prog
e2e: tests ## end-to-end tests in network namespaces (root)
	@tests/run -b $(B) e2e
vm: tests ## prog and e2e tests on 5.10, 6.1, 6.12 and the newest kernel, under QEMU (root)
	@tests/vm/matrix -b $(B)
fuzz: ## every fuzz target for FUZZ_SECONDS=60 from its corpus
	@$(MAKE) --no-print-directory FUZZ=1 fuzzers
	@tests/fuzz -b build-fuzz -s $(or $(FUZZ_SECONDS),60)
lint: $(BPFO) ## floors, format, banned calls and atomics, ABI holes, head comments, man pages
	@MAKE='$(MAKE)' tests/lint/run -b $(B)
bench: tests ## measure, paired and alternating; a peer that is absent is said so
	@tests/bench/run -b $(B) $(BENCH)
soak: tests ## the long form of the tests (KMN_SOAK=1)
	@KMN_SOAK=1 tests/run -b $(B) -T 40 unit prog e2e
conformance: tests ## judge by other people's collections, in DATA=DIR
	@tools/deps conformance
	@tests/conformance/run -b $(B) "$(DATA)"
static: ## one static binary, build-static/komainu, from pinned source packages (LOCKED=1: only those)
	@tools/deps static
	@tools/static/build
static-check: ## the same, and all tests of this host with it (root)
	@tools/deps static test
	@tools/static/build -t && tests/run -b build-static -k static
static-lock: ## move the lock of its sources to the newest that the mirror has
	@tools/static/sources lock
install: build ## copy the binary, man pages and policies (PREFIX=/usr/local, below DESTDIR)
	@tools/install "$(B)" "$(DESTDIR)" "$(or $(PREFIX),/usr/local)"
vmlinux: $(B)/tools/vmlinux ## write vmlinux.h anew: the types that vmlinux/names lists, from BTF=FILE
	$< $(or $(BTF),/sys/kernel/btf/vmlinux) < vmlinux/names > vmlinux/$(KARCH)/vmlinux.h.tmp
	mv vmlinux/$(KARCH)/vmlinux.h.tmp vmlinux/$(KARCH)/vmlinux.h
clean: ## remove what is built, of every kind
	rm -rf build build-*
distclean: clean ## the same, and the cached kernels and sources
	rm -rf "$(or $(KOMAINU_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/komainu)"
fuzzers: $(FUZZERS)
FORCE:
.PHONY: build help deps run check tests next unit prog e2e vm fuzz lint bench soak conformance static \
	static-check static-lock install vmlinux clean distclean fuzzers FORCE
.DELETE_ON_ERROR:

# a step: its command with V=1, else its name
do        = $(if $(V),,@printf '  %-5s%s\n' $1 $@;)

# One sentence, once, when something to build with is not there.
$(B)/tools.ok: tools/need | $(B)/
	@tools/need "$(CC)" "$(CLANG)" "$(BPFTOOL)" "$(KARCH)" $(LIBS) && touch $@

# Other flags or another compiler than last time: all again.
NOW      := $(CC) $(CFLAGS) $(CLANG) $(BPFFLAGS)
ifneq ($(strip $(file <$(B)/flags)),$(strip $(NOW)))
$(B)/flags: FORCE
endif
$(B)/flags: | $(B)/
	@$(file >$@,$(NOW)):
# A source that went away leaves its object behind: the library is made of this list alone.
ifneq ($(strip $(file <$(B)/objects)),$(strip $(OBJ)))
$(B)/objects: FORCE
endif
$(B)/objects: | $(B)/
	@$(file >$@,$(OBJ)):

$(DIRS): ; @mkdir -p $@
$(BPFO) $(ROOF) $(OBJ) $(HARNESS) $(TESTS:=.o) $(FUZZERS:=.o): $(B)/flags
$(BPFO) $(SKEL) $(ROOF) $(OBJ) $(HARNESS) $(TESTS:=.o) $(FUZZERS:=.o) $(B)/abi.ok $(B)/tools/vmlinux: \
	| $(DIRS) $(B)/tools.ok
$(B)/%.bpf.o: %.bpf.c
	$(call do,BPF) $(CLANG) $(BPFFLAGS) -MMD -MP -c $< -o $@
$(B)/%.skel.h: $(B)/%.bpf.o
	$(call do,SKEL) $(BPFTOOL) gen skeleton $< > $@.tmp && mv $@.tmp $@
$(B)/%.o: %.c | $(SKEL)
	$(call do,CC) $(CC) $(CFLAGS) $(INC) -c $< -o $@
$(B)/libkomainu.a: $(OBJ) $(B)/objects
	$(call do,AR) rm -f $@ && $(AR) rcs $@ $(OBJ)
# the registry in a library of its own: a test that does not name it does not need every module
$(B)/libroof.a: $(B)/user/registry.o
	$(call do,AR) rm -f $@ && $(AR) rcs $@ $^
$(B)/komainu: $(ROOF) $(B)/libkomainu.a
	$(call do,LINK) $(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@
$(TESTS): %: %.o $(HARNESS) $(B)/libroof.a $(B)/libkomainu.a
	$(call do,LINK) $(CC) $(CFLAGS) $(LDFLAGS) $^ $(LDLIBS) $$(pkg-config --libs cmocka) -o $@
$(FUZZERS): %: %.o $(B)/libroof.a $(B)/libkomainu.a
	$(call do,LINK) $(CC) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer $^ $(LDLIBS) -o $@
$(B)/abi.ok: $(ABI)
	$(call do,ABI) printf '#include "%s"\n' $^ | $(CLANG) $(BPFFLAGS) -I. -Wpadded -x c -c - -o $@
$(B)/tools/vmlinux: tools/vmlinux.c
	$(call do,CC) $(CC) -O2 -Wall $< $(LDLIBS) -o $@
-include $(wildcard $(DIRS:%=%*.d))
