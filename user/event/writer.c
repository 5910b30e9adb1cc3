#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "event/writer.h"

#define RETRY_NS NS_PER_S	  /* after a write that failed */
#define EXPIRE_NS (60 * NS_PER_S) /* how often age is looked at */

struct writer {
	struct lane *lanes;
	struct event_store *store;
	pthread_t thread;
	sem_t wake;
	_Atomic bool quit, trusted;
	pthread_mutex_t lock; /* of report and budgets; held for a copy, never over I/O */
	struct writer_report report;
	struct {
		bool fresh; /* not obeyed yet */
		uint64_t bytes_max[EVENT_STREAMS];
		uint32_t days_max[EVENT_STREAMS];
	} budgets;
	/* the thread's own */
	size_t done[EVENT_STREAMS]; /* bytes of back that are written */
	uint64_t retry_ns[EVENT_STREAMS];
	bool failing[EVENT_STREAMS];
};

static void on_damaged(void *arg, enum event_stream stream, const char *what)
{
	struct writer *w = arg;

	(void)stream; /* what names it */
	(void)pthread_mutex_lock(&w->lock);
	if (w->report.n_notes < WRITER_NOTES) /* more of them are in the log */
		(void)snprintf(w->report.note[w->report.n_notes++], WRITER_NOTE_BYTES, "%s", what);
	(void)pthread_mutex_unlock(&w->lock);
}

static uint64_t count_frames(const uint8_t *p, size_t len)
{
	uint64_t n = 0;

	for (size_t at = 0; at < len; n++)
		at += STORE_FRAME_BYTES(((const struct store_frame *)(p + at))->len);
	return n;
}

static void publish(struct writer *w)
{
	struct store_stats st[EVENT_STREAMS];

	for (int i = 0; i < EVENT_STREAMS; i++)
		store_stats(w->store, (enum event_stream)i, &st[i]);
	(void)pthread_mutex_lock(&w->lock);
	memcpy(w->report.store, st, sizeof(st));
	(void)pthread_mutex_unlock(&w->lock);
}

static void tell_result(struct writer *w, int i, int result, uint64_t took_ns)
{
	(void)pthread_mutex_lock(&w->lock);
	if (result) {
		w->report.write_errors[i]++;
		(void)snprintf(w->report.error, sizeof(w->report.error), "%s: %s",
			       event_stream_name((uint8_t)i), strerror(-result));
	} else {
		w->report.commits[i]++;
		w->report.commit_ns[i] += took_ns;
	}
	if (!w->failing[0] && !w->failing[1])
		w->report.error[0] = '\0';
	(void)pthread_mutex_unlock(&w->lock);
}

/* Write what is handed over of one lane. True: it is done, or there was nothing. */
static bool write_lane(struct writer *w, int i)
{
	struct lane *l = &w->lanes[i];
	uint64_t begin = clock_boot_ns();
	size_t done = 0;
	int r;

	if (!atomic_load_explicit(&l->full, memory_order_acquire))
		return true;
	if (begin < w->retry_ns[i] && !atomic_load(&w->quit))
		return false;
	r = store_append(w->store, (enum event_stream)i, l->back + w->done[i],
			 l->back_len - w->done[i], !atomic_load(&l->behind), &done);
	atomic_fetch_add(&l->stored, count_frames(l->back + w->done[i], done));
	w->done[i] += done;
	if (r && !w->failing[i])
		log_error("event: store: %s cannot be written: %s; it is tried again each second",
			  event_stream_name((uint8_t)i), strerror(-r));
	else if (!r && w->failing[i])
		log_info("event: store: %s can be written again", event_stream_name((uint8_t)i));
	w->failing[i] = r != 0;
	tell_result(w, i, r, clock_boot_ns() - begin);
	if (r) {
		w->retry_ns[i] = clock_boot_ns() + RETRY_NS;
		return false;
	}
	w->done[i] = 0;
	atomic_store_explicit(&l->full, 0, memory_order_release);
	return true;
}

/* True: budgets that the store did not have. */
static bool take_budgets(struct writer *w)
{
	uint64_t bytes_max[EVENT_STREAMS];
	uint32_t days_max[EVENT_STREAMS];
	bool fresh;

	(void)pthread_mutex_lock(&w->lock);
	fresh = w->budgets.fresh;
	w->budgets.fresh = false;
	memcpy(bytes_max, w->budgets.bytes_max, sizeof(bytes_max));
	memcpy(days_max, w->budgets.days_max, sizeof(days_max));
	(void)pthread_mutex_unlock(&w->lock);
	if (fresh)
		store_budgets(w->store, bytes_max, days_max);
	return fresh;
}

