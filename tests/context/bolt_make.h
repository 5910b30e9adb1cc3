#pragma once
#include <stdint.h>
#include <string.h>

/* Writes databases as bbolt does, as far as its reader looks: pages, branches, buckets inline and
 * on pages of their own. */

#define BOLT_PAGE 4096
struct bolt_file {
	uint8_t bytes[16 * BOLT_PAGE];
	size_t len;
};

struct bolt_item {
	const char *key;
	const void *value;
	size_t len;
	uint32_t bucket; /* 1: value is a bucket */
	uint64_t child;	 /* of a branch */
};

static inline void bolt_put(uint8_t *at, uint64_t v, size_t len)
{
	memcpy(at, &v, len); /* little end first, as the host */
}

/* A page of items, sorted by key by the caller; its length. flags: 1 branch, 2 leaf. */
static inline size_t bolt_page(uint8_t *at, uint64_t id, unsigned flags,
			       const struct bolt_item *items, unsigned n)
{
	size_t data = 16 + n * 16;

	bolt_put(at, id, 8);
	bolt_put(at + 8, flags, 2);
	bolt_put(at + 10, n, 2);
	bolt_put(at + 12, 0, 4);
	for (unsigned i = 0; i < n; i++) {
		uint8_t *e = at + 16 + i * 16;
		size_t key = strlen(items[i].key), pos = data - (size_t)(e - at);

		if (flags == 1) {
			bolt_put(e, pos, 4);
			bolt_put(e + 4, key, 4);
			bolt_put(e + 8, items[i].child, 8);
		} else {
			bolt_put(e, items[i].bucket, 4);
			bolt_put(e + 4, pos, 4);
			bolt_put(e + 8, key, 4);
			bolt_put(e + 12, items[i].len, 4);
		}
		memcpy(at + data, items[i].key, key);
		data += key;
		if (flags != 1 && items[i].len) {
			memcpy(at + data, items[i].value, items[i].len);
			data += items[i].len;
		}
	}
	return data;
}

/* A bucket as the value of a leaf: inline (root 0) with items, or on page root. */
static inline size_t bolt_bucket_value(uint8_t *at, uint64_t root, const struct bolt_item *items,
				       unsigned n)
{
	bolt_put(at, root, 8);
	bolt_put(at + 8, 0, 8);
	return root ? 16 : 16 + bolt_page(at + 16, 0, 2, items, n);
}

static inline void bolt_head(uint8_t *file, unsigned which, uint64_t root, uint64_t txid)
{
	uint8_t *at = file + which * BOLT_PAGE, *m = at + 16;
	uint64_t sum = 0xcbf29ce484222325ULL;

	memset(at, 0, 16 + 64);
	bolt_put(at, which, 8);
	bolt_put(at + 8, 4, 2);
	bolt_put(m, 0xED0CDAED, 4);
	bolt_put(m + 4, 2, 4);
	bolt_put(m + 8, BOLT_PAGE, 4);
	bolt_put(m + 16, root, 8);
	bolt_put(m + 48, txid, 8);
	for (int i = 0; i < 56; i++)
		sum = (sum ^ m[i]) * 0x100000001b3ULL;
	bolt_put(m + 56, sum, 8);
}

/* containerd's: v1 / namespace / containers / id: image and labels. The containers stand on a page
 * of their own behind a branch, the rest inline. */
static inline void bolt_containerd(struct bolt_file *f, const char *space, const char *id,
				   const char *image, const char *key, const char *value)
{
	static uint8_t labels[1024], one[2048], containers[64], in_space[4096], v1[4096];
	struct bolt_item label = { key, value, strlen(value), 0, 0 };
	struct bolt_item inside[] = { { "image", image, strlen(image), 0, 0 },
				      { "labels", labels, 0, 1, 0 },
				      { "runtime", "x", 1, 0, 0 } };
	struct bolt_item container = { id, one, 0, 1, 0 };
	struct bolt_item folder = { "containers", containers, 0, 1, 0 };
	struct bolt_item spaces = { space, in_space, 0, 1, 0 };
	struct bolt_item top[] = { { "v1", v1, 0, 1, 0 }, { "version", "1", 1, 0, 0 } };
	struct bolt_item other = { "!", "first", 5, 0, 0 };
	struct bolt_item branches[] = { { "!", NULL, 0, 0, 4 }, { "\"", NULL, 0, 0, 5 } };

	memset(f, 0, sizeof(*f));
	inside[1].len = bolt_bucket_value(labels, 0, &label, 1);
	container.len = bolt_bucket_value(one, 0, inside, 3);
	(void)bolt_page(f->bytes + 4 * BOLT_PAGE, 4, 2, &other, 1);
	(void)bolt_page(f->bytes + 5 * BOLT_PAGE, 5, 2, &container, 1);
	(void)bolt_page(f->bytes + 3 * BOLT_PAGE, 3, 1, branches, 2);
	folder.len = bolt_bucket_value(containers, 3, NULL, 0);
	spaces.len = bolt_bucket_value(in_space, 0, &folder, 1);
	top[0].len = bolt_bucket_value(v1, 0, &spaces, 1);
	(void)bolt_page(f->bytes + 2 * BOLT_PAGE, 2, 2, top, 2);
	bolt_head(f->bytes, 0, 2, 6);
	bolt_head(f->bytes, 1, 2, 7);
	f->len = 6 * BOLT_PAGE;
}
