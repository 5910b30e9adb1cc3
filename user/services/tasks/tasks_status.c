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
	} else if (p.evicted_live) {
		h->level = KMN_DEGRADED;
		(void)snprintf(h->why, sizeof(h->why),
			       "more than %" PRIu64 " processes run: events of the oldest name "
			       "them by their pid alone",
			       p.capacity);
	}
}

static void put_processes(struct json *j, const struct process_stats *p)
{
	json_object(j, "processes");
	json_u64(j, "live", p->live);
	json_u64(j, "ended_and_kept", p->exited);
	json_u64(j, "capacity", p->capacity);
	json_u64(j, "bytes", p->bytes);
	json_u64(j, "lookups", p->lookups);
	json_u64(j, "unknown", p->unknown);
	json_u64(j, "lost_exits", p->lost_exits);
	json_u64(j, "evicted_early", p->evicted_early);
	json_u64(j, "evicted_live", p->evicted_live);
	json_u64(j, "texts_dropped", p->texts_dropped);
	json_end(j);
}

static void put_canary(struct json *j, const struct tasks_canary *c)
{
	json_object(j, "canary");
	json_u64(j, "sent", c->sent);
	json_u64(j, "seen_whole", c->brought);
	json_u64(j, "given_up", c->missed);
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
	json_object(j, "told");
	json_u64(j, "execs", t->execs);
	json_u64(j, "forks", t->forks);
	json_u64(j, "exits", t->exits);
	json_u64(j, "credential_changes", t->creds);
	json_u64(j, "credential_changes_late", t->late_creds);
	json_u64(j, "cgroups", t->cgroups);
	json_u64(j, "doubles", t->doubles);
	json_end(j);
	json_object(j, "long_starts");
	json_u64(j, "joined", t->joined);
	json_u64(j, "cut", t->joined_cut);
	json_u64(j, "parts_without_start", t->stray_parts);
	json_u64(j, "paths_from_proc", t->resolved);
	json_u64(j, "paths_cut", t->unresolved);
	json_u64(j, "unreadable_arguments", counter(s, TASK_C_BAD_READ));
	json_end(j);
	json_object(j, "budget");
	json_u64(j, "records_per_second_and_cgroup", TASKS_RATE);
	json_u64(j, "of_that_on_one_cpu", NS_PER_S / s->cost_ns);
	json_end(j);
	json_u64(j, "skipped_runs", skipped_runs(s->skel->skeleton));
	put_processes(j, &p);
	put_canary(j, &s->canary);
}

void tasks_metrics(void *self, struct kmn_metrics *m)
{
	struct tasks_self *s = self;
	struct process_stats p;

	if (!s->skel)
		return;
	process_table_stats(s->core->processes, &p);
	metrics_family(m, "komainu_task_records_total", METRICS_COUNTER,
		       "Records of processes taken, by kind.");
	metrics_u64(m, s->stats.execs, "kind", "exec", NULL);
	metrics_u64(m, s->stats.forks, "kind", "fork", NULL);
	metrics_u64(m, s->stats.exits, "kind", "exit", NULL);
	metrics_u64(m, s->stats.creds, "kind", "cred", NULL);
	metrics_u64(m, s->stats.late_creds, "kind", "cred_late", NULL);
	metrics_u64(m, s->stats.cgroups, "kind", "cgroup", NULL);
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

		if (h && h->state == HOOK_PROVEN && now - h->proven_ns < 60 * NS_PER_S)
			continue;
		buf_printf(why, "%s did not tell of our own test process within a minute",
			   h ? h->name : "a hook");
		return 1;
	}
	buf_puts(why, "exec, fork and exit of our own test process were seen");
	return 0;
}
