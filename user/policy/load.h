#pragma once
#include "policy/transaction.h"

/* As policy_load(), for text that is not in a file; names of parents are looked up in the policy
 * folders alone. */
struct policy *policy_load_text(const char *name, const void *text, size_t len,
				const struct kmn_module *const *modules, struct policy_diag *d);

/* Where a parent is looked for by name, after the folder of its child; NULL-terminated. Tests set
 * another. */
extern const char *const *load_folders;
