#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "core/hook.h"

struct hook_table {
	struct hook *hook[HOOKS_MAX];
	unsigned n;
};

static const char *const state_names[] = { "off", "attached", "proven", "failed" };

struct hook_table *hook_table_new(void)
{
	return calloc(1, sizeof(struct hook_table));
}

void hook_table_free(struct hook_table *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < t->n; i++)
		free(t->hook[i]);
	free(t);
}

static unsigned find(const struct hook_table *t, const char *key)
{
	unsigned i = 0;

	while (i < t->n && strcmp(t->hook[i]->key, key))
		i++;
	return i;
}

struct hook *hook_get(struct hook_table *t, uint8_t part, const char *key)
{
	unsigned i = find(t, key);
	struct hook *h;

	if (i < t->n)
		return t->hook[i];
	if (t->n == HOOKS_MAX || strlen(key) >= sizeof(h->key)) {
		(void)kmn_err(-ENOSPC, "hook %s: no room in the table of %d", key, HOOKS_MAX);
		return NULL;
	}
	h = calloc(1, sizeof(*h));
	if (!h) {
		(void)kmn_err(-ENOMEM, "hook %s", key);
		return NULL;
	}
	(void)snprintf(h->key, sizeof(h->key), "%s", key);
	(void)snprintf(h->name, sizeof(h->name), "%s", key);
	h->part = part;
	h->required = true;
	h->place = t->n;
	t->hook[t->n++] = h;
	return h;
}

void hook_remove(struct hook_table *t, const char *key)
{
	unsigned i = find(t, key);

	if (i == t->n)
		return;
	free(t->hook[i]);
	t->n--;
	memmove(&t->hook[i], &t->hook[i + 1], (t->n - i) * sizeof(*t->hook));
	for (; i < t->n; i++)
		t->hook[i]->place = i;
}

void hook_failed(struct hook *h, const char *fmt, ...)
{
	enum hook_state before = h->state;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(h->why, sizeof(h->why), fmt, ap); /* cut: one sentence is enough */
	va_end(ap);
	h->state = HOOK_FAILED;
	if (before != HOOK_FAILED)
		log_warn("hook %s: %s", h->name, h->why);
}

void hook_off(struct hook *h, const char *why)
{
	(void)snprintf(h->why, sizeof(h->why), "%s", why);
	if (h->state != HOOK_OFF)
		log_info("hook %s: off: %s", h->name, why);
	h->state = HOOK_OFF;
	h->required = false;
}

void hook_proven(struct hook *h, uint64_t gen)
{
	h->state = HOOK_PROVEN;
	h->proven_ns = clock_boot_ns();
	h->proven_gen = gen;
	h->why[0] = '\0';
}

struct hook *hook_next(struct hook_table *t, const struct hook *h)
{
	unsigned i = h ? h->place + 1 : 0;

	return i < t->n ? t->hook[i] : NULL;
}

bool hook_part_proven(struct hook_table *t, uint8_t part, const struct hook **worst)
{
	const struct hook *bad = NULL;

	for (unsigned i = 0; i < t->n; i++) {
		const struct hook *h = t->hook[i];

		if (h->part != part || !h->required || h->state == HOOK_PROVEN)
			continue;
		if (!bad || h->state == HOOK_FAILED)
			bad = h;
		if (bad->state == HOOK_FAILED)
			break;
	}
	*worst = bad;
	return !bad;
}

void hook_json(const struct hook *h, struct json *j)
{
	json_object(j, NULL);
	json_str(j, "name", h->name);
	json_str(j, "type", h->type);
	if (h->rung)
		json_str(j, "rung", h->rung);
	json_str(j, "state", state_names[h->state]);
	json_bool(j, "required", h->required);
	json_bool(j, "survives", h->survives);
	if (h->proven_ns) {
		json_u64(j, "proven_ns", h->proven_ns);
		json_u64(j, "proven_age_ms", (clock_boot_ns() - h->proven_ns) / NS_PER_MS);
		json_u64(j, "proven_gen", h->proven_gen);
	}
	if (h->why[0])
		json_str(j, "why", h->why);
	json_end(j);
}
