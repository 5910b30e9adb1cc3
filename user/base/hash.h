#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SHA-256 and Ed25519 by libcrypto (EVP), and hexadecimal. */
#define HASH_BYTES 32
#define SIGN_SEED_BYTES 32 /* the private key: RFC 8032 section 5.1.5 */
#define SIGN_PUBLIC_BYTES 32
#define SIGN_BYTES 64

/* SHA-256 in pieces. hash_begin() may be called again after hash_end(): nothing is allocated in
 * between. */
struct hash;
struct hash *hash_new(void); /* NULL: no memory, or libcrypto refuses the algorithm */
void hash_free(struct hash *h);
void hash_begin(struct hash *h);
void hash_add(struct hash *h, const void *data, size_t len);
void hash_u64(struct hash *h, uint64_t v); /* as 8 bytes, little end first */
/* 0, or -EIO when libcrypto failed anywhere since hash_begin(). */
int hash_end(struct hash *h, uint8_t out[HASH_BYTES]);
int hash_sha256(const void *data, size_t len, uint8_t out[HASH_BYTES]);

/* Ed25519: seed from the kernel's generator; public key from seed; detached signatures. 0 or
 * -errno; sign_verify: 0 good, -EBADMSG bad. source: RFC 8032 */
int sign_seed(uint8_t seed[SIGN_SEED_BYTES]);
int sign_public(const uint8_t seed[SIGN_SEED_BYTES], uint8_t public_key[SIGN_PUBLIC_BYTES]);
int sign_make(const uint8_t seed[SIGN_SEED_BYTES], const void *data, size_t len,
	      uint8_t signature[SIGN_BYTES]);
int sign_verify(const uint8_t public_key[SIGN_PUBLIC_BYTES], const void *data, size_t len,
		const uint8_t signature[SIGN_BYTES]);

/* 2 * len digits and a NUL into text. */
void hex_text(const void *data, size_t len, char *text);
/* Exactly len bytes from exactly 2 * len digits of either case; false leaves data untouched. */
bool hex_bytes(const char *text, size_t text_len, void *data, size_t len);
