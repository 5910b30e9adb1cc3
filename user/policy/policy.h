#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/json.h"
#include "kmn_abi.h"

/* A policy as a checked tree: files parsed, parents merged, every key known to a schema. */

enum policy_type { POLICY_SCALAR, POLICY_LIST, POLICY_MAP };

struct policy_pos { /* where a value was written; line and column start at 1 */
	const char *file;
	uint32_t line, col;
};

struct policy_node { /* owned by its struct policy */
	enum policy_type type;
	struct policy_pos pos;
	const char *key; /* in a map */
	struct policy_pos key_pos;
	const char *scalar; /* text as written, quotes and escapes resolved; "" for an empty one */
	bool quoted;	    /* so that "443" and 443 can be told apart */
	uint32_t n;	    /* children */
	struct policy_node **child;
};

struct policy {
	const char *name, *file, *dir; /* dir: of the leaf file; relative names in it start there */
	enum kmn_mode mode;	       /* the ceiling for all */
	struct policy_node *root;
};

/* ---- reading it (compile of a module) ---- */
const struct policy_node *policy_get(const struct policy_node *map, const char *key); /* or NULL */
/* The node of modules.NAME, or NULL when the policy does not name the module. */
const struct policy_node *policy_module(const struct policy *p, const char *name);
const char *policy_text(const struct policy_node *map, const char *key, const char *otherwise);
uint64_t policy_u64(const struct policy_node *map, const char *key, uint64_t otherwise);
bool policy_bool(const struct policy_node *map, const char *key, bool otherwise);
enum kmn_mode policy_mode(const struct policy_node *map, enum kmn_mode otherwise); /* key "mode" */

/* ---- saying what is wrong: all of it, not only the first ---- */
struct policy_diag;
/* An error at a node: "FILE:LINE:COL: error: what", the line and a caret are added. hint: what to
 * do, may be NULL. */
void policy_error(struct policy_diag *d, const struct policy_node *at, const char *hint,
		  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void policy_warn(struct policy_diag *d, const struct policy_node *at, const char *hint,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));
unsigned policy_errors(const struct policy_diag *d);

/* ---- schema: one table serves the check, the JSON Schema, the docs and "did you mean" ---- */
enum policy_kind {
	POLICY_K_TEXT,
	POLICY_K_BOOL,	 /* true or false, nothing else */
	POLICY_K_U64,	 /* decimal; min and max hold */
	POLICY_K_ENUM,	 /* one of words */
	POLICY_K_OBJECT, /* keys */
	POLICY_K_LIST,	 /* of item */
	POLICY_K_VALUE,	 /* scalar, list, a-b, {list: FILE} or {not: VALUE}: check() of its own */
	POLICY_K_MAP_OF, /* free keys, each value an item */
};
struct policy_key {
	const char *name; /* NULL ends a table */
	enum policy_kind kind;
	bool required, one_or_list; /* one_or_list: a single item may stand without brackets */
	const char *doc;	    /* one sentence */
	const char *example;
	const char *const *words;      /* ENUM: NULL-terminated */
	const struct policy_key *keys; /* OBJECT: its keys */
	const struct policy_key *item; /* LIST, MAP_OF: one unnamed key that describes an item */
	uint64_t min, max;	       /* U64; TEXT: length */
	/* More than the kind can say; reports by policy_error(). NULL: nothing more. */
	void (*check)(const struct policy_node *node, struct policy_diag *d);
};

/* ---- the transaction: see policy/transaction.h ---- */
