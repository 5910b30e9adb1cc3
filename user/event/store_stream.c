#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "event/store_dir.h"
#include "event/store_stream.h"

#define DAY_NS (86400 * NS_PER_S)
#define LOST_SEQ (1ULL << 32) /* numbers skipped when a damaged segment does not tell its last */

/* What SQLite keeps beside a file. */
static const char *const beside[] = { "", "-wal", "-shm", "-journal" };
#define BESIDE (sizeof(beside) / sizeof(*beside))

static void path_of(const struct store_stream *st, const struct store_info *in, char out[PATH_MAX])
{
	segment_path(st->dir, in->number, in->damaged, out, PATH_MAX);
}

struct store_info *stream_newest(struct store_stream *st)
{
	return st->n ? &st->list[st->n - 1] : NULL;
}

static int add_info(struct store_stream *st, const struct store_info *in)
{
	if (st->n == st->room) {
		uint32_t room = st->room ? 2 * st->room : 16;
		struct store_info *list = reallocarray(st->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		st->list = list;
		st->room = room;
	}
	st->list[st->n++] = *in;
	return 0;
}

uint64_t stream_bytes(const struct store_stream *st)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < st->n; i++)
		sum += st->list[i].bytes;
	return sum;
}

void stream_measure(const struct store_stream *st, struct store_info *in)
{
	char path[PATH_MAX];

	path_of(st, in, path);
	in->bytes = segment_bytes(path);
}

/* ---- a damaged segment ---- */

static void set_aside(struct store_stream *st, struct store_info *in, int why)
{
	char from[PATH_MAX], to[PATH_MAX], a[PATH_MAX + 16], b[PATH_MAX + 16], what[PATH_MAX + 160];

	path_of(st, in, from);
	in->damaged = true;
	path_of(st, in, to);
	for (size_t i = 0; i < BESIDE; i++) {
		(void)snprintf(a, sizeof(a), "%s%s", from, beside[i]);
		(void)snprintf(b, sizeof(b), "%s%s", to, beside[i]);
		if (rename(a, b) < 0 && errno != ENOENT)
			log_warn("event: store: %s: set aside: %s", a, strerror(errno));
	}
	stream_measure(st, in);
	in->last_ns = clock_wall_ns(); /* kept as long as an event of now */
	st->damaged++;
	st->ended = st->broken = true;
	(void)snprintf(what, sizeof(what), "segment %u of %s is damaged (%s); it is kept as %s",
		       in->number, event_stream_name((uint8_t)st->id), strerror(-why), to);
	log_warn("event: store: %s", what);
	if (st->on_damaged)
		st->on_damaged(st->arg, st->id, what);
}

void stream_set_aside(struct store_stream *st, int why)
{
	segment_close(KMN_TAKE(st->open));
	set_aside(st, stream_newest(st), why);
}

/* ---- the newest segment ---- */

/* The last batch of the open segment, if it has one, with its link of the chain checked. */
static int check_last(struct store_stream *st, const uint8_t head_hash[HASH_BYTES],
		      struct segment_batch *last)
{
	struct segment_batch before;
	uint8_t prev[HASH_BYTES], sum[HASH_BYTES];
	int r = segment_get_batch(st->open, NULL, UINT64_MAX, true, last);

	if (r <= 0)
		return r;
	r = segment_get_batch(st->open, NULL, last->first_seq - 1, true, &before);
	if (r < 0)
		return r;
	memcpy(prev, r ? before.chain : head_hash, sizeof(prev));
	r = segment_get_batch(st->open, NULL, UINT64_MAX, true, last); /* its blob again */
	if (r > 0 && last->last_seq < last->first_seq)
		r = -EUCLEAN;
	if (r > 0)
		r = segment_batch_hash(st->hash, prev, last, sum);
	if (r < 0)
		return r;
	return memcmp(sum, last->chain, sizeof(sum)) ? -EUCLEAN : 1;
}

/* Take up at the end of the open segment: last number, chain, times. */
static int resume(struct store_stream *st, struct store_info *in)
{
	uint8_t head_hash[HASH_BYTES];
	struct segment_batch b;
	int r = segment_get_head(st->open, &st->head);

	if (!r && (st->head.stream != st->id || st->head.number != in->number))
		r = -EUCLEAN;
	if (!r)
		r = segment_head_hash(&st->head, head_hash);
	if (!r)
		r = check_last(st, head_hash, &b);
	if (r < 0)
		return r;
	in->first_seq = st->head.first_seq;
	in->last_seq = st->seq = r ? b.last_seq : st->head.first_seq - 1;
	in->last_ns = r ? b.last_ns : 0;
	memcpy(st->chain, r ? b.chain : head_hash, sizeof(st->chain));
	if (r)
		r = segment_get_batch(st->open, NULL, 0, false, &b);
	in->first_ns = r > 0 ? b.first_ns : 0;
	return r < 0 ? r : 0;
}

