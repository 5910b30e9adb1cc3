#include "policy/source.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/utf8.h"
#include "policy/diag.h"

/* libyaml's time grows with the square of open brackets: 20,000 take a second. Far above what the
 * tree may have (TREE_DEPTH_MAX), far below what costs. */
#define BRACKETS_MAX 256

struct source *source_new(const char *name, const void *text, size_t len)
{
	size_t n = strlen(name) + 1;
	struct source *s = calloc(1, sizeof(*s) + n);

	if (!s)
		return NULL;
	s->text = malloc(len + 1);
	if (!s->text) {
		free(s);
		return NULL;
	}
	if (len)
		memcpy(s->text, text, len);
	s->text[len] = '\0';
	s->len = len;
	memcpy(s->name, name, n);
	s->refs = 1;
	return s;
}

struct source *source_hold(struct source *s)
{
	s->refs++;
	return s;
}

void source_drop(struct source *s)
{
	if (--s->refs)
		return;
	free(s->text);
	free(s);
}

/* Up to SOURCE_BYTES_MAX + 1 bytes: one more shows that the file is too long. */
static int read_all(int fd, char *text, size_t *len)
{
	ssize_t r;

	for (*len = 0; *len <= SOURCE_BYTES_MAX; *len += (size_t)r) {
		r = read(fd, text + *len, SOURCE_BYTES_MAX + 1 - *len);
		if (r < 0 && errno == EINTR)
			r = 0;
		else if (r < 0)
			return -errno;
		else if (!r)
			break;
	}
	return 0;
}

KMN_AUTO_DEFINE(char *, free)

int source_open(const char *path, struct source **out, const char **why)
{
	kmn_auto(source_drop) struct source *s = NULL;
	kmn_auto(free) char *text = NULL;
	kmn_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	size_t len;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		*why = strerror(errno);
		return r;
	}
	if (!S_ISREG(st.st_mode)) { /* a pipe could keep the sensor waiting for ever */
		*why = S_ISDIR(st.st_mode) ? "it is a folder" : "it is not a regular file";
		return -EINVAL;
	}
	*why = "no memory";
	text = malloc(SOURCE_BYTES_MAX + 1);
	if (!text)
		return -ENOMEM;
	r = read_all(fd, text, &len);
	if (r < 0) {
		*why = strerror(-r);
		return r;
	}
	if (len > SOURCE_BYTES_MAX) {
		*why = "it is larger than 4 MiB; keep long lists in files of their own: {list: "
		       "FILE}";
		return -EFBIG;
	}
	s = source_new(path, text, len);
	if (!s)
		return -ENOMEM;
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	*out = KMN_TAKE(s);
	return 0;
}

const char *source_line(const struct source *s, uint32_t line, size_t *len)
{
	const char *p = s->text, *end = s->text + s->len, *nl;

	for (; line > 1; line--) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl)
			return NULL;
		p = nl + 1;
	}
	nl = memchr(p, '\n', (size_t)(end - p));
	*len = (size_t)((nl ? nl : end) - p);
	if (*len && p[*len - 1] == '\r')
		--*len;
	return p;
}

/* ---- what no line may hold ---- */
enum fault {
	FAULT_UTF16,
	FAULT_UTF8,
	FAULT_NUL,
	FAULT_CONTROL,
	FAULT_BOM,
	FAULT_CR,
	FAULT_LONE_CR,
	FAULT_LINE_END,
	FAULT_HIDDEN,
	FAULT_BRACKETS,
	FAULTS,
};

static const struct {
	bool fatal; /* libyaml stops there too, or counts lines otherwise than we do */
	const char *what, *hint;
} faults[FAULTS] = {
	[FAULT_UTF16] = { true, "the file is UTF-16",
			  "save it as UTF-8 without a byte order mark" },
	[FAULT_UTF8] = { true, "byte 0x%02x is not UTF-8", "save the file as UTF-8" },
	[FAULT_NUL] = { true, "a NUL byte", "this is not a text file, or it is damaged" },
	[FAULT_CONTROL] = { true, "a control character (0x%02x)", "remove it" },
	[FAULT_BOM] = { false, "a byte order mark (U+%04X)", "save the file as UTF-8 without it" },
	[FAULT_CR] = { false, "a line that ends in a carriage return",
		       "save the file with Unix line ends, as dos2unix does" },
	[FAULT_LONE_CR] = { true, "a carriage return inside a line",
			    "save the file with Unix line ends, as dos2unix does" },
	[FAULT_LINE_END] = { true, "a hidden line end (U+%04X)",
			     "YAML would begin a new line here that no editor shows; remove it" },
	[FAULT_HIDDEN] = { false, "an invisible character (U+%04X)",
			   "what is read is not what is seen; remove it" },
	[FAULT_BRACKETS] = { true, "more than 256 brackets in a row", "nest at most 32 levels" },
};

/* The fault that begins at p, or FAULTS; *len: bytes of the character, *cp: what to name. */
static enum fault fault_at(const char *p, size_t left, bool first, size_t *len, uint32_t *cp)
{
	*len = utf8_next(p, left, cp);
	if (!*len) {
		*len = *cp;
		*cp = (unsigned char)*p;
		return first && left > 1 && (!memcmp(p, "\xff\xfe", 2) || !memcmp(p, "\xfe\xff", 2))
			       ? FAULT_UTF16
			       : FAULT_UTF8;
	}
	switch (*cp) {
	case '\t':
	case '\n':
		return FAULTS;
	case 0:
		return FAULT_NUL;
	case '\r':
		return left > 1 && p[1] == '\n' ? FAULT_CR : FAULT_LONE_CR;
	case 0x85:
	case 0x2028:
	case 0x2029:
		return FAULT_LINE_END;
	case 0xfeff:
		return FAULT_BOM;
	}
	if (*cp < 0x20 || (*cp >= 0x7f && *cp < 0xa0))
		return FAULT_CONTROL;
	if (*cp == 0xad || *cp == 0x200c || *cp == 0x200d || (*cp >= 0xfe00 && *cp <= 0xfe0f))
		return FAULTS; /* honest text has them, in comments; values are checked again */
	return utf8_hostile(*cp) ? FAULT_HIDDEN : FAULTS;
}

/* Open brackets with nothing but blanks between them. Inside quotes too: no honest text has 256. */
static unsigned brackets_after(unsigned n, uint32_t cp)
{
	if (cp == '[' || cp == '{')
		return n + 1;
	return cp == ' ' || cp == '\t' || cp == '\n' || cp == '\r' ? n : 0;
}

bool source_check(const struct source *s, struct policy_diag *d, bool *hidden)
{
	struct policy_pos pos = { s->name, 1, 1 };
	bool said[FAULTS] = { false }, fatal = false;
	unsigned brackets = 0;
	size_t len = 0;
	uint32_t cp;

	for (size_t i = 0; i < s->len; i += len) {
		enum fault f = fault_at(s->text + i, s->len - i, !i, &len, &cp);

		brackets = brackets_after(brackets, cp);
		if (f == FAULTS && brackets > BRACKETS_MAX)
			f = FAULT_BRACKETS;
		if (f < FAULTS && !said[f]) {
			said[f] = true;
			fatal |= faults[f].fatal;
			diag_fault(d, pos, faults[f].hint, faults[f].what, cp);
			if (f == FAULT_UTF16) /* all that follows would be noise */
				break;
		}
		pos.col++;
		if (cp == '\n') {
			pos.line++;
			pos.col = 1;
		}
	}
	*hidden = said[FAULT_HIDDEN] || said[FAULT_BOM];
	return !fatal;
}
