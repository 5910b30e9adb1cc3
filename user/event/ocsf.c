#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/utf8.h"
#include "event/ocsf.h"
#include "event/text.h"
#include "event/texts.h"

#define PROCESS_ACTIVITY 1007

/* ---- objects ---- */

void ocsf_product(struct json *j)
{
	json_str(j, "name", "komainu");
	json_str(j, "vendor_name", "komainu");
	json_str(j, "version", KMN_VERSION);
}

static const char *address(const uint8_t ip[16], char out[INET6_ADDRSTRLEN])
{
	static const uint8_t v4[12] = { [10] = 0xff, [11] = 0xff };
	bool is_v4 = !memcmp(ip, v4, sizeof(v4));

	return inet_ntop(is_v4 ? AF_INET : AF_INET6, ip + (is_v4 ? 12 : 0), out, INET6_ADDRSTRLEN);
}

void ocsf_endpoint(struct json *j, const char *key, const struct event *ev, enum event_field_id ip,
		   enum event_field_id port)
{
	const struct event_field *a = event_get(ev, ip), *p = event_get(ev, port);
	char text[INET6_ADDRSTRLEN];

	if (!a || a->type != EVENT_IP)
		return;
	json_object(j, key);
	json_str(j, "ip", address(a->ip, text));
	if (p && p->type == EVENT_U64)
		json_u64(j, "port", p->u);
	json_end(j);
}

static void optional_text(struct json *j, const char *key, struct text t)
{
	if (t.p)
		json_text(j, key, t);
}

static void container(struct json *j, const struct container_view *c)
{
	if (!c->id.len && !c->name.len)
		return;
	json_object(j, "container");
	optional_text(j, "uid", c->id);
	optional_text(j, "name", c->name);
	optional_text(j, "runtime", c->runtime);
	if (c->image.len) {
		json_object(j, "image");
		json_text(j, "uid", c->image); /* the reference: the digest is not known */
		json_text(j, "name", c->image);
		json_end(j);
	}
	json_end(j);
}

/* cmd_line wants one string: arguments with a blank between them. The list stands in unmapped. */
static void command_line(struct json *j, const char *key, struct text args)
{
	char mem[EVENT_ARGS_MAX];
	uint32_t len = args.len < sizeof(mem) ? args.len : (uint32_t)sizeof(mem);

	if (!args.p)
		return;
	while (len && !args.p[len - 1])
		len--;
	for (uint32_t i = 0; i < len; i++)
		mem[i] = args.p[i] ? args.p[i] : ' ';
	json_text(j, key, (struct text){ mem, len });
}

static uint64_t wall_ms(const struct event *ev, uint64_t boot_ns)
{
	return (ev->time_ns - ev->boot_ns + boot_ns) / NS_PER_MS;
}

static void file(struct json *j, const struct process_view *p)
{
	if (!p->exe.len)
		return;
	json_object(j, "file");
	json_text(j, "name", text_base(p->exe));
	json_text(j, "path", p->exe);
	json_u64(j, "type_id", 1); /* regular file */
	if (p->exe_id.ino)
		json_printf(j, "uid", "%u:%u/%llu/%u", p->exe_id.dev >> 20, p->exe_id.dev & 0xfffff,
			    (unsigned long long)p->exe_id.ino, p->exe_id.gen);
	if (p->flags & PROCESS_DELETED)
		json_bool(j, "is_deleted", true);
	json_end(j);
}

/* What a process object has of its own; brief: as one of ancestry (process_entity). */
static void process_members(struct json *j, const struct event *ev, const struct process_view *p,
			    bool brief)
{
	json_u64(j, "pid", p->pid);
	if (p->start_ns) {
		json_printf(j, "uid", "%u-%llu", p->pid, (unsigned long long)p->start_ns);
		json_u64(j, "created_time", wall_ms(ev, p->start_ns));
	}
	if (p->exe.len)
		json_text(j, "name", text_base(p->exe));
	command_line(j, "cmd_line", p->args);
	if (brief) {
		optional_text(j, "path", p->exe);
		return;
	}
	file(j, p);
	if (p->source != PROCESS_UNKNOWN) {
		json_object(j, "user");
		json_printf(j, "uid", "%u", p->uid);
		optional_text(j, "name", p->user);
		json_end(j);
	}
	optional_text(j, "working_directory", p->cwd);
	if (p == &ev->who.p[0])
		container(j, &ev->who.container);
}

