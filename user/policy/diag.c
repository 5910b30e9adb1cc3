#include "policy/diag.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "policy/arena.h"
#include "policy/tree.h"

#define SOURCES_MAX 64 /* more files than a policy can have (FILES_MAX of load.c) */

struct entry {
	struct policy_pos pos; /* file in the arena of the diagnostics */
	unsigned rank, seq;    /* of its file, of itself: the order to show */
	bool warning;
	char *what, *hint;
};

struct policy_diag {
	struct arena arena;
	struct source *source[SOURCES_MAX];
	unsigned sources, n, errors, warnings, lost;
	bool no_memory;
	struct entry entry[DIAG_MAX];
};

struct policy_diag *policy_diag_new(void)
{
	return calloc(1, sizeof(struct policy_diag));
}

void policy_diag_free(struct policy_diag *d)
{
	if (!d)
		return;
	for (unsigned i = 0; i < d->sources; i++)
		source_drop(d->source[i]);
	arena_free(&d->arena);
	free(d);
}

unsigned policy_errors(const struct policy_diag *d)
{
	return d->errors;
}

unsigned policy_warnings(const struct policy_diag *d)
{
	return d->warnings;
}

bool diag_full(const struct policy_diag *d)
{
	return d->n == DIAG_MAX;
}

static unsigned rank_of(const struct policy_diag *d, const char *file)
{
	for (unsigned i = 0; i < d->sources; i++)
		if (d->source[i]->name == file || !strcmp(d->source[i]->name, file))
			return i + 1;
	return SOURCES_MAX + 1;
}

int diag_source(struct policy_diag *d, struct source *s)
{
	if (rank_of(d, s->name) <= SOURCES_MAX)
		return 0;
	if (d->sources == SOURCES_MAX)
		return -E2BIG;
	d->source[d->sources++] = source_hold(s);
	return 0;
}

void diag_know(struct policy_diag *d, const struct policy *p)
{
	const struct tree *t = tree_of(p);

	for (unsigned i = 0; i < t->sources; i++)
		(void)diag_source(d, t->source[i]); /* without it a message has no line */
}

void diag_no_memory(struct policy_diag *d)
{
	if (!d->no_memory)
		d->errors++;
	d->no_memory = true;
}

static bool already(const struct policy_diag *d, const struct entry *e)
{
	for (unsigned i = 0; i < d->n; i++) {
		const struct entry *o = &d->entry[i];

		if (o->rank == e->rank && o->pos.line == e->pos.line && o->pos.col == e->pos.col &&
		    !strcmp(o->what, e->what))
			return true;
	}
	return false;
}

static void add(struct policy_diag *d, bool warning, struct policy_pos pos, const char *hint,
		const char *fmt, va_list ap)
{
	struct entry e = { .pos = pos, .seq = d->n, .warning = warning };
	char what[1024]; /* longer: cut; a message quotes at most a few words of the file */

	(void)vsnprintf(what, sizeof(what), fmt, ap);
	if (diag_full(d)) {
		d->lost++;
	} else {
		e.rank = pos.file ? rank_of(d, pos.file) : 0;
		e.what = arena_copy(&d->arena, what, strlen(what));
		e.hint = hint ? arena_copy(&d->arena, hint, strlen(hint)) : NULL;
		e.pos.file = pos.file ? arena_copy(&d->arena, pos.file, strlen(pos.file)) : NULL;
		if (!e.what || (hint && !e.hint) || (pos.file && !e.pos.file)) {
			diag_no_memory(d);
			return;
		}
		if (already(d, &e))
			return;
		d->entry[d->n++] = e;
	}
	if (warning)
		d->warnings++;
	else
		d->errors++;
}

static struct policy_pos pos_of(const struct policy_node *at)
{
	return at ? at->pos : (struct policy_pos){ NULL, 0, 0 };
}

void policy_error(struct policy_diag *d, const struct policy_node *at, const char *hint,
		  const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(d, false, pos_of(at), hint, fmt, ap);
	va_end(ap);
}

