#pragma once
#include <stdarg.h>
#include "base/text.h"
#include "policy/policy.h"
#include "policy/source.h"
#include "policy/transaction.h"

/* What is kept; more are only counted. */
#define DIAG_MAX 200

/* Let d show lines of s; files are reported in the order in which they come here. Takes a hold. */
int diag_source(struct policy_diag *d, struct source *s);
/* Make the sources of p known to d, when it is not the one that p was loaded with. */
void diag_know(struct policy_diag *d, const struct policy *p);

/* As policy_error(), at a place instead of a node; pos.file NULL: no place at all. */
void diag_error(struct policy_diag *d, struct policy_pos pos, const char *hint, const char *fmt,
		...) __attribute__((format(printf, 4, 5)));
/* The same with a fmt from a table, for one character or byte. */
void diag_fault(struct policy_diag *d, struct policy_pos pos, const char *hint, const char *fmt,
		uint32_t cp);
/* Memory ran out: said once. */
void diag_no_memory(struct policy_diag *d);
/* Nothing more is kept, so that no more need be thought about hints. */
bool diag_full(const struct policy_diag *d);

/* The source line of a place as a terminal shows it, tabs and controls resolved and cut to a window
 * of about 90 columns round col; *caret is the column of the place in it, from 0. */
void diag_excerpt(const char *line, size_t len, uint32_t col, struct buf *out, uint32_t *caret);