void ocsf_process(struct json *j, const char *key, const struct event *ev, uint32_t index)
{
	const struct process_chain *w = &ev->who;

	if (!w->n && !index && ev->pid) { /* all that the record itself says */
		json_object(j, key);
		json_u64(j, "pid", ev->pid);
		json_end(j);
	}
	if (index >= w->n || !w->p[index].pid)
		return;
	json_object(j, key);
	process_members(j, ev, &w->p[index], false);
	if (index + 1 < w->n) {
		json_object(j, "parent_process");
		process_members(j, ev, &w->p[index + 1], false);
		json_end(j);
		json_array(j, "ancestry");
		for (uint32_t i = index + 1; i < w->n; i++) {
			json_object(j, NULL);
			process_members(j, ev, &w->p[i], true);
			json_end(j);
		}
		json_end(j);
	}
	json_end(j);
}

/* ---- common attributes ---- */

static const char *category_name(uint32_t uid)
{
	static const char *const names[] = { "Uncategorized",
					     "System Activity",
					     "Findings",
					     "Identity & Access Management",
					     "Network Activity",
					     "Discovery",
					     "Application Activity",
					     "Remediation" };

	return uid < sizeof(names) / sizeof(*names) ? names[uid] : NULL;
}

static const char *class_name(uint32_t uid)
{
	static const struct {
		uint32_t uid;
		const char *name;
	} names[] = {
		{ 0, "Base Event" },
		{ 1001, "File System Activity" },
		{ PROCESS_ACTIVITY, "Process Activity" },
		{ 2004, "Detection Finding" },
		{ 4001, "Network Activity" },
		{ 5019, "Device Config State Change" },
		{ 6002, "Application Lifecycle" },
		{ 6008, "Application Error" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].uid == uid)
			return names[i].name;
	return NULL;
}

static void classification(struct json *j, const struct event *ev, const struct kmn_event_kind *k)
{
	static const char *const severity[] = { "Unknown", "Informational", "Low",
						"Medium",  "High",	    "Critical" };
	uint32_t class_uid = k ? k->ocsf_class : 0, activity = k ? k->ocsf_activity : 0;
	uint8_t s = ev->severity < 6 ? ev->severity : 0;

	json_u64(j, "class_uid", class_uid);
	if (class_name(class_uid))
		json_str(j, "class_name", class_name(class_uid));
	json_u64(j, "category_uid", class_uid / 1000);
	if (category_name(class_uid / 1000))
		json_str(j, "category_name", category_name(class_uid / 1000));
	json_u64(j, "activity_id", activity);
	json_u64(j, "type_uid", class_uid * 100ULL + activity);
	json_u64(j, "severity_id", s);
	json_str(j, "severity", severity[s]);
}

static void metadata(struct json *j, const struct event *ev, const struct event_kinds *kinds,
		     const struct kmn_event_kind *kind, const struct event_origin *o)
{
	json_object(j, "metadata");
	json_str(j, "version", OCSF_VERSION);
	json_object(j, "product");
	ocsf_product(j);
	json_object(j, "feature");
	json_str(j, "name", event_part_name(kinds, ev->part));
	json_end(j);
	json_end(j);
	json_printf(j, "event_code", "%s.%s", event_part_name(kinds, ev->part),
		    kind ? kind->name : "unknown");
	json_str(j, "log_name", event_stream_name(ev->stream));
	if (ev->seq) {
		json_u64(j, "sequence", ev->seq);
		json_printf(j, "uid", "%s/%s/%s/%llu", o->host_id, o->boot_id,
			    event_stream_name(ev->stream), (unsigned long long)ev->seq);
	}
	if (ev->n_cuts)
		json_bool(j, "is_truncated", true);
	json_array(j, "profiles");
	json_str(j, NULL, "host");
	json_str(j, NULL, "security_control");
	if (ev->who.container.id.len || ev->who.container.name.len)
		json_str(j, NULL, "container");
	json_end(j);
	json_end(j);
}

static void times(struct json *j, const struct event *ev)
{
	uint64_t first = event_get_u64(ev, EVENT_F_first_ns, ev->time_ns) / NS_PER_MS;
	uint64_t last = event_get_u64(ev, EVENT_F_last_ns, ev->time_ns) / NS_PER_MS;

	json_u64(j, "time", ev->count > 1 ? first : ev->time_ns / NS_PER_MS);
	if (ev->count <= 1)
		return;
	json_u64(j, "count", ev->count);
	json_u64(j, "start_time", first);
	json_u64(j, "end_time", last);
	if (last >= first)
		json_u64(j, "duration", last - first);
}

