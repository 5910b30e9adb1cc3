#include <errno.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "event/ring_map.h"

#define LEN_MASK ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT)

int ring_map_open(struct ring_map *r, int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	void *consumer, *producer;
	int e = bpf_obj_get_info_by_fd(fd, &info, &len);

	if (e < 0)
		return e;
	if (info.type != BPF_MAP_TYPE_RINGBUF)
		return -EINVAL;
	consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (consumer == MAP_FAILED)
		return -errno;
	producer =
		mmap(NULL, page + 2ULL * info.max_entries, PROT_READ, MAP_SHARED, fd, (off_t)page);
	if (producer == MAP_FAILED) {
		e = -errno;
		(void)munmap(consumer, page);
		return e;
	}
	r->consumer = consumer;
	r->producer = producer;
	r->data = (const uint8_t *)producer + page;
	r->size = info.max_entries;
	r->page = page;
	return 0;
}

void ring_map_close(struct ring_map *r)
{
	if (!r->consumer)
		return;
	(void)munmap(r->consumer, r->page);
	(void)munmap((void *)(uintptr_t)r->producer, r->page + 2 * r->size);
	r->consumer = NULL;
}

uint64_t ring_map_written(const struct ring_map *r)
{
	return __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
}

uint64_t ring_map_read(const struct ring_map *r)
{
	return __atomic_load_n(r->consumer, __ATOMIC_RELAXED); /* ours */
}

static uint32_t head_at(const struct ring_map *r, uint64_t pos)
{
	const uint32_t *head = (const void *)(r->data + (pos & (r->size - 1)));

	return __atomic_load_n(head, __ATOMIC_ACQUIRE);
}

static uint64_t step(uint32_t head)
{
	return ((head & LEN_MASK) + BPF_RINGBUF_HDR_SZ + 7) & ~7ULL;
}

int ring_map_peek(struct ring_map *r, uint64_t end, const void **rec, uint32_t *len)
{
	uint64_t pos = ring_map_read(r);

	while (pos < end) {
		uint32_t head = head_at(r, pos);

		if (head & BPF_RINGBUF_BUSY_BIT)
			return 0;
		if (!(head & BPF_RINGBUF_DISCARD_BIT)) {
			*rec = r->data + (pos & (r->size - 1)) + BPF_RINGBUF_HDR_SZ;
			*len = head & LEN_MASK;
			return 1;
		}
		pos += step(head);
		__atomic_store_n(r->consumer, pos, __ATOMIC_RELEASE);
	}
	return 0;
}

void ring_map_pop(struct ring_map *r, uint32_t len)
{
	__atomic_store_n(r->consumer, ring_map_read(r) + step(len), __ATOMIC_RELEASE);
}

uint64_t ring_map_count(const struct ring_map *r, uint64_t end)
{
	uint64_t n = 0, pos = ring_map_read(r);

	while (pos < end) {
		uint32_t head = head_at(r, pos);

		n += !(head & (BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT));
		pos += step(head);
	}
	return n;
}