void policy_warn(struct policy_diag *d, const struct policy_node *at, const char *hint,
		 const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(d, true, pos_of(at), hint, fmt, ap);
	va_end(ap);
}

void diag_error(struct policy_diag *d, struct policy_pos pos, const char *hint, const char *fmt,
		...)
{
	va_list ap;

	va_start(ap, fmt);
	add(d, false, pos, hint, fmt, ap);
	va_end(ap);
}

void diag_fault(struct policy_diag *d, struct policy_pos pos, const char *hint, const char *fmt,
		uint32_t cp)
{
	char what[80];

	(void)snprintf(what, sizeof(what), fmt, cp);
	diag_error(d, pos, hint, "%s", what);
}

/* ---- showing ---- */
static int by_place(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	if (x->rank > SOURCES_MAX && strcmp(x->pos.file, y->pos.file))
		return strcmp(x->pos.file, y->pos.file);
	if (x->pos.line != y->pos.line)
		return x->pos.line < y->pos.line ? -1 : 1;
	if (x->pos.col != y->pos.col)
		return x->pos.col < y->pos.col ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static const char *line_of(const struct policy_diag *d, const struct entry *e, size_t *len)
{
	if (!e->rank || e->rank > d->sources || !e->pos.line)
		return NULL;
	return source_line(d->source[e->rank - 1], e->pos.line, len);
}

static void text_one(const struct policy_diag *d, const struct entry *e, bool colour,
		     struct buf *out)
{
	const char *severity = e->warning ? "warning" : "error", *line;
	uint32_t caret;
	size_t len;

	if (e->pos.file) {
		buf_add_safe(out, e->pos.file, strlen(e->pos.file));
		if (e->pos.line)
			buf_printf(out, ":%u:%u", e->pos.line, e->pos.col);
		buf_puts(out, ": ");
	}
	if (colour)
		buf_printf(out, "\033[1;%dm%s:\033[0m \033[1m", e->warning ? 33 : 31, severity);
	else
		buf_printf(out, "%s: ", severity);
	buf_add_safe(out, e->what, strlen(e->what));
	buf_puts(out, colour ? "\033[0m\n" : "\n");
	line = line_of(d, e, &len);
	if (line) {
		buf_printf(out, "%5u | ", e->pos.line);
		diag_excerpt(line, len, e->pos.col, out, &caret);
		buf_printf(out, "\n      | %*s%s\n", (int)caret, "",
			   colour ? "\033[1;32m^\033[0m" : "^");
	}
	if (e->hint) {
		buf_puts(out, "      = ");
		buf_add_safe(out, e->hint, strlen(e->hint));
		buf_puts(out, "\n");
	}
}

void policy_diag_text(struct policy_diag *d, bool colour, struct buf *out)
{
	qsort(d->entry, d->n, sizeof(*d->entry), by_place);
	for (unsigned i = 0; i < d->n; i++)
		text_one(d, &d->entry[i], colour, out);
	if (d->lost)
		buf_printf(out, "and %u more that are not shown\n", d->lost);
	if (d->no_memory)
		buf_puts(out, "error: no memory\n");
}

void policy_diag_json(struct policy_diag *d, struct json *j)
{
	qsort(d->entry, d->n, sizeof(*d->entry), by_place);
	for (unsigned i = 0; i < d->n; i++) {
		const struct entry *e = &d->entry[i];
		size_t len;
		const char *line = line_of(d, e, &len);

		json_object(j, NULL);
		json_str(j, "severity", e->warning ? "warning" : "error");
		json_str(j, "file", e->pos.file);
		if (e->pos.line) {
			json_u64(j, "line", e->pos.line);
			json_u64(j, "column", e->pos.col);
		}
		json_str(j, "message", e->what);
		if (e->hint)
			json_str(j, "hint", e->hint);
		if (line) /* as in the file; a reader of JSON is no terminal */
			json_text(j, "text",
				  (struct text){ line, len > 1024 ? 1024 : (uint32_t)len });
		json_end(j);
	}
	if (d->no_memory) {
		json_object(j, NULL);
		json_str(j, "severity", "error");
		json_str(j, "message", "no memory");
		json_end(j);
	}
}
