#pragma once
#include <stddef.h>
#include "base/auto.h"

/* Memory that is given back all at once: a policy's tree and a run's diagnostics. Zero initialised
 * is an empty one. */
struct arena {
	struct arena_block *blocks; /* the newest first */
};

/* Zeroed, aligned for any type; NULL: no memory. */
void *arena_get(struct arena *a, size_t bytes);
/* A copy of len bytes with a NUL behind; NULL: no memory. */
char *arena_copy(struct arena *a, const char *text, size_t len);
void arena_free(struct arena *a);
