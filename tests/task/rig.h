#pragma once
/* For tests of the service as a whole: bpf/task loaded by it, rings drained by hand, every event
 * shown to the test as it passes. */
#include "task/feed.h"
#include <ftw.h>
#include <sys/mount.h>
#include "base/clock.h"
#include "base/log.h"
#include "context/container.h"
#include "context/process.h"
#include "event/ring.h"
#include "event/sink.h"
#include "services/tasks/tasks_self.h"

struct rig {
	struct kernel kernel;
	struct kmn_core core;
	struct event_kinds kinds;
	struct event_ring *ring;
	struct tasks_self *tasks;
	char dir[64], pins[64];
	bool blind;
	uint64_t ticked_ns;
};

static inline bool rig_describe(void *arg, struct event *ev)
{
	struct rig *r = arg;

	if (ev->pid)
		(void)process_describe(r->core.processes, ev->pid, ev->start_ns, ev->boot_ns,
				       &ev->who);
	if (!ev->who.container.id.len && ev->cgroup_id)
		(void)container_describe(r->core.containers, ev->cgroup_id, &ev->who.container);
	return true;
}

/* Drain what is in the rings; a second of the service passes when it is time. */
static inline void rig_turn(struct rig *r)
{
	uint64_t now = clock_boot_ns();

	for (int i = 0; i < 64 && event_ring_turn(r->ring); i++)
		;
	tasks_join_look(r->tasks);
	event_sink_turn(r->core.events);
	if (now - r->ticked_ns < 200 * NS_PER_MS)
		return;
	r->ticked_ns = now;
	tasks_service.tick(r->tasks, now);
}

static inline void rig_wait(struct rig *r, unsigned ms)
{
	uint64_t until = clock_boot_ns() + ms * NS_PER_MS;

	do {
		rig_turn(r);
		usleep(2000);
	} while (clock_boot_ns() < until);
}

/* Until the child has ended, and then what it left in the rings. */
static inline void rig_wait_child(struct rig *r, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		rig_turn(r);
		usleep(1000);
	}
	rig_turn(r);
	assert_int_equal(status, 0);
}

/* Tables, programs and rings; dir and pins are set and there. */
static inline void rig_start(struct rig *r, void (*see)(void *, const struct event *), void *arg)
{
	struct event_sink_config sink = {
		.state_dir = r->dir, .kinds = &r->kinds, .describe = rig_describe, .describe_arg = r
	};
	struct event_ring_config ring = {};

	log_set_level(LOG_ERROR);
	assert_int_equal(kernel_probe(&r->kernel), 0);
	event_kinds_init(&r->kinds);
	r->core = (struct kmn_core){ .kernel = &r->kernel,
				     .hooks = hook_table_new(),
				     .processes = process_table_new(NULL),
				     .containers = container_table_new(NULL),
				     .events = event_sink_new(&sink),
				     .state_dir = r->dir,
				     .run_dir = r->dir };
	r->core.bpf = bpfobj_new(&r->kernel, r->core.hooks, r->pins);
	assert_non_null(r->core.bpf);
	assert_non_null(r->core.events);
	assert_int_equal(tasks_service.start(&r->core, (void **)&r->tasks), 0);
	assert_non_null(r->tasks->skel);
	event_kinds_add(&r->kinds, KMN_SVC_tasks, "tasks", tasks_kinds, r->tasks);
	ring = (struct event_ring_config){ .ring_fd = { bpfobj_map(r->core.bpf, "kmn_findings"),
							bpfobj_map(r->core.bpf, "kmn_telemetry") },
					   .counts_fd = bpfobj_map(r->core.bpf, "kmn_counts"),
					   .cpus = (unsigned)bpfobj_cpus(r->core.bpf),
					   .sink = r->core.events,
					   .kinds = &r->kinds };
	r->ring = event_ring_new(&ring);
	assert_non_null(r->ring);
	event_sink_tap(r->core.events, see, arg);
	assert_int_equal(tasks_service.attach(r->tasks), 0);
	bpfobj_drop_previous(r->core.bpf);
}

static inline void rig_open(struct rig *r, void (*see)(void *, const struct event *), void *arg)
{
	(void)snprintf(r->dir, sizeof(r->dir), "/tmp/komainu-rig-%d", getpid());
	(void)snprintf(r->pins, sizeof(r->pins), "/sys/fs/bpf/komainu-rig-%d", getpid());
	assert_int_equal(mkdir(r->dir, 0700), 0);
	assert_int_equal(kernel_mount_bpffs(), 0);
	rig_start(r, see, arg);
}

static inline int rig_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* The sensor ends; what it pinned stays in force. */
static inline void rig_end(struct rig *r)
{
	event_sink_tap(r->core.events, NULL, NULL);
	rig_turn(r);
	tasks_service.stop(r->tasks);
	event_ring_free(r->ring);
	event_sink_free(r->core.events);
	process_table_free(r->core.processes);
	container_table_free(r->core.containers);
	bpfobj_free(r->core.bpf);
	hook_table_free(r->core.hooks);
}

static inline void rig_close(struct rig *r)
{
	unsigned n;

	if (r->blind) /* a leak checker looks there at the end */
		assert_int_equal(umount("/proc"), 0);
	rig_end(r);
	assert_int_equal(bpfobj_unload_all(r->pins, &n), 0);
	rmdir(r->pins);
	(void)nftw(r->dir, rig_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* Cover /proc for this thread and whoever it starts: what is not in the records is not known. */
static inline void rig_blind(struct rig *r)
{
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("komainu-test", "/proc", "tmpfs", 0, NULL), 0);
	assert_int_equal(access("/proc/self/exe", F_OK), -1);
	r->blind = true;
}
