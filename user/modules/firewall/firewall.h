#pragma once
#include "modules/firewall/half.h"
#include "modules/firewall/parse.h"

struct kmn_connection;

extern const struct kmn_module firewall_module;

/* The running module; tests fill it themselves. */
struct firewall {
	struct kmn_core *core;
	struct firewall_bpf *skel; /* NULL: refused, why says how */
	char why[160];
	struct fw_maps maps;
	struct fw_half half[2];
	struct fw_plan *live; /* of the generation in force; NULL before the first */
	uint64_t gen;
};

/* Keys of modules.firewall. */
extern const struct policy_key fw_schema[];

/* The parts of the module, each in its file. */
int fw_compile(const struct policy *policy, struct worker_pool *workers, struct policy_diag *diag,
	       void **plan);
void fw_explain(const struct policy *policy, const void *plan, struct json *j);
const char *fw_cuts(const void *plan, const struct kmn_connection *c);
int fw_selftest(void *self, struct buf *why);
