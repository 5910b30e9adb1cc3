#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/auto.h"
#include "base/log.h"
#include "core/bpfpins.h"

/* Adopted by every object from the instance before: what counts, and what nobody has read yet. */
static const char *const always_adopt[] = { "kmn_counts", "kmn_findings", "kmn_telemetry", NULL };

/* libbpf's last lines: on a refusal they end with the verifier's words. */
static char said[4096];
static size_t said_len;

static int on_libbpf(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char line[1024];
	size_t n;

	(void)level;
	if (vsnprintf(line, sizeof(line), fmt, ap) < 0)
		return 0;
	n = strlen(line);
	if (n && line[n - 1] == '\n')
		line[--n] = '\0';
	log_debug("libbpf: %s", line);
	if (level == LIBBPF_DEBUG || !n)
		return 0;
	if (said_len + n + 2 > sizeof(said)) { /* keep the end */
		size_t keep = sizeof(said) / 2;

		if (said_len > keep) {
			memmove(said, said + said_len - keep, keep);
			said_len = keep;
		}
		if (said_len + n + 2 > sizeof(said))
			return 0;
	}
	memcpy(said + said_len, line, n);
	said_len += n;
	said[said_len++] = '\n';
	said[said_len] = '\0';
	return 0;
}

/* The last few lines of what libbpf said, one log line each. */
static void log_said(const char *object)
{
	char *from = said + said_len;
	int lines = 0;

	while (from > said && lines < 8)
		if (*--from == '\n' && from[1])
			lines++;
	for (char *line = strtok_r(from, "\n", &from); line; line = strtok_r(NULL, "\n", &from))
		log_error("%s: kernel: %s", object, line);
}

void bpfobj_hear_libbpf(void)
{
	said_len = 0;
	said[0] = '\0';
	libbpf_set_print(on_libbpf);
}

/* Under lockdown=confidentiality libbpf takes the refusal of probe_read_kernel for an old kernel
 * and rewrites probe_read_user to the helper that is refused too: put the right ones back. */
static int restore_helpers(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long cookie)
{
	struct bpf_insn *insn = (struct bpf_insn *)bpf_program__insns(prog);

	(void)opts;
	(void)cookie;
	for (size_t i = 0; i < bpf_program__insn_cnt(prog); i++) {
		if (insn[i].code != (BPF_JMP | BPF_CALL) || insn[i].src_reg)
			continue;
		if (insn[i].imm == BPF_FUNC_probe_read)
			insn[i].imm = BPF_FUNC_probe_read_user;
		else if (insn[i].imm == BPF_FUNC_probe_read_str)
			insn[i].imm = BPF_FUNC_probe_read_user_str;
	}
	return 0;
}

/* The handler replaces libbpf's own of the section, which would have found the target by name. */
static int find_target(struct bpf_program *prog, long cookie)
{
	const char *name = strchr(bpf_program__section_name(prog), '/');

	(void)cookie;
	return name ? bpf_program__set_attach_target(prog, 0, name + 1) : -EINVAL;
}

static int keep_user_reads(void)
{
	static const struct {
		const char *section;
		enum bpf_prog_type type;
		enum bpf_attach_type attach;
	} kinds[] = { { "tp_btf+", BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP },
		      { "fentry+", BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY },
		      { "fexit+", BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT },
		      { "fmod_ret+", BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN },
		      { "iter+", BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER },
		      { "lsm+", BPF_PROG_TYPE_LSM, BPF_LSM_MAC } };
	static bool done;

	if (done)
		return 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_setup_fn = find_target,
			    .prog_prepare_load_fn = restore_helpers);
		int r = libbpf_register_prog_handler(kinds[i].section, kinds[i].type,
						     kinds[i].attach, &opts);

		if (r < 0)
			return kmn_err(r, "bpf: handler of %s", kinds[i].section);
	}
	done = true;
	return 0;
}

KMN_AUTO_DEFINE(struct bpfobj *, bpfobj_free)

