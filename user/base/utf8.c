#include "base/utf8.h"

size_t utf8_next(const char *p, size_t n, uint32_t *cp)
{
	const unsigned char *s = (const unsigned char *)p;
	unsigned char low = 0x80, high = 0xbf; /* bounds of the second byte */
	size_t len;
	uint32_t c = s[0];

	if (c < 0x80) {
		*cp = c;
		return 1;
	}
	*cp = 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xed)
		high = 0x9f;
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f;
	c &= 0x7fu >> len;
	for (size_t i = 1; i < len; i++) {
		if (i >= n || s[i] < low || s[i] > high) {
			*cp = (uint32_t)i;
			return 0;
		}
		c = c << 6 | (s[i] & 0x3f);
		low = 0x80;
		high = 0xbf;
	}
	*cp = c;
	return len;
}

bool utf8_valid(const char *p, size_t n)
{
	uint32_t cp;

	for (size_t i = 0, len; i < n; i += len) {
		len = utf8_next(p + i, n - i, &cp);
		if (!len)
			return false;
	}
	return true;
}

bool utf8_hostile(uint32_t cp)
{
	static const uint32_t ranges[][2] = {
		{ 0x00, 0x1f },	    { 0x7f, 0x9f },	/* C0, DEL, C1 */
		{ 0xad, 0xad },	    { 0x61c, 0x61c },	/* soft hyphen, Arabic letter mark */
		{ 0x180e, 0x180e }, { 0x200b, 0x200f }, /* no width, marks of direction */
		{ 0x2028, 0x202e }, { 0x2060, 0x206f }, /* separators, bidi embeddings, isolates */
		{ 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }, /* variation selectors, byte order mark */
		{ 0xfff9, 0xfffb }, { 0xe0000, 0xe0fff }, /* annotation; tags */
	};

	if (cp >= 0x20 && cp < 0x7f)
		return false;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
		if (cp >= ranges[i][0] && cp <= ranges[i][1])
			return true;
	return false;
}
