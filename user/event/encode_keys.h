#pragma once
/* Numbers of the encoding, shared by its writer and its reader. */

/* How the payload of a field is read; its number stands in the low two bits of the key. */
enum wire {
	WIRE_NUMBER,  /* varint */
	WIRE_BYTES,   /* varint length, bytes: text or a message */
	WIRE_CUT,     /* varint length before the cut, then as WIRE_BYTES */
	WIRE_ADDRESS, /* one byte 4 or 16, then an address in network order */
};

/* Keys stand in stored events: never renumber, never reuse. */
enum key {
	K_TIME = 1,
	K_BOOT,
	K_GEN,
	K_COUNT,
	K_PART,
	K_KIND,
	K_STREAM,
	K_SEVERITY,
	K_ACTION,
	K_MODE,
	K_VIA,
	K_RULE_ID,
	K_RULE,
	K_MESSAGE,
	K_PID,
	K_START,
	K_CGROUP,
	K_LEFT_OUT,
	K_PROCESS = 32,
	K_CONTAINER,
	K_FIELDS = 64, /* + id of fields.def */
};

enum process_key {
	P_PID = 1,
	P_PPID,
	P_UID,
	P_EUID,
	P_GID,
	P_LOGIN_UID, /* + 1, so that none is 0 and left out */
	P_START,
	P_FLAGS,
	P_SOURCE,
	P_EXE_INO,
	P_EXE_DEV,
	P_EXE_GEN,
	P_EXE,
	P_ARGS,
	P_CWD,
	P_USER,
};

enum container_key { C_ID = 1, C_RUNTIME, C_NAME, C_IMAGE, C_POD, C_NAMESPACE, C_CGROUP };
