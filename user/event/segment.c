#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sqlite3.h>
#include <zlib.h>
#include "base/auto.h"
#include "event/segment.h"

#define APPLICATION_ID 0x4b4d4e45 /* "KMNE" in the header of the file: what file(1) reads */
#define BUSY_MS 250 /* a reader that checkpoints or recovers holds a lock for an instant */
#define UNPACKED_MAX (16u << 20) /* more than any batch of ours: a claim beyond it is damage */

struct segment {
	sqlite3 *db;
	sqlite3_stmt *put, *get[2][2]; /* get[filtered][backward] */
	uint8_t *raw;
	size_t raw_cap;
};

static const char schema[] =
	"CREATE TABLE head(id INTEGER PRIMARY KEY CHECK(id = 1), stream INTEGER NOT NULL,"
	" number INTEGER NOT NULL, host_id TEXT NOT NULL, public_key BLOB NOT NULL,"
	" boot BLOB NOT NULL, created_ns INTEGER NOT NULL, first_seq INTEGER NOT NULL,"
	" gap INTEGER NOT NULL, prev_number INTEGER NOT NULL, prev_first_seq INTEGER NOT NULL,"
	" prev_last_seq INTEGER NOT NULL, prev_batches INTEGER NOT NULL,"
	" prev_final BLOB NOT NULL, prev_signature BLOB NOT NULL);"
	"CREATE TABLE batch(first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL,"
	" first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, modules INTEGER NOT NULL,"
	" services INTEGER NOT NULL, severities INTEGER NOT NULL, packing INTEGER NOT NULL,"
	" raw_len INTEGER NOT NULL, boot BLOB NOT NULL, chain BLOB NOT NULL, blob BLOB NOT NULL);"
	"CREATE TABLE seal(id INTEGER PRIMARY KEY CHECK(id = 1), number INTEGER NOT NULL,"
	" first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, batches INTEGER NOT NULL,"
	" final BLOB NOT NULL, signature BLOB NOT NULL);";

static int error_of(sqlite3 *db, int rc)
{
	int err = db ? sqlite3_system_errno(db) : 0;

	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
		return -EUCLEAN;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CANTOPEN:
		return err ? -err : -EACCES;
	case SQLITE_IOERR:
		return err == ENOSPC || err == EDQUOT || err == EFBIG ? -ENOSPC : -EIO;
	case SQLITE_ERROR: /* a table or a column is not there: not a segment of ours */
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
		return -EUCLEAN;
	}
	return -EIO;
}

static void finalize(sqlite3_stmt *st)
{
	(void)sqlite3_finalize(st); /* repeats the error of the last step, which was looked at */
}
KMN_AUTO_DEFINE(sqlite3_stmt *, finalize)

static void close_db(sqlite3 *db)
{
	(void)sqlite3_close_v2(db); /* cannot fail: nothing is left open in it */
}
KMN_AUTO_DEFINE(sqlite3 *, close_db)

