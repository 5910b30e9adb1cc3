#include <string.h>
#include "context/process_self.h"

#define EVICT_MAX 128  /* entries that are looked at for the texts of one exec */
#define ARGS_SHORT 512 /* kept when there is no room for more */
#define PATH_SHORT 256
_Static_assert(sizeof(struct process_image) + 2 * PROCESS_PATH_KEPT + PROCESS_ARGS_KEPT <=
		       BLOCKS_MAX,
	       "the longest texts fit a block");

struct process_image *process_image(const struct process_table *t, uint32_t image)
{
	return image ? blocks_at(&t->blocks, image) : NULL;
}

void process_image_drop(struct process_table *t, struct process_entry *e)
{
	struct process_image *image = process_image(t, e->image);

	if (image && !--image->refs)
		blocks_give(&t->blocks, e->image);
	e->image = 0;
}

void process_image_share(struct process_table *t, struct process_entry *e, uint32_t image)
{
	if (image)
		process_image(t, image)->refs++;
	process_image_drop(t, e);
	e->image = image;
}

/* Room by forgetting, the longest ended first, then the texts of live processes that nobody has
 * asked for: each stands in the queue again behind all others, so that the next one is at hand. */
static void make_room(struct process_table *t, const struct process_entry *keep, uint64_t now_ns)
{
	struct process_entry *e = process_oldest_exited(t);

	if (e == keep && e)
		e = e->newer ? &t->entry[e->newer] : NULL;
	if (e) {
		if (now_ns < e->exit_ns + PROCESS_KEEP_NS)
			t->stats.evicted_early++;
		else
			t->stats.evicted_exited++;
		process_forget(t, e);
		return;
	}
	if (!t->live.oldest)
		return;
	e = &t->entry[t->live.oldest];
	if (e->image && e != keep) {
		t->stats.texts_dropped++;
		process_image_drop(t, e);
	}
	process_used(t, e);
}

static uint32_t at_most(uint32_t len, uint32_t max)
{
	return len < max ? len : max;
}

static uint32_t take(struct process_table *t, const struct process_entry *keep, uint64_t now_ns,
		     size_t len)
{
	uint32_t block = blocks_take(&t->blocks, len);

	for (int i = 0; !block && i < EVICT_MAX; i++) {
		make_room(t, keep, now_ns);
		block = blocks_take(&t->blocks, len);
	}
	return block;
}

static char *put(char *at, struct text text, uint32_t len)
{
	if (len)
		memcpy(at, text.p, len);
	return at + len;
}

void process_image_set(struct process_table *t, struct process_entry *e,
		       const struct process_exec *x)
{
	uint32_t exe = at_most(x->exe.len, PROCESS_PATH_KEPT);
	uint32_t cwd = at_most(x->cwd.len, PROCESS_PATH_KEPT);
	uint32_t args = at_most(x->args.len, PROCESS_ARGS_KEPT);
	uint32_t block, flags = x->flags & ~(uint32_t)PROCESS_EXITED;
	struct process_image *image;
	char *at;

	process_image_drop(t, e);
	block = take(t, e, x->who.time_ns, sizeof(*image) + exe + args + cwd);
	if (!block) {
		exe = at_most(exe, PATH_SHORT);
		cwd = at_most(cwd, PATH_SHORT);
		args = at_most(args, ARGS_SHORT);
		t->stats.args_shortened++;
		block = take(t, e, x->who.time_ns, sizeof(*image) + exe + args + cwd);
	}
	if (!block) {
		t->stats.texts_dropped++;
		return;
	}
	if (args < x->args.len)
		flags |= PROCESS_ARGS_CUT;
	if (exe < x->exe.len || cwd < x->cwd.len)
		flags |= PROCESS_PATH_CUT;
	image = process_image(t, block);
	*image = (struct process_image){
		.exe_id = x->exe_id,
		.refs = 1,
		.flags = flags,
		.exe_len = exe,
		.args_len = args,
		.cwd_len = cwd,
		.known = (x->exe.p ? PROCESS_HAS_EXE : 0) | (x->args.p ? PROCESS_HAS_ARGS : 0) |
			 (x->cwd.p ? PROCESS_HAS_CWD : 0),
	};
	at = put(image->text, x->exe, exe);
	at = put(at, x->args, args);
	(void)put(at, x->cwd, cwd);
	e->image = block;
}
