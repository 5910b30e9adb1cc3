#include <cjson/cJSON.h>
#include <string.h>
#include "base/auto.h"
#include "base/term.h"
#include "control/policy_cmd.h"
#include "core/command.h"

/* policy explain: modules write JSON (policy_effect_json() has its shape); people get it as a table
 * made of that same JSON, so that the two cannot differ. */

KMN_AUTO_DEFINE(struct policy *, policy_free)
KMN_AUTO_DEFINE(struct policy_diag *, policy_diag_free)
KMN_AUTO_DEFINE(cJSON *, cJSON_Delete)
KMN_AUTO_DEFINE(struct term_table *, term_table_free)

static inline void kmn_auto_plans(void *(*plans)[KMN_PARTS])
{
	policy_cmd_plans_free(*plans);
}

static void explain_json(const struct policy *p, void *const *plans, struct json *j)
{
	const struct kmn_module *const *m = cli_roof()->modules;

	json_object(j, NULL);
	json_str(j, "policy", p->name);
	json_str(j, "file", p->file);
	json_str(j, "mode", policy_modes[p->mode]);
	json_array(j, "modules");
	for (unsigned i = 0; m[i]; i++) {
		struct policy_effect e = policy_effect(p, m[i]->part.name, NULL);

		json_object(j, NULL);
		json_str(j, "name", m[i]->part.name);
		json_bool(j, "named", policy_module(p, m[i]->part.name));
		policy_effect_json(j, &e);
		if (m[i]->explain && plans[i])
			m[i]->explain(p, plans[i], j);
		json_end(j);
	}
	json_end(j);
	json_end(j);
}

static const char *text(const cJSON *object, const char *key)
{
	const char *v = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

	return v ? v : "";
}

static enum term_colour mode_colour(const char *mode)
{
	return !strcmp(mode, "prevent")	 ? TERM_GREEN
	       : !strcmp(mode, "detect") ? TERM_YELLOW
					 : TERM_DIM;
}

static void add_rules(const cJSON *rules, bool colours, struct buf *out)
{
	static const char *const heads[] = { "RULE", "MODE", "DECIDED BY", "FROM", "WHAT", NULL };
	kmn_auto(term_table_free) struct term_table *table = term_table_new(heads);
	const cJSON *rule;

	if (!cJSON_GetArraySize(rules) || !table)
		return;
	cJSON_ArrayForEach(rule, rules)
	{
		term_cell(table, TERM_PLAIN, "%s", text(rule, "name"));
		term_cell(table, mode_colour(text(rule, "mode")), "%s", text(rule, "mode"));
		term_cell(table, TERM_PLAIN, "%s", text(rule, "decided_by"));
		term_cell(table, TERM_PLAIN, "%s", text(rule, "from"));
		term_cell(table, TERM_PLAIN, "%s", text(rule, "what"));
	}
	term_table_add(table, "  ", colours, out);
}

static void add_module(const cJSON *module, bool colours, struct buf *out)
{
	const cJSON *note;

	term_add(out, colours, TERM_BOLD, text(module, "name"));
	buf_puts(out, ": ");
	term_add(out, colours, mode_colour(text(module, "mode")), text(module, "mode"));
	if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(module, "named"))) {
		buf_puts(out, ", the policy does not name it\n");
		return;
	}
	buf_puts(out, ", decided by ");
	term_add(out, colours, TERM_PLAIN, text(module, "decided_by"));
	buf_puts(out, " (");
	term_add(out, colours, TERM_PLAIN, text(module, "from"));
	buf_puts(out, ")\n");
	add_rules(cJSON_GetObjectItemCaseSensitive(module, "rules"), colours, out);
	cJSON_ArrayForEach(note, cJSON_GetObjectItemCaseSensitive(module, "notes"))
	{
		buf_puts(out, "  note: ");
		if (cJSON_GetStringValue(note))
			term_add(out, colours, TERM_PLAIN, cJSON_GetStringValue(note));
		buf_puts(out, "\n");
	}
}

static int add_text(struct buf *from, bool colours, struct buf *out)
{
	kmn_auto(cJSON_Delete) cJSON *whole = cJSON_Parse(buf_text(from));
	const cJSON *module;

	if (!whole)
		return cli_fail(CLI_NO, "no memory");
	buf_puts(out, "policy ");
	term_add(out, colours, TERM_BOLD, text(whole, "policy"));
	buf_puts(out, " (");
	term_add(out, colours, TERM_PLAIN, text(whole, "file"));
	buf_puts(out, "): ");
	term_add(out, colours, mode_colour(text(whole, "mode")), text(whole, "mode"));
	buf_puts(out, " is the ceiling for all\n");
	cJSON_ArrayForEach(module, cJSON_GetObjectItemCaseSensitive(whole, "modules"))
	{
		buf_puts(out, "\n");
		add_module(module, colours, out);
	}
	return CLI_GOOD;
}

int policy_cmd_explain(const struct policy_options *o)
{
	kmn_auto(plans) void *plans[KMN_PARTS] = { NULL };
	kmn_auto(policy_diag_free) struct policy_diag *d = policy_diag_new();
	kmn_auto(policy_free) struct policy *p = NULL;
	kmn_auto(buf) struct buf out = { 0 };
	kmn_auto(buf) struct buf shown = { 0 };
	struct json j = json_on(&out);
	int r = CLI_GOOD;

	if (!d)
		return cli_fail(CLI_NO, "no memory");
	p = policy_cmd_load(o->files, o->n, d, plans);
	if (!p)
		return policy_cmd_refuse(d, o->json);
	explain_json(p, plans, &j);
	buf_puts(&out, "\n");
	if (o->json)
		return term_write(&out, stdout) < 0 ? CLI_NO : CLI_GOOD;
	r = add_text(&out, term_colours(stdout), &shown);
	if (r == CLI_GOOD && term_write(&shown, stdout) < 0)
		r = CLI_NO;
	return r;
}
