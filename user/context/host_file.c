#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/auto.h"
#include "context/host_file.h"

#define FOLDER (O_PATH | O_DIRECTORY | O_CLOEXEC)

int host_enter(int dir, const char *name)
{
	int fd = openat(dir, name, FOLDER | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

/* A sandbox around us may not know openat2: then without links at all. */
static int walk_down(int root, const char *folder)
{
	int at = fcntl(root, F_DUPFD_CLOEXEC, 0);

	if (at < 0)
		return -errno;
	while (at >= 0 && *folder) {
		kmn_auto(fd) int above = at;
		size_t len = strcspn(folder, "/");
		char name[256];

		if (!len || len >= sizeof(name))
			return -EINVAL;
		memcpy(name, folder, len);
		name[len] = 0;
		at = host_enter(above, name);
		folder += len + (folder[len] == '/');
	}
	return at;
}

int host_folder(const char *root, const char *folder)
{
	struct open_how how = { .flags = FOLDER,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	kmn_auto(fd) int top = open(*root ? root : "/", FOLDER); /* /proc/1/root is a link */
	long fd;

	if (top < 0)
		return -errno;
	fd = syscall(SYS_openat2, top, folder, &how, sizeof(how));
	if (fd >= 0)
		return (int)fd;
	return errno == ENOSYS || errno == EPERM ? walk_down(top, folder) : -errno;
}

int host_open(int dir, const char *name)
{
	/* a named pipe must not stop us */
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	r = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

int host_read(int dir, const char *name, size_t max, char **out, size_t *len)
{
	kmn_auto(fd) int fd = host_open(dir, name);
	struct stat st;
	size_t have = 0;
	char *text;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return -EFBIG;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (have < (size_t)st.st_size) { /* what grows meanwhile is read the next time */
		ssize_t n = read(fd, text + have, (size_t)st.st_size - have);

		if (n < 0) {
			int r = -errno;

			free(text);
			return r;
		}
		if (!n)
			break;
		have += (size_t)n;
	}
	text[have] = 0;
	*out = text;
	*len = have;
	return 0;
}
