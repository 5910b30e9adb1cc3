#pragma once
#include "core/worker.h"
#include "services/net/cidr.h"

/* Lists of addresses in files of foreign origin. The worker job "net_list" reads one:
 *
 *   # a comment; so is all behind a ';' or '#'
 *   192.0.2.0/24
 *   2001:db8::1
 *
 * one address or prefix to a line, either family, any order; blanks around it. A line that is
 * anything else fails the list with "LINE:COLUMN: what", so that a truncated download or a page of
 * HTML is no empty list. The result is an array of struct net_cidr, sorted, each once; what lies
 * within another of the list is kept. */
#define NET_LIST_MAX 1000000
#define NET_LIST_LINE 256	       /* bytes of a line */
#define NET_LIST_FILE_MAX (256U << 20) /* bytes read of a file */
#define NET_LIST_TIMEOUT_MS 20000

extern const struct worker_job net_list_job;

/* The checked result, mapped read-only. */
struct net_list {
	const struct net_cidr *cidr;
	uint32_t n;
	size_t len; /* of the mapping */
};

/* Check what a worker wrote entry by entry: whole entries, at most NET_LIST_MAX, each clean and
 * sorted behind the one before. fd is borrowed. 0; -EPROTO when it is not so: nothing of it may be
 * used; -errno of the mapping. */
int net_list_check(int fd, struct net_list *out);
void net_list_free(struct net_list *l);
