#pragma once
#include <yaml.h>
#include "policy/diag.h"

/* Say what libyaml could not read in words that tell what to do. */
void syntax_error(const yaml_parser_t *yaml, const struct source *s, struct policy_diag *d);
