#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "context/bolt.h"

#define MAGIC 0xED0CDAED
#define VERSION 2
#define HEAD_BYTES 16 /* of a page: id, flags, count, overflow */
#define META_BYTES 64
#define META_SUMMED 56	 /* bytes of it that the checksum covers */
#define ELEMENT_BYTES 16 /* of a branch and of a leaf */
#define BUCKET_BYTES 16	 /* in front of a bucket in a leaf: root, sequence */
#define DEPTH_MAX 16
#define ROOM_MAX (1U << 20) /* of a page with all that belongs to it */
enum { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_META = 4 };
enum { LEAF_BUCKET = 1 };

/* In the file all numbers are in the order of the host that wrote it: this one. */
static uint16_t u16_at(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t u32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t u64_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

struct meta {
	uint32_t page_bytes;
	uint64_t root, txid;
};

static uint64_t fnv(const uint8_t *p, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * 0x100000001b3ULL;
	return hash;
}

static int read_meta(const struct bolt *b, uint64_t at, struct meta *meta)
{
	uint8_t page[HEAD_BYTES + META_BYTES], *m = page + HEAD_BYTES;
	int r = b->read(b->self, at, page, sizeof(page));

	if (r < 0)
		return r;
	if (!(u16_at(page + 8) & PAGE_META) || u32_at(m) != MAGIC || u32_at(m + 4) != VERSION ||
	    u64_at(m + META_SUMMED) != fnv(m, META_SUMMED))
		return -EBADMSG;
	*meta = (struct meta){ u32_at(m + 8), u64_at(m + 16), u64_at(m + 48) };
	if (meta->page_bytes < 512 || meta->page_bytes > 65536 ||
	    meta->page_bytes & (meta->page_bytes - 1) || meta->root < 2)
		return -EBADMSG;
	return 0;
}

/* The newer of the two heads that are whole: a writer changes one of them at a time. */
static int find_meta(const struct bolt *b, struct meta *meta)
{
	static const uint32_t sizes[] = { 4096, 16384, 65536 }; /* of pages, by architecture */
	struct meta first, second;
	bool has = !read_meta(b, 0, &first);

	if (has && !read_meta(b, first.page_bytes, &second)) {
		*meta = second.txid > first.txid ? second : first;
		return 0;
	}
	if (has) {
		*meta = first;
		return 0;
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (!read_meta(b, sizes[i], meta) && meta->page_bytes == sizes[i])
			return 0;
	return -EBADMSG;
}

int bolt_open(struct bolt *b)
{
	struct meta meta;
	int r = find_meta(b, &meta);

	b->page = NULL;
	b->room = b->page_len = 0;
	if (r < 0)
		return r;
	b->page = malloc(ROOM_MAX);
	if (!b->page)
		return -ENOMEM;
	b->room = ROOM_MAX;
	b->page_bytes = meta.page_bytes;
	b->root = meta.root;
	b->txid = meta.txid;
	return 0;
}

void bolt_close(struct bolt *b)
{
	free(b->page);
	b->page = NULL;
}

bool bolt_unchanged(const struct bolt *b)
{
	struct meta now;

	return !find_meta(b, &now) && now.txid == b->txid;
}

void bolt_top(const struct bolt *b, struct bolt_bucket *top)
{
	top->root = b->root;
	top->len = 0;
}

/* Page id with the pages that continue it into b->page. */
static int load(struct bolt *b, uint64_t id)
{
	uint8_t head[HEAD_BYTES];
	uint64_t len;
	int r;

	if (id < 2 || id > UINT64_MAX / b->page_bytes - 1)
		return -EBADMSG;
	r = b->read(b->self, id * b->page_bytes, head, sizeof(head));
	if (r < 0)
		return r;
	len = (uint64_t)b->page_bytes * (u32_at(head + 12) + 1ULL);
	if (u64_at(head) != id || len > b->room)
		return -EBADMSG;
	r = b->read(b->self, id * b->page_bytes, b->page, (size_t)len);
	if (r < 0)
		return r;
	b->page_len = (size_t)len;
	return 0;
}

struct page {
	const uint8_t *p;
	size_t len;
	unsigned flags, count;
};

static int view(const uint8_t *p, size_t len, struct page *page)
{
	if (len < HEAD_BYTES)
		return -EBADMSG;
	*page = (struct page){ p, len, u16_at(p + 8), u16_at(p + 10) };
	return HEAD_BYTES + (size_t)page->count * ELEMENT_BYTES > len ? -EBADMSG : 0;
}

/* The bytes [pos, pos + len) behind element i; false when they are not inside the page. */
static bool piece(const struct page *page, unsigned i, uint64_t pos, uint32_t len, struct text *out)
{
	uint64_t at = HEAD_BYTES + (uint64_t)i * ELEMENT_BYTES + pos;

	if (at > page->len || len > page->len - at)
		return false;
	*out = (struct text){ (const char *)page->p + at, len };
	return true;
}

static bool branch_at(const struct page *page, unsigned i, struct text *key, uint64_t *id)
{
	const uint8_t *e = page->p + HEAD_BYTES + (size_t)i * ELEMENT_BYTES;

	*id = u64_at(e + 8);
	return piece(page, i, u32_at(e), u32_at(e + 4), key);
}

static bool leaf_at(const struct page *page, unsigned i, struct text *key, struct text *value,
		    uint32_t *flags)
{
	const uint8_t *e = page->p + HEAD_BYTES + (size_t)i * ELEMENT_BYTES;
	uint32_t pos = u32_at(e + 4), key_len = u32_at(e + 8);

	*flags = u32_at(e);
	return piece(page, i, pos, key_len, key) &&
	       piece(page, i, (uint64_t)pos + key_len, u32_at(e + 12), value);
}

static int compare(struct text a, struct text b)
{
	int r = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);

	return r ? r : a.len < b.len ? -1 : a.len > b.len;
}

static int find_in_leaf(const struct page *page, struct text key, struct text *value,
			uint32_t *flags)
{
	for (unsigned i = 0; i < page->count; i++) {
		struct text k;

		if (!leaf_at(page, i, &k, value, flags))
			return -EBADMSG;
		if (k.len == key.len && !memcmp(k.p, key.p, k.len))
			return 0;
	}
	return -ENOENT;
}

static int find(struct bolt *b, const struct bolt_bucket *from, struct text key, struct text *value,
		uint32_t *flags)
{
	uint64_t id = from->root;
	struct page page = { 0 };

	if (!id)
		return view(from->page, from->len, &page) < 0 || !(page.flags & PAGE_LEAF)
			       ? -EBADMSG
			       : find_in_leaf(&page, key, value, flags);
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		int r = load(b, id);

		if (!r)
			r = view(b->page, b->page_len, &page);
		if (r < 0)
			return r;
		if (page.flags & PAGE_LEAF)
			return find_in_leaf(&page, key, value, flags);
		if (!(page.flags & PAGE_BRANCH) || !page.count)
			return -EBADMSG;
		for (unsigned i = 0; i < page.count; i++) { /* the last that begins no later */
			struct text k;
			uint64_t child;

			if (!branch_at(&page, i, &k, &child))
				return -EBADMSG;
			if (i && compare(k, key) > 0)
				break;
			id = child;
		}
	}
	return -EBADMSG;
}

