#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KMN_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KMN_SANITIZED 1
#endif
#endif

#define SANDBOX_FILTER_MODE 2 /* SECCOMP_MODE_FILTER, as prctl(PR_GET_SECCOMP) says it */

/* Let the process do what a job needs and kill it for anything else; one list for glibc and musl.
 * 0, or -errno. no_new_privs must be set. */
int sandbox_filter_load(void);
