#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/hash.h"
#include "event/event.h"
#include "event/hostkey.h"

/* One SQLite file of a stream: a head, batches of encoded events, and a seal when it is full. The
 * chain begins with the hash of the head; each batch adds itself; the seal signs where it ended,
 * and the head of the next segment repeats that, so that a segment may go and the seam still proves
 * itself. docs/events.md has the tables and the exact bytes of each hash.
 * Not for two threads. Every int: 0 or -errno; -EUCLEAN: the file is damaged. */
#define SEGMENT_FORMAT 1
#define BOOT_ID_BYTES 16

struct segment_seal {
	uint32_t number;
	uint64_t first_seq, last_seq, batches;
	uint8_t final[HASH_BYTES]; /* chain behind the last batch */
	uint8_t signature[SIGN_BYTES];
};

enum segment_gap {		   /* why the segment before is not named in the head */
		   SEGMENT_JOINED, /* it is */
		   SEGMENT_FIRST,  /* there was none */
		   SEGMENT_BROKEN, /* it was damaged: numbers may be missing */
};

struct segment_head {
	uint8_t stream;
	uint32_t number;
	char host_id[HOST_ID_TEXT];
	uint8_t public_key[SIGN_PUBLIC_BYTES];
	uint8_t boot[BOOT_ID_BYTES];
	uint64_t created_ns; /* wall clock */
	uint64_t first_seq;  /* of the first event it can hold */
	uint32_t gap;	     /* enum segment_gap */
	struct segment_seal prev;
};

struct segment_batch {
	uint64_t first_seq, last_seq;
	uint64_t first_ns, last_ns; /* smallest and largest wall clock in it */
	uint64_t modules, services; /* bit per part: segment_part_bits() */
	uint32_t severities;	    /* bit per severity */
	uint32_t packing;	    /* enum segment_packing */
	uint32_t raw_len;	    /* bytes unpacked */
	uint8_t boot[BOOT_ID_BYTES];
	uint8_t chain[HASH_BYTES];
	const void *blob; /* packed: per event a varint length and its bytes */
	uint32_t len;
};
enum segment_packing { SEGMENT_PLAIN, SEGMENT_ZLIB };

/* Where a part stands in the two bit sets; parts 64 to 127 share the last bit of the first. */
static inline void segment_part_bits(uint8_t part, uint64_t *modules, uint64_t *services)
{
	if (part < 128)
		*modules |= 1ULL << (part < 63 ? part : 63);
	else
		*services |= 1ULL << (part - 128 < 63 ? part - 128 : 63);
}

/* ---- hashes ---- */
int segment_head_hash(const struct segment_head *h, uint8_t out[HASH_BYTES]);
int segment_batch_hash(struct hash *hash, const uint8_t prev[HASH_BYTES],
		       const struct segment_batch *b, uint8_t out[HASH_BYTES]);
/* What the signature of a seal signs. */
int segment_seal_hash(const struct segment_head *h, const struct segment_seal *s,
		      uint8_t out[HASH_BYTES]);
/* Is s signed by the key of h (of its own head, or of the next one for head.prev)? */
int segment_seal_verify(const struct segment_head *h, const struct segment_seal *s);

/* ---- the file ---- */
struct segment;

/* Make the file whole (temporary name, synced, renamed). */
int segment_create(const char *path, const struct segment_head *head);
/* durable: each commit reaches the disk (findings); else when SQLite checkpoints. */
int segment_open_write(const char *path, bool durable, uint64_t bytes_max, struct segment **s);
int segment_open_read(const char *path, struct segment **s); /* -ENOENT: it expired meanwhile */
void segment_close(struct segment *s);

int segment_get_head(struct segment *s, struct segment_head *head);
int segment_get_seal(struct segment *s, struct segment_seal *seal); /* -ENOENT: not sealed */
/* What a scan may skip, and where it begins. Zero initialised: everything. */
struct segment_filter {
	uint64_t from_ns, to_ns;    /* 0: no bound; a batch that overlaps is handed out */
	uint64_t modules, services; /* both 0: all parts */
	uint32_t severities;	    /* 0: all */
};
/* The first batch with first_seq >= seq, or with backward the last with first_seq <= seq. 1, with
 * *b valid until the next call; 0: none. Holds no lock afterwards. */
int segment_get_batch(struct segment *s, const struct segment_filter *f, uint64_t seq,
		      bool backward, struct segment_batch *b);
int segment_count(struct segment *s, uint64_t *batches);
/* Events unpacked: *raw is valid until the next call. -EUCLEAN: does not unpack to raw_len. */
int segment_unpack(struct segment *s, const struct segment_batch *b, const uint8_t **raw);

int segment_begin(struct segment *s);
int segment_put(struct segment *s, const struct segment_batch *b);
int segment_commit(struct segment *s);
void segment_rollback(struct segment *s);
int segment_put_seal(struct segment *s, const struct segment_seal *seal); /* one transaction */
/* Turn the file into a plain one without a log beside it, which can be read where nothing can be
 * written. Best effort: a reader may be in the way. Nothing may be put into it afterwards. */
void segment_settle(struct segment *s);
uint64_t segment_bytes(const char *path); /* of the file and of what SQLite keeps beside it */
