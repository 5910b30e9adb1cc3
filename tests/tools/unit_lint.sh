#!/bin/bash
# The lints themselves: each is silent on a sound tree and red on a planted fault.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
bad=0

fresh() { # a small sound tree
	rm -rf "$top/t" "$top/b"
	mkdir -p "$top"/t/{bpf/{m,other,lib,include,net},user/{base,core,modules/{m,other}},tests/m,tools,docs,.ci,policies,vmlinux} "$top/b/bpf"
	cp "$root/.clang-format" "$top/t/"
	: >"$top/t/Makefile"
	printf 'int sum(int a, int b);\n' >"$top/t/user/base/sum.h"
	printf '#include "base/sum.h"\n\nint sum(int a, int b)\n{\n\treturn a + b;\n}\n' >"$top/t/user/core/sum.c"
	printf '/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n' | tee "$top/t/bpf/m/m_abi.h" >"$top/t/bpf/lib/l.bpf.h"
	cat >"$top/t/bpf/m/m.bpf.c" <<-'END'
		// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
		/* m: does nothing.
		 * hook    none
		 * maps    none
		 * sends   nothing
		 * fails   open */
		#include "lib/l.bpf.h"
		#include "net/n.bpf.h"
		int nothing;
	END
	printf '.Dd $Mdocdate$\n.Dt X 1\n.Os\n.Sh NAME\n.Nm x\n.Nd y\n' >"$top/t/docs/x.1"
	printf '#!/bin/sh\necho "$1"\n' >"$top/t/tools/script"
	chmod -R go-w "$top/t"
}
lint() { # LINT: its status
	(cd "$root" && "$root/tests/lint/$1" "$top/t" "$top/b") >"$top/out" 2>&1
}
wrong() { # TEXT...
	echo "wrong: $*"
	sed 's/^/    /' "$top/out"
	bad=1
}
sound() { # LINT
	fresh
	lint "$1"
	case $? in 0 | 77) ;; *) wrong "$1 is red on a sound tree" ;; esac
}
red() { # LINT PATTERN WHAT: the tree that stands has a fault
	lint "$1"
	case $? in
	77) echo "$1: cannot look here" ;;
	0) wrong "$1 does not see: $3" ;;
	*) grep -qE "$2" "$top/out" || wrong "$1 does not say /$2/: $3" ;;
	esac
}
plant() { # FILE LINE: into a fresh tree
	fresh
	mkdir -p "$top/t/$(dirname "$1")"
	printf '%b\n' "$2" >>"$top/t/$1"
}

for name in floors format calls heads man scripts expected places size; do sound $name; done

plant user/base/up.c '#include "core/loop.h"'
red floors 'up or sideways' 'an include that points up'
plant user/modules/m/m.c '#include "modules/other/other.h"'
red floors 'up or sideways' 'an include of another module'
plant user/modules/m/m.c '#include "other/other_abi.h"'
red floors 'door of another' "another module's records"
plant user/core/x.c '#include "m/m.bpf.h"'
red floors 'only \*_abi.h' 'kernel code in user space'
plant user/base/x.c '#include "../core/loop.h"'
red floors 'goes up' 'a path with dots'
plant bpf/m/x.bpf.h '#include "other/other_abi.h"'
red floors 'another name' 'a BPF module that sees another'
plant bpf/net/x.bpf.h '#include "m/m_abi.h"'
red floors 'do not see' 'a hook owner that sees a module'
plant bpf/lib/x.bpf.h '#include "net/net_abi.h"'
red floors 'only include' 'lib that looks up'

plant user/core/x.c 'int  x;'
red format 'x.c' 'two blanks'

plant user/core/x.c 'int f(char *s)\n{\n\treturn atoi(s);\n}'
red calls 'x.c:3: atoi' 'a banned call'
plant bpf/m/x.bpf.h '#define NOW bpf_ktime_get_ns()'
red calls 'kmn_now' 'a clock that a replay cannot set'
plant user/core/x.c '/* strcpy(a, b)\n system(x) */ // gets(x)\nchar *s = "sprintf(";\nint my_system(void);\nvoid g(void)\n{\n\tx->system(1);\n}'
lint calls || wrong 'calls: sees a comment, a string or a member'

plant bpf/m/x.bpf.h 'int x;'
red heads 'x.bpf.h:1: no SPDX' 'a file without licence'
fresh
sed -i 's/^ \* fails .*\*\//*\//' "$top/t/bpf/m/m.bpf.c"
red heads 'no line "fails"' 'a program that does not say how it fails'

plant docs/x.1 '.Xy'
red man 'x.1' 'a macro that does not exist'
plant tests/expected.tsv 'm/unit_x\thost'
red expected 'no test m/unit_x' 'a test that is not there'
plant tests/expected.tsv 'm/unit_x\thost\nm/unit_x\tall'
red expected 'twice' 'a test that is listed twice'
plant tools/broken '#!/bin/bash\nif true; then'
red scripts 'broken' 'a script that does not parse'
# the lint must not find its own test: the host name is put together here
plant docs/x.md "see http://some-mi""rror.example.org/x"
red places 'x.md' 'a package host'
plant docs/x.md "in $top/t/user"
red places 'x.md' 'the path of the tree'
plant left.pid '1'
red places 'left.pid: does not belong' 'a file at the top'
plant user/core/long.c "$(printf 'int x;\\n%.0s' {1..600})"
lint size
grep -q 'note: user/core/long.c: 601 lines' "$top/out" || wrong 'size does not tell of a long file'

clang=${CLANG:-clang}
if command -v "$clang" >/dev/null; then
	for statement in 'return __sync_fetch_and_add(&cell, 1);' 'return __sync_val_compare_and_swap(&cell, 1, 2);' \
		'__sync_fetch_and_or(&cell, 1);\nreturn 0;'; do
		fresh
		printf 'long cell;\n__attribute__((section("tc"))) int f(void *x)\n{\n%b\n}\n' "$statement" |
			$clang -target bpf -mcpu=v3 -O2 -x c -c - -o "$top/b/bpf/m.bpf.o"
		red atomics 'm.bpf.o' "$statement"
	done
	printf 'long cell;\n__attribute__((section("tc"))) int f(void *x)\n{\n__sync_fetch_and_add(&cell, 1);\nreturn 0;\n}\n' |
		$clang -target bpf -mcpu=v2 -O2 -x c -c - -o "$top/b/bpf/m.bpf.o"
	lint atomics || wrong 'atomics: sees an add whose result is unused'

	# holes: with the real headers and the real rule
	rm -rf "$top/t" "$top/b"
	mkdir -p "$top/t"
	cp -r "$root"/{bpf,vmlinux,tools,Makefile} "$top/t/"
	mkdir -p "$top/t/bpf/zz"
	printf '#pragma once\n#include "kmn_types.h"\nstruct zz {\n\t__u32 a;\n\t__u32 b;\n};\nKMN_ABI_SIZE(struct zz, 8);\n' >"$top/t/bpf/zz/zz_abi.h"
	lint abi || wrong 'abi is red on a sound header'
	printf '#pragma once\n#include "kmn_types.h"\nstruct zz {\n\t__u32 a;\n\t__u64 b;\n};\nKMN_ABI_SIZE(struct zz, 16);\n' >"$top/t/bpf/zz/zz_abi.h"
	red abi 'padding' 'a hole in a record'
else
	echo "no $clang: atomics and abi not shown"
fi
exit $bad
