#pragma once
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>
#include "base/clock.h"
#include "event/encode.h"
#include "event/reader.h"
#include "event/store.h"
#include "event/verify.h"

/* A state folder of the test's own, and what is put into its store. */

static char state_dir[PATH_MAX - 200];

static inline int make_state_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	if (!access("/dev/shm", W_OK)) /* thousands of syncs are not what is tested */
		tmp = "/dev/shm";
	(void)snprintf(state_dir, sizeof(state_dir), "%s/kmn-store-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(state_dir) ? 0 : -1;
}

static inline void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	char name[PATH_MAX];
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if ((size_t)snprintf(name, sizeof(name), "%s/%s", path, e->d_name) >= sizeof(name))
			continue;
		if (unlink(name) < 0)
			remove_tree(name);
	}
	if (d)
		closedir(d);
	(void)rmdir(path);
}

static inline int remove_state_dir(void **state)
{
	(void)state;
	remove_tree(state_dir);
	return 0;
}

static inline void segment_name(char *out, size_t cap, enum event_stream stream, unsigned number,
				const char *ending)
{
	(void)snprintf(out, cap, "%s/events/%s/%08u.%s", state_dir,
		       event_stream_name((uint8_t)stream), number, ending);
}

static inline struct store_config small_store(void)
{
	return (struct store_config){ .state_dir = state_dir,
				      .bytes_max = { 64 << 20, 64 << 20 },
				      .days_max = { 400, 7 } };
}

/* n events; event i has its number in EVENT_F_bytes and len bytes of random detail. */
struct frames {
	uint8_t *p;
	size_t len;
};

static inline void add_event(struct frames *f, uint64_t number, uint64_t time_ns, uint32_t len)
{
	static char detail[8192];
	static unsigned seed = 3;
	struct store_frame *head;
	struct event ev;
	int n;

	for (uint32_t i = 0; i < len; i++)
		detail[i] = (char)rand_r(&seed);
	event_init(&ev, KMN_MOD_firewall, KMN_EV_DENIED, EVENT_FINDINGS);
	ev.time_ns = time_ns;
	ev.boot_ns = number;
	event_u64(&ev, EVENT_F_bytes, number);
	event_text(&ev, EVENT_F_detail, (struct text){ detail, len });
	head = (struct store_frame *)(f->p + f->len);
	n = event_encode(&ev, head + 1, 16384);
	assert_true(n > 0);
	*head = (struct store_frame){
		.len = (uint32_t)n, .part = ev.part, .severity = ev.severity, .time_ns = time_ns
	};
	f->len += STORE_FRAME_BYTES(n);
}

static inline int store_events(struct event_store *s, enum event_stream stream, uint64_t first,
			       uint64_t n, uint32_t len, uint64_t time_ns)
{
	struct frames f = { malloc(n * (len + 256) + 16384), 0 };
	size_t done;
	int r;

	for (uint64_t i = 0; i < n; i++)
		add_event(&f, first + i, time_ns + i * 1000, len);
	r = store_append(s, stream, f.p, f.len, true, &done);
	if (!r)
		assert_int_equal(done, f.len);
	free(f.p);
	return r;
}

/* Reads all; checks that numbers follow each other and (payload) that event seq says seq + shift.
 */
static inline uint64_t read_all(enum event_stream stream, uint64_t *first, uint64_t *last)
{
	struct event_reader *r;
	static struct event ev;
	uint64_t n = 0;
	int e;

	assert_int_equal(event_reader_open(state_dir, stream, &r), 0);
	while ((e = event_reader_next(r, &ev)) > 0) {
		if (!n++)
			*first = ev.seq;
		else
			assert_int_equal(ev.seq, *last + 1);
		*last = ev.seq;
		assert_int_equal(event_get_u64(&ev, EVENT_F_bytes, 0), ev.seq);
	}
	assert_int_equal(e, 0);
	event_reader_close(r);
	return n;
}

struct said {
	unsigned n;
	char all[8192];
};

static inline void remember(void *arg, const char *what)
{
	struct said *s = arg;
	size_t len = strlen(s->all);

	s->n++;
	(void)snprintf(s->all + len, sizeof(s->all) - len, "%s\n", what);
}

static inline void verify(enum event_stream stream, struct said *said, struct verify_result *result)
{
	struct hostkey key;

	memset(said, 0, sizeof(*said));
	assert_int_equal(hostkey_read_public(state_dir, &key), 0);
	assert_int_equal(event_verify(state_dir, stream, &key, remember, said, result), 0);
	assert_int_equal(said->n, result->problems);
}

static inline void assert_verified(enum event_stream stream)
{
	struct verify_result result;
	struct said said;

	verify(stream, &said, &result);
	if (said.n)
		print_error("%s", said.all);
	assert_int_equal(said.n, 0);
	assert_int_equal(result.missing, 0);
}

/* Change a segment behind the store's back. */
static inline void sql(unsigned number, const char *statement)
{
	char path[PATH_MAX], *error = NULL;
	sqlite3 *db = NULL;

	segment_name(path, sizeof(path), EVENT_FINDINGS, number, "db");
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, statement, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s: %s", statement, error);
	assert_true(sqlite3_total_changes(db) > 0);
	sqlite3_close(db);
}