static void message(struct json *j, const struct event *ev, const struct kmn_event_kind *kind)
{
	char mem[2048];
	struct buf line = buf_fixed(mem, sizeof(mem));

	if (ev->message.p) {
		json_text(j, "message", ev->message);
	} else if (kind && kind->text) {
		kind->text(ev, &line);
		if (kind->ocsf_class == PROCESS_ACTIVITY) /* it is about them */
			event_add_who(ev, &line);
		json_text(j, "message", (struct text){ mem, (uint32_t)line.len });
	}
}

/* Profile security_control: what was done, in numbers and in words. */
static void outcome(struct json *j, const struct event *ev)
{
	static const struct {
		uint8_t action_id, disposition_id;
		const char *action, *disposition;
	} of[] = {
		[EVENT_OBSERVED] = { 3, 17, "Observed", "Logged" },
		[EVENT_ALLOWED] = { 1, 1, "Allowed", "Allowed" },
		[EVENT_DENIED] = { 2, 2, "Denied", "Blocked" },
		[EVENT_WOULD_DENY] = { 3, 15, "Observed", "Detected" },
		[EVENT_ERROR] = { 0, 27, "Unknown", "Error" },
	};
	uint8_t a = ev->action <= EVENT_ERROR ? ev->action : EVENT_ERROR;

	json_u64(j, "action_id", of[a].action_id);
	json_str(j, "action", of[a].action);
	json_u64(j, "disposition_id", of[a].disposition_id);
	json_str(j, "disposition", of[a].disposition);
	json_bool(j, "is_alert", ev->stream == EVENT_FINDINGS && ev->severity >= EVENT_LOW);
	if (ev->gen) {
		json_object(j, "policy");
		json_printf(j, "uid", "%llu", (unsigned long long)ev->gen);
		json_bool(j, "is_applied", ev->mode == KMN_PREVENT);
		json_end(j);
	}
}

static void device(struct json *j, const struct event_origin *o)
{
	json_object(j, "device");
	json_u64(j, "type_id", 0); /* unknown: a server, a desktop, a virtual machine */
	if (*o->host_id)
		json_str(j, "uid", o->host_id);
	if (o->hostname)
		json_str(j, "hostname", o->hostname);
	if (*o->boot_id)
		json_str(j, "boot_uid", o->boot_id);
	json_object(j, "os");
	json_str(j, "name", "Linux");
	json_u64(j, "type_id", 200);
	if (o->kernel)
		json_str(j, "kernel_release", o->kernel);
	json_end(j);
	json_end(j);
}

/* In Process Activity the acting process is the parent of the one that is talked of. */
static void actor(struct json *j, const struct event *ev, uint32_t class_uid)
{
	uint32_t acts = class_uid == PROCESS_ACTIVITY && ev->who.n > 1 ? 1 : 0;

	if (class_uid == PROCESS_ACTIVITY)
		ocsf_process(j, "process", ev, 0);
	if (ev->who.n > acts && ev->who.p[acts].pid) {
		json_object(j, "actor");
		ocsf_process(j, "process", ev, acts);
		json_end(j);
	} else if (class_uid / 1000 == 1) { /* required there */
		json_object(j, "actor");
		json_str(j, "app_name", "unknown");
		json_end(j);
	}
}

/* ---- what the schema has no place for ---- */

static void field_name(char out[24], uint16_t id)
{
	const char *name = event_field_name(id);

	if (name)
		(void)snprintf(out, 24, "%s", name);
	else
		(void)snprintf(out, 24, "field-%u", id);
}

static void fields(struct json *j, const struct event *ev)
{
	char name[24], text[INET6_ADDRSTRLEN];

	json_object(j, "fields");
	for (uint32_t i = 0; i < ev->n; i++) {
		const struct event_field *f = &ev->fields[i];

		if (event_get(ev, (enum event_field_id)f->id) != f)
			continue; /* twice: a key may stand once */
		field_name(name, f->id);
		if (f->type == EVENT_U64)
			json_u64(j, name, f->u);
		else if (f->type == EVENT_TEXT)
			json_text(j, name, f->text);
		else
			json_str(j, name, address(f->ip, text));
	}
	json_end(j);
}

