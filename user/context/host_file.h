#pragma once
#include <stddef.h>

/* Files of the host below a root that may be another one than ours ("/host", "/proc/1/root"). The
 * folder is the administrator's and may have links, which stay below the root; what comes from
 * names in cgroups and files is one component at a time, and never a link. */

/* Descriptor of root/folder; folder without a leading slash. -errno. */
int host_folder(const char *root, const char *folder);
/* Folder name below dir; -ELOOP for a link. */
int host_enter(int dir, const char *name);
/* The plain file dir/name for reading; -ELOOP for a link, -EINVAL when it is no plain file. */
int host_open(int dir, const char *name);
/* Allocates *out with the whole of the plain file dir/name and a NUL behind it. -EFBIG above max
 * bytes, -ELOOP for a link, -EINVAL when it is no plain file. The caller frees *out. */
int host_read(int dir, const char *name, size_t max, char **out, size_t *len);
