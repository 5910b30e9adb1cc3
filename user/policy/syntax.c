#include "policy/syntax.h"
#include <stdio.h>
#include <string.h>

/* libyaml's problems, by their beginning. */
static const struct {
	const char *problem, *what, *hint;
	bool at_context; /* the place to show is where the construct began */
} known[] = {
	{ "mapping values are not allowed", "a `:` that cannot stand here",
	  "quote a text that holds `: `, and see whether the line is indented like its neighbours",
	  false },
	{ "did not find expected ',' or ']'", "`,` or `]` is missing", "close the list with `]`",
	  false },
	{ "did not find expected ',' or '}'", "`,` or `}` is missing", "close the map with `}`",
	  false },
	{ "could not find expected ':'", "a key without `:`", "write `key: value`", true },
	{ "did not find expected key", "a key was expected here",
	  "indent the keys of a map alike, and close quotes and brackets above", false },
	{ "did not find expected '-'", "an item that begins with `-` was expected here",
	  "indent the items of a list alike", false },
	{ "block sequence entries are not allowed", "a list item cannot stand here",
	  "begin it on a line of its own below its key", false },
	{ "block mapping", "a map cannot stand here", NULL, false },
	{ "found unexpected end of stream", "a quoted text is not closed", "close the quotes",
	  true },
	{ "found unexpected document indicator", "a quoted text is not closed", "close the quotes",
	  true },
	{ "found unknown escape character", "an escape that YAML does not know",
	  "in double quotes write \\\\ for a backslash, or use single quotes", false },
	{ "did not find expected hexdecimal", "an escape with too few hexadecimal digits",
	  "in double quotes write \\\\ for a backslash, or use single quotes", false },
	{ "found invalid Unicode character escape", "an escape that is no character",
	  "write the character itself", false },
	{ "did not find expected <document start>", "text after the end of the policy",
	  "a file holds one policy", false },
	{ "found a tab character", "a tab in the indentation", "indent with blanks", false },
	{ "did not find expected alphabetic", "an alias or anchor without a name",
	  "to begin a text with `*` or `&`, quote it", false },
	{ "found undefined tag handle", "a tag: policies have none",
	  "remove it; a text is made by quotes", true },
};

static uint32_t tab_in_indent(const struct source *s, uint32_t line)
{
	size_t len;
	const char *p = source_line(s, line, &len);

	for (size_t i = 0; p && i < len && (p[i] == ' ' || p[i] == '\t'); i++)
		if (p[i] == '\t')
			return (uint32_t)i + 1;
	return 0;
}

static bool is_blank_line(const struct source *s, uint32_t line)
{
	size_t len;
	const char *p = source_line(s, line, &len);

	for (size_t i = 0; p && i < len; i++)
		if (p[i] != ' ')
			return false;
	return true;
}

/* What libyaml was reading, in our words: "while parsing a block mapping" is a map. */
static const char *construct(const char *context)
{
	return strstr(context, "mapping")    ? "map"
	       : strstr(context, "sequence") ? "list"
	       : strstr(context, "quoted")   ? "text"
					     : "value";
}

/* libyaml found a character that begins nothing. */
static void bad_start(const struct source *s, struct policy_pos pos, struct policy_diag *d)
{
	size_t len;
	const char *line = source_line(s, pos.line, &len);
	char c = line && pos.col <= len ? line[pos.col - 1] : '\0';

	if (c == '@' || c == '`' || c == '%')
		diag_error(d, pos, "put it in quotes", "a value cannot begin with %c", c);
	else
		diag_error(d, pos, "put it in quotes", "a character that cannot stand here");
}

void syntax_error(const yaml_parser_t *yaml, const struct source *s, struct policy_diag *d)
{
	const char *problem = yaml->problem ? yaml->problem : "unreadable";
	struct policy_pos pos = { s->name, (uint32_t)yaml->problem_mark.line + 1,
				  (uint32_t)yaml->problem_mark.column + 1 };
	struct policy_pos from = { s->name, (uint32_t)yaml->context_mark.line + 1,
				   (uint32_t)yaml->context_mark.column + 1 };
	uint32_t tab = tab_in_indent(s, pos.line);

	if (yaml->error == YAML_READER_ERROR) { /* source_check() has seen most */
		diag_error(d, (struct policy_pos){ s->name, (uint32_t)yaml->mark.line + 1, 1 },
			   NULL, "not YAML: %s", problem);
		return;
	}
	if (tab) {
		pos.col = tab;
		diag_error(d, pos, "indent with blanks", "a tab in the indentation");
		return;
	}
	if (!strncmp(problem, "found character that cannot start", 33)) {
		bad_start(s, pos, d);
		return;
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strncmp(problem, known[i].problem, strlen(known[i].problem)))
			continue;
		if (yaml->context && strstr(yaml->context, "flow") && is_blank_line(s, pos.line))
			diag_error(
				d, from, known[i].hint, "the %s that begins here is not closed",
				construct(yaml->context)); /* the end of the file shows nothing */
		else if (yaml->context && !known[i].at_context && from.line != pos.line)
			diag_error(d, pos, known[i].hint, "%s, in the %s that begins at line %u",
				   known[i].what, construct(yaml->context), from.line);
		else
			diag_error(d, known[i].at_context ? from : pos, known[i].hint, "%s",
				   known[i].what);
		return;
	}
	diag_error(d, pos, NULL, "not YAML: %s%s%s", problem, yaml->context ? ", " : "",
		   yaml->context ? yaml->context : "");
}
