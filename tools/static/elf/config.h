/* libelf without elfutils' configure: what its files ask of musl. */
#define _GNU_SOURCE 1
#define HAVE_DECL_MEMPCPY 1
#define HAVE_DECL_MEMRCHR 1
#define HAVE_DECL_POWEROF2 1
#define HAVE_DECL_RAWMEMCHR 0
#define HAVE_DECL_REALLOCARRAY 1
#define HAVE_ERR_H 1
#define HAVE_VISIBILITY 1
#define HAVE_GCC_STRUCT 1
#define HAVE_BUILTIN_POPCOUNT 1
#define PACKAGE_NAME "elfutils"
#define PACKAGE_VERSION "static"
#define ZLIB 1
#define _(s) s
#define N_(s) s
#include <stdint.h>
#ifndef TEMP_FAILURE_RETRY
#define TEMP_FAILURE_RETRY(e)                       \
	({                                          \
		long r_;                            \
		do                                  \
			r_ = (long)(e);             \
		while (r_ == -1 && errno == EINTR); \
		r_;                                 \
	})
#endif
#include <eu-config.h>
