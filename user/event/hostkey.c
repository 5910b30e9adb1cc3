#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cjson/cJSON.h>
#include "base/auto.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "event/hostkey.h"

#define HOST_FILE_MAX 4096
#define KEY_FILE "host.key"
#define ID_FILE "host.json"

KMN_AUTO_DEFINE(cJSON *, cJSON_Delete)

void hostkey_id(const uint8_t public_key[SIGN_PUBLIC_BYTES], char id[HOST_ID_TEXT])
{
	uint8_t sum[HASH_BYTES] = { 0 };
	char hex[33];

	(void)hash_sha256(public_key, SIGN_PUBLIC_BYTES, sum); /* fails only without memory */
	sum[6] = (uint8_t)((sum[6] & 0x0f) | 0x80);
	sum[8] = (uint8_t)((sum[8] & 0x3f) | 0x80);
	hex_text(sum, 16, hex);
	(void)snprintf(id, HOST_ID_TEXT, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
		       hex + 16, hex + 20);
}

/* A whole small file. Bytes read, or -errno; -EFBIG when it does not fit. */
static ssize_t read_small(int dir, const char *name, char *out, size_t cap, struct stat *st)
{
	kmn_auto(fd) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	size_t len = 0;
	ssize_t n;

	if (fd < 0 || fstat(fd, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode))
		return -EBADMSG;
	do {
		n = read(fd, out + len, cap - len);
		if (n < 0)
			return -errno;
		len += (size_t)n;
	} while (n && len < cap);
	return len < cap ? (ssize_t)len : -EFBIG;
}

/* Write name whole or not at all: a temporary file is synced, then renamed. */
static int write_whole(int dir, const char *name, mode_t mode, const void *data, size_t len)
{
	char temporary[32];
	kmn_auto(fd) int fd = -1;

	(void)snprintf(temporary, sizeof(temporary), "%s.tmp", name);
	(void)unlinkat(dir, temporary, 0); /* of a start that was killed */
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, mode) < 0) /* whatever the umask is */
		return -errno;
	if (write(fd, data, len) != (ssize_t)len)
		return errno ? -errno : -ENOSPC;
	if (fsync(fd) < 0 || renameat(dir, temporary, dir, name) < 0 || fsync(dir) < 0)
		return -errno;
	return 0;
}

static int read_key(int dir, const char *state_dir, struct hostkey *k)
{
	char text[HOST_FILE_MAX];
	struct stat st;
	ssize_t n = read_small(dir, KEY_FILE, text, sizeof(text), &st);

	if (n == -ENOENT)
		return -ENOENT;
	if (n < 0)
		return kmn_err((int)n, "event: host key: %s/" KEY_FILE, state_dir);
	if ((st.st_mode & 07777) != 0600 || st.st_uid != geteuid())
		return kmn_err(-EPERM,
			       "event: host key: %s/" KEY_FILE
			       " has mode %04o and owner %u: it must "
			       "be 0600 and ours; if no one else has read it, chmod 600 it",
			       state_dir, st.st_mode & 07777, st.st_uid);
	if (n == 2 * SIGN_SEED_BYTES + 1 && text[n - 1] == '\n')
		n--;
	if (!hex_bytes(text, (size_t)n, k->seed, SIGN_SEED_BYTES))
		return kmn_err(-EBADMSG,
			       "event: host key: %s/" KEY_FILE
			       " is damaged: restore it, or remove it "
			       "and " ID_FILE " to become a new host",
			       state_dir);
	explicit_bzero(text, sizeof(text));
	return sign_public(k->seed, k->public_key);
}

static int make_key(int dir, const char *state_dir, struct hostkey *k)
{
	char text[2 * SIGN_SEED_BYTES + 2];
	int r = sign_seed(k->seed);

	if (!r)
		r = sign_public(k->seed, k->public_key);
	if (r < 0)
		return kmn_err(r, "event: host key: make");
	hex_text(k->seed, SIGN_SEED_BYTES, text);
	text[2 * SIGN_SEED_BYTES] = '\n';
	r = write_whole(dir, KEY_FILE, 0600, text, 2 * SIGN_SEED_BYTES + 1);
	explicit_bzero(text, sizeof(text));
	return r < 0 ? kmn_err(r, "event: host key: write %s/" KEY_FILE, state_dir) : 0;
}

