#pragma once
#include <bpf/libbpf.h>
#include <stdbool.h>
#include "core/hook.h"
#include "core/kernel.h"
#include "kmn_abi.h"

/* The BPF side of one running sensor ("instance"): its shared maps, its pins, and the take-over
 * from the instance before it.
 *
 *   /sys/fs/bpf/komainu/links/<hook>            one pin per hook, replaced in place
 *   /sys/fs/bpf/komainu/v<KMN_ABI>/<instance>/  maps and program arrays of one instance
 *
 * Policy maps are always fresh: the new instance fills them and commits before it takes the hooks
 * over, so a hook run sees the old policy whole or the new one whole. State maps (rings, counters,
 * folds, owners, flows) are adopted from the last instance when type, sizes and flags agree. */
struct bpfobj;

/* From now on what libbpf prints goes to our log at debug level (a refusal is told by who asked, in
 * our words). bpfobj_new() does it too; a command that calls libbpf without an instance must. */
void bpfobj_hear_libbpf(void);

/* Opens the pin folders (at pin_root, normally /sys/fs/bpf/komainu), finds the previous instance.
 * NULL and errno, logged. */
struct bpfobj *bpfobj_new(const struct kernel *kernel, struct hook_table *hooks,
			  const char *pin_root);
void bpfobj_free(struct bpfobj *b); /* pins stay */

/* Load a skeleton that was opened: maps that another object of this instance already has are shared
 * by name; those in adopt (names, NULL-terminated, may be NULL) come from the previous instance
 * when compatible; all others are fresh. Sets kmn_instance and the other rodata that lib/ declares,
 * pins maps, keeps libbpf from rewriting probe_read_user under lockdown. 0, or -errno, logged with
 * the verifier's last lines. */
int bpfobj_load(struct bpfobj *b, struct bpf_object_skeleton *skel, const char *const *adopt);

/* fd (borrowed) of a shared map by name; -ENOENT. */
int bpfobj_map(struct bpfobj *b, const char *name);
/* Possible CPUs, for per-CPU maps. */
int bpfobj_cpus(struct bpfobj *b);
__u32 bpfobj_instance(const struct bpfobj *b);
struct kmn_state *bpfobj_state(struct bpfobj *b); /* mapped; NULL before the first load */
bool bpfobj_took_over(const struct bpfobj *b);	  /* a previous instance was found */

/* Attach, or take over without a gap (docs/failure.md has the table). Each fills h (state attached,
 * type, survives) or marks it failed with the reason. 0, or -errno. */
int bpfobj_attach_tc(struct bpfobj *b, struct hook *h, struct bpf_program *prog, int ifindex,
		     bool egress);
/* Is it still where that put it? Nobody but the kernel knows. No answer: as far as we know it is.
 */
bool bpfobj_tc_hangs(struct bpfobj *b, const struct hook *h, struct bpf_program *prog);
int bpfobj_attach_cgroup(struct bpfobj *b, struct hook *h, struct bpf_program *prog, int cgroup_fd);
/* tp_btf, raw_tp, fentry, lsm, fmod_ret: the new link beside the old one ... */
int bpfobj_attach_trace(struct bpfobj *b, struct hook *h, struct bpf_program *prog);
/* ... whose pin goes when the new one is proven. Also for tc and cgroup hooks: nothing to do. */
int bpfobj_attach_settle(struct bpfobj *b, struct hook *h);
void bpfobj_detach(struct bpfobj *b, struct hook *h); /* remove link, filter and pin */

/* After all hooks are taken over: drop what the previous instances left. */
void bpfobj_drop_previous(struct bpfobj *b);
/* Instead, when not all could be: what the instance in force left stays, hooks and maps; those of
 * starts that came no further than this one go. Without one in force: as above. */
void bpfobj_keep_previous(struct bpfobj *b);
/* Remove every program, link, filter, map and pin of ours, of any instance. What was removed is
 * counted in *n. 0, or the first -errno. No instance needed. */
int bpfobj_unload_all(const char *pin_root, unsigned *n);

/* Bytes of kernel memory of the maps of this instance, as the kernel accounts them. */
uint64_t bpfobj_map_bytes(struct bpfobj *b);
