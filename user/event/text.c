#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/term.h"
#include "event/text.h"

#define LINE_TEXT_MAX 400 /* bytes of one text in a line; --json has it whole */

static void add_time(struct buf *out, uint64_t time_ns, bool date)
{
	static time_t cached =
		-1; /* one conversion a second; the loop's and the CLI's one thread */
	static char day[16], clock[16];
	time_t t = (time_t)(time_ns / NS_PER_S);

	if (t != cached) {
		struct tm tm;

		if (!localtime_r(&t, &tm))
			memset(&tm, 0, sizeof(tm));
		(void)strftime(day, sizeof(day), "%Y-%m-%d ", &tm);
		(void)strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
		cached = t;
	}
	if (date)
		buf_puts(out, day);
	buf_printf(out, "%s.%03u ", clock, (unsigned)(time_ns / NS_PER_MS % 1000));
}

static enum term_colour severity_colour(uint8_t severity)
{
	switch (severity) {
	case EVENT_CRITICAL:
	case EVENT_HIGH:
		return TERM_RED;
	case EVENT_MEDIUM:
		return TERM_YELLOW;
	case EVENT_LOW:
		return TERM_CYAN;
	}
	return TERM_DIM;
}

static void add_column(struct buf *out, bool colours, enum term_colour c, const char *text,
		       int width)
{
	term_add(out, colours, c, text);
	buf_printf(out, "%*s ", (int)strlen(text) < width ? width - (int)strlen(text) : 0, "");
}

static void add_cut(struct buf *out, struct text t, uint32_t max)
{
	buf_add_safe(out, t.p, t.len < max ? t.len : max);
	if (t.len > max)
		buf_printf(out, "...(+%u)", t.len - max);
}

static bool plain_word(const char *p, uint32_t len)
{
	static const char also[] = "/._-+=:,@%^";

	for (uint32_t i = 0; i < len; i++) {
		char c = p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    !memchr(also, c, sizeof(also) - 1) && !((unsigned char)c & 0x80))
			return false;
	}
	return len > 0;
}

void event_add_args(struct buf *out, struct text args, uint32_t max)
{
	uint32_t shown = args.len < max ? args.len : max;

	for (uint32_t at = 0; at < shown;) {
		const char *p = args.p + at, *nul = memchr(p, '\0', shown - at);
		uint32_t len = nul ? (uint32_t)(nul - p) : shown - at;

		if (at)
			buf_putc(out, ' ');
		if (plain_word(p, len)) {
			buf_add_safe(out, p, len);
		} else {
			buf_putc(out, '\'');
			for (uint32_t i = 0, from = 0; i <= len; i++)
				if (i == len || p[i] == '\'') {
					buf_add_safe(out, p + from, i - from);
					if (i < len)
						buf_puts(out, "'\\''");
					from = i + 1;
				}
			buf_putc(out, '\'');
		}
		at += len + 1;
	}
	if (shown < args.len)
		buf_printf(out, " ...(+%u bytes)", args.len - shown);
}

void event_add_who(const struct event *ev, struct buf *out)
{
	const struct container_view *c = &ev->who.container;

	for (uint32_t i = 0; i < ev->who.n; i++) {
		const struct process_view *p = &ev->who.p[i];

		buf_puts(out, i ? " < " : "  [");
		add_cut(out, process_name(p), 40);
		buf_printf(out, "(%u)", p->pid);
		if (!i && p->user.p) {
			buf_putc(out, ' ');
			add_cut(out, p->user, 32);
		} else if (!i && p->source != PROCESS_UNKNOWN) {
			buf_printf(out, " uid=%u", p->uid);
		}
	}
	if (ev->who.n)
		buf_putc(out, ']');
	if (!c->id.len && !c->name.len)
		return;
	buf_puts(out, "  {");
	add_cut(out, c->runtime.len ? c->runtime : text_of("container"), 20);
	buf_putc(out, ' ');
	if (c->name.len)
		add_cut(out, c->name, 64);
	else
		add_cut(out, (struct text){ c->id.p, c->id.len < 12 ? c->id.len : 12 }, 12);
	if (c->image.len) {
		buf_putc(out, ' ');
		add_cut(out, c->image, 80);
	}
	buf_putc(out, '}');
}

void event_line(const struct event *ev, const struct event_kinds *kinds,
		const struct event_text_style *style, struct buf *out)
{
	const struct kmn_event_kind *kind = event_kind_find(kinds, ev->part, ev->kind);
	char unknown[16];

	(void)snprintf(unknown, sizeof(unknown), "kind-%u", ev->kind);
	add_time(out, ev->time_ns, style->date);
	add_column(out, style->colours, severity_colour(ev->severity),
		   event_severity_name(ev->severity), 8);
	add_column(out, style->colours, TERM_PLAIN, event_part_name(kinds, ev->part), 8);
	if (kind && kind->text) {
		kind->text(ev, out);
	} else {
		buf_puts(out, kind ? kind->name : unknown);
		if (ev->message.p) {
			buf_putc(out, ' ');
			add_cut(out, ev->message, LINE_TEXT_MAX);
		}
	}
	event_add_who(ev, out);
	buf_putc(out, '\n');
}
