#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "context/bolt.h"

/* A database of any bytes. The sums of both heads are set right first: a fuzzer would not guess
 * them, and they keep no attacker out. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct file {
	uint8_t *bytes;
	size_t len;
};

static int read_file(void *self, uint64_t at, void *out, size_t len)
{
	const struct file *f = self;

	if (at > f->len || len > f->len - at)
		return -ENODATA;
	memcpy(out, f->bytes + at, len);
	return 0;
}

static void sum_head(struct file *f, size_t at)
{
	uint64_t sum = 0xcbf29ce484222325ULL;

	if (f->len < at + 80)
		return;
	for (int i = 0; i < 56; i++)
		sum = (sum ^ f->bytes[at + 16 + i]) * 0x100000001b3ULL;
	memcpy(f->bytes + at + 16 + 56, &sum, sizeof(sum));
}

static void take(void *self, struct text key, struct text value)
{
	size_t *sum = self;

	for (uint32_t i = 0; i < key.len; i++)
		*sum += (uint8_t)key.p[i];
	for (uint32_t i = 0; i < value.len; i++)
		*sum += (uint8_t)value.p[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const path[] = { "v1", "k8s.io", "containers", "id", "labels" };
	static struct bolt_bucket at[2];
	struct file f = { malloc(size ? size : 1), size };
	struct bolt b = { .read = read_file, .self = &f };
	struct text value;
	size_t sum = 0;

	if (!f.bytes)
		return 0;
	memcpy(f.bytes, data, size);
	sum_head(&f, 0);
	sum_head(&f, 4096);
	if (!bolt_open(&b)) {
		bolt_top(&b, &at[0]);
		for (int i = 0; i < 5; i++) {
			(void)bolt_each(&b, &at[i % 2], take, &sum);
			if (!bolt_value(&b, &at[i % 2], text_of("image"), &value))
				take(&sum, value, value);
			if (bolt_enter(&b, &at[i % 2], text_of(path[i]), &at[(i + 1) % 2]))
				break;
		}
		(void)bolt_unchanged(&b);
	}
	bolt_close(&b);
	free(f.bytes);
	return 0;
}
