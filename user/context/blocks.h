#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Blocks of 64 bytes to 16 KiB out of one piece of memory that never grows: a buddy allocator, so
 * that a block costs a few steps at most, and neighbours that are free become one again. */
#define BLOCKS_UNIT 64
#define BLOCKS_ORDERS 9
#define BLOCKS_MAX (BLOCKS_UNIT << (BLOCKS_ORDERS - 1)) /* bytes of the largest block */

struct blocks {
	uint8_t *memory;
	uint8_t *state; /* of each unit: what begins there */
	uint32_t n_units;
	uint32_t n_used; /* units in blocks that are handed out */
	uint32_t free[BLOCKS_ORDERS];
};

/* 0 or -ENOMEM. bytes: what it may allocate in all; -EINVAL when that is not one largest block. */
int blocks_init(struct blocks *b, uint64_t bytes);
void blocks_free_all(struct blocks *b);
/* A block of at least len bytes by number, not zeroed; 0: none is free, or len is too much. */
uint32_t blocks_take(struct blocks *b, size_t len);
void blocks_give(struct blocks *b, uint32_t block); /* 0 is allowed */
void *blocks_at(const struct blocks *b, uint32_t block);
uint64_t blocks_bytes(const struct blocks *b); /* allocated, book-keeping included */
