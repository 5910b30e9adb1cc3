#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/hash.h"

static void bytes(const char *hex, void *out, size_t len)
{
	assert_true(hex_bytes(hex, strlen(hex), out, len));
}

static void sha256_agrees_with_fips_180(void **state)
{
	struct hash *h = hash_new();
	uint8_t want[HASH_BYTES], got[HASH_BYTES];

	(void)state;
	assert_non_null(h);
	bytes("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", want, 32);
	assert_int_equal(hash_sha256("abc", 3, got), 0);
	assert_memory_equal(got, want, 32);
	for (int again = 0; again < 3; again++) {
		hash_begin(h);
		hash_add(h, "a", 1);
		hash_add(h, "bc", 2);
		assert_int_equal(hash_end(h, got), 0);
		assert_memory_equal(got, want, 32);
	}
	hash_begin(h); /* numbers are hashed little end first */
	hash_u64(h, 0x0807060504030201ULL);
	assert_int_equal(hash_end(h, got), 0);
	assert_int_equal(hash_sha256("\1\2\3\4\5\6\7\10", 8, want), 0);
	assert_memory_equal(got, want, 32);
	hash_free(h);
}

static void ed25519_agrees_with_rfc_8032(void **state)
{
	uint8_t seed[32], want_public[32], public_key[32], want[64], got[64];
	const uint8_t message = 0x72;

	(void)state; /* section 7.1, test 2 */
	bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", seed, 32);
	bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", want_public, 32);
	bytes("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
	      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
	      want, 64);
	assert_int_equal(sign_public(seed, public_key), 0);
	assert_memory_equal(public_key, want_public, 32);
	assert_int_equal(sign_make(seed, &message, 1, got), 0);
	assert_memory_equal(got, want, 64);
	assert_int_equal(sign_verify(public_key, &message, 1, got), 0);
	got[5] ^= 1;
	assert_int_equal(sign_verify(public_key, &message, 1, got), -EBADMSG);
	got[5] ^= 1;
	assert_int_equal(sign_verify(public_key, "s", 1, got), -EBADMSG);
	public_key[0] ^= 1;
	assert_int_not_equal(sign_verify(public_key, &message, 1, got), 0);
}

static void seeds_differ(void **state)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };

	(void)state;
	assert_int_equal(sign_seed(a), 0);
	assert_int_equal(sign_seed(b), 0);
	assert_memory_not_equal(a, b, 32);
}

static void hex_reads_back_and_refuses_the_rest(void **state)
{
	uint8_t in[256], out[256] = { 0 };
	char text[513];

	(void)state;
	for (int i = 0; i < 256; i++)
		in[i] = (uint8_t)i;
	hex_text(in, 256, text);
	assert_true(hex_bytes(text, 512, out, 256));
	assert_memory_equal(in, out, 256);
	assert_true(hex_bytes("aBCd", 4, out, 2));
	assert_memory_equal(out, "\xab\xcd", 2);
	assert_false(hex_bytes("abc", 3, out, 2));
	assert_false(hex_bytes("abcg", 4, out, 2));
	assert_false(hex_bytes("ab cd", 5, out, 2));
	assert_memory_equal(out, "\xab\xcd", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_agrees_with_fips_180),
		cmocka_unit_test(ed25519_agrees_with_rfc_8032),
		cmocka_unit_test(seeds_differ),
		cmocka_unit_test(hex_reads_back_and_refuses_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
