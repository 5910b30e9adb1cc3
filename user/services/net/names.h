#pragma once
#include <stdint.h>
#include "base/text.h"

/* The names of the rules of each module and generation. A denial may be told of seconds after its
 * generation was replaced, so names live on until the denials of theirs are all told. */
struct net_names;

/* Rule ids start at 1: names[0] is rule 1. Copies. NULL without memory (not logged). For compile():
 * a generation's names are made before its commit, which cannot fail. */
struct net_names *net_names_new(const char *const *names, uint32_t n);
void net_names_free(struct net_names *names); /* NULL is fine */

/* Generation gen of the part is in force: its names take over. Takes names, which may be NULL. */
void net_names_take(uint8_t part, uint64_t gen, struct net_names *names);
/* A flush of the folds is done: forget what two flushes after its replacement can name no more. */
void net_names_flushed(void);
/* The name, or {NULL, 0}. Valid until the next call of one of the two above. */
struct text net_names_find(uint8_t part, uint64_t gen, uint32_t rule_id);
uint64_t net_names_bytes(void); /* of memory in use */
void net_names_drop_all(void);	/* at the end of the service */
