#pragma once
#include <limits.h>
#include "event/store.h"

/* The row of segments of one stream. Inside of the store only. */

struct store_info { /* a segment on disk */
	uint32_t number;
	bool damaged;
	uint64_t bytes, first_seq, last_seq, first_ns, last_ns;
};

struct store_stream {
	enum event_stream id;
	char dir[PATH_MAX - 32];
	struct store_info *list; /* in rising order; the last one is open unless open is NULL */
	uint32_t n, room;
	struct segment *open;
	struct segment_head head; /* of the open one */
	struct segment_seal last_seal;
	bool has_last_seal;
	bool ended;   /* the newest is sealed or set aside: there is nothing to open */
	bool broken;  /* the newest was set aside: where it ended is not known */
	uint64_t seq; /* last number given */
	uint8_t chain[HASH_BYTES];
	uint64_t bytes_max, segment_max;
	uint32_t days_max, damaged;
	uint64_t expired_events, expired_segments;
	/* of the whole store, borrowed */
	const struct hostkey *key;
	const uint8_t *boot;
	struct hash *hash;
	void (*on_damaged)(void *arg, enum event_stream stream, const char *what);
	void *arg;
};

/* Look at every segment of st->dir and take up behind the newest. A disk that is full or read-only
 * is no error: appending tries again. */
int stream_open(struct store_stream *st);
void stream_close(struct store_stream *st);

struct store_info *stream_newest(struct store_stream *st); /* NULL: none */
uint64_t stream_bytes(const struct store_stream *st);
void stream_measure(const struct store_stream *st, struct store_info *in);

/* See that a segment is open behind the newest. */
int stream_ready(struct store_stream *st);
/* Close the open segment, forget what is in memory of it and open it again at its end. */
int stream_reopen(struct store_stream *st);
/* Seal the open segment and begin the next. */
int stream_roll(struct store_stream *st);
/* The newest segment is damaged: why is a negative errno. */
void stream_set_aside(struct store_stream *st, int why);

/* Is there one that may go: sealed, or set aside? Drop the oldest of them. */
bool stream_may_drop(const struct store_stream *st);
void stream_drop_oldest(struct store_stream *st);
/* Drop until need more bytes fit the budget. In STORE_DROPS_MAX steps at most, which is enough but
 * after the budget has shrunk: then the stream is too big for a while, and stream_trim() goes on.
 */
int stream_make_room(struct store_stream *st, uint64_t need);
bool stream_trim(struct store_stream *st); /* true: it is still too big */
/* Drop what is older than the days of the budget, at most STORE_DROPS_MAX segments; wall_ns: now.
 */
void stream_expire(struct store_stream *st, uint64_t wall_ns);
