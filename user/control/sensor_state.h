#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "control/sensor.h"
#include "control/socket.h"
#include "core/command.h"
#include "event/event.h"
#include "event/live.h"
#include "event/ring.h"
#include "event/sink.h"
#include "event/tail.h"
#include "policy/transaction.h"

/* The running sensor: shared by sensor.c (life), sensor_policy.c and sensor_reload.c
 * (transactions), sensor_serve.c (answers) and sensor_status.c (what it says of itself) only. */

#define SENSOR_PARTS_MAX 64

/* One part of this run: a service or a module. */
struct sensor_part {
	const struct kmn_part *part;
	const struct kmn_module *module; /* NULL: a service */
	void *self;			 /* NULL: it did not start */
	int status;			 /* of start or attach: 0, or -errno */
	enum kmn_level level;		 /* as last told by an event */
};

struct sensor {
	const struct kmn_roof *roof;
	const struct sensor_options *options;
	struct kernel kernel;
	struct kmn_core core;
	struct event_kinds kinds;
	struct event_ring *rings;
	struct event_live *live; /* --foreground; NULL: not asked for */
	struct event_tail *tail; /* --foreground --json; the same */
	struct sensor_part part[SENSOR_PARTS_MAX];
	unsigned n_parts;

	struct metrics_socket *metrics; /* NULL: it could not be opened */

	struct policy *policy;		  /* in force */
	struct policy_outcome last;	  /* of the newest transaction, good or not */
	bool loaded;			  /* a generation of ours is in force */
	struct sensor_load *load;	  /* a policy on its way beside the loop; NULL: none */
	bool load_again;		  /* SIGHUP came meanwhile: once more when it has ended */
	struct worker_stats load_workers; /* of the workers of policies that were loaded */
	char last_error[256];
	uint64_t last_ns; /* boot clock */
	uint64_t reloads, refused;
	enum kmn_mode mode[SENSOR_PARTS_MAX]; /* of each module, as the policy in force says */

	uint64_t started_ns;
	uint64_t ticks;
	int exit_code;
	bool unload, ran;
	bool settled;	/* every tracing link is proven, and the old ones are gone */
	bool kept;	/* what the sensor before left stays until all hooks are taken over */
	bool tail_held; /* the thread that prints did not end: this must live on */
};

/* Harmless acts at every hook that has one; what comes of them arrives later (sensor.c). */
void sensor_fire_canaries(struct sensor *s);

/* Parse, check, compile, stage, commit, at the start: it waits. text: all diagnostics for a person.
 * 0, or -errno. */
int sensor_apply(struct sensor *s, struct buf *text, bool colour);
/* What both ways of loading end with: p (taken when status is 0) is in force, or why not is kept
 * for status. Returns status. */
int sensor_loaded(struct sensor *s, int status, struct policy *p, struct policy_diag *d);
/* selves of the modules, in the order of roof->modules; SENSOR_PARTS_MAX of room. */
void sensor_module_selves(const struct sensor *s, void **out);

/* The same in a sensor that runs (sensor_reload.c): all but the commit happens in a thread beside
 * the loop, then canaries, an event, sd_notify. check: only the first half, which changes nothing.
 * asked, id: whom to answer when it has ended; NULL: nobody. -EBUSY: a policy is on its way,
 * nothing was done; else 0, or -errno, logged. */
int sensor_reload(struct sensor *s, bool check, struct control_socket *asked, uint64_t id);
/* The loop has ended: so must what it began. */
void sensor_reload_end(struct sensor *s);
/* Members of the open object about a policy on its way. */
void sensor_reload_json(const struct sensor *s, struct json *j);
/* The answer to "reload" and "reload-check". */
void sensor_answer_outcome(struct control_socket *c, uint64_t id, int status,
			   const struct policy_outcome *o, struct buf *text);

/* Before anything is touched: parse and check the policy, and take the store's budgets from it. All
 * diagnostics into text. 0, or -EINVAL. */
int sensor_read_policy(struct sensor *s, struct buf *text, bool colour,
		       struct event_sink_config *sink);

/* Each second: an event when a part's health changed. */
void sensor_watch_health(struct sensor *s);
void sensor_heartbeat(struct sensor *s);
/* Open the control socket with the sensor's answers, and the one for metrics; NULL and errno. */
struct control_socket *sensor_serve(struct sensor *s);

/* Health of one part from its hooks, its own word and its mode; why: KMN_WHY_MAX bytes. */
enum kmn_level sensor_health(struct sensor *s, const struct sensor_part *p, char *why);
/* The worst of all parts. */
enum kmn_level sensor_level(struct sensor *s);
void sensor_status_json(struct sensor *s, struct json *j);
void sensor_metrics_text(struct sensor *s, struct buf *out);
uint64_t sensor_memory_max(struct sensor *s);
/* Run the self-tests of all parts; true when none failed. */
bool sensor_selftest_json(struct sensor *s, struct json *j);

/* An event of the sensor itself. */
void sensor_say(struct sensor *s, uint8_t kind, enum event_severity severity, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
