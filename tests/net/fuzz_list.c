/* Any bytes as a list of addresses, and any bytes as the result of a worker: what the job writes
 * the check takes, and what the check takes is sorted, clean and whole. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "services/net/list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int good, const char *what)
{
	if (good)
		return;
	(void)fprintf(stderr, "fuzz_list: %s\n", what);
	abort();
}

static int memfd_of(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0,
	     "memfd");
	return fd;
}

static void seal(int fd)
{
	must(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0,
	     "seal");
}

static void check_sound(const struct net_list *l)
{
	char text[NET_CIDR_TEXT];
	struct net_cidr back;

	for (uint32_t i = 0; i < l->n; i++) {
		must(net_cidr_is_clean(&l->cidr[i]), "not clean");
		must(!i || net_cidr_compare(&l->cidr[i - 1], &l->cidr[i]) < 0, "not sorted");
		net_cidr_text(&l->cidr[i], text);
		must(!net_cidr_parse(text, strlen(text), &back), "its text does not read");
		must(!net_cidr_compare(&back, &l->cidr[i]), "its text is another prefix");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int in = memfd_of(data, size), out = memfd_of(data, 0);
	struct net_list l = { NULL, 0, 0 };
	char error[WORKER_ERROR_MAX] = "";
	int r = net_list_job.run(in, out, NULL, 0, error);

	seal(out);
	if (!r) {
		must(net_list_check(out, &l) == 0, "the job's own result is refused");
		check_sound(&l);
		net_list_free(&l);
	} else {
		must(error[0] != '\0', "refused without a reason");
	}
	seal(in);
	if (net_list_check(in, &l) == 0) { /* the bytes as a result */
		check_sound(&l);
		net_list_free(&l);
	}
	close(in);
	close(out);
	return 0;
}
