#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "context/blocks.h"

/* State of a unit: nothing begins here, or a block of some order does, free or not. */
enum { INSIDE = 0, ORDER_BITS = 0x0f, BEGINS = 0x10, FREE = 0x20 };

/* In the memory of a free block. Numbers are units plus one: 0 is none. */
struct link {
	uint32_t next, prev;
};

#define TOP_UNITS (1U << (BLOCKS_ORDERS - 1))

void *blocks_at(const struct blocks *b, uint32_t block)
{
	return b->memory + (size_t)(block - 1) * BLOCKS_UNIT;
}

static struct link *link_at(const struct blocks *b, uint32_t block)
{
	return blocks_at(b, block);
}

static void push(struct blocks *b, uint32_t block, unsigned order)
{
	struct link *l = link_at(b, block);

	*l = (struct link){ .next = b->free[order] };
	if (l->next)
		link_at(b, l->next)->prev = block;
	b->free[order] = block;
	b->state[block - 1] = (uint8_t)(BEGINS | FREE | order);
}

static void unlink_free(struct blocks *b, uint32_t block, unsigned order)
{
	struct link *l = link_at(b, block);

	if (l->next)
		link_at(b, l->next)->prev = l->prev;
	if (l->prev)
		link_at(b, l->prev)->next = l->next;
	else
		b->free[order] = l->next;
	b->state[block - 1] = INSIDE;
}

int blocks_init(struct blocks *b, uint64_t bytes)
{
	uint64_t tops = bytes / (TOP_UNITS * (BLOCKS_UNIT + 1));

	*b = (struct blocks){ 0 };
	if (!tops || tops > UINT32_MAX / TOP_UNITS)
		return -EINVAL;
	b->n_units = (uint32_t)tops * TOP_UNITS;
	b->memory = malloc((size_t)b->n_units * BLOCKS_UNIT);
	b->state = calloc(b->n_units, 1);
	if (!b->memory || !b->state) {
		blocks_free_all(b);
		return -ENOMEM;
	}
	for (uint32_t i = b->n_units; i; i -= TOP_UNITS) /* lowest first in the list */
		push(b, i - TOP_UNITS + 1, BLOCKS_ORDERS - 1);
	return 0;
}

void blocks_free_all(struct blocks *b)
{
	free(b->memory);
	free(b->state);
	*b = (struct blocks){ 0 };
}

static unsigned order_of(size_t len)
{
	unsigned order = 0;

	while (((size_t)BLOCKS_UNIT << order) < len)
		order++;
	return order;
}

uint32_t blocks_take(struct blocks *b, size_t len)
{
	unsigned order, has;
	uint32_t block;

	if (len > BLOCKS_MAX)
		return 0;
	order = order_of(len);
	for (has = order; has < BLOCKS_ORDERS && !b->free[has]; has++)
		;
	if (has == BLOCKS_ORDERS)
		return 0;
	block = b->free[has];
	unlink_free(b, block, has);
	while (has > order) { /* keep the lower half, the upper one is free */
		has--;
		push(b, block + (1U << has), has);
	}
	b->state[block - 1] = (uint8_t)(BEGINS | order);
	b->n_used += 1U << order;
	return block;
}

void blocks_give(struct blocks *b, uint32_t block)
{
	unsigned order;

	if (!block)
		return;
	order = b->state[block - 1] & ORDER_BITS;
	b->n_used -= 1U << order;
	b->state[block - 1] = INSIDE;
	for (; order < BLOCKS_ORDERS - 1; order++) {
		uint32_t other = ((block - 1) ^ (1U << order)) + 1;

		if (b->state[other - 1] != (BEGINS | FREE | order))
			break;
		unlink_free(b, other, order);
		if (other < block)
			block = other;
	}
	push(b, block, order);
}

uint64_t blocks_bytes(const struct blocks *b)
{
	return (uint64_t)b->n_units * (BLOCKS_UNIT + 1);
}
