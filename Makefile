# komainu. `make` builds; `make help` lists the targets.
B        := build$(SAN:%=-san)$(CCNAME:%=-%)
KARCH    := $(subst aarch64,arm64,$(subst x86_64,x86,$(shell uname -m)))
VERSION  := 0.1.0
CLANG    ?= clang
BPFTOOL  ?= bpftool
LIBS     := libbpf yaml-0.1 sqlite3 libcrypto libseccomp libcjson
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
INC      := -Ibpf -Ibpf/include -I$(B)/bpf -Iuser -Itests
comma    := ,
CFLAGS   += -std=gnu11 -O2 -g -MMD -MP $(WARN) $(SAN:%=-fsanitize=%) $(if $(SAN),-fno-omit-frame-pointer) \
	    -D_GNU_SOURCE -DKMN_VERSION='"$(VERSION)"' $(PKGFLAGS)
PKGFLAGS := $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
LDLIBS   := $(shell pkg-config --libs $(LIBS) 2>/dev/null) -lelf -lz -lpthread
BPFFLAGS := -target bpf -mcpu=v2 -D__TARGET_ARCH_$(KARCH) -O2 -g -Wall -Wextra -Werror \
	    -Ibpf -Ibpf/include -isystem vmlinux/$(KARCH)
BPFO     := $(patsubst %.c,$(B)/%.o,$(wildcard bpf/*/*.bpf.c tests/*/*.bpf.c))
SKEL     := $(BPFO:.bpf.o=.skel.h)
ABI      := $(wildcard bpf/*/*_abi.h bpf/include/*.h)
ROOF     := $(B)/user/main.o $(B)/user/registry.o
OBJ      := $(patsubst %.c,$(B)/%.o,$(wildcard user/*/*.c user/*/*/*.c))
HARNESS  := $(patsubst %.c,$(B)/%.o,$(wildcard tests/harness/*.c))
TESTS    := $(patsubst %.c,$(B)/%,$(wildcard tests/*/unit_*.c tests/*/prog_*.c))
DIRS     := $(sort $(dir $(BPFO) $(ROOF) $(OBJ) $(HARNESS) $(TESTS)) $(B)/tools/)

build: $(B)/komainu
check: ; $(MAKE) deps && $(MAKE) tests && tests/run $(TESTS)
run:   ; $(MAKE) deps && $(MAKE) build && $(B)/komainu run --foreground --policy $(or $(POLICY),policies/default.yaml)
tests: $(TESTS) $(B)/abi.ok
.PHONY: check run build tests deps clean vmlinux

$(DIRS): ; mkdir -p $@
$(BPFO) $(SKEL) $(ROOF) $(OBJ) $(HARNESS) $(TESTS:=.o) $(B)/abi.ok $(B)/tools/vmlinux: | $(DIRS)
$(B)/%.bpf.o: %.bpf.c ; $(CLANG) $(BPFFLAGS) -MMD -MP -c $< -o $@
$(B)/%.skel.h: $(B)/%.bpf.o ; $(BPFTOOL) gen skeleton $< > $@.tmp && mv $@.tmp $@
$(B)/%.o: %.c | $(SKEL) ; $(CC) $(CFLAGS) $(INC) -c $< -o $@
$(B)/libkomainu.a: $(OBJ) ; rm -f $@ && $(AR) rcs $@ $^
$(B)/komainu: $(ROOF) $(B)/libkomainu.a ; $(CC) $(CFLAGS) $^ $(LDLIBS) -o $@
$(TESTS): %: %.o $(HARNESS) $(B)/user/registry.o $(B)/libkomainu.a ; $(CC) $(CFLAGS) $^ $(LDLIBS) $$(pkg-config --libs cmocka) -o $@
$(B)/abi.ok: $(ABI) ; printf '#include "%s"\n' $^ | $(CLANG) $(BPFFLAGS) -I. -Wpadded -x c -c - -o $@
$(B)/tools/vmlinux: tools/vmlinux.c ; $(CC) -O2 -Wall $< $(LDLIBS) -o $@

# vmlinux.h holds only the kernel types in use: vmlinux/names lists them, BTF= is where they come from.
vmlinux: $(B)/tools/vmlinux
	$< $(or $(BTF),/sys/kernel/btf/vmlinux) < vmlinux/names > vmlinux/$(KARCH)/vmlinux.h.tmp
	mv vmlinux/$(KARCH)/vmlinux.h.tmp vmlinux/$(KARCH)/vmlinux.h

clean: ; rm -rf build build-*
-include $(wildcard $(DIRS:%=%*.d))
.DELETE_ON_ERROR:
