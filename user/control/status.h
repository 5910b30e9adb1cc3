#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include "base/buf.h"

/* What the sensor says of itself: the "result" of {"v":1,"do":"status"}. The sensor puts it
 * together, and komainu status reads nothing but it. A member may be missing and is then left out
 * of the text; unknown ones are ignored. Texts are hostile until they are made safe. In full with
 * meanings: docs/control.md.
 *
 * {
 *   "version": "0.1.0", "pid": 123, "uptime_ms": 180000, "host_id": "…",
 *   "state": "active" | "degraded" | "off", "why": "…",          the worst of the parts
 *   "instance": 7, "took_over": true,
 *   "kernel": {"release", "lockdown", "cgroups", "lsm_list"},      kernel_json(), more members
 *   "policy": {
 *     "name", "files": ["…"], "mode": "off" | "detect" | "prevent", "generation": 7,
 *     "reloads": 3, "refused": 1,
 *     "last": {"ok": true, "stage": "commit", "took_ms": 12, "age_ms": 3000, "error": "…"}
 *   },
 *   "parts": [{
 *     "name", "kind": "module" | "service", "summary",
 *     "state": "active" | "degraded" | "off", "why": "…",          one sentence with the remedy
 *     "mode": "off" | "detect" | "prevent",                         effective; modules only
 *     "memory_max_bytes": 1,
 *     "hooks": [ hook_json() … ],
 *     "detail": { own members of the part }                          kmn_part.status
 *   }],
 *   "events": {"findings": {…}, "telemetry": {…}},                 event_ring_status()
 *   "store": {…},                                                  event_sink_status()
 *   "memory": {"user_bytes", "map_bytes",                           now
 *              "formula_bytes",                                     user space, at most
 *              "policy_bytes",                                      maps of the policy in force
 *              "limit_bytes",                                       of them and the next one's
 *              "formula": [{"what": "base", "bytes": 1}]},          its terms
 *   "workers": {"alive", "queued", "done", "failed", "died", "timed_out", "respawns", "sandbox"},
 *   "limits": "…",                                                 what the sensor may not have
 *   "loop": {"worst_turn_us"},
 *   "control": {…}                                                 control_socket_json()
 * }
 */

/* All of it as text for a person. */
void status_print(const cJSON *status, bool colours, struct buf *out);

/* CLI_GOOD, or CLI_DEGRADED when "state" is anything but active. */
int status_exit(const cJSON *status);
