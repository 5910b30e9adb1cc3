#include "policy/print.h"
#include <ctype.h>
#include <string.h>
#include "policy/transaction.h"
#include "policy/tree.h"

#define STEP 2	      /* blanks of indentation */
#define ORIGIN_COL 60 /* where origins are lined up */

struct print {
	struct buf *out;
	bool origins;
	size_t line; /* where the line in hand begins */
};

bool print_is_plain(const char *text)
{
	if (!strcmp(text, "~") || !*text)
		return true;
	if (!strncmp(text, "---", 3) || !strncmp(text, "...", 3))
		return false;
	if (!isalnum((unsigned char)*text) && !strchr("_/.", *text) &&
	    !((*text == '-' || *text == '+') && isalnum((unsigned char)text[1])) &&
	    (unsigned char)*text < 0x80)
		return false;
	for (const char *c = text; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return false;
		if (*c == ':' && (!c[1] || c[1] == ' '))
			return false;
		if (*c == ' ' && (!c[1] || c[1] == '#'))
			return false;
	}
	return true;
}

void print_scalar(const char *text, bool quoted, struct buf *out)
{
	if (!quoted && print_is_plain(text)) {
		buf_puts(out, text);
		return;
	}
	buf_puts(out, "\"");
	for (const char *c = text; *c; c++) {
		if (*c == '"' || *c == '\\')
			buf_printf(out, "\\%c", *c);
		else if (*c == '\n')
			buf_puts(out, "\\n");
		else if (*c == '\t')
			buf_puts(out, "\\t");
		else
			buf_add(out, c, 1); /* the parser lets no other control through */
	}
	buf_puts(out, "\"");
}

static bool in_flow(const char *text)
{
	return print_is_plain(text) && *text && !strpbrk(text, ",[]{}");
}

void print_inline(const struct policy_node *n, struct buf *out)
{
	if (n->type == POLICY_SCALAR) {
		print_scalar(n->scalar, n->quoted || !in_flow(n->scalar), out);
		return;
	}
	buf_puts(out, n->type == POLICY_LIST ? "[" : "{");
	for (uint32_t i = 0; i < n->n; i++) {
		if (i)
			buf_puts(out, ", ");
		if (n->type == POLICY_MAP) {
			print_scalar(n->child[i]->key, !in_flow(n->child[i]->key), out);
			buf_puts(out, ": ");
		}
		print_inline(n->child[i], out);
	}
	buf_puts(out, n->type == POLICY_LIST ? "]" : "}");
}

/* ---- whole policies ---- */
static void end_line(struct print *p, const struct policy_node *n)
{
	size_t width = p->out->len - p->line;

	if (p->origins) {
		buf_printf(p->out, "%*s  # ", width < ORIGIN_COL ? (int)(ORIGIN_COL - width) : 0,
			   "");
		buf_add_safe(p->out, n->pos.file, strlen(n->pos.file));
		buf_printf(p->out, ":%u", n->pos.line);
	}
	buf_puts(p->out, "\n");
	p->line = p->out->len;
}

static void children(struct print *p, const struct policy_node *n, unsigned indent, bool begun);

/* What follows "key:" or "-". */
static void value(struct print *p, const struct policy_node *n, unsigned indent, bool item)
{
	if (n->type == POLICY_SCALAR) {
		if (n->quoted || *n->scalar)
			buf_puts(p->out, " ");
		print_scalar(n->scalar, n->quoted, p->out);
		end_line(p, n);
	} else if (!n->n) {
		buf_puts(p->out, n->type == POLICY_LIST ? " []" : " {}");
		end_line(p, n);
	} else if (item) {
		buf_puts(p->out, " ");
		children(p, n, indent, true);
	} else {
		end_line(p, n);
		children(p, n, indent, false);
	}
}

/* The members of a list or map; begun: the first continues the line that "- " began. */
static void children(struct print *p, const struct policy_node *n, unsigned indent, bool begun)
{
	for (uint32_t i = 0; i < n->n; i++) {
		const struct policy_node *child = n->child[i];

		if (i || !begun)
			buf_printf(p->out, "%*s", (int)indent, "");
		if (n->type == POLICY_MAP) {
			print_scalar(child->key, !*child->key || !strcmp(child->key, "~"), p->out);
			buf_puts(p->out, ":");
			value(p, child, indent + STEP, false);
		} else {
			buf_puts(p->out, "-");
			value(p, child, indent + STEP, true);
		}
	}
}

void policy_print(const struct policy *policy, bool origins, struct buf *out)
{
	struct print p = { out, origins, out->len };

	children(&p, policy->root, 0, false);
}

static void json_node(struct json *j, const char *key, const struct policy_node *n)
{
	const char *why;
	uint64_t v;

	if (n->type != POLICY_SCALAR) {
		if (n->type == POLICY_MAP)
			json_object(j, key);
		else
			json_array(j, key);
		for (uint32_t i = 0; i < n->n; i++)
			json_node(j, n->child[i]->key, n->child[i]);
		json_end(j);
	} else if (n->quoted) {
		json_str(j, key, n->scalar);
	} else if (!strcmp(n->scalar, "true") || !strcmp(n->scalar, "false")) {
		json_bool(j, key, *n->scalar == 't');
	} else if (tree_is_null_like(n->scalar)) {
		json_null(j, key);
	} else if (policy_number(n->scalar, &v, &why)) {
		json_u64(j, key, v);
	} else {
		json_str(j, key, n->scalar);
	}
}

void policy_json(const struct policy *p, struct json *j)
{
	json_node(j, NULL, p->root);
}
