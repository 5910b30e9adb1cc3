#pragma once
#include <stdbool.h>

/* BPF filters on a clsact qdisc, for kernels without tcx links. They outlive their maker; replace
 * is atomic. 0, or -errno, not logged. */
int tcfilter_set(int ifindex, bool egress, unsigned handle, unsigned priority, int prog_fd);
/* Is it there? True also when the kernel does not answer. */
bool tcfilter_has(int ifindex, bool egress, unsigned handle, unsigned priority);
/* Remove the filter, and the clsact qdisc when no filter is left on it. -ENOENT: there was none. */
int tcfilter_remove(int ifindex, bool egress, unsigned handle, unsigned priority);
/* The same on every interface of this network namespace; *n counts the filters removed. */
int tcfilter_remove_all(unsigned handle, unsigned priority, unsigned *n);
