/* Open connections out of files as the kernel writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "core/connections.h"

static char folder[32];

static void file(const char *name, const char *text)
{
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/komainu-test-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	char path[64];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/tcp", folder);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/tcp6", folder);
	(void)unlink(path);
	return rmdir(folder);
}

#define HEAD                                                                                  \
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  " \
	"timeout inode\n"
#define REST " 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"

static void what_was_accepted_is_found_and_nothing_else(void **state)
{
	struct kmn_connection c[CONNECTIONS_MAX];

	(void)state;
	file("tcp", HEAD "   0: 00000000:0016 00000000:0000 0A" REST /* listens on 22 */
			 "   1: 0A00020A:0016 0700020A:C350 01" REST /* accepted, from 10.2.0.7 */
			 "   2: 0A00020A:0016 0700020A:C351 01" REST /* the same peer once more */
			 "   3: 0A00020A:0016 0800020A:C351 06" REST /* ended */
			 "   4: 0A00020A:9C40 0900020A:01BB 01" REST /* of the host's own, to 443 */
			 "   5: 0100007F:0016 0100007F:C352 01" REST /* loopback */
			 "junk that is no line\n");
	file("tcp6", HEAD
	     "   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 "
	     "0A" REST "   1: B80D0120000000000000000001000000:1F90 "
	     "B80D0120000000000000000002000000:D431 01" REST
	     "   2: 0000000000000000FFFF00000A00020A:1F90 0000000000000000FFFF00000700020A:D432 "
	     "01" REST "   3: 00000000000000000000000001000000:1F90 "
	     "00000000000000000000000001000000:D433 01" REST);
	assert_int_equal(connections_read(folder, c), 3);
	assert_memory_equal(c[0].peer, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x02\x00\x07", 16);
	assert_memory_equal(c[0].local, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x02\x00\x0a", 16);
	assert_int_equal(c[0].peer_port, 50000);
	assert_int_equal(c[0].local_port, 22);
	assert_string_equal(c[0].interface, ""); /* no interface of this host has it */
	assert_memory_equal(c[1].peer, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02", 16);
	assert_int_equal(c[1].local_port, 8080);
	assert_memory_equal(c[2].peer, c[0].peer, 16); /* the same space for both families */
}

static void a_busy_port_does_not_hide_another(void **state)
{
	struct kmn_connection c[CONNECTIONS_MAX];
	static char text[512 * 1024] = HEAD "   0: 00000000:0050 00000000:0000 0A" REST
					    "   1: 00000000:0016 00000000:0000 0A" REST;
	size_t len = strlen(text);

	(void)state;
	for (unsigned i = 0; i < 2000; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%4u: 0A00020A:0050 %04X020A:C350 01" REST, i, i);
	(void)snprintf(text + len, sizeof(text) - len, "9999: 0A00020A:0016 0700020A:C350 01" REST);
	file("tcp", text);
	file("tcp6", "");
	assert_int_equal(connections_read(folder, c), CONNECTIONS_PER_PORT + 1);
	assert_int_equal(c[CONNECTIONS_PER_PORT].local_port, 22);
}

static void no_files_are_no_connections(void **state)
{
	struct kmn_connection c[CONNECTIONS_MAX];

	(void)state;
	assert_int_equal(connections_read("/no/such/folder", c), 0);
	(void)connections_read("/proc/self/net", c); /* of this machine: any number */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_accepted_is_found_and_nothing_else, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_busy_port_does_not_hide_another, setup, teardown),
		cmocka_unit_test(no_files_are_no_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
