#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "control/completion.h"
#include "control/metrics_http.h"
#include "control/socket.h"
#include "control/status.h"

/* What strangers and a strange sensor may send: the first byte chooses the reader.
 *   r  a line on the control socket      h  a request head on metrics.sock
 *   s  a status answer                   c  the args text of a command */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_request(const char *text, size_t len)
{
	char name[CONTROL_NAME_MAX];
	enum control_error error;
	cJSON *request = NULL;
	const char *why;
	int r = control_parse(text, len, &request, name, &error, &why);

	assert(strlen(name) < CONTROL_NAME_MAX);
	for (const char *c = name; *c; c++)
		assert(strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", *c));
	if (!r)
		assert(*name && cJSON_IsObject(request));
	else
		assert(*why && error <= CONTROL_FAILED);
	cJSON_Delete(request);
}

/* No byte of the answer may act on the terminal. */
static void read_status(const char *text, size_t len)
{
	cJSON *status = cJSON_ParseWithLength(text, len);
	struct buf out = { 0 };
	uint32_t cp;
	size_t n;

	status_print(status, false, &out);
	(void)status_exit(status);
	for (size_t i = 0; i < out.len; i += n) {
		n = utf8_next(out.data + i, out.len - i, &cp);
		assert(n && (cp == '\n' || !utf8_hostile(cp)));
	}
	buf_free(&out);
	cJSON_Delete(status);
}

static void read_head(const char *text, size_t len)
{
	bool body;
	unsigned status = metrics_http_status(text, len, &body);

	assert(status == 200 || status == 400 || status == 404 || status == 405);
}

static void read_args(const char *text, size_t len)
{
	struct completion_args a;
	char *copy = strndup(text, len);

	completion_parse(copy, &a);
	for (unsigned i = 0; i < a.options; i++)
		assert(a.option[i].text[0] == '-' && strlen(a.option[i].text) < 40);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;

	if (size < 2 || size > CONTROL_REQUEST_MAX)
		return 0;
	if (data[0] == 'r')
		read_request(text, size - 1);
	else if (data[0] == 's')
		read_status(text, size - 1);
	else if (data[0] == 'h')
		read_head(text, size - 1);
	else if (data[0] == 'c')
		read_args(text, size - 1);
	return 0;
}
