#include <bpf/bpf.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/metrics.h"
#include "services/tasks/tasks_self.h"
#include "task/cred.skel.h"
#include "task/task.skel.h"

static void ability(struct kmn_ability *a, const char *what, bool can, const char *why)
{
	a->what = what;
	a->can = can;
	(void)snprintf(a->why, sizeof(a->why), "%.*s", (int)sizeof(a->why) - 1, can ? "" : why);
}

unsigned tasks_probe(const struct kernel *k, struct kmn_ability *out)
{
	bool tells = k->has[KERNEL_TP_BTF] && k->has[KERNEL_RINGBUF];
	char late[320];

	(void)snprintf(late, sizeof(late), "noticed at the next exec, fork or exit instead: %s",
		       k->why[KERNEL_FENTRY]);
	ability(&out[0], "every exec, fork and exit", tells,
		k->has[KERNEL_TP_BTF] ? k->why[KERNEL_RINGBUF] : k->why[KERNEL_TP_BTF]);
	ability(&out[1], "credential changes at once", tells && k->has[KERNEL_FENTRY], late);
	ability(&out[2], "paths of programs from the kernel", k->has[KERNEL_PROBE_READ],
		"read from /proc some milliseconds later instead, which a short-lived process does "
		"not wait for: lockdown=confidentiality");
	ability(&out[3], "containers of processes", k->cgroup_root[0] != '\0',
		"no cgroup hierarchy is mounted that holds containers");
	return 4;
}

/* Runs that the kernel left out because the program was running on that CPU already. */
static uint64_t skipped_runs(const struct bpf_object_skeleton *skel)
{
	uint64_t sum = 0;

	for (int i = 0; i < skel->prog_cnt; i++) {
		struct bpf_prog_info info = {};
		__u32 len = sizeof(info);
		int fd = bpf_program__fd(*skel->progs[i].prog);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len))
			sum += info.recursion_misses;
	}
	return sum;
}

static uint64_t counter(struct tasks_self *s, uint32_t what)
{
	uint64_t cell[s->cpus ? s->cpus : 1], sum = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.kmn_counts), &what, cell))
		return 0;
	for (unsigned i = 0; i < s->cpus; i++)
		sum += cell[i];
	return sum;
}

static const char own_pids_why[] =
	"started in a pid namespace of its own: what ran before is not known, long paths are not "
	"completed, fork and exit are not proven; start it in the host's (--pid=host)";

void tasks_health(void *self, struct kmn_health *h)
{
	struct tasks_self *s = self;
	struct process_stats p;
	uint64_t skipped;

	if (!s->skel) {
		h->level = KMN_INACTIVE;
		(void)snprintf(h->why, sizeof(h->why), "%.*s", (int)sizeof(h->why) - 1, s->why);
		return;
	}
	skipped = skipped_runs(s->skel->skeleton);
	process_table_stats(s->core->processes, &p);
	if (skipped) {
		h->level = KMN_DEGRADED;
		(void)snprintf(h->why, sizeof(h->why),
			       "the kernel left out %" PRIu64 " runs of the process programs",
			       skipped);
	} else if (s->own_pids) {
		h->level = KMN_DEGRADED;
		(void)snprintf(h->why, sizeof(h->why), "%s", own_pids_why);
	} else if (p.evicted_live) {
		h->level = KMN_DEGRADED;
		(void)snprintf(h->why, sizeof(h->why),
			       "more than %" PRIu64 " processes run: events of the oldest name "
			       "them by their pid alone",
			       p.capacity);
	}
}

/* Numbers of a struct that stand in status under a name of their own. */
struct figure {
	const char *name;
	size_t at;
};
#define OF(type, member) offsetof(struct type, member)

static void put(struct json *j, const char *object, const void *from, const struct figure *f)
{
	uint64_t v;

	json_object(j, object);
	for (; f->name; f++) {
		memcpy(&v, (const char *)from + f->at, sizeof(v));
		json_u64(j, f->name, v);
	}
	json_end(j);
}

static const struct figure told[] = {
	{ "execs", OF(tasks_stats, execs) },
	{ "forks", OF(tasks_stats, forks) },
	{ "exits", OF(tasks_stats, exits) },
	{ "credential_changes", OF(tasks_stats, creds) },
	{ "credential_changes_late", OF(tasks_stats, late_creds) },
	{ "cgroups", OF(tasks_stats, cgroups) },
	{ "doubles", OF(tasks_stats, doubles) },
	{ NULL, 0 },
};

static const struct figure long_starts[] = {
	{ "joined", OF(tasks_stats, joined) },
	{ "cut", OF(tasks_stats, joined_cut) },
	{ "parts_without_start", OF(tasks_stats, stray_parts) },
	{ "paths_from_proc", OF(tasks_stats, resolved) },
	{ "paths_cut", OF(tasks_stats, unresolved) },
	{ "unreadable_arguments", OF(tasks_stats, bad_reads) },
	{ NULL, 0 },
};

static const struct figure processes[] = {
	{ "live", OF(process_stats, live) },
	{ "ended_and_kept", OF(process_stats, exited) },
	{ "capacity", OF(process_stats, capacity) },
	{ "bytes", OF(process_stats, bytes) },
	{ "lookups", OF(process_stats, lookups) },
	{ "unknown", OF(process_stats, unknown) },
	{ "lost_exits", OF(process_stats, lost_exits) },
	{ "evicted_early", OF(process_stats, evicted_early) },
	{ "evicted_live", OF(process_stats, evicted_live) },
	{ "texts_dropped", OF(process_stats, texts_dropped) },
	{ NULL, 0 },
};

