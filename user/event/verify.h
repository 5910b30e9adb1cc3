#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "event/event.h"
#include "event/hostkey.h"

/* Checks the hash chain of a stream, from the oldest segment that is there to the newest: each
 * batch, each seal and its signature, each seam. */
struct verify_result {
	uint64_t events, batches;
	uint32_t segments, sealed, damaged;
	uint64_t first_seq, last_seq, oldest_ns, newest_ns;
	uint64_t missing;  /* events between segments that are there */
	uint64_t unsealed; /* events at the end that no signature covers yet */
	uint64_t problems;
	char host_id[HOST_ID_TEXT];
};

/* say: one sentence per problem, with the segment and the numbers. key: the public half of this
 * host (NULL: the signatures are checked against the key that stands in each head, which proves
 * that one host wrote them, not which). 0: it was checked (see problems); -ENOENT: no store;
 * -errno. */
int event_verify(const char *state_dir, enum event_stream stream, const struct hostkey *key,
		 void (*say)(void *arg, const char *what), void *arg, struct verify_result *out);