static int open_newest(struct store_stream *st)
{
	struct store_info *in = stream_newest(st);
	char path[PATH_MAX];
	int r;

	path_of(st, in, path);
	r = segment_open_write(path, st->id == EVENT_FINDINGS, st->segment_max, &st->open);
	if (!r)
		r = resume(st, in);
	if (!r && segment_get_seal(st->open, &st->last_seal) == 0) {
		st->has_last_seal = st->ended = true; /* the start could not look into it */
		segment_close(KMN_TAKE(st->open));
	}
	if (r < 0)
		segment_close(KMN_TAKE(st->open));
	stream_measure(st, in);
	return r;
}

static int next_segment(struct store_stream *st)
{
	struct store_info *last = stream_newest(st);
	struct store_info in = { .number = last ? last->number + 1 : 1,
				 .first_seq = st->seq + 1,
				 .last_seq = st->seq };
	struct segment_head head = { .stream = (uint8_t)st->id,
				     .number = in.number,
				     .created_ns = clock_wall_ns(),
				     .first_seq = st->seq + 1,
				     .gap = last ? SEGMENT_BROKEN : SEGMENT_FIRST };
	char path[PATH_MAX];
	int r;

	memcpy(head.host_id, st->key->id, sizeof(head.host_id));
	memcpy(head.public_key, st->key->public_key, sizeof(head.public_key));
	memcpy(head.boot, st->boot, sizeof(head.boot));
	if (st->has_last_seal && !st->broken) {
		head.gap = SEGMENT_JOINED;
		head.prev = st->last_seal;
	}
	path_of(st, &in, path);
	r = segment_create(path, &head);
	if (!r)
		r = add_info(st, &in);
	if (r < 0)
		return r;
	st->broken = st->ended = false;
	return open_newest(st);
}

int stream_ready(struct store_stream *st)
{
	int r = 0;

	if (!st->open && !st->ended)
		r = open_newest(st);
	if (!r && !st->open)
		r = next_segment(st);
	return r;
}

int stream_reopen(struct store_stream *st)
{
	segment_close(KMN_TAKE(st->open));
	return open_newest(st);
}

static int seal(struct store_stream *st)
{
	struct segment_seal v = { .number = st->head.number,
				  .first_seq = st->head.first_seq,
				  .last_seq = st->seq };
	uint8_t sum[HASH_BYTES];
	int r = segment_count(st->open, &v.batches);

	memcpy(v.final, st->chain, sizeof(v.final));
	if (!r)
		r = segment_seal_hash(&st->head, &v, sum);
	if (!r)
		r = sign_make(st->key->seed, sum, sizeof(sum), v.signature);
	if (!r)
		r = segment_put_seal(st->open, &v);
	if (r < 0)
		return r;
	segment_settle(st->open);
	st->last_seal = v;
	st->has_last_seal = st->ended = true;
	segment_close(KMN_TAKE(st->open));
	stream_measure(st, stream_newest(st));
	return 0;
}

int stream_roll(struct store_stream *st)
{
	int r = st->open ? seal(st) : 0;

	return r < 0 ? r : stream_ready(st);
}

/* ---- expiry ---- */

bool stream_may_drop(const struct store_stream *st)
{
	return st->n > (st->ended ? 0 : 1);
}

void stream_drop_oldest(struct store_stream *st)
{
	struct store_info *in = &st->list[0];
	char path[PATH_MAX], name[PATH_MAX + 16];

	path_of(st, in, path);
	for (size_t i = 0; i < BESIDE; i++) {
		(void)snprintf(name, sizeof(name), "%s%s", path, beside[i]);
		if (unlink(name) < 0 && errno != ENOENT)
			log_warn("event: store: expire %s: %s", name, strerror(errno));
	}
	if (in->damaged)
		st->damaged--;
	else if (in->first_seq) /* else it could not be looked into */
		st->expired_events += in->last_seq + 1 - in->first_seq;
	st->expired_segments++;
	memmove(st->list, st->list + 1, --st->n * sizeof(*st->list));
}

static bool has_events(const struct store_stream *st)
{
	return st->open && st->seq >= st->head.first_seq;
}

int stream_make_room(struct store_stream *st, uint64_t need)
{
	for (int i = 0; i < STORE_DROPS_MAX && stream_bytes(st) + need > st->bytes_max; i++) {
		int r;

		if (stream_may_drop(st)) {
			stream_drop_oldest(st);
			continue;
		}
		if (!has_events(st))
			return 0; /* nothing is left to drop */
		r = stream_roll(st);
		if (r < 0)
			return r;
	}
	return 0;
}

