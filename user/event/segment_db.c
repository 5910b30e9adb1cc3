#include "event/segment_db.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define BUSY_MS 250 /* a reader that checkpoints or recovers holds a lock for an instant */

int db_error(sqlite3 *db, int rc)
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

void db_finalize(sqlite3_stmt *st)
{
	(void)sqlite3_finalize(st); /* repeats the error of the last step, which was looked at */
}

void db_close(sqlite3 *db)
{
	(void)sqlite3_close_v2(db); /* cannot fail: nothing is left open in it */
}

int db_run(sqlite3 *db, const char *sql)
{
	return db_error(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **st)
{
	return db_error(db, sqlite3_prepare_v2(db, sql, -1, st, NULL));
}

void db_bind_u64(sqlite3_stmt *st, int at, uint64_t v)
{
	(void)sqlite3_bind_int64(st, at, (sqlite3_int64)v); /* at is in range by construction */
}

void db_bind_blob(sqlite3_stmt *st, int at, const void *p, size_t len)
{
	(void)sqlite3_bind_blob64(st, at, p, len, SQLITE_STATIC);
}

uint64_t db_u64(sqlite3_stmt *st, int at)
{
	return (uint64_t)sqlite3_column_int64(st, at);
}

bool db_bytes(sqlite3_stmt *st, int at, void *out, size_t len)
{
	const void *p = sqlite3_column_blob(st, at);

	if (!p || sqlite3_column_bytes(st, at) != (int)len)
		return false;
	memcpy(out, p, len);
	return true;
}

int db_open(const char *path, int flags, sqlite3 **out)
{
	kmn_auto(db_close) sqlite3 *db = NULL;
	struct stat st;
	int rc, r;

	if (!(flags & SQLITE_OPEN_CREATE) && stat(path, &st) < 0)
		return -errno;
	rc = sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
	if (rc != SQLITE_OK)
		return db_error(db, rc);
	(void)sqlite3_extended_result_codes(db, 1);
	(void)sqlite3_busy_timeout(db, BUSY_MS);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	r = db_run(db, "PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY");
	if (r < 0)
		return r;
	*out = KMN_TAKE(db);
	return 0;
}
