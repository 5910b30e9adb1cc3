#pragma once
#include "core/kernel.h"

struct btf;

/* Find k->has and k->why by trying: tiny maps and programs that are gone again when it returns. A
 * program is attached too where loading says little; it changes nothing while it hangs. Sets
 * k->lockdown where only trying tells. btf: of the kernel, NULL =
 * none. 0, or -ENOMEM. */
int kernel_try(struct kernel *k, const struct btf *btf);

/* The sentence of a no: "this kernel refuses WHAT: REASON". */
void kernel_no(struct kernel *k, enum kernel_feature f, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
