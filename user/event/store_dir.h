#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The names in a stream's folder: NNNNNNNN.db, and NNNNNNNN.damaged for one that was set aside. */
#define SEGMENT_NAME_MAX 32

void segment_path(const char *dir, uint32_t number, bool damaged, char *out, size_t cap);
/* Numbers in the folder in rising order, damaged ones too (bit set in *damaged[i]). The caller
 * frees *list. n or -errno. *.new files, left by a start that was killed, are removed with tidy. */
struct segment_name {
	uint32_t number;
	bool damaged;
};
int segment_list(const char *dir, bool tidy, struct segment_name **list);
