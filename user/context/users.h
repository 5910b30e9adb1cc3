#pragma once
#include <stdint.h>
#include "base/text.h"

/* Names of the host's users, read from its etc/passwd and never by NSS, which may ask the network.
 * Bounded: what a larger file has beyond USERS_MAX stays a number. */
#define USERS_MAX 4096
#define USERS_NAME_MAX 32 /* as useradd(8) has it; a longer name stays a number */

struct users;

/* host_root: copied; NULL as "". NULL: no memory. No file is not an error. */
struct users *users_new(const char *host_root);
void users_free(struct users *u);
/* Read the file again when it is another one than last time. Not for the event path. */
void users_refresh(struct users *u);
struct text users_name(const struct users *u, uint32_t uid); /* unknown: {NULL, 0} */
uint32_t users_count(const struct users *u);
uint64_t users_bytes(void); /* what one allocates */
