#pragma once
#include "kmn_abi.h"

/* Records of the flood: number counts up, kind says what becomes of it in user space. */
struct flood_record {
	struct kmn_event head;
	__u64 number;
	__u64 room[23]; /* as long as an ordinary record: 248 bytes */
};
KMN_ABI_SIZE(struct flood_record, 248);

enum flood_kind { FLOOD_GOOD = KMN_EV_OWN, FLOOD_UNSOUND, FLOOD_SHORT, FLOOD_NO_KIND };
enum flood_how { /* what the program does: args[1] of a run, args[0] is the number */
		 FLOOD_TELEMETRY,
		 FLOOD_FINDING,
		 FLOOD_THROTTLE,   /* counts as a spent budget does */
		 FLOOD_DISCARD,	   /* reserves room and gives it back */
		 FLOOD_WRONG_SIZE, /* the head lies about its length */
		 FLOOD_WRONG_PART, /* of a part that does not exist */
		 FLOOD_WRONG_KIND,
		 FLOOD_KIND_SIZE, /* shorter than its kind allows */
		 FLOOD_BAD_VALUE, /* check() says no */
		 FLOOD_HOWS,
};
