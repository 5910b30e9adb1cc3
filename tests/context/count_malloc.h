#pragma once
#include <stdint.h>
#include <stdlib.h>

/* Counts every allocation of the process, of libraries too, since count_malloc_begin(). */
static volatile uint64_t count_malloc_n;

#if defined(__SANITIZE_ADDRESS__)
#define COUNT_BY_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COUNT_BY_SANITIZER
#endif
#endif

#ifdef COUNT_BY_SANITIZER
int __sanitizer_install_malloc_and_free_hooks(void (*made)(const volatile void *, size_t),
					      void (*freed)(const volatile void *));

static void count_made(const volatile void *p, size_t n)
{
	(void)p;
	(void)n;
	count_malloc_n++;
}

static void count_freed(const volatile void *p)
{
	(void)p;
}

static inline void count_malloc_begin(void)
{
	static int installed;

	if (!installed++)
		(void)__sanitizer_install_malloc_and_free_hooks(count_made, count_freed);
	count_malloc_n = 0;
}
#else
/* glibc: the program's own malloc is everybody's. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
	count_malloc_n++;
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	count_malloc_n++;
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	count_malloc_n++;
	return __libc_realloc(p, n);
}

static inline void count_malloc_begin(void)
{
	count_malloc_n = 0;
}
#endif
