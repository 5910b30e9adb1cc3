#pragma once
#include "core/module.h"
#include "policy/tree.h"

/* The schema of a whole policy: the keys of the top, with those of the modules below `modules`. Its
 * tables live in a; NULL: no memory. */
const struct policy_key *schema_top(struct arena *a, const struct kmn_module *const *modules);

/* The key of that name in a table (may be NULL), or NULL. A leading + is not part of the name. */
const struct policy_key *schema_key(const struct policy_key *keys, const char *name);
/* One that takes `+name`: a list, or a value that may be one. */
bool schema_is_list(const struct policy_key *key);

/* Check a merged tree. holes: parts could not be read, so that a missing key is no error and
 * checks of a module, which count on the whole, are left out. */
void schema_check(const struct policy_key *top, const struct policy_node *root, bool holes,
		  struct policy_diag *d);
