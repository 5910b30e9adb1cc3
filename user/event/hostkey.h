#pragma once
#include <stdint.h>
#include "base/hash.h"

/* Who this host is: an Ed25519 key that signs sealed segments, and an id made of its public half,
 * so that the two cannot come apart. STATE_DIR/host.key   mode 0600: the seed as 64 hex digits and
 * a line feed STATE_DIR/host.json  {"version":1,"id":"...","public_key":"...","created":"..."}, for
 * all to read
 */
#define HOST_ID_TEXT 37 /* a UUID (version 8, RFC 9562) and its NUL */

struct hostkey {
	char id[HOST_ID_TEXT];
	uint8_t public_key[SIGN_PUBLIC_BYTES];
	uint8_t seed[SIGN_SEED_BYTES]; /* zero when only the public half was read */
};

/* Read both files; at the first start make them, whole or not at all. 0, or, logged with the
 * remedy: -EBADMSG damaged, or the two do not belong together; -EPERM the key may be read by others
 * or is another user's; -ENOKEY host.json is there and the key is gone; or what the file system
 * said. */
int hostkey_open(const char *state_dir, struct hostkey *k);

/* The public half alone, for komainu events verify. 0, -ENOENT before the first start, -EBADMSG. */
int hostkey_read_public(const char *state_dir, struct hostkey *k);

void hostkey_id(const uint8_t public_key[SIGN_PUBLIC_BYTES], char id[HOST_ID_TEXT]);