int bolt_enter(struct bolt *b, const struct bolt_bucket *from, struct text name,
	       struct bolt_bucket *out)
{
	struct text value;
	uint32_t flags;
	int r = find(b, from, name, &value, &flags);

	if (r < 0)
		return r;
	if (!(flags & LEAF_BUCKET) || value.len < BUCKET_BYTES)
		return -EBADMSG;
	out->root = u64_at((const uint8_t *)value.p);
	out->len = 0;
	if (out->root)
		return 0;
	if (value.len - BUCKET_BYTES > sizeof(out->page))
		return -EBADMSG;
	out->len = value.len - BUCKET_BYTES;
	memcpy(out->page, value.p + BUCKET_BYTES, out->len);
	return 0;
}

int bolt_value(struct bolt *b, const struct bolt_bucket *from, struct text key, struct text *value)
{
	uint32_t flags;
	int r = find(b, from, key, value, &flags);

	return r < 0 ? r : flags & LEAF_BUCKET ? -ENOENT : 0;
}

int bolt_each(struct bolt *b, const struct bolt_bucket *from,
	      void (*tell)(void *self, struct text key, struct text value), void *self)
{
	struct page page = { 0 };
	int r = from->root ? load(b, from->root) : 0;

	if (!r)
		r = from->root ? view(b->page, b->page_len, &page)
			       : view(from->page, from->len, &page);
	if (r < 0)
		return r;
	if (page.flags & PAGE_BRANCH)
		return -EFBIG;
	if (!(page.flags & PAGE_LEAF))
		return -EBADMSG;
	for (unsigned i = 0; i < page.count; i++) {
		struct text key, value;
		uint32_t flags;

		if (!leaf_at(&page, i, &key, &value, &flags))
			return -EBADMSG;
		if (!(flags & LEAF_BUCKET))
			tell(self, key, value);
	}
	return 0;
}
