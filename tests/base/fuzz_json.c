/* A document made of any bytes reads back as what was written, with cJSON as the reader: each text
 * as its UTF-8 with U+FFFD for what is none. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cjson/cJSON.h>
#include "base/json.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
	if (!ok)
		abort();
}

/* What a reader must find: written again, by the table of Unicode, not by utf8_next(). */
static size_t repaired(const uint8_t *s, size_t n, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < n;) {
		size_t want = s[i] < 0x80   ? 1
			      : s[i] < 0xc2 ? 0
			      : s[i] < 0xe0 ? 2
			      : s[i] < 0xf0 ? 3
			      : s[i] < 0xf5 ? 4
					    : 0;
		size_t have = want ? 1 : 0;

		for (; have && have < want && i + have < n; have++) {
			uint8_t c = s[i + have], first = s[i];
			uint8_t low = 0x80, high = 0xbf;

			if (have == 1) {
				low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
				high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
			}
			if (c < low || c > high)
				break;
		}
		if (want && have == want) {
			memcpy(out + len, s + i, want);
			len += want;
			i += want;
		} else {
			memcpy(out + len, "\xef\xbf\xbd", 3);
			len += 3;
			i += have ? have : 1;
		}
	}
	return len;
}

/* cJSON hands out C strings: a NUL ends them, so compare up to it. */
static void same(const cJSON *item, const uint8_t *s, size_t n, char *room)
{
	const char *got = cJSON_GetStringValue(item);
	size_t len = repaired(s, n, room);

	room[len] = '\0';
	must(got && !strcmp(got, room));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = { 0 };
	struct json j = json_on(&out);
	char *room, *key;
	size_t cut, klen = 0;
	uint64_t number = 0;
	cJSON *doc;

	if (size < 9 || size > 8192)
		return 0;
	room = malloc(3 * size + 1);
	key = malloc(size + 1);
	if (!room || !key)
		abort();
	memcpy(&number, data, 8);
	cut = data[8] % size;
	while (klen < cut && data[klen]) /* a key is a C string */
		klen++;
	memcpy(key, data, klen);
	key[klen] = '\0';
	json_object(&j, NULL);
	json_text(&j, "a", (struct text){ (const char *)data, (uint32_t)size });
	json_array(&j, key);
	json_text(&j, NULL, (struct text){ (const char *)data + cut, (uint32_t)(size - cut) });
	json_u64(&j, NULL, number);
	json_i64(&j, NULL, (int64_t)number);
	json_object(&j, NULL);
	for (int i = data[0] % 40; i > 0; i--)
		json_array(&j, i == data[0] % 40 ? "deep" : NULL);
	for (int i = data[0] % 40; i > 0; i--)
		json_end(&j);
	json_end(&j);
	json_end(&j);
	json_base64(&j, "b", (struct text){ (const char *)data, (uint32_t)size });
	json_end(&j);
	must(utf8_valid(buf_text(&out), out.len));
	for (size_t i = 0; i < out.len; i++)
		must((uint8_t)out.data[i] >= 0x20 && out.data[i] != 0x7f);
	doc = cJSON_ParseWithLength(out.data, out.len);
	must(doc != NULL);
	must(cJSON_GetArraySize(doc) == 3);
	same(cJSON_GetArrayItem(doc, 0), data, size, room);
	same(cJSON_GetArrayItem(cJSON_GetArrayItem(doc, 1), 0), data + cut, size - cut, room);
	must(strlen(cJSON_GetStringValue(cJSON_GetArrayItem(doc, 2))) == (size + 2) / 3 * 4);
	cJSON_Delete(doc);
	buf_free(&out);
	free(room);
	free(key);
	return 0;
}
