#pragma once
#include "policy/tree.h"

/* Read the text of s as strict YAML into nodes of t. What is wrong goes to d; *root is what could
 * be read of it, NULL for nothing, and *holes tells that parts are missing, so that their absence
 * is no error of its own. */
void parse_source(struct tree *t, struct source *s, struct policy_diag *d,
		  struct policy_node **root, bool *holes);