static void put_canary(struct json *j, const struct tasks_canary *c)
{
	json_object(j, "canary");
	json_u64(j, "sent", c->sent);
	json_u64(j, "seen_whole", c->brought);
	json_u64(j, "given_up", c->missed);
	json_bool(j, "waiting", c->wanted != 0);
	json_u64(j, "slowest_record_ms", c->slowest_ns / NS_PER_MS);
	json_u64(j, "limit_ms", tasks_canary_limit_ns(c) / NS_PER_MS);
	if (c->why[0])
		json_str(j, "cgroups", c->why);
	json_end(j);
}

void tasks_status(void *self, struct json *j)
{
	struct tasks_self *s = self;
	struct tasks_stats *t = &s->stats;
	struct process_stats p;

	if (!s->skel)
		return;
	process_table_stats(s->core->processes, &p);
	json_str(j, "credential_changes",
		 s->cred ? "at once" : "noticed at the next exec, fork or exit");
	if (!s->cred)
		json_str(j, "credential_changes_why", s->cred_why);
	json_object(j, "ran_before");
	json_u64(j, "processes", s->n_running);
	json_u64(j, "known_by_the_kernel", s->n_known);
	if (s->running_why[0])
		json_printf(j, "why",
			    "%s: start times are ticks, executables as stat(2) shows them",
			    s->running_why);
	if (s->own_pids)
		json_str(j, "pid_namespace", own_pids_why);
	json_end(j);
	t->bad_reads = counter(s, TASK_C_BAD_READ);
	put(j, "told", t, told);
	put(j, "long_starts", t, long_starts);
	json_object(j, "budget");
	json_u64(j, "records_per_second_and_cgroup", TASKS_RATE);
	json_u64(j, "of_that_on_one_cpu", NS_PER_S / s->cost_ns);
	json_end(j);
	json_u64(j, "skipped_runs", skipped_runs(s->skel->skeleton));
	put(j, "processes", &p, processes);
	put_canary(j, &s->canary);
}

void tasks_metrics(void *self, struct kmn_metrics *m)
{
	static const struct figure kinds[] = {
		{ "exec", OF(tasks_stats, execs) },
		{ "fork", OF(tasks_stats, forks) },
		{ "exit", OF(tasks_stats, exits) },
		{ "cred", OF(tasks_stats, creds) },
		{ "cred_late", OF(tasks_stats, late_creds) },
		{ "cgroup", OF(tasks_stats, cgroups) },
	};
	struct tasks_self *s = self;
	struct process_stats p;
	uint64_t v;

	if (!s->skel)
		return;
	process_table_stats(s->core->processes, &p);
	metrics_family(m, "komainu_task_records_total", METRICS_COUNTER,
		       "Records of processes taken, by kind.");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		memcpy(&v, (const char *)&s->stats + kinds[i].at, sizeof(v));
		metrics_u64(m, v, "kind", kinds[i].name, NULL);
	}
	metrics_family(m, "komainu_task_doubles_total", METRICS_COUNTER,
		       "Records that another instance of the sensor had told already.");
	metrics_u64(m, s->stats.doubles, NULL);
	metrics_family(m, "komainu_task_cut_total", METRICS_COUNTER,
		       "Program starts that could not be told whole.");
	metrics_u64(m, s->stats.joined_cut, NULL);
	metrics_family(m, "komainu_task_skipped_runs_total", METRICS_COUNTER,
		       "Runs of the process programs that the kernel left out.");
	metrics_u64(m, skipped_runs(s->skel->skeleton), NULL);
	metrics_family(m, "komainu_processes", METRICS_GAUGE, "Processes in the table.");
	metrics_u64(m, p.live, "state", "live", NULL);
	metrics_u64(m, p.exited, "state", "ended", NULL);
	metrics_family(m, "komainu_process_lookups_unknown_total", METRICS_COUNTER,
		       "Events whose process was not in the table.");
	metrics_u64(m, p.unknown, NULL);
}

uint64_t tasks_memory_max(void *self)
{
	struct tasks_self *s = self;

	return sizeof(*s) + TASKS_JOINS * sizeof(*s->joins); /* the process table is the sensor's */
}

int tasks_selftest(void *self, struct buf *why)
{
	struct tasks_self *s = self;
	uint64_t now = clock_boot_ns();

	if (!s->skel) {
		buf_puts(why, s->why);
		return 2;
	}
	for (int i = TASKS_FORK; i <= TASKS_EXIT; i++) {
		const struct hook *h = s->hook[i];

		if (i != TASKS_EXEC && s->own_pids) /* nothing can prove them */
			continue;
		if (h && h->state == HOOK_PROVEN && now - h->proven_ns < 60 * NS_PER_S)
			continue;
		buf_printf(why, "%s did not tell of our own test process within a minute",
			   h ? h->name : "a hook");
		return 1;
	}
	buf_puts(why, s->own_pids ? "the exec of our own test process was seen"
				  : "exec, fork and exit of our own test process were seen");
	return 0;
}
