/* Any bytes as an encoded event: refused, or an event that encodes to bytes of the same event, and
 * that every renderer takes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cjson/cJSON.h>
#include "event/encode.h"
#include "event/ocsf.h"
#include "event/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t once[1 << 20], twice[1 << 20];
	static struct event a, b;
	static const struct event_origin origin = { .host_id = "" };
	const struct event_text_style style = { .date = true };
	struct event_kinds *kinds;
	struct buf out = { 0 };
	cJSON *doc;
	int n, m;

	if (size > 65536 || event_decode(data, size, &a) < 0)
		return 0;
	n = event_encode(&a, once, sizeof(once));
	must(n > 0);
	must(!event_decode(once, (size_t)n, &b));
	m = event_encode(&b, twice, sizeof(twice));
	must(n == m && !memcmp(once, twice, (size_t)n));
	must(a.n == b.n && a.who.n == b.who.n && a.time_ns == b.time_ns && a.gen == b.gen);
	event_bound(&b);
	must(event_encode(&b, twice, EVENT_ENCODED_MAX) > 0);
	kinds = calloc(1, sizeof(*kinds));
	if (kinds) {
		event_kinds_init(kinds);
		event_line(&b, kinds, &style, &out);
		must(!memchr(buf_text(&out), 0x1b, out.len));
		buf_reset(&out);
		must(ocsf_event(&b, kinds, &origin, &out));
		doc = cJSON_ParseWithLength(out.data, out.len);
		must(doc != NULL);
		cJSON_Delete(doc);
	}
	buf_free(&out);
	free(kinds);
	return 0;
}
