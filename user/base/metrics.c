#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/metrics.h"

#define METRICS_LABELS_MAX 8

struct family {
	char *name, *help;
	enum metrics_type type;
	struct buf samples;
};

struct kmn_metrics {
	struct family family[METRICS_FAMILIES_MAX];
	unsigned n, samples;
	struct family *now; /* NULL: what follows is left out */
	uint64_t left_out;
};

struct kmn_metrics *metrics_new(void)
{
	return calloc(1, sizeof(struct kmn_metrics));
}

void metrics_free(struct kmn_metrics *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < m->n; i++) {
		free(m->family[i].name);
		free(m->family[i].help);
		buf_free(&m->family[i].samples);
	}
	free(m);
}

static bool name_good(const char *name, enum metrics_type type)
{
	size_t len = strlen(name);

	if (len < 9 || strncmp(name, "komainu_", 8) != 0 ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != len)
		return false;
	return type != METRICS_COUNTER || (len > 6 && !strcmp(name + len - 6, "_total"));
}

void metrics_family(struct kmn_metrics *m, const char *name, enum metrics_type type,
		    const char *help)
{
	struct family *f;

	if (!m)
		return;
	m->now = NULL;
	for (unsigned i = 0; i < m->n && !m->now; i++)
		if (!strcmp(m->family[i].name, name))
			m->now = &m->family[i];
	if (m->now || m->n == METRICS_FAMILIES_MAX || !name_good(name, type))
		return;
	f = &m->family[m->n];
	f->name = strdup(name);
	f->help = strdup(help);
	f->type = type;
	if (!f->name || !f->help) {
		free(f->name);
		free(f->help);
		*f = (struct family){ 0 };
		return;
	}
	m->n++;
	m->now = f;
}

/* A backslash and a line feed are escaped everywhere, a quote in label values. */
static void add_escaped(struct buf *out, const char *text, bool quote)
{
	for (; *text; text++)
		if (*text == '\\' || (quote && *text == '"'))
			buf_printf(out, "\\%c", *text);
		else if (*text == '\n')
			buf_puts(out, "\\n");
		else
			buf_add(out, text, 1);
}

static void add_labels(struct buf *out, va_list ap)
{
	const char *name;
	unsigned n = 0;

	while (n < METRICS_LABELS_MAX && (name = va_arg(ap, const char *))) {
		const char *value = va_arg(ap, const char *);
		struct buf safe = { 0 };

		buf_add_safe(&safe, value ? value : "", value ? strlen(value) : 0);
		buf_printf(out, "%s%s=\"", n++ ? "," : "{", name);
		add_escaped(out, buf_text(&safe), true);
		buf_puts(out, "\"");
		buf_free(&safe);
	}
	if (n)
		buf_puts(out, "}");
}

static void sample(struct kmn_metrics *m, const char *value, va_list ap)
{
	if (!m->now || m->samples == METRICS_SAMPLES_MAX) {
		m->left_out++;
		return;
	}
	m->samples++;
	buf_puts(&m->now->samples, m->now->name);
	add_labels(&m->now->samples, ap);
	buf_printf(&m->now->samples, " %s\n", value);
}

void metrics_u64(struct kmn_metrics *m, uint64_t value, ...)
{
	char text[24];
	va_list ap;

	if (!m)
		return;
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	va_start(ap, value);
	sample(m, text, ap);
	va_end(ap);
}

void metrics_double(struct kmn_metrics *m, double value, ...)
{
	char text[40];
	va_list ap;

	if (!m)
		return;
	if (isnan(value))
		(void)snprintf(text, sizeof(text), "NaN");
	else if (isinf(value))
		(void)snprintf(text, sizeof(text), value > 0 ? "+Inf" : "-Inf");
	else
		(void)snprintf(text, sizeof(text), "%.9g", value);
	va_start(ap, value);
	sample(m, text, ap);
	va_end(ap);
}

void metrics_text(const struct kmn_metrics *m, struct buf *out)
{
	if (!m)
		return;
	for (unsigned i = 0; i < m->n; i++) {
		const struct family *f = &m->family[i];

		if (!f->samples.len)
			continue;
		buf_printf(out, "# HELP %s ", f->name);
		add_escaped(out, f->help, false);
		buf_printf(out, "\n# TYPE %s %s\n", f->name,
			   f->type == METRICS_COUNTER ? "counter" : "gauge");
		buf_add(out, f->samples.data, f->samples.len);
	}
	if (m->left_out) {
		buf_puts(out, "# HELP komainu_metrics_left_out_total Samples not shown.\n"
			      "# TYPE komainu_metrics_left_out_total counter\n");
		buf_printf(out, "komainu_metrics_left_out_total %llu\n",
			   (unsigned long long)m->left_out);
	}
}
