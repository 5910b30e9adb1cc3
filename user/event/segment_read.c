#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "event/segment_db.h"

#define UNPACKED_MAX (16u << 20) /* more than any batch of ours: a claim beyond it is damage */

/* ---- opening ---- */

static int check_format(sqlite3 *db)
{
	kmn_auto(db_finalize) sqlite3_stmt *st = NULL;
	int r = db_prepare(db,
			   "SELECT (SELECT user_version FROM pragma_user_version),"
			   " (SELECT application_id FROM pragma_application_id)",
			   &st);

	if (r < 0)
		return r;
	if (sqlite3_step(st) != SQLITE_ROW)
		return db_error(db, sqlite3_errcode(db));
	if (sqlite3_column_int(st, 1) != SEGMENT_APPLICATION_ID)
		return -EUCLEAN;
	return sqlite3_column_int(st, 0) == SEGMENT_FORMAT ? 0 : -EPROTONOSUPPORT;
}

#define COLUMNS                                                                                    \
	"first_seq, last_seq, first_ns, last_ns, modules, services, severities, packing, raw_len," \
	" boot, chain, blob"
#define FILTER                                      \
	" AND last_ns >= ?2 AND first_ns <= ?3 AND" \
	" (modules & ?4 OR services & ?5) AND severities & ?6"

int segment_open(const char *path, int flags, struct segment **out)
{
	static const char *const get[2][2] = {
		{ "SELECT " COLUMNS " FROM batch WHERE first_seq >= ?1 ORDER BY first_seq LIMIT 1",
		  "SELECT " COLUMNS
		  " FROM batch WHERE first_seq <= ?1 ORDER BY first_seq DESC LIMIT 1" },
		{ "SELECT " COLUMNS " FROM batch WHERE first_seq >= ?1" FILTER
		  " ORDER BY first_seq LIMIT 1",
		  "SELECT " COLUMNS " FROM batch WHERE first_seq <= ?1" FILTER
		  " ORDER BY first_seq DESC LIMIT 1" },
	};
	struct segment *s = calloc(1, sizeof(*s));
	int r = s ? db_open(path, flags, &s->db) : -ENOMEM;

	if (!r)
		r = check_format(s->db);
	for (int i = 0; i < 4 && !r; i++)
		r = db_prepare(s->db, get[i / 2][i % 2], &s->get[i / 2][i % 2]);
	if (r < 0) {
		segment_close(s);
		return r;
	}
	*out = s;
	return 0;
}

int segment_open_read(const char *path, struct segment **s)
{
	struct segment *seg = NULL;
	int r = segment_open(path, SQLITE_OPEN_READONLY, s);

	if (r != -EACCES)
		return r;
	/* A writer was killed while it turned the log on or off: what it began must be rolled back
	 * first, which SQLite does for who may write. */
	r = segment_open(path, SQLITE_OPEN_READWRITE, &seg);
	if (!r)
		r = db_run(seg->db, "PRAGMA query_only = 1");
	if (r < 0) {
		segment_close(seg);
		return r;
	}
	*s = seg;
	return 0;
}

void segment_close(struct segment *s)
{
	if (!s)
		return;
	db_finalize(s->put);
	for (int i = 0; i < 4; i++)
		db_finalize(s->get[i / 2][i % 2]);
	db_close(s->db);
	free(s->raw);
	free(s);
}

/* ---- reading ---- */

int segment_get_head(struct segment *s, struct segment_head *head)
{
	kmn_auto(db_finalize) sqlite3_stmt *st = NULL;
	struct segment_head h = { 0 };
	const unsigned char *id;
	int r = db_prepare(
		s->db,
		"SELECT stream, number, host_id, public_key, boot, created_ns, first_seq,"
		" gap, prev_number, prev_first_seq, prev_last_seq, prev_batches,"
		" prev_final, prev_signature FROM head WHERE id = 1",
		&st);

	if (r < 0)
		return r;
	r = sqlite3_step(st);
	if (r != SQLITE_ROW)
		return r == SQLITE_DONE ? -EUCLEAN : db_error(s->db, r);
	h.stream = (uint8_t)sqlite3_column_int(st, 0);
	h.number = (uint32_t)sqlite3_column_int64(st, 1);
	id = sqlite3_column_text(st, 2);
	if (!id || strlen((const char *)id) != HOST_ID_TEXT - 1)
		return -EUCLEAN;
	memcpy(h.host_id, id, HOST_ID_TEXT);
	h.created_ns = db_u64(st, 5);
	h.first_seq = db_u64(st, 6);
	h.gap = (uint32_t)sqlite3_column_int64(st, 7);
	h.prev.number = (uint32_t)sqlite3_column_int64(st, 8);
	h.prev.first_seq = db_u64(st, 9);
	h.prev.last_seq = db_u64(st, 10);
	h.prev.batches = db_u64(st, 11);
	if (!db_bytes(st, 3, h.public_key, sizeof(h.public_key)) ||
	    !db_bytes(st, 4, h.boot, sizeof(h.boot)) ||
	    !db_bytes(st, 12, h.prev.final, sizeof(h.prev.final)) ||
	    !db_bytes(st, 13, h.prev.signature, sizeof(h.prev.signature)))
		return -EUCLEAN;
	*head = h;
	return 0;
}