struct bpfobj *bpfobj_new(const struct kernel *kernel, struct hook_table *hooks,
			  const char *pin_root)
{
	kmn_auto(bpfobj_free) struct bpfobj *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return NULL;
	b->kernel = kernel;
	b->hooks = hooks;
	b->cpus = libbpf_num_possible_cpus();
	bpfobj_hear_libbpf();
	if (snprintf(b->root, sizeof(b->root), "%s", pin_root) >= (int)sizeof(b->root)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	r = bpfpins_find(b);
	if (!r && kernel->lockdown == LOCKDOWN_CONFIDENTIALITY)
		r = keep_user_reads();
	if (r < 0) {
		errno = -r;
		return NULL;
	}
	return KMN_TAKE(b);
}

void bpfobj_free(struct bpfobj *b)
{
	if (b->state)
		munmap(b->state, (size_t)getpagesize());
	for (unsigned i = 0; i < b->n_maps; i++)
		close(b->map[i].fd);
	free(b);
}

int bpfobj_map(struct bpfobj *b, const char *name)
{
	for (unsigned i = 0; i < b->n_maps; i++)
		if (!strcmp(b->map[i].name, name))
			return b->map[i].fd;
	return -ENOENT;
}

int bpfobj_cpus(struct bpfobj *b)
{
	return b->cpus;
}

__u32 bpfobj_instance(const struct bpfobj *b)
{
	return b->instance;
}

struct kmn_state *bpfobj_state(struct bpfobj *b)
{
	return b->state;
}

bool bpfobj_took_over(const struct bpfobj *b)
{
	return b->live[0] != '\0';
}

/* Set a const volatile variable of an object that is open and not loaded; absent is fine. */
static void set_rodata(struct bpf_object *obj, const char *name, const void *value, size_t size)
{
	const struct btf *btf = bpf_object__btf(obj);
	int id = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -1;
	struct bpf_map *map;

	if (id < 0)
		return;
	bpf_object__for_each_map(map, obj)
	{
		const struct btf_type *sec = btf__type_by_id(btf, (__u32)id);
		const struct btf_var_secinfo *v = btf_var_secinfos(sec);
		size_t room;
		char *data;

		if (!bpf_map__is_internal(map) || !strstr(bpf_map__name(map), ".rodata"))
			continue;
		data = (char *)bpf_map__initial_value(map, &room);
		for (int i = 0; data && i < btf_vlen(sec); i++) {
			const struct btf_type *var = btf__type_by_id(btf, v[i].type);

			if (!strcmp(btf__name_by_offset(btf, var->name_off), name) &&
			    v[i].size == size && v[i].offset + size <= room)
				memcpy(data + v[i].offset, value, size);
		}
	}
}

static bool listed(const char *const *list, const char *name)
{
	for (; list && *list; list++)
		if (!strcmp(*list, name))
			return true;
	return false;
}

/* The map of the previous instance when it is laid out alike; -ENOENT when there is none, -ESTALE
 * when it differs: this version keeps its own from empty. */
static int adopted(const struct bpfobj *b, const struct bpf_map *map)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);
	char path[2 * BPFOBJ_PATH];
	kmn_auto(fd) int fd = -1;

	if (!b->prev[0])
		return -ENOENT;
	(void)snprintf(path, sizeof(path), "%s/%s", b->prev, bpf_map__name(map));
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -ENOENT;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0 || info.type != bpf_map__type(map) ||
	    info.key_size != bpf_map__key_size(map) ||
	    info.value_size != bpf_map__value_size(map) ||
	    info.max_entries != bpf_map__max_entries(map) ||
	    info.map_flags != bpf_map__map_flags(map)) {
		log_info("bpf: %s has another layout than the one in force: starts empty",
			 bpf_map__name(map));
		return -ESTALE;
	}
	return dup(fd);
}

/* Share by name what this instance has; adopt what the caller names; the rest is created fresh. */
static int place_maps(struct bpfobj *b, struct bpf_object *obj, const char *const *adopt)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		const char *name = bpf_map__name(map);
		int fd = bpfobj_map(b, name), r = 0;

		if (bpf_map__is_internal(map))
			continue;
		if (fd >= 0) {
			r = bpf_map__reuse_fd(map, fd);
		} else if (listed(adopt, name) || listed(always_adopt, name)) {
			kmn_auto(fd) int old = adopted(b, map);

			if (old >= 0)
				r = bpf_map__reuse_fd(map, old);
		}
		if (r < 0)
			return kmn_err(r, "bpf: share map %s", name);
	}
	return 0;
}

