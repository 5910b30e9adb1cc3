#pragma once
#include <sys/types.h>
#include "core/command.h"
#include "core/loop.h"

/* What a service does around its work: folders, limits, being the only one, and telling the service
 * manager. */

/* Folders, limits and the lock, in this order. The lock's descriptor: keep it open as long as the
 * sensor lives. -errno; what is wrong is said on stderr in one sentence. */
int life_begin(const struct cli_places *places);

/* Make the folders that are missing (config 0755, state 0700, run 0755, parents 0755); refuse one
 * that others may write or that belongs to somebody else: -EPERM. 0, or -errno, logged. */
int life_folders(const struct cli_places *places);

/* Locked memory without limit (5.10 counts BPF maps there), 65536 descriptors, no core dumps or
 * ptrace by others, last to be killed when memory ends, large memory given back when it is freed.
 * What is refused is no error: one line of the log has it, and life_trouble(). A child that is to
 * be killed first must set its oom_score_adj itself. */
void life_limits(void);
/* What life_limits() could not have and why, one sentence; "": all of it was granted. */
const char *life_trouble(void);

/* Be the only sensor of run_dir: a lock on RUN_DIR/komainu.lock, which names our pid and ends with
 * us in whatever way. The descriptor; -EALREADY with *holder set (0: not known); -errno, logged. */
int life_lock(const char *run_dir, pid_t *holder);

/* Tell the service manager: assignments, one per line, as in sd_notify(3). Nothing happens without
 * NOTIFY_SOCKET. source: systemd, sd_notify(3) */
void life_notify(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void life_reloading(void); /* RELOADING=1 with the clock that goes with it; end it with READY=1 */

/* WATCHDOG=1 at half of WATCHDOG_USEC from a timer of the loop, so only while the loop turns. 0
 * also without a watchdog; -errno. */
int life_watchdog(struct loop *loop);
