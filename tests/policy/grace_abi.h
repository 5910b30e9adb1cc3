/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
#include "kmn_types.h"

#define GRACE_ROUNDS_MAX 1024 /* about half a second where the host is fast */

struct grace_turns {
	__u64 begun, ended;
	__u32 rounds, sum; /* how long a run takes; what it computed, so that it must */
};
KMN_ABI_SIZE(struct grace_turns, 24);