/* Keep and pin the maps that this object brought. */
static int keep_maps(struct bpfobj *b, struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		const char *name = bpf_map__name(map);
		char path[2 * BPFOBJ_PATH];
		int fd;

		if (bpf_map__is_internal(map) || bpfobj_map(b, name) >= 0)
			continue;
		if (b->n_maps == BPFOBJ_MAPS_MAX || strlen(name) >= sizeof(b->map[0].name))
			return kmn_err(-ENOSPC, "bpf: map %s: more than %d maps", name,
				       BPFOBJ_MAPS_MAX);
		fd = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return kmn_err(-errno, "bpf: map %s", name);
		(void)snprintf(b->map[b->n_maps].name, sizeof(b->map[0].name), "%s", name);
		b->map[b->n_maps++].fd = fd;
		(void)snprintf(path, sizeof(path), "%s/%s", b->own, name);
		if (bpf_obj_pin(fd, path) < 0)
			return kmn_err(-errno, "bpf: pin %s", path);
	}
	return 0;
}

/* The generation in force before us, so that events never repeat a number: in every ABI the state
 * word begins with it. 0: there was none. */
static __u64 previous_gen(const struct bpfobj *b)
{
	struct bpf_map_info info = {};
	__u64 state[32] = {};
	char path[2 * BPFOBJ_PATH];
	__u32 len = sizeof(info), key = 0;
	kmn_auto(fd) int fd = -1;

	if (!b->live[0])
		return 0;
	(void)snprintf(path, sizeof(path), "%s/kmn_state", b->live);
	fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0 ||
	    info.value_size > sizeof(state) || bpf_map_lookup_elem(fd, &key, state) < 0)
		return 0;
	return state[0];
}

static int map_state(struct bpfobj *b)
{
	int fd = bpfobj_map(b, "kmn_state");
	void *at;

	if (b->state || fd < 0)
		return 0;
	at = mmap(NULL, (size_t)getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return kmn_err(-errno, "bpf: map the state word");
	b->state = at;
	__atomic_store_n(&b->state->gen, previous_gen(b), __ATOMIC_RELEASE);
	return 0;
}

int bpfobj_load(struct bpfobj *b, struct bpf_object_skeleton *skel, const char *const *adopt)
{
	struct bpf_object *obj = *skel->obj;
	__u8 read = b->kernel->has[KERNEL_PROBE_READ];
	__s32 subsys = b->kernel->cgroup_subsys;
	int r;

	bpfobj_hear_libbpf();
	set_rodata(obj, "kmn_instance", &b->instance, sizeof(b->instance));
	set_rodata(obj, "kmn_probe_read", &read, sizeof(read));
	set_rodata(obj, "kmn_cgroup_subsys", &subsys, sizeof(subsys));
	r = place_maps(b, obj, adopt);
	if (r < 0)
		return r;
	r = bpf_object__load_skeleton(skel);
	if (r < 0) {
		log_said(skel->name);
		return kmn_err(r, "%s: this kernel refuses the object", skel->name);
	}
	r = keep_maps(b, obj);
	return r < 0 ? r : map_state(b);
}

/* What the kernel accounts for one map. */
static uint64_t map_bytes(int fd)
{
	unsigned long long n = 0;
	char path[64], line[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %llu", &n) == 1)
			break;
	if (f)
		(void)fclose(f);
	return n;
}

/* The maps inside an array of maps, each a half of a policy; 0 for any other type. */
static uint64_t inner_bytes(int fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info), id;
	uint64_t sum = 0;

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0 || info.type != BPF_MAP_TYPE_ARRAY_OF_MAPS)
		return 0;
	for (__u32 key = 0; key < info.max_entries; key++) {
		kmn_auto(fd) int inner = -1;

		if (bpf_map_lookup_elem(fd, &key, &id) < 0) /* an empty half */
			continue;
		inner = bpf_map_get_fd_by_id(id);
		if (inner >= 0)
			sum += map_bytes(inner);
	}
	return sum;
}

uint64_t bpfobj_map_bytes(struct bpfobj *b)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < b->n_maps; i++)
		sum += map_bytes(b->map[i].fd) + inner_bytes(b->map[i].fd);
	return sum;
}
