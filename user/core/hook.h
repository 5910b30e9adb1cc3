#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/json.h"

/* One place in the kernel where a program of ours hangs. Attached is not enforced: only a canary
 * that the program itself has seen makes it proven. */
enum hook_state { HOOK_OFF, HOOK_ATTACHED, HOOK_PROVEN, HOOK_FAILED };

struct hook {
	char key[64];	  /* which it is, for ever: what its pin is called */
	char name[64];	  /* for people: "tc/eth0/ingress", "tp_btf/sched_process_exec"; the owner
			   * may write another (an interface was renamed) */
	uint8_t part;	  /* enum kmn_part_id of its owner */
	unsigned place;	  /* in the table, whose business it is */
	const char *type; /* attach type: tcx clsact cgroup tp_btf fentry lsm ... (static text) */
	const char *rung; /* for enforcement: lsm fmod_ret fanotify kill detect; NULL = none */
	bool survives;	  /* enforcement or events go on when the daemon dies (pinned) */
	bool required;	  /* when it is not proven, its owner is degraded */
	bool unsettled;	  /* its link hangs beside that of the sensor before, until it is proven */
	enum hook_state state;
	int ifindex; /* of a packet hook; 0 = none */
	bool egress;
	uint64_t proven_ns;  /* boot clock of the last proof */
	uint64_t proven_gen; /* policy generation that the canary saw */
	char why[160];	     /* reason of off and failed; "" otherwise */
};

struct hook_table; /* at most HOOKS_MAX hooks, in the order they were added */
#define HOOKS_MAX 4096

struct hook_table *hook_table_new(void);
void hook_table_free(struct hook_table *t);

/* The hook of that key, which is also its name, made when it is new; NULL when the table is full
 * (logged, counted). */
struct hook *hook_get(struct hook_table *t, uint8_t part, const char *key);
void hook_remove(struct hook_table *t, const char *key);
void hook_failed(struct hook *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* There is nothing to judge there now, which is no fault: why is shown, nobody is alarmed. */
void hook_off(struct hook *h, const char *why);
void hook_proven(struct hook *h, uint64_t gen);

/* Walk: h = hook_next(t, NULL), then hook_next(t, h), until NULL. */
struct hook *hook_next(struct hook_table *t, const struct hook *h);

/* Worst required hook of a part: is it all proven, and if not, which hook and why. */
bool hook_part_proven(struct hook_table *t, uint8_t part, const struct hook **worst);
void hook_json(const struct hook *h, struct json *j);