bool stream_trim(struct store_stream *st)
{
	if (stream_bytes(st) <= st->bytes_max)
		return false;
	if (stream_make_room(st, 0) < 0)
		return false; /* the disk is full: tried again with the next look */
	return stream_bytes(st) > st->bytes_max && (stream_may_drop(st) || has_events(st));
}

void stream_expire(struct store_stream *st, uint64_t wall_ns)
{
	uint64_t keep = st->days_max * DAY_NS;

	if (wall_ns < keep)
		return;
	/* An open segment is closed after an eighth of its days, so that it can go in time. */
	if (has_events(st) && stream_newest(st)->first_ns < wall_ns - keep / 8)
		(void)stream_roll(st); /* the disk is full: tried again the next time */
	for (int i = 0; i < STORE_DROPS_MAX && stream_may_drop(st); i++) {
		if (st->list[0].last_ns >= wall_ns - keep)
			break;
		stream_drop_oldest(st);
	}
}

/* ---- at the start ---- */

/* What the list needs to know of a segment. 0: sealed; -ENOENT: not; -EUCLEAN. */
static int look_at(struct store_stream *st, struct store_info *in, struct segment_seal *sealed)
{
	struct segment_head head;
	struct segment_batch b;
	struct segment *seg;
	char path[PATH_MAX];
	int r;

	path_of(st, in, path);
	r = segment_open_read(path, &seg);
	if (r < 0)
		return r == -ENOENT ? -EIO : r;
	r = segment_get_head(seg, &head);
	if (!r && (head.number != in->number || head.stream != st->id))
		r = -EUCLEAN;
	if (!r) {
		in->first_seq = head.first_seq;
		in->last_seq = head.first_seq - 1;
		r = segment_get_batch(seg, NULL, 0, false, &b);
	}
	if (r > 0) {
		in->first_ns = b.first_ns;
		r = segment_get_batch(seg, NULL, UINT64_MAX, true, &b);
	}
	if (r > 0) {
		in->last_seq = b.last_seq;
		in->last_ns = b.last_ns;
	}
	if (r >= 0)
		r = segment_get_seal(seg, sealed);
	segment_close(seg);
	return r;
}

/* One segment of the list at the start. *lost: the last number is not known any more. */
static int take_in(struct store_stream *st, const struct segment_name *name, bool *lost)
{
	struct store_info in = { .number = name->number, .damaged = name->damaged };
	char path[PATH_MAX];
	struct stat file;
	int r;

	if (in.damaged) {
		path_of(st, &in, path);
		in.last_ns = stat(path, &file) ? 0 : (uint64_t)file.st_mtim.tv_sec * NS_PER_S;
		stream_measure(st, &in);
		st->damaged++;
		st->ended = st->broken = *lost = true;
		return add_info(st, &in);
	}
	r = look_at(st, &in, &st->last_seal);
	if (r == -ENOSPC) /* reading a log wants a file beside it: looked at when it is opened */
		r = -ENOENT;
	if (r == -EUCLEAN || r == -EPROTONOSUPPORT) {
		*lost = in.last_seq <= st->seq;
		set_aside(st, &in, r);
	} else if (r < 0 && r != -ENOENT) {
		return r; /* memory, rights: not the segment's fault */
	} else {
		st->has_last_seal = st->ended = !r;
		st->broken = *lost = false;
	}
	if (in.last_seq > st->seq)
		st->seq = in.last_seq;
	stream_measure(st, &in);
	return add_info(st, &in);
}

int stream_open(struct store_stream *st)
{
	struct segment_name *names = NULL;
	int n = segment_list(st->dir, true, &names), r = 0;
	bool lost = false;
	uint64_t seq;

	st->ended = true; /* there is none */
	for (int i = 0; i < n && !r; i++)
		r = take_in(st, &names[i], &lost);
	free(names);
	if (n < 0 || r < 0)
		return n < 0 ? n : r;
	if (lost)
		st->seq += LOST_SEQ;
	seq = st->seq;
	r = stream_ready(st);
	if (r == -EUCLEAN) {
		st->seq = seq;
		stream_set_aside(st, r);
		r = stream_ready(st);
	}
	if (r == -ENOSPC || r == -EIO || r == -EROFS) {
		log_warn("event: store: %s cannot be written: %s", st->dir, strerror(-r));
		return 0;
	}
	return r;
}

void stream_close(struct store_stream *st)
{
	if (st->open)
		segment_settle(st->open);
	segment_close(KMN_TAKE(st->open));
	free(st->list);
	st->list = NULL;
	st->n = st->room = 0;
}
