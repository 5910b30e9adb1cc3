#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "services/net/names.h"

#define NAMES_GENERATIONS_MAX 256 /* of all parts: reloads within three seconds, and then some */
#define NAMES_FLUSHES 3		  /* an epoch ends at the next flush, is read at the one after */

struct net_names {
	struct net_names *next;
	uint64_t gen, bytes;
	uint32_t n, flushes; /* flushes: since it was replaced */
	uint8_t part;
	bool replaced;
	uint32_t at[]; /* n offsets from the struct, then the texts */
};

/* One sensor to a process: the list belongs to it. Newest first. */
static struct net_names *list;

struct net_names *net_names_new(const char *const *names, uint32_t n)
{
	size_t size = sizeof(struct net_names) + n * sizeof(uint32_t), at = size;
	struct net_names *s;

	for (uint32_t i = 0; i < n; i++)
		size += strlen(names[i]) + 1;
	if (size > UINT32_MAX)
		return NULL;
	s = calloc(1, size);
	if (!s)
		return NULL;
	s->n = n;
	s->bytes = size;
	for (uint32_t i = 0; i < n; i++) {
		size_t len = strlen(names[i]) + 1;

		memcpy((char *)s + at, names[i], len);
		s->at[i] = (uint32_t)at;
		at += len;
	}
	return s;
}

void net_names_free(struct net_names *names)
{
	free(names);
}

static void forget_oldest(void)
{
	struct net_names **at = &list;
	unsigned n = 0;

	for (struct net_names *s = list; s; s = s->next)
		n++;
	if (n < NAMES_GENERATIONS_MAX)
		return;
	while ((*at)->next)
		at = &(*at)->next;
	free(*at);
	*at = NULL;
}

void net_names_take(uint8_t part, uint64_t gen, struct net_names *names)
{
	for (struct net_names *s = list; s; s = s->next)
		if (s->part == part)
			s->replaced = true;
	if (!names)
		return;
	forget_oldest();
	names->part = part;
	names->gen = gen;
	names->next = list;
	list = names;
}

void net_names_flushed(void)
{
	struct net_names **at = &list;

	while (*at) {
		struct net_names *s = *at;

		if (s->replaced && ++s->flushes > NAMES_FLUSHES) {
			*at = s->next;
			free(s);
		} else {
			at = &s->next;
		}
	}
}

struct text net_names_find(uint8_t part, uint64_t gen, uint32_t rule_id)
{
	for (const struct net_names *s = list; s; s = s->next)
		if (s->part == part && s->gen == gen)
			return rule_id && rule_id <= s->n
				       ? text_of((const char *)s + s->at[rule_id - 1])
				       : (struct text){ NULL, 0 };
	return (struct text){ NULL, 0 };
}

uint64_t net_names_bytes(void)
{
	uint64_t sum = 0;

	for (const struct net_names *s = list; s; s = s->next)
		sum += s->bytes;
	return sum;
}

void net_names_drop_all(void)
{
	while (list) {
		struct net_names *next = list->next;

		free(list);
		list = next;
	}
}
