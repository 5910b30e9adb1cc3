#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "core/bpfobj.h"

/* Shared by bpfobj.c, bpfattach.c and bpfpins.c only. */

#define BPFOBJ_MAPS_MAX 256
#define BPFOBJ_PATH 256

struct bpfobj {
	const struct kernel *kernel;
	struct hook_table *hooks;
	char root[BPFOBJ_PATH / 2];
	char own[BPFOBJ_PATH];	/* folder of this instance */
	char prev[BPFOBJ_PATH]; /* folder of the one before, of the same ABI; "" = none */
	char live[BPFOBJ_PATH]; /* folder of the one before, of whatever ABI; "" = none */
	__u32 instance;
	int cpus;
	unsigned n_maps;
	struct {
		char name[64];
		int fd; /* ours */
	} map[BPFOBJ_MAPS_MAX];
	struct kmn_state *state;
};

/* clsact filters have no link to pin; this handle at priority 1 is ours. */
#define BPFOBJ_TC_HANDLE 0x6b6d6e
#define BPFOBJ_TC_PRIORITY 1

/* links/NAME with the characters that bpffs refuses (dot) or that end a name (slash) replaced. */
void bpfpins_link_path(const char *root, const char *hook, const char *suffix, char *out,
		       size_t size);
/* mkdir -p below bpffs, mode 0700. */
int bpfpins_mkdir(const char *path);
/* Find the live instance and choose our number and folder. */
int bpfpins_find(struct bpfobj *b);