/* Let go what is over the budgets; bounded, so that it goes on after the next look at the lanes. */
static void keep_budgets(struct writer *w, uint64_t *expire_ns)
{
	bool more;

	if (take_budgets(w))
		*expire_ns = 0;
	more = store_trim(w->store);
	if (clock_boot_ns() >= *expire_ns && atomic_load(&w->trusted)) {
		bool rest = store_expire(w->store, clock_wall_ns()) >= STORE_DROPS_MAX;

		*expire_ns = rest ? 0 : clock_boot_ns() + EXPIRE_NS;
		more |= rest;
	}
	if (more)
		(void)sem_post(&w->wake);
}

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	uint64_t expire_ns = 0;
	bool quit, done;

	do {
		struct timespec until;

		(void)clock_gettime(CLOCK_REALTIME, &until); /* sem_timedwait knows no other */
		until.tv_sec++;
		(void)sem_timedwait(&w->wake, &until); /* a signal or a clock step: one more look */
		quit = atomic_load(&w->quit);
		done = write_lane(w, EVENT_FINDINGS);
		done &= write_lane(w, EVENT_TELEMETRY);
		keep_budgets(w, &expire_ns);
		publish(w);
	} while (!quit);
	if (!done)
		log_error("event: store: events in memory are lost, for they cannot be written");
	return NULL;
}

static int start_thread(struct writer *w)
{
	int r = thread_start(&w->thread, writer_main, w);

	if (!r)
		(void)pthread_setname_np(w->thread, "komainu: store");
	return r;
}

struct writer *writer_new(const struct store_config *c, struct lane *lanes)
{
	struct writer *w = calloc(1, sizeof(*w));
	struct store_config config = *c;
	int r;

	if (!w)
		return NULL;
	w->lanes = lanes;
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)sem_init(&w->wake, 0, 0);
	atomic_store(&w->trusted, true);
	config.damaged = on_damaged;
	config.arg = w;
	r = store_open(&config, &w->store); /* logged */
	if (!r) {
		publish(w);
		r = start_thread(w);
		if (r < 0)
			(void)kmn_err(r, "event: store: start its thread");
	}
	if (r < 0) {
		store_close(w->store);
		(void)sem_destroy(&w->wake);
		(void)pthread_mutex_destroy(&w->lock);
		free(w);
		errno = -r;
		return NULL;
	}
	return w;
}

void writer_free(struct writer *w)
{
	if (!w)
		return;
	atomic_store(&w->quit, true);
	(void)sem_post(&w->wake);
	(void)pthread_join(w->thread, NULL);
	store_close(w->store);
	(void)sem_destroy(&w->wake);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}

bool writer_hand_over(struct writer *w, struct lane *l)
{
	uint8_t *empty = l->back;

	if (!l->len)
		return true;
	if (atomic_load_explicit(&l->full, memory_order_acquire)) {
		(void)sem_post(&w->wake);
		return false;
	}
	l->back = l->front;
	l->back_len = l->len;
	l->back_n = l->n;
	l->back_oldest_ns = l->oldest_ns;
	l->front = empty;
	l->len = l->n = l->oldest_ns = 0;
	atomic_store(&l->behind, false);
	atomic_store_explicit(&l->full, 1, memory_order_release);
	(void)sem_post(&w->wake);
	return true;
}

void writer_report(struct writer *w, struct writer_report *out)
{
	(void)pthread_mutex_lock(&w->lock);
	*out = w->report;
	w->report.n_notes = 0;
	(void)pthread_mutex_unlock(&w->lock);
}

void writer_budgets(struct writer *w, const uint64_t bytes_max[EVENT_STREAMS],
		    const uint32_t days_max[EVENT_STREAMS])
{
	(void)pthread_mutex_lock(&w->lock);
	memcpy(w->budgets.bytes_max, bytes_max, sizeof(w->budgets.bytes_max));
	memcpy(w->budgets.days_max, days_max, sizeof(w->budgets.days_max));
	w->budgets.fresh = true;
	(void)pthread_mutex_unlock(&w->lock);
	(void)sem_post(&w->wake);
}

void writer_trust_clock(struct writer *w, bool trusted)
{
	atomic_store(&w->trusted, trusted);
}

const char *writer_host_id(const struct writer *w)
{
	return store_host(w->store)->id;
}