static int run(sqlite3 *db, const char *sql)
{
	return error_of(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **st)
{
	return error_of(db, sqlite3_prepare_v2(db, sql, -1, st, NULL));
}

static void bind_u64(sqlite3_stmt *st, int at, uint64_t v)
{
	(void)sqlite3_bind_int64(st, at, (sqlite3_int64)v); /* at is in range by construction */
}

static void bind_blob(sqlite3_stmt *st, int at, const void *p, size_t len)
{
	(void)sqlite3_bind_blob64(st, at, p, len, SQLITE_STATIC);
}

static uint64_t column_u64(sqlite3_stmt *st, int at)
{
	return (uint64_t)sqlite3_column_int64(st, at);
}

static bool column_bytes(sqlite3_stmt *st, int at, void *out, size_t len)
{
	const void *p = sqlite3_column_blob(st, at);

	if (!p || sqlite3_column_bytes(st, at) != (int)len)
		return false;
	memcpy(out, p, len);
	return true;
}

/* ---- making, opening ---- */

static int open_db(const char *path, int flags, sqlite3 **out)
{
	kmn_auto(close_db) sqlite3 *db = NULL;
	struct stat st;
	int rc, r;

	if (!(flags & SQLITE_OPEN_CREATE) && stat(path, &st) < 0)
		return -errno;
	rc = sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
	if (rc != SQLITE_OK)
		return error_of(db, rc);
	(void)sqlite3_extended_result_codes(db, 1);
	(void)sqlite3_busy_timeout(db, BUSY_MS);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	r = run(db, "PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY");
	if (r < 0)
		return r;
	*out = KMN_TAKE(db);
	return 0;
}

static int put_head(sqlite3 *db, const struct segment_head *h)
{
	kmn_auto(finalize) sqlite3_stmt *st = NULL;
	int r = prepare(db, "INSERT INTO head VALUES(1,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", &st);

	if (r < 0)
		return r;
	bind_u64(st, 1, h->stream);
	bind_u64(st, 2, h->number);
	(void)sqlite3_bind_text(st, 3, h->host_id, -1, SQLITE_STATIC);
	bind_blob(st, 4, h->public_key, sizeof(h->public_key));
	bind_blob(st, 5, h->boot, sizeof(h->boot));
	bind_u64(st, 6, h->created_ns);
	bind_u64(st, 7, h->first_seq);
	bind_u64(st, 8, h->gap);
	bind_u64(st, 9, h->prev.number);
	bind_u64(st, 10, h->prev.first_seq);
	bind_u64(st, 11, h->prev.last_seq);
	bind_u64(st, 12, h->prev.batches);
	bind_blob(st, 13, h->prev.final, sizeof(h->prev.final));
	bind_blob(st, 14, h->prev.signature, sizeof(h->prev.signature));
	return error_of(db, sqlite3_step(st));
}

static int create_at(const char *path, const struct segment_head *head)
{
	kmn_auto(close_db) sqlite3 *db = NULL;
	char pragmas[160];
	int r = open_db(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &db);

	if (r < 0)
		return r;
	(void)snprintf(pragmas, sizeof(pragmas),
		       "PRAGMA page_size = 8192; PRAGMA application_id = %d; "
		       "PRAGMA user_version = %d; BEGIN",
		       APPLICATION_ID, SEGMENT_FORMAT);
	if ((r = run(db, pragmas)) < 0 || (r = run(db, schema)) < 0 ||
	    (r = put_head(db, head)) < 0 || (r = run(db, "COMMIT")) < 0)
		return r;
	return 0;
}

int segment_create(const char *path, const struct segment_head *head)
{
	char temporary[PATH_MAX], dir[PATH_MAX];
	kmn_auto(fd) int fd = -1;
	int r;

	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary) ||
	    (size_t)snprintf(dir, sizeof(dir), "%s", path) >= sizeof(dir) || !strrchr(dir, '/'))
		return -ENAMETOOLONG;
	*strrchr(dir, '/') = '\0';
	(void)unlink(temporary); /* of a start that was killed */
	r = create_at(temporary, head);
	if (!r && chmod(temporary, 0600) < 0)
		r = -errno;
	if (!r && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(temporary);
		return r;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int check_format(sqlite3 *db)
{
	kmn_auto(finalize) sqlite3_stmt *st = NULL;
	int r = prepare(db,
			"SELECT (SELECT user_version FROM pragma_user_version),"
			" (SELECT application_id FROM pragma_application_id)",
			&st);

	if (r < 0)
		return r;
	if (sqlite3_step(st) != SQLITE_ROW)
		return error_of(db, sqlite3_errcode(db));
	if (sqlite3_column_int(st, 1) != APPLICATION_ID)
		return -EUCLEAN;
	return sqlite3_column_int(st, 0) == SEGMENT_FORMAT ? 0 : -EPROTONOSUPPORT;
}

#define COLUMNS                                                                                    \
	"first_seq, last_seq, first_ns, last_ns, modules, services, severities, packing, raw_len," \
	" boot, chain, blob"
#define FILTER                                      \
	" AND last_ns >= ?2 AND first_ns <= ?3 AND" \
	" (modules & ?4 OR services & ?5) AND severities & ?6"

static int open_segment(const char *path, int flags, struct segment **out)
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
	int r = s ? open_db(path, flags, &s->db) : -ENOMEM;

	if (!r)
		r = check_format(s->db);
	for (int i = 0; i < 4 && !r; i++)
		r = prepare(s->db, get[i / 2][i % 2], &s->get[i / 2][i % 2]);
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
	int r = open_segment(path, SQLITE_OPEN_READONLY, s);

	if (r != -EACCES)
		return r;
	/* A writer was killed while it turned the log on or off: what it began must be rolled back
	 * first, which SQLite does for who may write. */
	r = open_segment(path, SQLITE_OPEN_READWRITE, &seg);
	if (!r)
		r = run(seg->db, "PRAGMA query_only = 1");
	if (r < 0) {
		segment_close(seg);
		return r;
	}
	*s = seg;
	return 0;
}

