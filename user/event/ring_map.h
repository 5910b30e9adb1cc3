#pragma once
#include <stdbool.h>
#include <stdint.h>

/* One BPF ring buffer as user space sees it. Read by hand and not by ring_buffer__consume(): that
 * has no bound on discarded records, and hides the positions that the accounting needs. One reader.
 * source: kernel Documentation/bpf/ringbuf.rst, kernel/bpf/ringbuf.c */
struct ring_map {
	uint64_t *consumer;	  /* ours to write */
	const uint64_t *producer; /* the kernel's */
	const uint8_t *data;	  /* mapped twice in a row: a record is never split */
	uint64_t size;		  /* bytes, a power of two */
	uint64_t page;
};

/* fd: of the map, borrowed. 0 or -errno; -EINVAL: not a ring buffer. */
int ring_map_open(struct ring_map *r, int fd);
void ring_map_close(struct ring_map *r);

uint64_t ring_map_written(const struct ring_map *r); /* positions only ever grow */
uint64_t ring_map_read(const struct ring_map *r);

/* The next record, up to the position end: 1 with *rec and *len, valid until ring_map_pop(); 0:
 * none that is finished (one that is being written holds up those behind it). Discarded ones are
 * stepped over. */
int ring_map_peek(struct ring_map *r, uint64_t end, const void **rec, uint32_t *len);
void ring_map_pop(struct ring_map *r, uint32_t len);

/* Finished records between here and position end, those behind unfinished ones too. */
uint64_t ring_map_count(const struct ring_map *r, uint64_t end);
