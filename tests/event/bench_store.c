/* Events into the store without loss, with process chain, hash chain and packing, on this disk:
 * wall time and CPU time of all threads per event, bytes on disk. The candidate to compare with
 * makes and encodes the same events and throws them away. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "event/encode.h"
#include "event/sample.h"
#include "event/sink.h"

#define EVENTS 300000
#define AHEAD                                                                                  \
	4096 /* events that may wait for the writer, half of its buffer: no loss, and it never \
		idles */

static uint64_t cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* No two alike, as far as packing goes: a host's processes share programs and users, not arguments
 * with names and numbers in them. The texts live until the next call. */
static void make(struct event *ev, uint64_t i)
{
	static char args[64], exe[32], cwd[32];
	uint64_t r = i * 0x9e3779b97f4a7c15ULL; /* Fibonacci hashing spreads the bits */
	int len = snprintf(args, sizeof(args), "job-%u -i /srv/data/%016llx.log -n %u",
			   (unsigned)(r >> 58), (unsigned long long)(r ^ r >> 29),
			   (unsigned)(r >> 40 & 0xffff));

	for (int at = 0; at < len; at++)
		if (args[at] == ' ')
			args[at] = '\0';
	(void)snprintf(exe, sizeof(exe), "/usr/bin/job-%u", (unsigned)(r >> 58));
	(void)snprintf(cwd, sizeof(cwd), "/home/user%u", (unsigned)(r >> 50 & 0xff));
	sample_event(ev);
	ev->who.p[0].args = (struct text){ args, (uint32_t)len };
	ev->who.p[0].exe = text_of(exe);
	ev->who.p[0].cwd = text_of(cwd);
	ev->stream = EVENT_TELEMETRY;
	ev->boot_ns = clock_boot_ns();
	ev->who.p[0].pid = (uint32_t)i;
	ev->who.p[0].start_ns = i * 1000003;
	ev->fields[2].u = i & 0xffff;
}

static void encode_only(void)
{
	static uint8_t bytes[EVENT_ENCODED_MAX];
	struct event ev;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < EVENTS; i++) {
		make(&ev, i);
		event_bound(&ev);
		sum += (uint64_t)event_encode(&ev, bytes, sizeof(bytes));
	}
	printf("encoded\tbytes per event\tmin\t%llu\n", (unsigned long long)(sum / EVENTS));
}

static struct event_stream_stats stats(struct event_sink *s)
{
	struct event_stats st;

	event_sink_stats(s, &st);
	return st.stream[EVENT_TELEMETRY];
}

static void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	char name[PATH_MAX];
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    (size_t)snprintf(name, sizeof(name), "%s/%s", path, e->d_name) < sizeof(name) &&
		    unlink(name) < 0)
			remove_tree(name);
	if (d)
		closedir(d);
	(void)rmdir(path);
}

static int store(const char *dir)
{
	static struct event_kinds kinds;
	struct event_sink_config c = { .state_dir = dir, .kinds = &kinds };
	struct event_stream_stats st;
	struct event_sink *s;
	struct event ev;

	event_kinds_init(&kinds);
	s = event_sink_new(&c);
	if (!s)
		return 1;
	for (uint64_t i = 0; i < EVENTS; i++) {
		make(&ev, i);
		event_emit(s, &ev);
		if (i % 64 == 63) /* as often as the rings do */
			event_sink_turn(s);
		while (i % 1024 == 1023 && stats(s).in_memory > AHEAD) {
			(void)usleep(200);
			event_sink_turn(s);
		}
	}
	if (event_sink_flush(s, 20000) < 0) {
		fprintf(stderr, "not on disk after 20 s\n");
		return 1;
	}
	st = stats(s);
	event_sink_free(s);
	printf("stored\tbytes per event\tmin\t%llu\n", (unsigned long long)(st.bytes / EVENTS));
	if (st.stored == EVENTS && !st.dropped)
		return 0;
	fprintf(stderr, "stored %llu of %d, dropped %llu\n", (unsigned long long)st.stored, EVENTS,
		(unsigned long long)st.dropped);
	return 1;
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	char dir[PATH_MAX];
	uint64_t wall, cpu;
	int r = 0;

	if (argc == 2 && !strcmp(argv[1], "candidates")) {
		puts("encode\nstore\ngoal\twall\tstore\tvalue\t10000"); /* 100,000 events a second
									 */
		return 0;
	}
	if (argc != 3 || strcmp(argv[1], "round") != 0)
		return 2;
	(void)snprintf(dir, sizeof(dir), "%s/kmn-bench-XXXXXX", tmp ? tmp : "/var/tmp");
	if (!mkdtemp(dir))
		return 1;
	wall = clock_boot_ns();
	cpu = cpu_ns();
	if (!strcmp(argv[2], "store"))
		r = store(dir);
	else
		encode_only();
	wall = clock_boot_ns() - wall;
	cpu = cpu_ns() - cpu;
	remove_tree(dir);
	printf("wall\tns per event\tmin\t%llu\n", (unsigned long long)(wall / EVENTS));
	printf("cpu\tns per event\tmin\t%llu\n", (unsigned long long)(cpu / EVENTS));
	return r;
}
