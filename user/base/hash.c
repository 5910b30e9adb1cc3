#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <openssl/evp.h>
#include "base/auto.h"
#include "base/hash.h"

struct hash {
	EVP_MD_CTX *ctx;
	bool failed;
};

KMN_AUTO_DEFINE(EVP_PKEY *, EVP_PKEY_free)
KMN_AUTO_DEFINE(EVP_MD_CTX *, EVP_MD_CTX_free)

struct hash *hash_new(void)
{
	struct hash *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx || EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) != 1) {
		hash_free(h);
		return NULL;
	}
	return h;
}

void hash_free(struct hash *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

void hash_begin(struct hash *h)
{
	/* NULL: the algorithm stays, so libcrypto looks nothing up and allocates nothing */
	h->failed = EVP_DigestInit_ex(h->ctx, NULL, NULL) != 1;
}

void hash_add(struct hash *h, const void *data, size_t len)
{
	h->failed |= EVP_DigestUpdate(h->ctx, data, len) != 1;
}

void hash_u64(struct hash *h, uint64_t v)
{
	uint8_t bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(v >> (8 * i));
	hash_add(h, bytes, sizeof(bytes));
}

int hash_end(struct hash *h, uint8_t out[HASH_BYTES])
{
	uint8_t sum[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (EVP_DigestFinal_ex(h->ctx, sum, &len) != 1 || len != HASH_BYTES || h->failed)
		return -EIO;
	memcpy(out, sum, HASH_BYTES);
	return 0;
}

int hash_sha256(const void *data, size_t len, uint8_t out[HASH_BYTES])
{
	uint8_t sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (EVP_Digest(data, len, sum, &n, EVP_sha256(), NULL) != 1 || n != HASH_BYTES)
		return -EIO;
	memcpy(out, sum, HASH_BYTES);
	return 0;
}

int sign_seed(uint8_t seed[SIGN_SEED_BYTES])
{
	ssize_t n = getrandom(seed, SIGN_SEED_BYTES, 0);

	if (n < 0)
		return -errno;
	return n == SIGN_SEED_BYTES ? 0 : -EIO; /* up to 256 bytes come whole: getrandom(2) */
}

int sign_public(const uint8_t seed[SIGN_SEED_BYTES], uint8_t public_key[SIGN_PUBLIC_BYTES])
{
	kmn_auto(EVP_PKEY_free) EVP_PKEY *key =
		EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SIGN_SEED_BYTES);
	uint8_t out[SIGN_PUBLIC_BYTES];
	size_t len = sizeof(out);

	if (!key || EVP_PKEY_get_raw_public_key(key, out, &len) != 1 || len != sizeof(out))
		return -EIO;
	memcpy(public_key, out, sizeof(out));
	return 0;
}

int sign_make(const uint8_t seed[SIGN_SEED_BYTES], const void *data, size_t len,
	      uint8_t signature[SIGN_BYTES])
{
	kmn_auto(EVP_PKEY_free) EVP_PKEY *key =
		EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SIGN_SEED_BYTES);
	kmn_auto(EVP_MD_CTX_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t out[SIGN_BYTES];
	size_t n = sizeof(out);

	if (!key || !ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
	    EVP_DigestSign(ctx, out, &n, data, len) != 1 || n != sizeof(out))
		return -EIO;
	memcpy(signature, out, sizeof(out));
	return 0;
}

int sign_verify(const uint8_t public_key[SIGN_PUBLIC_BYTES], const void *data, size_t len,
		const uint8_t signature[SIGN_BYTES])
{
	kmn_auto(EVP_PKEY_free) EVP_PKEY *key =
		EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, SIGN_PUBLIC_BYTES);
	kmn_auto(EVP_MD_CTX_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!key || !ctx || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) != 1)
		return -EIO;
	return EVP_DigestVerify(ctx, signature, SIGN_BYTES, data, len) == 1 ? 0 : -EBADMSG;
}

void hex_text(const void *data, size_t len, char *text)
{
	static const char digit[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		*text++ = digit[p[i] >> 4];
		*text++ = digit[p[i] & 15];
	}
	*text = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_bytes(const char *text, size_t text_len, void *data, size_t len)
{
	uint8_t *out = data;

	if (text_len != 2 * len)
		return false;
	for (size_t i = 0; i < text_len; i++)
		if (hex_value(text[i]) < 0)
			return false;
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]));
	return true;
}
