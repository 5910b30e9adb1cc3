#include "policy/parse.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "base/utf8.h"
#include "policy/diag.h"
#include "policy/syntax.h"

#define KEY_MAX 256 /* bytes; YAML itself ends at 1024 characters */

struct parse {
	yaml_parser_t yaml;
	struct tree *t;
	struct source *s;
	struct policy_diag *d;
	bool hidden;	  /* source_check() has spoken of invisible characters */
	bool holes, stop; /* stop: nothing more can be read */
};

KMN_AUTO_DEFINE(struct policy_node **, free)

static inline void kmn_auto_event(yaml_event_t *ev)
{
	yaml_event_delete(ev);
}

static struct policy_pos pos_of(const struct parse *p, yaml_mark_t mark)
{
	return (struct policy_pos){ p->s->name, (uint32_t)mark.line + 1,
				    (uint32_t)mark.column + 1 };
}

static void no_memory(struct parse *p)
{
	diag_no_memory(p->d);
	p->stop = true;
}

/* The next event; on an error it is said and stop is set. */
static void next(struct parse *p, yaml_event_t *ev)
{
	if (p->stop)
		return;
	if (yaml_parser_parse(&p->yaml, ev))
		return;
	p->stop = p->holes = true;
	if (p->yaml.error == YAML_MEMORY_ERROR)
		diag_no_memory(p->d);
	else
		syntax_error(&p->yaml, p->s, p->d);
}

/* Anchors and tags are refused wherever they stand. */
static void check_marks(struct parse *p, const yaml_event_t *ev, const yaml_char_t *anchor,
			const yaml_char_t *tag)
{
	char mem[80];

	if (anchor)
		diag_error(
			p->d, pos_of(p, ev->start_mark),
			"write the value out at each place; a common part can be a parent policy",
			"an anchor (`&%s`): policies have none",
			tree_quote((const char *)anchor, mem, sizeof(mem)));
	if (tag)
		diag_error(p->d, pos_of(p, ev->start_mark), "remove it; a text is made by quotes",
			   "a tag (`%s`): policies have none",
			   tree_quote((const char *)tag, mem, sizeof(mem)));
}

/* Characters that the escapes of a quoted text can make and no name or path should have. */
static bool check_text(struct parse *p, const yaml_event_t *ev)
{
	const char *text = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length, step;
	uint32_t cp;

	for (size_t i = 0; i < len; i += step) {
		step = utf8_next(text + i, len - i, &cp);
		if (step && (cp == '\n' || cp == '\t' || !utf8_hostile(cp)))
			continue;
		if (!p->hidden || cp < 0xa0)
			diag_error(p->d, pos_of(p, ev->start_mark), "remove it",
				   "the text holds a control or invisible character (U+%04X)", cp);
		return false;
	}
	return true;
}

static struct policy_node *new_node(struct parse *p, const yaml_event_t *ev, enum policy_type type)
{
	struct policy_node *n;

	if (p->t->nodes == TREE_NODES_MAX) {
		diag_error(p->d, pos_of(p, ev->start_mark),
			   "keep long lists in files of their own: {list: FILE}",
			   "more than %d values; reading stops here", TREE_NODES_MAX);
		p->stop = p->holes = true;
		return NULL;
	}
	p->t->nodes++;
	n = arena_get(&p->t->arena, sizeof(*n));
	if (!n) {
		no_memory(p);
		return NULL;
	}
	n->type = type;
	n->pos = pos_of(p, ev->start_mark);
	return n;
}

static struct policy_node *scalar(struct parse *p, const yaml_event_t *ev)
{
	struct policy_node *n = new_node(p, ev, POLICY_SCALAR);
	bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

	if (!n)
		return NULL;
	check_marks(p, ev, ev->data.scalar.anchor, ev->data.scalar.tag);
	if (!check_text(p, ev)) {
		p->holes = true;
		return NULL;
	}
	if (plain && ev->start_mark.line != ev->end_mark.line)
		diag_error(p->d, n->pos, "put it in quotes, or see whether a `:` or `-` is missing",
			   "a value without quotes goes on in the next line");
	n->quoted = !plain;
	n->scalar = arena_copy(&p->t->arena, (const char *)ev->data.scalar.value,
			       ev->data.scalar.length);
	if (!n->scalar) {
		no_memory(p);
		return NULL;
	}
	return n;
}

