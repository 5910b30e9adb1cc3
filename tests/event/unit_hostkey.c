#include <fcntl.h>
#include "base/log.h"
#include "event/store_tool.h"

static void path_of(const char *file, char out[PATH_MAX])
{
	(void)snprintf(out, PATH_MAX, "%s/%s", state_dir, file);
}

static void write_file(const char *file, const char *text, mode_t mode)
{
	char path[PATH_MAX];
	FILE *f;

	path_of(file, path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static void remove_file(const char *file)
{
	char path[PATH_MAX];

	path_of(file, path);
	assert_int_equal(unlink(path), 0);
}

static mode_t mode_of(const char *file)
{
	char path[PATH_MAX];
	struct stat st;

	path_of(file, path);
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void a_host_keeps_its_id_and_key(void **state)
{
	struct hostkey first, again, public_half;
	char id[HOST_ID_TEXT];

	(void)state;
	umask(0);
	assert_int_equal(hostkey_read_public(state_dir, &public_half), -ENOENT);
	assert_int_equal(hostkey_open(state_dir, &first), 0);
	assert_int_equal(mode_of("host.key"), 0600);
	assert_int_equal(mode_of("host.json"), 0644);
	assert_int_equal(strlen(first.id), 36);
	assert_int_equal(hostkey_open(state_dir, &again), 0);
	assert_memory_equal(&first, &again, sizeof(first));
	assert_int_equal(hostkey_read_public(state_dir, &public_half), 0);
	assert_string_equal(public_half.id, first.id);
	assert_memory_equal(public_half.public_key, first.public_key, SIGN_PUBLIC_BYTES);
	hostkey_id(first.public_key, id);
	assert_string_equal(id, first.id);
	assert_int_equal(id[14], '8'); /* the version of RFC 9562 */
}

static void two_hosts_differ(void **state)
{
	struct hostkey a, b;

	(void)state;
	assert_int_equal(hostkey_open(state_dir, &a), 0);
	remove_file("host.key");
	remove_file("host.json");
	assert_int_equal(hostkey_open(state_dir, &b), 0);
	assert_string_not_equal(a.id, b.id);
}

static void a_key_that_others_can_read_is_refused(void **state)
{
	static const mode_t modes[] = { 0644, 0640, 0604, 0660, 0700, 0400, 04600, 01600 };
	struct hostkey k;
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(hostkey_open(state_dir, &k), 0);
	path_of("host.key", path);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		struct hostkey other = { .id = "x" };

		assert_int_equal(chmod(path, modes[i]), 0);
		assert_int_equal(hostkey_open(state_dir, &other), -EPERM);
		assert_string_equal(other.id, "x"); /* untouched on failure */
	}
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(hostkey_open(state_dir, &k), 0);
}

static void damaged_files_are_refused_and_stay(void **state)
{
	static const char *const keys[] = {
		"", "\n", "abc\n",
		"zz0000000000000000000000000000000000000000000000000000"
		"000000000000\n",
		"00000000000000000000000000000000000000000000000000000000"
		"0000000000\n"
	};
	static const char *const ids[] = { "", "{", "[]", "{\"id\":7}",
					   "{\"id\":\"x\",\"public_key\":\"00\"}" };
	struct hostkey k;

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		write_file("host.key", keys[i], 0600);
		assert_int_equal(hostkey_open(state_dir, &k), -EBADMSG);
	}
	remove_file("host.key");
	assert_int_equal(hostkey_open(state_dir, &k), 0);
	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		write_file("host.json", ids[i], 0644);
		assert_int_equal(hostkey_open(state_dir, &k), -EBADMSG);
		assert_int_equal(hostkey_read_public(state_dir, &k), -EBADMSG);
	}
	remove_file("host.json"); /* the remedy that the message names */
	assert_int_equal(hostkey_open(state_dir, &k), 0);
}

static void a_lost_or_foreign_key_is_refused(void **state)
{
	struct hostkey k;

	(void)state;
	assert_int_equal(hostkey_open(state_dir, &k), 0);
	remove_file("host.key");
	assert_int_equal(hostkey_open(state_dir, &k), -ENOKEY);
	write_file("host.key", "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb\n",
		   0600);
	assert_int_equal(hostkey_open(state_dir, &k), -EBADMSG);
}

static void links_are_not_followed(void **state)
{
	char path[PATH_MAX], target[PATH_MAX];
	struct hostkey k;

	(void)state;
	write_file("elsewhere",
		   "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb\n", 0600);
	path_of("elsewhere", target);
	path_of("host.key", path);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(hostkey_open(state_dir, &k), -ELOOP);
}

static void a_start_killed_in_the_middle_is_made_good(void **state)
{
	struct hostkey first, again;

	(void)state;
	write_file("host.key.tmp", "half", 0600);
	assert_int_equal(hostkey_open(state_dir, &first), 0);
	remove_file("host.json"); /* killed between the two files */
	write_file("host.json.tmp", "half", 0644);
	assert_int_equal(hostkey_open(state_dir, &again), 0);
	assert_string_equal(first.id, again.id);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_state_dir, remove_state_dir)
	const struct CMUnitTest tests[] = {
		T(a_host_keeps_its_id_and_key),
		T(two_hosts_differ),
		T(a_key_that_others_can_read_is_refused),
		T(damaged_files_are_refused_and_stay),
		T(a_lost_or_foreign_key_is_refused),
		T(links_are_not_followed),
		T(a_start_killed_in_the_middle_is_made_good),
	};

	log_set_level((enum log_level) - 1); /* every refusal logs its remedy */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
