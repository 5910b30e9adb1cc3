#!/bin/bash
# A sensor in a pid namespace of its own: it says what it cannot do there, proves what it can, and
# takes nobody for ended whom it cannot see.
. "$(dirname "$0")/../harness/sensor.sh"

printf 'version: 1\nname: pidns\nmode: detect\n' >"$work/policy.yaml"
nsenter --net="/run/netns/$ns_host" unshare --pid --fork --mount-proc --kill-child \
	"$KOMAINU" run --policy "$work/policy.yaml" --pin-root "$pins" --run-dir "$work/run" \
	--state-dir "$work/state" --config-dir "$work/etc" </dev/null >"$work/out" 2>"$work/log" &
sensor_pid=$!
status() { # FILTER; without an answer it is no
	komainu status --json >"$work/now" 2>/dev/null
	[ -s "$work/now" ] && jq -e "$1" "$work/now" >/dev/null
}
tasks='(.parts[] | select(.name == "tasks"))'
hook() { # NAME STATE
	status "[.. | objects | select(.name? == \"$1\" and .state? == \"$2\")] | length > 0"
}

wait_for 30 hook tp_btf/sched_process_exec proven || fail "the exec hook is not proven: $(cat "$work/now")"
status "$tasks.state == \"degraded\"" || fail "it does not say that it is degraded: $(cat "$work/now")"
status "$tasks.why | test(\"pid namespace\") and test(\"--pid=host\")" || fail "why: $(jq -c "$tasks.why" "$work/now")"
hook tp_btf/sched_process_fork attached || fail "the fork hook cannot be proven, and has not failed"

# a process of the host that lives on is not taken for ended, though no pid of ours is its
nsenter --net="/run/netns/$ns_host" sleep 60 &
sleeper=$!
sleep 4
komainu status --json >"$work/status.json"
jq -e '[.. | .lost_exits? // empty] | add == 0' "$work/status.json" >/dev/null ||
	fail "processes were taken for ended: $(jq -c '.. | .processes? // empty' "$work/status.json")"
kill "$sleeper"
komainu events --stream telemetry --kind exec --last all --json >"$work/events" 2>/dev/null
jq -se --argjson pid "$sleeper" 'any(.process.pid == $pid and .process.cmd_line == "sleep 60")' "$work/events" >/dev/null ||
	fail "the exec of process $sleeper of the host was not told by its pid there, among $(grep -c . "$work/events")"
komainu stop --unload >/dev/null || fail "stop: $?"
sensor_pid=''
echo passed