int segment_open_write(const char *path, bool durable, uint64_t bytes_max, struct segment **out)
{
	/* The log is folded back after 1,000 pages, earlier in small segments: it counts too. */
	uint64_t pages = bytes_max / 8192 / 4;
	struct segment *s = NULL;
	char pragmas[200];
	int r = open_segment(path, SQLITE_OPEN_READWRITE, &s);

	if (r < 0)
		return r;
	(void)snprintf(pragmas, sizeof(pragmas),
		       "PRAGMA journal_mode = WAL; PRAGMA synchronous = %s; "
		       "PRAGMA wal_autocheckpoint = %u; PRAGMA journal_size_limit = 1048576",
		       durable ? "FULL" : "NORMAL", (unsigned)(pages < 500 ? pages + 1 : 500));
	r = run(s->db, pragmas);
	if (!r)
		r = prepare(s->db, "INSERT INTO batch VALUES(?,?,?,?,?,?,?,?,?,?,?,?)", &s->put);
	if (r < 0) {
		segment_close(s);
		return r;
	}
	*out = s;
	return 0;
}

void segment_close(struct segment *s)
{
	if (!s)
		return;
	finalize(s->put);
	for (int i = 0; i < 4; i++)
		finalize(s->get[i / 2][i % 2]);
	close_db(s->db);
	free(s->raw);
	free(s);
}

/* ---- reading ---- */

int segment_get_head(struct segment *s, struct segment_head *head)
{
	kmn_auto(finalize) sqlite3_stmt *st = NULL;
	struct segment_head h = { 0 };
	const unsigned char *id;
	int r = prepare(s->db,
			"SELECT stream, number, host_id, public_key, boot, created_ns, first_seq,"
			" gap, prev_number, prev_first_seq, prev_last_seq, prev_batches,"
			" prev_final, prev_signature FROM head WHERE id = 1",
			&st);

	if (r < 0)
		return r;
	r = sqlite3_step(st);
	if (r != SQLITE_ROW)
		return r == SQLITE_DONE ? -EUCLEAN : error_of(s->db, r);
	h.stream = (uint8_t)sqlite3_column_int(st, 0);
	h.number = (uint32_t)sqlite3_column_int64(st, 1);
	id = sqlite3_column_text(st, 2);
	if (!id || strlen((const char *)id) != HOST_ID_TEXT - 1)
		return -EUCLEAN;
	memcpy(h.host_id, id, HOST_ID_TEXT);
	h.created_ns = column_u64(st, 5);
	h.first_seq = column_u64(st, 6);
	h.gap = (uint32_t)sqlite3_column_int64(st, 7);
	h.prev.number = (uint32_t)sqlite3_column_int64(st, 8);
	h.prev.first_seq = column_u64(st, 9);
	h.prev.last_seq = column_u64(st, 10);
	h.prev.batches = column_u64(st, 11);
	if (!column_bytes(st, 3, h.public_key, sizeof(h.public_key)) ||
	    !column_bytes(st, 4, h.boot, sizeof(h.boot)) ||
	    !column_bytes(st, 12, h.prev.final, sizeof(h.prev.final)) ||
	    !column_bytes(st, 13, h.prev.signature, sizeof(h.prev.signature)))
		return -EUCLEAN;
	*head = h;
	return 0;
}

int segment_get_seal(struct segment *s, struct segment_seal *seal)
{
	kmn_auto(finalize) sqlite3_stmt *st = NULL;
	struct segment_seal v = { 0 };
	int r = prepare(s->db,
			"SELECT number, first_seq, last_seq, batches, final, signature FROM seal"
			" WHERE id = 1",
			&st);

	if (r < 0)
		return r;
	r = sqlite3_step(st);
	if (r != SQLITE_ROW)
		return r == SQLITE_DONE ? -ENOENT : error_of(s->db, r);
	v.number = (uint32_t)sqlite3_column_int64(st, 0);
	v.first_seq = column_u64(st, 1);
	v.last_seq = column_u64(st, 2);
	v.batches = column_u64(st, 3);
	if (!column_bytes(st, 4, v.final, sizeof(v.final)) ||
	    !column_bytes(st, 5, v.signature, sizeof(v.signature)))
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

	bind_u64(st, 2, f->from_ns);
	bind_u64(st, 3, f->to_ns ? f->to_ns : INT64_MAX);
	bind_u64(st, 4, all_parts ? ~0ULL : f->modules);
	bind_u64(st, 5, all_parts ? ~0ULL : f->services);
	bind_u64(st, 6, f->severities ? f->severities : ~0ULL);
}

