#pragma once
#include "core/module.h"
#include "policy/transaction.h"

/* What the commands of `komainu policy` share. */

struct policy_options {
	bool json, layered, origins, help;
	char **files;
	unsigned n;
};

/* Load files laid over each other and compile every module (plans[i] of modules[i], freed by
 * policy_cmd_plans_free(), may be NULL to compile for the errors alone). NULL on errors. */
struct policy *policy_cmd_load(char *const *files, unsigned n, struct policy_diag *d, void **plans);
void policy_cmd_plans_free(void **plans);

/* Print the errors of a command that needed a good policy, on stderr. Returns CLI_USAGE. */
int policy_cmd_refuse(struct policy_diag *d, bool json);

int policy_cmd_explain(const struct policy_options *o);
