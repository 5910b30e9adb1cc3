#pragma once
#include <stdbool.h>
#include <stddef.h>
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
/* The node at a dotted path of keys, "events.findings.max_mib", or NULL. */
const struct policy_node *policy_at(const struct policy_node *map, const char *path);
/* All of these bear NULL and a node of another type: they give what stands for absent. */

/* The file that the scalar at names, relative to the folder of the file that wrote it (a parent's
 * list lies beside the parent). 0, -ENAMETOOLONG, or -EINVAL when it is empty. */
int policy_path(const struct policy_node *at, char *out, size_t size);

/* A decimal number: false, and *why (static: "is hexadecimal: write it in decimal") when text is
 * anything else. No sign, no octal, no underscore, no fraction. */
bool policy_number(const char *text, uint64_t *v, const char **why);

/* ---- saying what is wrong: all of it, not only the first ---- */
struct policy_diag;
/* An error at a node: "FILE:LINE:COL: error: what", the line and a caret are added. hint: what to
 * do, may be NULL. */
void policy_error(struct policy_diag *d, const struct policy_node *at, const char *hint,
		  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void policy_warn(struct policy_diag *d, const struct policy_node *at, const char *hint,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));
unsigned policy_errors(const struct policy_diag *d);

/* ---- modes: the lowest of policy, module and rule is in force ---- */
extern const char *const policy_modes[4]; /* "off", "detect", "prevent", NULL: by enum kmn_mode */

struct policy_effect {
	enum kmn_mode mode;		    /* in force */
	enum kmn_mode policy, module, rule; /* what each level says; silent: the level above */
	const char *level;		    /* who decides: "policy", "module" or "rule" */
	const struct policy_node *from;	    /* where that was written; NULL: it is a default */
};

/* rule: the map of one rule with its key "mode", or NULL for the module as such. A policy that says
 * no mode is at detect; a module that it does not name is off. */
struct policy_effect policy_effect(const struct policy *p, const char *module,
				   const struct policy_node *rule);
/* Members "mode", "decided_by" and "from" ("FILE:LINE", or "default") of the open object.
 * What explain() of a module writes into its open object is an array "rules" of objects
 * {"name", "what" (one line: what it does to which traffic), these three members, and any other},
 * in the order in which they are judged, and an array "notes" of sentences (implicit rules). */
void policy_effect_json(struct json *j, const struct policy_effect *e);

/* ---- schema: one table serves the check, the JSON Schema, the docs and "did you mean" ---- */
enum policy_kind {
	POLICY_K_TEXT,	 /* one line; what looks like a number, a bool or null must be quoted */
	POLICY_K_BOOL,	 /* true or false, nothing else */
	POLICY_K_U64,	 /* decimal; min and max hold */
	POLICY_K_ENUM,	 /* one of words */
	POLICY_K_OBJECT, /* keys */
	POLICY_K_LIST,	 /* of item */
	POLICY_K_VALUE,	 /* scalar, list of such, {list: FILE}, {not: VALUE} or {WORD: VALUE} with
			    WORD of words: its shape is checked, the rest by check() */
	POLICY_K_MAP_OF, /* free keys, each value an item */
};
struct policy_key {
	const char *name; /* NULL ends a table */
	enum policy_kind kind;
	bool required, one_or_list; /* one_or_list: a single item may stand without brackets */
	const char *doc;	    /* one sentence */
	const char *example;
	const char *const *words;      /* ENUM, VALUE: NULL-terminated */
	const struct policy_key *keys; /* OBJECT: its keys */
	const struct policy_key *item; /* LIST, MAP_OF: one unnamed key that describes an item */
	uint64_t min, max;	       /* U64; TEXT: length */
	/* More than the kind can say; reports by policy_error(). Called when the node is of its
	 * kind and, but for LIST and MAP_OF, all below it is right. NULL: nothing more. */
	void (*check)(const struct policy_node *node, struct policy_diag *d);
};

/* ---- the transaction: see policy/transaction.h ---- */