int segment_get_seal(struct segment *s, struct segment_seal *seal)
{
	kmn_auto(db_finalize) sqlite3_stmt *st = NULL;
	struct segment_seal v = { 0 };
	int r = db_prepare(s->db,
			   "SELECT number, first_seq, last_seq, batches, final, signature FROM seal"
			   " WHERE id = 1",
			   &st);

	if (r < 0)
		return r;
	r = sqlite3_step(st);
	if (r != SQLITE_ROW)
		return r == SQLITE_DONE ? -ENOENT : db_error(s->db, r);
	v.number = (uint32_t)sqlite3_column_int64(st, 0);
	v.first_seq = db_u64(st, 1);
	v.last_seq = db_u64(st, 2);
	v.batches = db_u64(st, 3);
	if (!db_bytes(st, 4, v.final, sizeof(v.final)) ||
	    !db_bytes(st, 5, v.signature, sizeof(v.signature)))
		return -EUCLEAN;
	*seal = v;
	return 0;
}

static bool filters(const struct segment_filter *f)
{
	return f && (f->from_ns || f->to_ns || f->modules || f->services || f->severities);
}

static void bind_filter(sqlite3_stmt *st, const struct segment_filter *f)
{
	bool all_parts = !f->modules && !f->services;

	db_bind_u64(st, 2, f->from_ns);
	db_bind_u64(st, 3, f->to_ns ? f->to_ns : INT64_MAX);
	db_bind_u64(st, 4, all_parts ? ~0ULL : f->modules);
	db_bind_u64(st, 5, all_parts ? ~0ULL : f->services);
	db_bind_u64(st, 6, f->severities ? f->severities : ~0ULL);
}

/* The row in st, its blob copied: the statement is reset so that it holds no read lock. */
static int copy_row(struct segment *s, sqlite3_stmt *st, struct segment_batch *b)
{
	struct segment_batch v = { 0 };
	const void *blob = sqlite3_column_blob(st, 11);
	int len = sqlite3_column_bytes(st, 11);

	v.first_seq = db_u64(st, 0);
	v.last_seq = db_u64(st, 1);
	v.first_ns = db_u64(st, 2);
	v.last_ns = db_u64(st, 3);
	v.modules = db_u64(st, 4);
	v.services = db_u64(st, 5);
	v.severities = (uint32_t)db_u64(st, 6);
	v.packing = (uint32_t)db_u64(st, 7);
	v.raw_len = (uint32_t)db_u64(st, 8);
	v.len = (uint32_t)len;
	if (!blob || len <= 0 || !db_bytes(st, 9, v.boot, sizeof(v.boot)) ||
	    !db_bytes(st, 10, v.chain, sizeof(v.chain)))
		return -EUCLEAN;
	if (v.raw_len > UNPACKED_MAX || v.len > UNPACKED_MAX || v.packing > SEGMENT_ZLIB ||
	    (v.packing == SEGMENT_PLAIN && v.raw_len != v.len))
		return -EUCLEAN;
	if (s->raw_cap < (size_t)v.len + v.raw_len) { /* packed first, room to unpack behind it */
		uint8_t *raw = realloc(s->raw, (size_t)v.len + v.raw_len);

		if (!raw)
			return -ENOMEM;
		s->raw = raw;
		s->raw_cap = (size_t)v.len + v.raw_len;
	}
	memcpy(s->raw, blob, v.len);
	v.blob = s->raw;
	*b = v;
	return 1;
}

int segment_get_batch(struct segment *s, const struct segment_filter *f, uint64_t seq,
		      bool backward, struct segment_batch *b)
{
	sqlite3_stmt *st = s->get[filters(f)][backward];
	int rc, r;

	db_bind_u64(st, 1, seq < INT64_MAX ? seq : INT64_MAX);
	if (filters(f))
		bind_filter(st, f);
	rc = sqlite3_step(st);
	r = rc == SQLITE_ROW ? copy_row(s, st, b) : db_error(s->db, rc);
	(void)sqlite3_reset(st); /* repeats the error of the step */
	return r;
}

int segment_count(struct segment *s, uint64_t *batches)
{
	kmn_auto(db_finalize) sqlite3_stmt *st = NULL;
	int r = db_prepare(s->db, "SELECT count(*) FROM batch", &st);

	if (r < 0)
		return r;
	r = sqlite3_step(st);
	if (r != SQLITE_ROW)
		return db_error(s->db, r);
	*batches = db_u64(st, 0);
	return 0;
}

int segment_unpack(struct segment *s, const struct segment_batch *b, const uint8_t **raw)
{
	uLongf len = b->raw_len;
	uint8_t *out = s->raw + b->len;

	if (b->packing == SEGMENT_PLAIN) {
		*raw = s->raw;
		return 0;
	}
	if (uncompress(out, &len, s->raw, b->len) != Z_OK || len != b->raw_len)
		return -EUCLEAN;
	*raw = out;
	return 0;
}
