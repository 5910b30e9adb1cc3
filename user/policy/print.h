#pragma once
#include "policy/policy.h"

/* A scalar or key as YAML that reads back as the same text, and as the same kind of scalar where
 * that is possible (print_is_plain). */
void print_scalar(const char *text, bool quoted, struct buf *out);
/* Can the text stand without quotes in a block? */
bool print_is_plain(const char *text);
/* A node in one line, flow style. */
void print_inline(const struct policy_node *n, struct buf *out);
