#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/auto.h"
#include "policy/policy.h"

#define SOURCE_BYTES_MAX (4U << 20) /* a policy file */

/* The text of one policy file. Counted: a policy and its diagnostics each hold it. */
struct source {
	unsigned refs;
	dev_t dev; /* with ino: the same file under two names; 0 and 0 for text from memory */
	ino_t ino;
	char *text; /* NUL behind it, not counted */
	size_t len;
	char name[]; /* as the user knows it */
};

/* Read path, a regular file of at most SOURCE_BYTES_MAX. On an error *s is untouched and *why says
 * it in words (static). 0, or -errno. */
int source_open(const char *path, struct source **s, const char **why);
struct source *source_new(const char *name, const void *text, size_t len); /* NULL: no memory */
struct source *source_hold(struct source *s);
void source_drop(struct source *s);
KMN_AUTO_DEFINE(struct source *, source_drop)

/* Line number line (from 1) without its end, length in *len; NULL: there is none. */
const char *source_line(const struct source *s, uint32_t line, size_t *len);

/* What no line of YAML may hold: bytes that are not UTF-8, NUL and controls, byte order marks,
 * carriage returns, hidden line ends and directions, brackets nested without end. Each kind is
 * reported once, at its first place. False: libyaml must not see the text. *hidden: invisible
 * characters were among it, so that the texts that hold them need no error of their own. */
bool source_check(const struct source *s, struct policy_diag *d, bool *hidden);
