#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "services/net/list.h"

static int memfd_of(const void *data, size_t len)
{
	int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* As the core does when the worker has ended its job. */
static void seal(int fd)
{
	assert_int_equal(
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL),
		0);
}

struct read {
	int status;
	char error[WORKER_ERROR_MAX];
	struct net_list list;
};

static struct read read_text(const char *text, size_t len)
{
	int in = memfd_of(text, len), out = memfd_of("", 0);
	struct read r;

	memset(&r, 0, sizeof(r));
	r.status = net_list_job.run(in, out, NULL, 0, r.error);
	seal(out);
	if (!r.status)
		assert_int_equal(net_list_check(out, &r.list), 0);
	close(in);
	close(out);
	return r;
}

static void want(const char *text, const char *const *entries)
{
	struct read r = read_text(text, strlen(text));
	char got[NET_CIDR_TEXT];
	uint32_t n = 0;

	assert_string_equal(r.error, "");
	assert_int_equal(r.status, 0);
	for (; entries[n]; n++) {
		assert_true(n < r.list.n);
		net_cidr_text(&r.list.cidr[n], got);
		assert_string_equal(got, entries[n]);
	}
	assert_int_equal(r.list.n, n);
	net_list_free(&r.list);
}

static void a_list_comes_back_sorted_and_once(void **state)
{
	static const char *const all[] = { "9.9.9.9", "10.0.0.0/8", "10.0.0.0/24", "2001:db8::/32",
					   NULL };
	static const char *const none[] = { NULL };
	static const char *const one[] = { "192.0.2.1", NULL };

	(void)state;
	want("10.0.0.0/24\n10.0.0.0/8\n# c\n2001:db8::/32\n9.9.9.9/32\n9.9.9.9\n", all);
	want("", none);
	want("\n\n#\n;\n  \t\r\n", none);
	want("192.0.2.1", one); /* no line feed at the end */
	want("\t192.0.2.1 \r\n", one);
	want("192.0.2.1#x\n::ffff:192.0.2.1;y\n", one);
}

static void what_is_wrong_is_said_with_line_and_column(void **state)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "10.0.0.1\n 10.0.0.x\n", "2:2: \"10.0.0.x\" is not an IPv4 or IPv6 address" },
		{ "10.0.0.1/8\n", "1:1: \"10.0.0.1/8\" has bits set behind its prefix length" },
		{ "10.0.0.0/\n", "1:1: \"10.0.0.0/\" has a prefix length that is not 0-32" },
		{ "10.0.0.0/08\n", "1:1: \"10.0.0.0/08\" has a prefix length that is not 0-32" },
		{ "::/200\n", "1:1: \"::/200\" has a prefix length that is not 0-128" },
		{ "10.0.0.1 10.0.0.2\n",
		  "1:10: one address or prefix to a line is expected; a comment starts with #" },
		{ "/8\n", "1:1: \"/8\" is empty: an IPv4 or IPv6 address is expected" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct read r = read_text(bad[i].text, strlen(bad[i].text));

		assert_int_equal(r.status, -EINVAL);
		assert_string_equal(r.error, bad[i].error);
	}
}

static void bytes_of_any_kind_are_refused_and_not_read_over(void **state)
{
	char long_line[400];
	struct read r;

	(void)state;
	memset(long_line, '1', sizeof(long_line));
	r = read_text(long_line, sizeof(long_line));
	assert_int_equal(r.status, -E2BIG);
	r = read_text("10.0.0.1\0\n", 10);
	assert_int_equal(r.status, -EINVAL);
	r = read_text("\xff\xfe\n", 3);
	assert_int_equal(r.status, -EINVAL);
}

static int check_bytes(const void *data, size_t len)
{
	struct net_list l = { NULL, 0, 0 };
	int fd = memfd_of(data, len), r;

	seal(fd);
	r = net_list_check(fd, &l);
	close(fd);
	net_list_free(&l);
	return r;
}

/* The worker may be taken over: nothing of its result is believed. */
static void a_result_that_is_not_sound_is_not_used(void **state)
{
	struct net_cidr c[2] = { { .addr = { 0x20, 1 }, .bits = 32 },
				 { .addr = { 0x20, 2 }, .bits = 32 } };
	struct net_cidr bad[2];

	(void)state;
	assert_int_equal(check_bytes(c, sizeof(c)), 0);
	assert_int_equal(check_bytes(c, 0), 0);
	assert_int_equal(check_bytes(c, sizeof(c) - 1), -EPROTO);
	bad[0] = c[1];
	bad[1] = c[0];
	assert_int_equal(check_bytes(bad, sizeof(bad)), -EPROTO); /* not in order */
	bad[0] = bad[1] = c[0];
	assert_int_equal(check_bytes(bad, sizeof(bad)), -EPROTO); /* twice */
	memcpy(bad, c, sizeof(c));
	bad[0].bits = 129;
	assert_int_equal(check_bytes(bad, sizeof(bad)), -EPROTO);
	memcpy(bad, c, sizeof(c));
	bad[0].addr[15] = 1; /* behind the prefix */
	assert_int_equal(check_bytes(bad, sizeof(bad)), -EPROTO);
	memcpy(bad, c, sizeof(c));
	bad[1].pad[2] = 1;
	assert_int_equal(check_bytes(bad, sizeof(bad)), -EPROTO);
}

static void a_million_entries_are_read_and_one_more_is_not(void **state)
{
	size_t size = (size_t)(NET_LIST_MAX + 1) * 20, len = 0;
	char *text = malloc(size);
	struct read r;

	(void)state;
	assert_non_null(text);
	for (uint32_t i = 0; i < NET_LIST_MAX; i++)
		len += (size_t)snprintf(text + len, size - len, "%u.%u.%u.%u\n", 1 + (i >> 20),
					i >> 12 & 255, i >> 4 & 255, (i & 15) * 16);
	r = read_text(text, len);
	assert_int_equal(r.status, 0);
	assert_int_equal(r.list.n, NET_LIST_MAX);
	net_list_free(&r.list);
	len += (size_t)snprintf(text + len, size - len, "9.9.9.9\n");
	r = read_text(text, len);
	assert_int_equal(r.status, -E2BIG);
	assert_string_equal(r.error, "1000001:1: more than 1000000 entries");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_comes_back_sorted_and_once),
		cmocka_unit_test(what_is_wrong_is_said_with_line_and_column),
		cmocka_unit_test(bytes_of_any_kind_are_refused_and_not_read_over),
		cmocka_unit_test(a_result_that_is_not_sound_is_not_used),
		cmocka_unit_test(a_million_entries_are_read_and_one_more_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
