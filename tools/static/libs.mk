# tools/static/libs.mk: the libraries of the static build, run by tools/static/build with
#   S  unpacked sources, a folder per package   O  objects   P  where headers and archives go
#   CC musl-cc, on the PATH (written by build)
# Most are small: their files are compiled here directly, without their own build systems, which want
# tools and functions (argp, fts, gperf, autoconf) that the parts we use do not need.
FLAGS := -O2 -fPIE -ffunction-sections -fdata-sections -fstack-protector-strong \
	 -fstack-clash-protection $(shell echo 'int x;' | $(CC) -fcf-protection -xc -c -o /dev/null - \
	 2>/dev/null && echo -fcf-protection) -w
LIBS  := z elf bpf yaml cjson seccomp sqlite3 cmocka crypto

all: $(LIBS:%=$(P)/lib/lib%.a)
.PHONY: all
.DELETE_ON_ERROR:

# --- the C library. Its compiler is plain gcc; all others' is musl-cc, which finds it.
$(P)/lib/libc.a:
	@mkdir -p $(O)/musl
	cd $(O)/musl && CC=gcc CFLAGS="-O2 -fPIE $(PREFIX_MAP)" $(S)/musl/configure --prefix=$(P) \
		--syslibdir=$(P)/lib --disable-shared --disable-wrapper >log 2>&1 || { cat log; exit 1; }
	$(MAKE) -s -C $(O)/musl install >$(O)/musl/log 2>&1 || { tail -n 40 $(O)/musl/log; exit 1; }
# musl has no kernel headers: those of the build host, found after everything else
$(P)/kernel/linux: $(P)/lib/libc.a
	@mkdir -p $(@D)
	cp -RL /usr/include/linux /usr/include/asm-generic $(firstword $(wildcard \
		/usr/include/$(shell gcc -dumpmachine)/asm /usr/include/asm)) $(@D)/

# --- libraries compiled directly: $(call direct,NAME,FOLDER,FILES,FLAGS)
define direct
$(O)/$1/%.o: $(S)/$2/%.c $(P)/lib/libc.a $(P)/kernel/linux $(O)/$1/ready
	$(CC) $(FLAGS) $4 -c $$< -o $$@
$(O)/$1/ready:
	@mkdir -p $(O)/$1 $(P)/lib $(P)/include $(P)/lib/pkgconfig
	@touch $$@
$(P)/lib/lib$1.a: $(patsubst %.c,$(O)/$1/%.o,$3) $(O)/$1/installed
	@rm -f $$@
	ar rcsD $$@ $$(filter %.o,$$^)
endef
files = $(filter-out $(3),$(notdir $(wildcard $(S)/$1/$2*.c)))
# what the product's Makefile asks pkg-config for: $(call pc,FILE,VERSION,FLAGS)
pc = printf 'Name: %s\nDescription: %s\nVersion: %s\nLibs: -L$(P)/lib %s\nCflags: %s\n' \
	'$1' '$1' '$2' '$3' '$4' >$(P)/lib/pkgconfig/$1.pc

$(eval $(call direct,z,zlib,$(call files,zlib),-DHAVE_UNISTD_H -D_LARGEFILE64_SOURCE=1))
$(O)/z/installed: $(O)/z/ready
	cp $(S)/zlib/zlib.h $(S)/zlib/zconf.h $(P)/include/ && touch $@

# libelf uses four files of elfutils' lib/ and none of what its configure insists on
ELF := -std=gnu11 -DHAVE_CONFIG_H -D_GNU_SOURCE -I$(here)/elf -I$(S)/elfutils/libelf -I$(S)/elfutils/lib
ELF_LIB := crc32.c next_prime.c eu-search.c
$(eval $(call direct,elf,elfutils/libelf,$(call files,elfutils/libelf,,dl-hash.c gelf_compat.c) $(ELF_LIB),$(ELF)))
$(ELF_LIB:%.c=$(O)/elf/%.o): $(O)/elf/%.o: $(S)/elfutils/lib/%.c $(P)/kernel/linux $(O)/elf/ready
	$(CC) $(FLAGS) $(ELF) -c $< -o $@
