#pragma once
#include "policy/schema.h"

/* Lay the map `over` on the map `under` (NULL: on nothing): maps of known or unknown keys merge,
 * all else is replaced, and `+key` adds its list to the one below. The result is new; nodes below
 * it are shared and keep their places. schema: of the two maps. What cannot be added to goes to d.
 * NULL: no memory, said in d. */
struct policy_node *merge_maps(struct arena *a, const struct policy_key *schema,
			       const struct policy_node *under, const struct policy_node *over,
			       struct policy_diag *d);
