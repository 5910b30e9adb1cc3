#pragma once
#include <stdbool.h>
#include "base/json.h"

enum lockdown { LOCKDOWN_NONE, LOCKDOWN_INTEGRITY, LOCKDOWN_CONFIDENTIALITY };
enum cgroup_layout { CGROUP_V2, CGROUP_HYBRID, CGROUP_V1 };

/* What this kernel can do, found by trying and never by its version. Each has the reason of a no.
 */
enum kernel_feature {
	KERNEL_BTF, /* /sys/kernel/btf/vmlinux */
	KERNEL_BPF, /* bpf(2) works for us */
	KERNEL_RINGBUF,
	KERNEL_TP_BTF,
	KERNEL_FENTRY,
	KERNEL_LSM, /* programs load and attach; whether they are called is for a canary */
	KERNEL_FMOD_RET,
	KERNEL_TCX,
	KERNEL_CGROUP_LINK,
	KERNEL_SK_STORAGE,
	KERNEL_PROBE_READ, /* refused under lockdown=confidentiality */
	KERNEL_FANOTIFY_PERM,
	KERNEL_FEATURES,
};

#define KERNEL_WHY_MAX 200
struct kernel {
	char release[65];
	enum lockdown lockdown;
	bool lockdown_known; /* read from securityfs, or confidentiality seen by trying; if not, it
				is none or integrity, and lockdown says none */
	enum cgroup_layout cgroups;
	char cgroup_root[64];  /* mount of the hierarchy that holds containers; "" = none */
	char cgroup2_root[64]; /* mount of cgroup2, where cgroup programs attach; "" = none */
	char cgroup_name[32];  /* controller of that hierarchy: "pids"; "" = the default one */
	int cgroup_subsys;     /* index into task->cgroups->subsys; -1 = the default hierarchy */
	bool has[KERNEL_FEATURES];
	char why[KERNEL_FEATURES][KERNEL_WHY_MAX]; /* reason of a no, one sentence; "" for a yes */
	bool lsm_listed, lsm_list_known;	   /* bpf is in the active LSM list */
	char lsm_list[128];
	bool bpffs; /* mounted at /sys/fs/bpf */
};

extern const char *const kernel_feature_names[KERNEL_FEATURES];	  /* short: "tp_btf" */
extern const char *const kernel_feature_meaning[KERNEL_FEATURES]; /* for people */
const char *kernel_lockdown_name(const struct kernel *k);	  /* "none or integrity" too */
const char *kernel_cgroups_name(const struct kernel *k);

/* Probe once; takes some 10 ms. Works without root as far as it can. Mounts nothing, leaves
 * nothing. Fails only without memory. */
int kernel_probe(struct kernel *k);

/* Mount bpffs where it is missing. 0, or -errno, logged. */
int kernel_mount_bpffs(void);

void kernel_json(const struct kernel *k, struct json *j); /* members of the open object */