static void argument_list(struct json *j, struct text args)
{
	if (!args.p)
		return;
	json_array(j, "args");
	for (uint32_t at = 0; at < args.len;) {
		const char *nul = memchr(args.p + at, '\0', args.len - at);
		uint32_t len = nul ? (uint32_t)(nul - args.p) - at : args.len - at;

		json_text(j, NULL, (struct text){ args.p + at, len });
		at += len + 1;
	}
	json_end(j);
}

static void at_name(struct json *j, const struct event_text_name *n)
{
	if (n->index >= 0)
		json_printf(j, "at", "%s[%d].%s", n->of, n->index, n->what);
	else
		json_printf(j, "at", "%s.%s", n->of, n->what);
}

/* Texts that are not UTF-8 as the bytes they are, texts that were cut with the length they had. */
static void texts(struct json *j, const struct event *const_ev)
{
	struct event *ev = (struct event *)(uintptr_t)const_ev; /* the walk does not write */
	struct event_text_name name;
	bool open = false;
	struct text *t;

	for (uint32_t at = 0; (t = event_text_at(ev, &at, &name));) {
		uint64_t whole = event_cut_len(ev, *t);
		bool valid = !t->p || utf8_valid(t->p, t->len);

		if (!whole && valid)
			continue;
		if (!open)
			json_array(j, "texts");
		open = true;
		json_object(j, NULL);
		at_name(j, &name);
		if (whole)
			json_u64(j, "bytes_before_cut", whole);
		if (!valid)
			json_base64(j, "base64", *t);
		json_end(j);
	}
	if (open)
		json_end(j);
}

static void own(struct json *j, const struct event *ev, const struct event_kinds *kinds,
		const struct kmn_event_kind *kind)
{
	static const char *const modes[] = { "off", "detect", "prevent" };
	const struct process_view *p = &ev->who.p[0];

	json_object(j, "unmapped");
	json_object(j, "komainu");
	json_str(j, "part", event_part_name(kinds, ev->part));
	if (kind)
		json_str(j, "kind", kind->name);
	else
		json_printf(j, "kind", "kind-%u", ev->kind);
	json_u64(j, "time_ns", ev->time_ns);
	json_u64(j, "boot_ns", ev->boot_ns);
	json_u64(j, "generation", ev->gen);
	json_str(j, "mode", ev->mode <= KMN_PREVENT ? modes[ev->mode] : "?");
	json_str(j, "action", event_action_name(ev->action));
	json_str(j, "attribution", event_via_name(ev->via));
	json_u64(j, "count", ev->count);
	if (ev->rule.p || ev->rule_id) {
		json_object(j, "rule");
		optional_text(j, "name", ev->rule);
		json_u64(j, "id", ev->rule_id);
		json_end(j);
	}
	if (ev->cgroup_id)
		json_u64(j, "cgroup_id", ev->cgroup_id);
	optional_text(j, "pod", ev->who.container.pod);
	optional_text(j, "namespace", ev->who.container.namespace_);
	if (ev->who.n) {
		argument_list(j, p->args);
		json_u64(j, "euid", p->euid);
		json_u64(j, "gid", p->gid);
		if (p->login_uid != UINT32_MAX)
			json_u64(j, "login_uid", p->login_uid);
		json_u64(j, "process_flags", p->flags);
	}
	if (ev->n)
		fields(j, ev);
	texts(j, ev);
	if (ev->left_out)
		json_u64(j, "fields_left_out", ev->left_out);
	json_end(j);
	json_end(j);
}

bool ocsf_event(const struct event *ev, const struct event_kinds *kinds,
		const struct event_origin *origin, struct buf *out)
{
	const struct kmn_event_kind *kind = event_kind_find(kinds, ev->part, ev->kind);
	uint32_t class_uid = kind ? kind->ocsf_class : 0;
	struct json j = json_on(out);

	json_object(&j, NULL);
	times(&j, ev);
	classification(&j, ev, kind);
	message(&j, ev, kind);
	metadata(&j, ev, kinds, kind, origin);
	device(&j, origin);
	actor(&j, ev, class_uid);
	outcome(&j, ev);
	if (kind && kind->ocsf)
		kind->ocsf(ev, &j);
	own(&j, ev, kinds, kind);
	json_end(&j);
	return !out->cut && !j.bad;
}
