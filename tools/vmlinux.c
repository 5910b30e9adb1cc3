/* vmlinux: print the kernel types named on stdin, with all they need, from a BTF file. */
#include <bpf/btf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void out(void *ctx, const char *fmt, va_list ap)
{
	(void)ctx;
	vprintf(fmt, ap);
}

/* The id of the type or of the enum that holds the enumerator; 0: none. */
static int find(const struct btf *btf, const char *name)
{
	for (unsigned i = 1; i < btf__type_cnt(btf); i++) {
		const struct btf_type *t = btf__type_by_id(btf, i);

		if (t->name_off && !btf_is_fwd(t) && !btf_is_func(t) && !btf_is_var(t) &&
		    !strcmp(btf__name_by_offset(btf, t->name_off), name))
			return i;
		if (btf_is_enum(t))
			for (int j = 0; j < btf_vlen(t); j++)
				if (!strcmp(btf__name_by_offset(btf, btf_enum(t)[j].name_off),
					    name))
					return i;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct btf *btf = argc == 2 ? btf__parse(argv[1], NULL) : NULL;
	struct btf_dump *d;
	char name[128];
	int bad = 0;

	if (!btf)
		return 2;
	d = btf_dump__new(btf, out, NULL, NULL);
	if (!d)
		return 2;
	puts("#pragma once\n#pragma clang attribute push(__attribute__((preserve_access_index)), "
	     "apply_to = record)");
	while (scanf("%127s", name) == 1) {
		int id = find(btf, name);

		if (!id || btf_dump__dump_type(d, id) < 0) {
			fprintf(stderr, "vmlinux: %s: not in the BTF\n", name);
			bad = 2;
		}
	}
	puts("#pragma clang attribute pop");
	btf_dump__free(d);
	btf__free(btf);
	return bad;
}