static int read_id(int dir, struct hostkey *k)
{
	kmn_auto(cJSON_Delete) cJSON *doc = NULL;
	char text[HOST_FILE_MAX], id[HOST_ID_TEXT];
	const char *has_id, *has_key;
	struct stat st;
	ssize_t n = read_small(dir, ID_FILE, text, sizeof(text), &st);

	if (n < 0)
		return (int)n;
	doc = cJSON_ParseWithLength(text, (size_t)n);
	has_id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(doc, "id"));
	has_key = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(doc, "public_key"));
	if (!has_id || !has_key ||
	    !hex_bytes(has_key, strlen(has_key), k->public_key, SIGN_PUBLIC_BYTES))
		return -EBADMSG;
	hostkey_id(k->public_key, id);
	if (strcmp(has_id, id) != 0)
		return -EBADMSG;
	memcpy(k->id, id, sizeof(id));
	return 0;
}

static int make_id(int dir, const char *state_dir, struct hostkey *k)
{
	char mem[1024], hex[2 * SIGN_PUBLIC_BYTES + 1], when[32] = "";
	struct buf out = buf_fixed(mem, sizeof(mem));
	struct json j = json_on(&out);
	time_t now = time(NULL);
	struct tm tm;
	int r;

	if (gmtime_r(&now, &tm))
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	hex_text(k->public_key, SIGN_PUBLIC_BYTES, hex);
	hostkey_id(k->public_key, k->id);
	json_object(&j, NULL);
	json_u64(&j, "version", 1);
	json_str(&j, "id", k->id);
	json_str(&j, "public_key", hex);
	json_str(&j, "created", when);
	json_end(&j);
	buf_putc(&out, '\n');
	r = write_whole(dir, ID_FILE, 0644, mem, out.len);
	return r < 0 ? kmn_err(r, "event: host id: write %s/" ID_FILE, state_dir) : 0;
}

static int open_dir(const char *state_dir)
{
	int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return dir < 0 ? -errno : dir;
}

int hostkey_open(const char *state_dir, struct hostkey *k)
{
	kmn_auto(fd) int dir = open_dir(state_dir);
	struct hostkey has = { .id = "" }, written = { .id = "" };
	int key, id;

	if (dir < 0)
		return kmn_err(dir, "event: host key: %s", state_dir);
	key = read_key(dir, state_dir, &has);
	if (key < 0 && key != -ENOENT)
		return key;
	id = read_id(dir, &written);
	if (id < 0 && id != -ENOENT)
		return kmn_err(id,
			       "event: host id: %s/" ID_FILE " is damaged: remove it, it is made "
			       "again from the key",
			       state_dir);
	if (!key && !id && memcmp(has.public_key, written.public_key, SIGN_PUBLIC_BYTES) != 0)
		return kmn_err(-EBADMSG,
			       "event: host id: %s/" ID_FILE
			       " belongs to another key than " KEY_FILE
			       ": restore the one that is wrong",
			       state_dir);
	if (key && !id)
		return kmn_err(-ENOKEY,
			       "event: host key: %s/" KEY_FILE " is gone, " ID_FILE
			       " is there: restore it, or remove both to become a new host",
			       state_dir);
	if (key && (key = make_key(dir, state_dir, &has)) < 0)
		return key;
	/* The key comes first: a start killed in between leaves a key, of which the id is made. */
	if (id && (id = make_id(dir, state_dir, &has)) < 0)
		return id;
	hostkey_id(has.public_key, has.id);
	*k = has;
	return 0;
}

int hostkey_read_public(const char *state_dir, struct hostkey *k)
{
	kmn_auto(fd) int dir = open_dir(state_dir);
	struct hostkey has = { .id = "" };
	int r = dir < 0 ? dir : read_id(dir, &has);

	if (!r)
		*k = has;
	return r;
}
