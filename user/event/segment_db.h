#pragma once
#include <sqlite3.h>
#include "base/auto.h"
#include "event/segment.h"

/* What reading and writing a segment have in common. Inside of segment_*.c only. */

/* "KMNE" in the header of the file: what file(1) reads. */
#define SEGMENT_APPLICATION_ID 0x4b4d4e45

struct segment {
	sqlite3 *db;
	sqlite3_stmt *put, *get[2][2]; /* get[filtered][backward] */
	uint8_t *raw;
	size_t raw_cap;
};

/* Open a file that is there and see that it is a segment; what reads is prepared. flags: of
 * sqlite3_open_v2(). */
int segment_open(const char *path, int flags, struct segment **out);

/* SQLite's result as 0 or -errno; rows and the end of rows are 0. */
int db_error(sqlite3 *db, int rc);
int db_open(const char *path, int flags, sqlite3 **out); /* -ENOENT without SQLITE_OPEN_CREATE */
void db_close(sqlite3 *db);
KMN_AUTO_DEFINE(sqlite3 *, db_close)
int db_run(sqlite3 *db, const char *sql);
int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **st);
void db_finalize(sqlite3_stmt *st);
KMN_AUTO_DEFINE(sqlite3_stmt *, db_finalize)

/* Parameters count from 1, columns from 0. */
void db_bind_u64(sqlite3_stmt *st, int at, uint64_t v);
void db_bind_blob(sqlite3_stmt *st, int at, const void *p, size_t len); /* lives until the step */
uint64_t db_u64(sqlite3_stmt *st, int at);
bool db_bytes(sqlite3_stmt *st, int at, void *out, size_t len); /* false: not of that length */