static struct policy_node *node(struct parse *p, yaml_event_t *ev, unsigned depth);

/* The key that ev is, or NULL and what is wrong is said; the value must be read all the same. */
static const char *key_of(struct parse *p, yaml_event_t *ev, unsigned depth)
{
	const struct policy_node *n;
	struct policy_pos pos = pos_of(p, ev->start_mark);

	n = node(p, ev, depth);
	if (!n)
		return NULL;
	if (n->type != POLICY_SCALAR) {
		diag_error(p->d, pos, "write `key: value`", "a key must be a word, not a %s",
			   n->type == POLICY_LIST ? "list" : "map");
		return NULL;
	}
	if (!n->quoted && !strcmp(n->scalar, "<<")) {
		diag_error(p->d, pos, "name a parent policy by `extends:` instead",
			   "a merge key (`<<`): policies have none");
		return NULL;
	}
	if (!*n->scalar) {
		diag_error(p->d, pos, "write `key: value`", "a value without a key");
		return NULL;
	}
	if (strlen(n->scalar) > KEY_MAX) {
		diag_error(p->d, pos, NULL, "a key longer than %d bytes", KEY_MAX);
		return NULL;
	}
	return n->scalar;
}

/* Keys that stand in one map twice, `x` and `+x` among them: libyaml does not mind, and which one
 * counts would be a guess. The later ones are left out. */
static void check_doubles(struct parse *p, struct policy_node *map)
{
	kmn_auto(free) struct policy_node **sorted = tree_by_key(map);
	const struct policy_node *first = NULL, *other;
	uint32_t kept = 0;
	char mem[80];

	if (!sorted && map->n)
		no_memory(p);
	for (uint32_t i = 0; sorted && i < map->n; i++) {
		struct policy_node *n = sorted[i];

		if (first && !strcmp(n->key, first->key)) {
			other = first;
		} else {
			first = n;
			other = *n->key == '+' ? tree_find(sorted, map->n, n->key + 1) : NULL;
		}
		if (!other)
			continue;
		diag_error(p->d, n->key_pos, "keep one of the two",
			   other == first
				   ? "the key `%s` stands here again: the first is at line %u, "
				     "column %u"
				   : "`%s` stands beside the key itself, at line %u, column %u",
			   tree_quote(n->key, mem, sizeof(mem)), other->key_pos.line,
			   other->key_pos.col);
		n->pos.line = 0; /* to be left out */
	}
	for (uint32_t i = 0; sorted && i < map->n; i++)
		if (map->child[i]->pos.line)
			map->child[kept++] = map->child[i];
	map->n = sorted ? kept : map->n;
}

/* Read one `key: value` into n; false at the end of the map. */
static bool member(struct parse *p, struct policy_node *n, uint32_t *cap, unsigned depth)
{
	kmn_auto(event) yaml_event_t k = { 0 }, v = { 0 };
	struct policy_node *child;
	struct policy_pos pos;
	const char *key;

	next(p, &k);
	if (p->stop || k.type == YAML_MAPPING_END_EVENT)
		return false;
	pos = pos_of(p, k.start_mark);
	key = key_of(p, &k, depth + 1);
	next(p, &v);
	child = p->stop ? NULL : node(p, &v, depth + 1);
	if (!key || !child) { /* said already */
		p->holes = true;
		return true;
	}
	child->key = key;
	child->key_pos = pos;
	if (tree_add(&p->t->arena, n, cap, child) < 0)
		no_memory(p);
	return true;
}

static struct policy_node *map(struct parse *p, const yaml_event_t *start, unsigned depth)
{
	struct policy_node *n = new_node(p, start, POLICY_MAP);
	uint32_t cap = 0;

	check_marks(p, start, start->data.mapping_start.anchor, start->data.mapping_start.tag);
	while (n && !p->stop && member(p, n, &cap, depth))
		;
	if (n)
		check_doubles(p, n);
	return n;
}

