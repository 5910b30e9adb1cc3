#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/text.h"

/* Streaming JSON writer onto a buf. No allocation of its own; exact 64-bit numbers; bytes that are
 * not UTF-8 come out as U+FFFD; what would act on a terminal comes out as \uNNNN. key: NULL inside
 * an array and at the top. At most 32 levels: a deeper object or array is written as null, what is
 * put into it is left out, and bad is set. source: RFC 8259. */
struct json {
	struct buf *out;
	uint32_t level;
	uint32_t started; /* bit per level: something stands there, so a comma comes first */
	uint32_t arrays;  /* bit per level: it is an array */
	uint32_t skipped; /* levels that are left out */
	bool bad; /* too deep, a key where none may be or none where one must, one end too many */
};

struct json json_on(struct buf *out);
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_end(struct json *j); /* of the innermost object or array */
void json_u64(struct json *j, const char *key, uint64_t v);
void json_i64(struct json *j, const char *key, int64_t v);
void json_double(struct json *j, const char *key, double v); /* NaN and infinity: null */
void json_bool(struct json *j, const char *key, bool v);
void json_null(struct json *j, const char *key);
void json_str(struct json *j, const char *key, const char *v);	/* NULL: null */
void json_text(struct json *j, const char *key, struct text v); /* {NULL, 0}: null */
/* base64 of the bytes as they are (RFC 4648): beside a json_text() that had to repair them. */
void json_base64(struct json *j, const char *key, struct text v);
void json_printf(struct json *j, const char *key, const char *fmt, ...) /* cut after 1,023 bytes */
	__attribute__((format(printf, 3, 4)));