/* The row in st, its blob copied: the statement is reset so that it holds no read lock. */
static int copy_row(struct segment *s, sqlite3_stmt *st, struct segment_batch *b)
{
	struct segment_batch v = { 0 };
	const void *blob = sqlite3_column_blob(st, 11);
	int len = sqlite3_column_bytes(st, 11);

	v.first_seq = column_u64(st, 0);
	v.last_seq = column_u64(st, 1);
	v.first_ns = column_u64(st, 2);
	v.last_ns = column_u64(st, 3);
	v.modules = column_u64(st, 4);
	v.services = column_u64(st, 5);
	v.severities = (uint32_t)column_u64(st, 6);
	v.packing = (uint32_t)column_u64(st, 7);
	v.raw_len = (uint32_t)column_u64(st, 8);
	v.len = (uint32_t)len;
	if (!blob || len <= 0 || !column_bytes(st, 9, v.boot, sizeof(v.boot)) ||
	    !column_bytes(st, 10, v.chain, sizeof(v.chain)))
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

	bind_u64(st, 1, seq < INT64_MAX ? seq : INT64_MAX);
	if (filters(f))
		bind_filter(st, f);
	rc = sqlite3_step(st);
	r = rc == SQLITE_ROW ? copy_row(s, st, b) : error_of(s->db, rc);
	(void)sqlite3_reset(st); /* repeats the error of the step */
	return r;
}

int segment_count(struct segment *s, uint64_t *batches)
{
	kmn_auto(finalize) sqlite3_stmt *st = NULL;
	int r = prepare(s->db, "SELECT count(*) FROM batch", &st);

	if (r < 0)
		return r;
	r = sqlite3_step(st);
	if (r != SQLITE_ROW)
		return error_of(s->db, r);
	*batches = column_u64(st, 0);
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

/* ---- writing ---- */

int segment_begin(struct segment *s)
{
	return run(s->db, "BEGIN IMMEDIATE");
}

int segment_put(struct segment *s, const struct segment_batch *b)
{
	int r;

	bind_u64(s->put, 1, b->first_seq);
	bind_u64(s->put, 2, b->last_seq);
	bind_u64(s->put, 3, b->first_ns);
	bind_u64(s->put, 4, b->last_ns);
	bind_u64(s->put, 5, b->modules);
	bind_u64(s->put, 6, b->services);
	bind_u64(s->put, 7, b->severities);
	bind_u64(s->put, 8, b->packing);
	bind_u64(s->put, 9, b->raw_len);
	bind_blob(s->put, 10, b->boot, sizeof(b->boot));
	bind_blob(s->put, 11, b->chain, sizeof(b->chain));
	bind_blob(s->put, 12, b->blob, b->len);
	r = error_of(s->db, sqlite3_step(s->put));
	(void)sqlite3_reset(s->put); /* repeats the error of the step */
	return r;
}

int segment_commit(struct segment *s)
{
	return run(s->db, "COMMIT");
}

void segment_rollback(struct segment *s)
{
	if (!sqlite3_get_autocommit(s->db)) /* an error may have ended the transaction already */
		(void)run(s->db, "ROLLBACK");
}

int segment_put_seal(struct segment *s, const struct segment_seal *seal)
{
	kmn_auto(finalize) sqlite3_stmt *st = NULL;
	int r = prepare(s->db, "INSERT OR REPLACE INTO seal VALUES(1,?,?,?,?,?,?)", &st);

	if (r < 0)
		return r;
	bind_u64(st, 1, seal->number);
	bind_u64(st, 2, seal->first_seq);
	bind_u64(st, 3, seal->last_seq);
	bind_u64(st, 4, seal->batches);
	bind_blob(st, 5, seal->final, sizeof(seal->final));
	bind_blob(st, 6, seal->signature, sizeof(seal->signature));
	return error_of(s->db, sqlite3_step(st));
}

void segment_settle(struct segment *s)
{
	(void)run(s->db, "PRAGMA wal_checkpoint(TRUNCATE)");
	(void)run(s->db, "PRAGMA journal_mode = DELETE");
}

uint64_t segment_bytes(const char *path)
{
	static const char *const beside[] = { "", "-wal", "-shm", "-journal" };
	char name[PATH_MAX];
	uint64_t sum = 0;
	struct stat st;

	for (size_t i = 0; i < sizeof(beside) / sizeof(*beside); i++)
		if ((size_t)snprintf(name, sizeof(name), "%s%s", path, beside[i]) < sizeof(name) &&
		    !stat(name, &st))
			sum += (uint64_t)st.st_size;
	return sum;
}
