#pragma once
#include <stddef.h>
#include <unistd.h>

/* kmn_auto(fn): fn(v) runs when v leaves its scope, unless v is NULL. So always initialise v. */
#define kmn_auto(fn) __attribute__((cleanup(kmn_auto_##fn)))

/* kmn_auto(fd): closes a descriptor; -1 and the -errno that libbpf returns are none. */
static inline void kmn_auto_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define KMN_AUTO_DEFINE(type, fn)                 \
	static inline void kmn_auto_##fn(type *v) \
	{                                         \
		if (*v)                           \
			fn(*v);                   \
	}
/* KMN_TAKE(v): the value of v, which gives up ownership. */
#define KMN_TAKE(v)                         \
	({                                  \
		__typeof__(v) taken_ = (v); \
		(v) = NULL;                 \
		taken_;                     \
	})
