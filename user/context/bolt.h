#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/text.h"

/* Reads the database of a running containerd: a B+ tree of buckets in one file (bbolt). Takes no
 * lock, for that would stop containerd: its writer puts changed pages elsewhere and then a new
 * head, so what one head leads to is whole until the next but one. Bounded in depth, pages and
 * memory; every offset in the file is checked. source: go.etcd.io/bbolt page.go, db.go, bucket.go
 */

struct bolt {
	/* Bytes of the file: 0, or -errno when not all len could be read. */
	int (*read)(void *self, uint64_t at, void *out, size_t len);
	void *self;
	uint32_t page_bytes;
	uint64_t root, txid;
	uint8_t *page; /* the page in hand */
	size_t room, page_len;
};

#define BOLT_INLINE_MAX 16384
struct bolt_bucket {
	uint64_t root; /* page; 0: the bucket is small and lies here */
	size_t len;
	uint8_t page[BOLT_INLINE_MAX];
};

/* read and self are set. -EBADMSG: no such database; -ENOMEM. */
int bolt_open(struct bolt *b);
void bolt_close(struct bolt *b);
/* Has the head stayed what it was at bolt_open()? If not, what was read may be mixed. */
bool bolt_unchanged(const struct bolt *b);
void bolt_top(const struct bolt *b, struct bolt_bucket *top);
/* The bucket name inside of from; out may not be from. -ENOENT, -EBADMSG, or what read said. */
int bolt_enter(struct bolt *b, const struct bolt_bucket *from, struct text name,
	       struct bolt_bucket *out);
/* A value, until the next call. As above. */
int bolt_value(struct bolt *b, const struct bolt_bucket *from, struct text key, struct text *value);
/* Every value of a bucket of one page; larger ones are -EFBIG. */
int bolt_each(struct bolt *b, const struct bolt_bucket *from,
	      void (*tell)(void *self, struct text key, struct text value), void *self);
