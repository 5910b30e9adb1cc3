#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "event/event.h"
#include "event/segment.h"

/* What komainu events was asked for. */
#define QUERY_NAMES 16 /* values of one option */
struct events_query {
	uint64_t from_ns, to_ns; /* wall clock; 0: no bound */
	bool stream[EVENT_STREAMS];
	bool any_part, any_kind;
	bool part[KMN_PARTS];
	const char *kind[QUERY_NAMES]; /* names */
	unsigned n_kinds;
	uint8_t severity;      /* at least */
	uint32_t pid;	       /* 0: any; else of the process or of an ancestor */
	const char *container; /* begin of the id, or the name */
	const char *grep;      /* stands in the line, case ignored */
	uint64_t last;	       /* only so many; UINT64_MAX: all */
	bool follow, json;
	const struct event_kinds *kinds;
	struct buf line; /* room to look for grep in */
};

/* Fill q from the options; false: a message was written. now_ns: wall clock. */
bool events_query_parse(struct events_query *q, int argc, char **argv, uint64_t now_ns);
bool events_query_match(void *query, const struct event *ev);
/* The part of q that can be seen without reading a batch. */
void events_query_filter(const struct events_query *q, struct segment_filter *f);

/* "30s 10m 2h 7d 1w" before now, or "2026-11-23[T16:20[:30]][Z]" (without Z: local time). */
bool events_time(const char *text, uint64_t now_ns, uint64_t *out);