static struct policy_node *list(struct parse *p, const yaml_event_t *start, unsigned depth)
{
	struct policy_node *n = new_node(p, start, POLICY_LIST), *child;
	uint32_t cap = 0;

	check_marks(p, start, start->data.sequence_start.anchor, start->data.sequence_start.tag);
	while (n && !p->stop) {
		kmn_auto(event) yaml_event_t e = { 0 };

		next(p, &e);
		if (p->stop || e.type == YAML_SEQUENCE_END_EVENT)
			break;
		child = node(p, &e, depth + 1);
		if (child && tree_add(&p->t->arena, n, &cap, child) < 0)
			no_memory(p);
	}
	return n;
}

/* The node that begins with ev (borrowed), NULL when there is none to be had: said already. */
static struct policy_node *node(struct parse *p, yaml_event_t *ev, unsigned depth)
{
	char mem[80];

	if (depth > TREE_DEPTH_MAX) {
		diag_error(p->d, pos_of(p, ev->start_mark), NULL,
			   "nested deeper than %d levels; reading stops here", TREE_DEPTH_MAX);
		p->stop = p->holes = true;
		return NULL;
	}
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return scalar(p, ev);
	case YAML_SEQUENCE_START_EVENT:
		return list(p, ev, depth);
	case YAML_MAPPING_START_EVENT:
		return map(p, ev, depth);
	case YAML_ALIAS_EVENT:
		diag_error(p->d, pos_of(p, ev->start_mark),
			   "write the value out; to begin a text with `*`, quote it",
			   "an alias (`*%s`): policies have none",
			   tree_quote((const char *)ev->data.alias.anchor, mem, sizeof(mem)));
		break;
	default: /* the grammar allows no other here */
		break;
	}
	p->holes = true;
	return NULL;
}

/* The documents of the stream: one is wanted. */
static struct policy_node *stream(struct parse *p)
{
	struct policy_node *root = NULL;
	unsigned documents = 0;

	while (!p->stop) {
		kmn_auto(event) yaml_event_t ev = { 0 };

		next(p, &ev);
		if (p->stop || ev.type == YAML_STREAM_END_EVENT)
			break;
		if (ev.type == YAML_DOCUMENT_START_EVENT) {
			if (ev.data.document_start.version_directive ||
			    ev.data.document_start.tag_directives.start !=
				    ev.data.document_start.tag_directives.end)
				diag_error(p->d, pos_of(p, ev.start_mark), "remove the line",
					   "a directive (`%%`): policies have none");
			if (++documents > 1) {
				diag_error(
					p->d, pos_of(p, ev.start_mark), "make it a file of its own",
					"a second document begins here: a file holds one policy");
				p->stop = true;
			}
		} else if (ev.type != YAML_STREAM_START_EVENT &&
			   ev.type != YAML_DOCUMENT_END_EVENT) {
			root = node(p, &ev, 1);
		}
	}
	return root;
}

void parse_source(struct tree *t, struct source *s, struct policy_diag *d,
		  struct policy_node **root, bool *holes)
{
	struct parse p = { .t = t, .s = s, .d = d };
	size_t skip =
		!strncmp(s->text, "\xef\xbb\xbf", 3) ? 3 : 0; /* the mark is an error already */

	*root = NULL;
	*holes = true;
	if (!source_check(s, d, &p.hidden))
		return;
	if (!yaml_parser_initialize(&p.yaml)) {
		diag_no_memory(d);
		return;
	}
	yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p.yaml, (const unsigned char *)s->text + skip, s->len - skip);
	*root = stream(&p);
	*holes = p.holes || p.stop;
	yaml_parser_delete(&p.yaml);
	if (*root && (*root)->type == POLICY_SCALAR && !*(*root)->scalar && !(*root)->quoted)
		*root = NULL;
	if (!*root && !*holes)
		diag_error(d, (struct policy_pos){ s->name, 1, 1 },
			   "a policy begins with `version: 1`", "the file is empty");
	*holes |= !*root;
}
