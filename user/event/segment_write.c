#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "event/segment_db.h"

/* ---- making ---- */

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

static int put_head(sqlite3 *db, const struct segment_head *h)
{
	kmn_auto(db_finalize) sqlite3_stmt *st = NULL;
	int r = db_prepare(db, "INSERT INTO head VALUES(1,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", &st);

	if (r < 0)
		return r;
	db_bind_u64(st, 1, h->stream);
	db_bind_u64(st, 2, h->number);
	(void)sqlite3_bind_text(st, 3, h->host_id, -1, SQLITE_STATIC);
	db_bind_blob(st, 4, h->public_key, sizeof(h->public_key));
	db_bind_blob(st, 5, h->boot, sizeof(h->boot));
	db_bind_u64(st, 6, h->created_ns);
	db_bind_u64(st, 7, h->first_seq);
	db_bind_u64(st, 8, h->gap);
	db_bind_u64(st, 9, h->prev.number);
	db_bind_u64(st, 10, h->prev.first_seq);
	db_bind_u64(st, 11, h->prev.last_seq);
	db_bind_u64(st, 12, h->prev.batches);
	db_bind_blob(st, 13, h->prev.final, sizeof(h->prev.final));
	db_bind_blob(st, 14, h->prev.signature, sizeof(h->prev.signature));
	return db_error(db, sqlite3_step(st));
}

static int create_at(const char *path, const struct segment_head *head)
{
	kmn_auto(db_close) sqlite3 *db = NULL;
	char pragmas[160];
	int r = db_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &db);

	if (r < 0)
		return r;
	(void)snprintf(pragmas, sizeof(pragmas),
		       "PRAGMA page_size = 8192; PRAGMA application_id = %d; "
		       "PRAGMA user_version = %d; BEGIN",
		       SEGMENT_APPLICATION_ID, SEGMENT_FORMAT);
	if ((r = db_run(db, pragmas)) < 0 || (r = db_run(db, schema)) < 0 ||
	    (r = put_head(db, head)) < 0 || (r = db_run(db, "COMMIT")) < 0)
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
int segment_open_write(const char *path, bool durable, uint64_t bytes_max, struct segment **out)
{
	/* The log is folded back after 1,000 pages, earlier in small segments: it counts too. */
	uint64_t pages = bytes_max / 8192 / 4;
	struct segment *s = NULL;
	char pragmas[200];
	int r = segment_open(path, SQLITE_OPEN_READWRITE, &s);

	if (r < 0)
		return r;
	(void)snprintf(pragmas, sizeof(pragmas),
		       "PRAGMA journal_mode = WAL; PRAGMA synchronous = %s; "
		       "PRAGMA wal_autocheckpoint = %u; PRAGMA journal_size_limit = 1048576",
		       durable ? "FULL" : "NORMAL", (unsigned)(pages < 500 ? pages + 1 : 500));
	r = db_run(s->db, pragmas);
	if (!r)
		r = db_prepare(s->db, "INSERT INTO batch VALUES(?,?,?,?,?,?,?,?,?,?,?,?)", &s->put);
	if (r < 0) {
		segment_close(s);
		return r;
	}
	*out = s;
	return 0;
}

/* ---- writing ---- */

int segment_begin(struct segment *s)
{
	return db_run(s->db, "BEGIN IMMEDIATE");
}

int segment_put(struct segment *s, const struct segment_batch *b)
{
	int r;

	db_bind_u64(s->put, 1, b->first_seq);
	db_bind_u64(s->put, 2, b->last_seq);
	db_bind_u64(s->put, 3, b->first_ns);
	db_bind_u64(s->put, 4, b->last_ns);
	db_bind_u64(s->put, 5, b->modules);
	db_bind_u64(s->put, 6, b->services);
	db_bind_u64(s->put, 7, b->severities);
	db_bind_u64(s->put, 8, b->packing);
	db_bind_u64(s->put, 9, b->raw_len);
	db_bind_blob(s->put, 10, b->boot, sizeof(b->boot));
	db_bind_blob(s->put, 11, b->chain, sizeof(b->chain));
	db_bind_blob(s->put, 12, b->blob, b->len);
	r = db_error(s->db, sqlite3_step(s->put));
	(void)sqlite3_reset(s->put); /* repeats the error of the step */
	return r;
}

int segment_commit(struct segment *s)
{
	return db_run(s->db, "COMMIT");
}

void segment_rollback(struct segment *s)
{
	if (!sqlite3_get_autocommit(s->db)) /* an error may have ended the transaction already */
		(void)db_run(s->db, "ROLLBACK");
}

int segment_put_seal(struct segment *s, const struct segment_seal *seal)
{
	kmn_auto(db_finalize) sqlite3_stmt *st = NULL;
	int r = db_prepare(s->db, "INSERT OR REPLACE INTO seal VALUES(1,?,?,?,?,?,?)", &st);

	if (r < 0)
		return r;
	db_bind_u64(st, 1, seal->number);
	db_bind_u64(st, 2, seal->first_seq);
	db_bind_u64(st, 3, seal->last_seq);
	db_bind_u64(st, 4, seal->batches);
	db_bind_blob(st, 5, seal->final, sizeof(seal->final));
	db_bind_blob(st, 6, seal->signature, sizeof(seal->signature));
	return db_error(s->db, sqlite3_step(st));
}

void segment_settle(struct segment *s)
{
	(void)db_run(s->db, "PRAGMA wal_checkpoint(TRUNCATE)");
	(void)db_run(s->db, "PRAGMA journal_mode = DELETE");
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