$(O)/elf/installed: $(O)/elf/ready
	cp $(addprefix $(S)/elfutils/libelf/,libelf.h gelf.h nlist.h) $(P)/include/ && touch $@
$(filter-out %/ready,$(wildcard $(O)/elf/*.o)) $(patsubst %.c,$(O)/elf/%.o,$(call files,elfutils/libelf) $(ELF_LIB)): \
	| $(O)/z/installed

BPF_HEADERS := bpf.h libbpf.h btf.h libbpf_common.h libbpf_legacy.h libbpf_version.h bpf_helpers.h \
	bpf_helper_defs.h bpf_tracing.h bpf_endian.h bpf_core_read.h skel_internal.h usdt.bpf.h
$(eval $(call direct,bpf,libbpf/src,$(call files,libbpf/src),-D_LARGEFILE64_SOURCE -D_FILE_OFFSET_BITS=64 \
	-I$(S)/libbpf/include -I$(S)/libbpf/include/uapi))
$(O)/bpf/installed: $(O)/bpf/ready
	@mkdir -p $(P)/include/bpf
	cp $(addprefix $(S)/libbpf/src/,$(BPF_HEADERS)) $(P)/include/bpf/
	$(call pc,libbpf,$(shell sed -n 's/^LIBBPF_\(MAJOR\|MINOR\|PATCH\).*VERSION := //p' \
		$(S)/libbpf/src/Makefile | paste -sd.),-lbpf -lelf -lz) && touch $@
$(patsubst %.c,$(O)/bpf/%.o,$(call files,libbpf/src)): | $(O)/elf/installed $(O)/z/installed

yaml_version := $(shell sed -n 's/^m4_define.\[YAML_[A-Z]*\], *\([0-9]*\).*/\1/p' $(S)/libyaml/configure.ac | head -n 3 | paste -sd.)
yaml_words := $(subst ., ,$(yaml_version))
$(eval $(call direct,yaml,libyaml/src,$(call files,libyaml/src),-I$(S)/libyaml/include -I$(here)/empty \
	-DYAML_VERSION_MAJOR=$(word 1,$(yaml_words)) -DYAML_VERSION_MINOR=$(word 2,$(yaml_words)) \
	-DYAML_VERSION_PATCH=$(word 3,$(yaml_words)) -DYAML_VERSION_STRING='"$(yaml_version)"'))
$(O)/yaml/installed: $(O)/yaml/ready
	cp $(S)/libyaml/include/yaml.h $(P)/include/
	$(call pc,yaml-0.1,$(yaml_version),-lyaml) && touch $@

$(eval $(call direct,cjson,cjson,cJSON.c))
$(O)/cjson/installed: $(O)/cjson/ready
	@mkdir -p $(P)/include/cjson
	cp $(S)/cjson/cJSON.h $(P)/include/cjson/
	$(call pc,libcjson,$(shell sed -n 's/^.define CJSON_VERSION_[A-Z]* *//p' $(S)/cjson/cJSON.h | paste -sd.),-lcjson,-I$(P)/include/cjson) && touch $@

seccomp_version := $(shell sed -n 's/^AC_INIT.\[libseccomp\], *\[\([0-9.]*\)\].*/\1/p' $(S)/libseccomp/configure.ac)
$(eval $(call direct,seccomp,libseccomp/src,$(call files,libseccomp/src,,syscalls.perf.c arch-syscall-dump.c),\
	-D_GNU_SOURCE -I$(O)/seccomp -I$(S)/libseccomp/include -I$(S)/libseccomp/src))
$(O)/seccomp/syscalls.o: | $(O)/seccomp/installed
$(patsubst %.c,$(O)/seccomp/%.o,$(call files,libseccomp/src)): | $(O)/seccomp/installed
$(P)/lib/libseccomp.a: $(O)/seccomp/syscalls.perf.o
$(O)/seccomp/installed: $(O)/seccomp/ready
	printf '#define VERSION "%s"\n#define HAVE_LINUX_SECCOMP_H 1\n' $(seccomp_version) >$(O)/seccomp/configure.h
	cp $(S)/libseccomp/include/seccomp.h $(S)/libseccomp/include/seccomp-syscalls.h $(P)/include/
	$(call pc,libseccomp,$(seccomp_version),-lseccomp) && touch $@

# --- SQLite: one file of 9 MB, made by its own tools; the longest single compilation
$(O)/amalgamation/sqlite3.c:
	@mkdir -p $(@D)
	cd $(@D) && CC=gcc $(S)/sqlite3/configure --disable-tcl --disable-readline >log 2>&1 || { cat log; exit 1; }
	$(MAKE) -s -C $(@D) sqlite3.c >>$(@D)/log 2>&1 || { tail -n 40 $(@D)/log; exit 1; }
$(O)/sqlite3/sqlite3.o: $(O)/amalgamation/sqlite3.c $(P)/lib/libc.a $(P)/kernel/linux $(O)/sqlite3/ready
	$(CC) $(FLAGS) -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_DQS=0 -DHAVE_USLEEP -c $< -o $@
$(eval $(call direct,sqlite3,sqlite3/none,sqlite3.c))
$(O)/sqlite3/installed: $(O)/sqlite3/ready $(O)/amalgamation/sqlite3.c
	cp $(O)/amalgamation/sqlite3.h $(P)/include/
	$(call pc,sqlite3,$(shell cat $(S)/sqlite3/VERSION),-lsqlite3) && touch $@

# --- for the tests only
$(eval $(call direct,cmocka,cmocka/src,cmocka.c,-I$(here)/cmocka -I$(S)/cmocka/include -DHAVE_CONFIG_H))
$(O)/cmocka/installed: $(O)/cmocka/ready
	cp $(S)/cmocka/include/cmocka.h $(P)/include/
	$(call pc,cmocka,$(shell sed -n 's/.*project.cmocka VERSION \([0-9.]*\).*/\1/p' $(S)/cmocka/CMakeLists.txt),-lcmocka) && touch $@

# --- OpenSSL: libcrypto, less what neither we nor a TLS 1.3 client will ask for. TLS itself comes with
# the first output that needs it: drop no-tls and add libssl.a to the goal.
CRYPTO_WITHOUT := shared dso engine tests apps legacy module docs async afalgeng autoload-config \
	ui-console comp cmp cms ct ocsp ts srp psk gost rfc3779 dtls quic tls nextprotoneg ssl-trace http \
	aria bf blake2 camellia cast des dh dsa idea md4 mdc2 ocb rc2 rc4 rmd160 scrypt seed siphash siv \
	sm2 sm3 sm4 whirlpool ec2m argon2 ml-kem ml-dsa slh-dsa deprecated cached-fetch
CRYPTO_TARGET := $(patsubst x86_64,linux-x86_64,$(patsubst aarch64,linux-aarch64,$(shell uname -m)))
$(O)/crypto/Makefile:
	@mkdir -p $(@D)
	cd $(@D) && CC=$(CC) $(S)/openssl/Configure $(CRYPTO_TARGET) $(CRYPTO_WITHOUT:%=no-%) --prefix=/usr \
		--openssldir=/etc/ssl $(FLAGS) >log 2>&1 || { cat log; exit 1; }
$(P)/lib/libcrypto.a: $(O)/crypto/Makefile $(P)/lib/libc.a $(P)/kernel/linux
	$(MAKE) -s -C $(O)/crypto build_generated >>$(O)/crypto/log 2>&1 || { tail -n 40 $(O)/crypto/log; exit 1; }
	$(MAKE) -s -C $(O)/crypto libcrypto.a >>$(O)/crypto/log 2>&1 || { tail -n 40 $(O)/crypto/log; exit 1; }
	cp -R $(S)/openssl/include/openssl $(O)/crypto/include/openssl $(P)/include/
	$(call pc,libcrypto,$(shell . $(S)/openssl/VERSION.dat; echo $$MAJOR.$$MINOR.$$PATCH),-lcrypto)
	cp $(O)/crypto/libcrypto.a $@
