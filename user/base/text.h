#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed bytes, not NUL-terminated, of any content; {NULL, 0} = unknown or absent. */
struct text {
	const char *p;
	uint32_t len;
};

static inline struct text text_of(const char *s)
{
	return (struct text){ s, s ? (uint32_t)strlen(s) : 0 };
}

static inline int text_is(struct text t, const char *s)
{
	return t.p && strlen(s) == t.len && !memcmp(t.p, s, t.len);
}

/* The last part of a path; one that ends in a slash stays whole. */
static inline struct text text_base(struct text path)
{
	uint32_t at = path.len;

	while (at && path.p[at - 1] != '/')
		at--;
	return at == path.len ? path : (struct text){ path.p + at, path.len - at };
}
