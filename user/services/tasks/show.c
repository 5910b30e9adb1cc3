#include <inttypes.h>
#include <string.h>
#include "base/buf.h"
#include "services/tasks/tasks_self.h"

#define ARGS_SHOWN 1024 /* bytes of arguments on a line for people */

static void add_quoted(struct buf *out, const char *p, uint32_t len)
{
	buf_putc(out, '"');
	for (uint32_t i = 0, from = 0; i <= len; i++) {
		if (i < len && p[i] != '"' && p[i] != '\\')
			continue;
		buf_add_safe(out, p + from, i - from);
		if (i < len) {
			buf_putc(out, '\\');
			buf_putc(out, p[i]);
		}
		from = i + 1;
	}
	buf_putc(out, '"');
}

static void add_args(struct buf *out, struct text args)
{
	uint32_t shown = args.len < ARGS_SHOWN ? args.len : ARGS_SHOWN;

	for (uint32_t at = 0; at < shown;) {
		const char *nul = memchr(args.p + at, '\0', shown - at);
		uint32_t len = nul ? (uint32_t)(nul - args.p) - at : shown - at;

		buf_putc(out, ' ');
		add_quoted(out, args.p + at, len);
		at += len + 1;
	}
	if (shown < args.len)
		buf_printf(out, " ... %u bytes in all", args.len);
}

static const struct process_view *view(const struct event *ev, uint32_t i)
{
	static const struct process_view nobody;

	return i < ev->who.n ? &ev->who.p[i] : &nobody;
}

/* Whose act it was stands behind each of these texts: event_add_who(). */

void tasks_exec_text(const struct event *ev, struct buf *out)
{
	const struct process_view *p = view(ev, 0);

	buf_puts(out, "exec ");
	if (p->exe.len)
		buf_add_safe(out, p->exe.p, p->exe.len);
	else
		buf_puts(out, "?");
	add_args(out, p->args);
	if (p->flags & PROCESS_MEMFD)
		buf_puts(out, ", from memory (memfd)");
	if (p->flags & PROCESS_DELETED)
		buf_puts(out, ", its file is deleted");
	if (p->flags & PROCESS_UPPER)
		buf_puts(out, ", not from the image");
	if (p->flags & PROCESS_ARGS_CUT)
		buf_puts(out, ", arguments cut");
	if (p->flags & PROCESS_PATH_CUT)
		buf_puts(out, ", path cut");
}

void tasks_fork_text(const struct event *ev, struct buf *out)
{
	(void)ev;
	buf_puts(out, "fork");
}

void tasks_exit_text(const struct event *ev, struct buf *out)
{
	uint64_t signo = event_get_u64(ev, EVENT_F_exit_signal, 0);

	buf_puts(out, "exit");
	if (signo)
		buf_printf(out, " by signal %" PRIu64, signo);
	else
		buf_printf(out, " with code %" PRIu64, event_get_u64(ev, EVENT_F_exit_code, 0));
}

static void add_change(const struct event *ev, struct buf *out, const char *what,
		       enum event_field_id old, enum event_field_id now, bool hex)
{
	uint64_t a = event_get_u64(ev, old, 0), b = event_get_u64(ev, now, 0);

	if (a == b)
		return;
	if (hex)
		buf_printf(out, " %s %" PRIx64 " -> %" PRIx64, what, a, b);
	else
		buf_printf(out, " %s %" PRIu64 " -> %" PRIu64, what, a, b);
}

void tasks_cred_text(const struct event *ev, struct buf *out)
{
	struct text detail = event_get_text(ev, EVENT_F_detail);

	buf_puts(out, "credentials");
	add_change(ev, out, "uid", EVENT_F_old_uid, EVENT_F_new_uid, false);
	add_change(ev, out, "euid", EVENT_F_old_euid, EVENT_F_new_euid, false);
	add_change(ev, out, "gid", EVENT_F_old_gid, EVENT_F_new_gid, false);
	add_change(ev, out, "capabilities", EVENT_F_old_caps, EVENT_F_new_caps, true);
	if (detail.len) {
		buf_puts(out, ", ");
		buf_add_safe(out, detail.p, detail.len);
	}
}

/* ---- OCSF: Process Activity; the processes themselves are written already ---- */
void tasks_exec_ocsf(const struct event *ev, struct json *j)
{
	(void)ev;
	json_u64(j, "launch_type_id", 3); /* Exec */
	json_str(j, "launch_type", "Exec");
}

void tasks_fork_ocsf(const struct event *ev, struct json *j)
{
	(void)ev;
	json_u64(j, "launch_type_id", 2);
	json_str(j, "launch_type", "Fork");
}

void tasks_exit_ocsf(const struct event *ev, struct json *j)
{
	uint64_t signo = event_get_u64(ev, EVENT_F_exit_signal, 0);

	/* as a shell says it: 128 and the signal */
	json_u64(j, "exit_code", signo ? 128 + signo : event_get_u64(ev, EVENT_F_exit_code, 0));
}

void tasks_cred_ocsf(const struct event *ev, struct json *j)
{
	json_u64(j, "actual_permissions", event_get_u64(ev, EVENT_F_new_caps, 0));
}
