#!/bin/bash
# The control socket of a real sensor: status has what docs/control.md says, reload is all or nothing
# and says why, metrics are Prometheus text on both ways, the self-test passes, strangers stay outside.
. "$(dirname "$0")/../harness/sensor.sh"
policy() { # policy MODE RULE-MODE FILE
	cat >"$3" <<YAML
version: 1
name: control-$1
mode: $1
modules:
  firewall:
    interfaces: [kmn0]
    rules:
      - {name: no-7001, action: deny, direction: incoming, protocol: udp, destination_port: 7001, mode: $2}
YAML
}
status() { komainu status --json | jq -r "$1"; }
is_active() { komainu status >/dev/null; }
metrics() { curl -sf --max-time 5 --unix-socket "$work/run/metrics.sock" http://localhost/metrics; }
sock() { # LINE: what the control socket answers
	nc -N -U "$work/run/control.sock" <<<"$1"
}

chmod 755 "$work"
policy detect detect "$work/p.yaml"
sensor_start "$work/p.yaml"
wait_for 15 is_active || echo "note: degraded on this kernel: $(status .why)"

# ---- status: every member that the page names, of the type that it has
komainu status --json >"$work/status"
jq -e '
	def n: type == "number"; def s: type == "string"; def b: type == "boolean";
	(.version | s) and (.pid | n) and (.uptime_ms | n) and (.host_id | s) and (.state | s)
	and (.instance | n) and (.took_over | b)
	and (.kernel | .release, .lockdown, .cgroups | s) and ([.kernel.features[] | (.name | s) and (.has | b)] | all)
	and (.policy | (.name | s) and (.files[0] | s) and (.mode | s) and (.generation | n) and (.reloads | n)
		and (.refused | n) and (.last | (.ok | b) and (.stage | s) and (.took_ms | n) and (.age_ms | n)))
	and ([.parts[] | (.name | s) and (.summary | s) and (.kind | IN("service", "module"))
		and (.state | IN("active", "degraded", "off")) and (.hooks | type == "array")
		and (.detail | type == "object")] | all) and (.parts | length > 1)
	and ([.parts[].hooks[] | (.name | s) and (.type | type | IN("string", "null")) and (.required | b) and (.survives | b)
		and (.state | IN("off", "attached", "proven", "failed"))] | all)
	and ([.events.findings, .events.telemetry | .offered, .delivered, .dropped, .throttled, .refused, .before,
		.in_ring | n] | all)
	and ([.store.findings, .store.telemetry | .bytes, .bytes_max, .segments, .stored, .first_seq, .seq, .damaged
		| n] | all) and (.store.alarms | type == "array")
	and ([.memory | .user_bytes, .map_bytes, .formula_bytes, .limit_bytes | n] | all)
	and ([.memory.formula[].bytes] | add) == .memory.formula_bytes
	and ([.workers | .alive, .queued, .done, .failed, .died, .timed_out, .respawns | n] | all)
	and (.workers.sandbox | s) and (.loop.worst_turn_us | n)
	and ([.control | .clients, .requests, .bad, .denied, .busy, .dropped | n] | all)
' "$work/status" >/dev/null || fail "status is not as docs/control.md says: $(cat "$work/status")"
[ "$(jq -r .policy.name "$work/status")" = control-detect ] || fail "status names another policy"
komainu status >"$work/text"
for word in 'komainu ' 'policy   control-detect' firewall 'offered' 'by formula' workers; do
	grep -q "$word" "$work/text" || fail "status does not show \"$word\": $(cat "$work/text")"
done
grep -q $'\033' "$work/text" && fail "status has colours though this is no terminal"

# ---- what the sensor found of the kernel is what probe finds
komainu probe --json >"$work/probe"
[ "$(jq -c '[.kernel.features[] | [.name, .has]]' "$work/probe")" = "$(jq -c '[.kernel.features[] | [.name, .has]]' "$work/status")" ] ||
	fail "probe and status do not agree on the kernel"

# ---- reload: good, bad, and only checked
gen=$(status .policy.generation)
komainu reload >"$work/said" 2>&1 || fail "reload: $(cat "$work/said")"
[ "$(status .policy.generation)" = $((gen + 1)) ] || fail "reload made no new generation"
printf 'version: 1\nname: bad\nmode: sometimes\nmodules: {firewall: {rulez: []}}\n' >"$work/p.yaml"
for command in reload "reload --dry-run"; do
	# shellcheck disable=SC2086 # words on purpose
	komainu $command >"$work/said" 2>&1 && fail "$command took a bad policy"
	[ $? -le 1 ] || fail "$command of a bad policy: not exit 1"
	grep -q ':3:7: error' "$work/said" || fail "$command did not tell of line 3: $(cat "$work/said")"
	grep -q ':4:' "$work/said" || fail "$command told only the first error: $(cat "$work/said")"
	[ "$(status .policy.generation)" = $((gen + 1)) ] || fail "$command of a bad policy changed the generation"
done
[ "$(status .policy.last.ok)" = false ] || fail "status does not know of the refusal"
policy prevent prevent "$work/p.yaml"
komainu reload --dry-run >"$work/said" 2>&1 || fail "reload --dry-run: $(cat "$work/said")"
[ "$(status .policy.name)" = control-detect ] || fail "reload --dry-run put a policy in force"
komainu reload >/dev/null || fail "reload of the second policy"
[ "$(status .policy.name)" = control-prevent ] || fail "the second policy is not in force"

# ---- metrics: the same text on both ways, every line of it sound
metrics >"$work/http" || fail "metrics.sock does not answer"
komainu metrics >"$work/metrics" || fail "komainu metrics: exit $?"
for file in http metrics; do
	grep -vE '^# (HELP komainu_[a-z0-9_]+ .+|TYPE komainu_[a-z0-9_]+ (counter|gauge))$' "$work/$file" |
		grep -vE '^komainu_[a-z0-9_]+(\{[a-z_]+="([^"\\]|\\.)*"(,[a-z_]+="([^"\\]|\\.)*")*\})? [-+0-9.eInfNa]+$' >"$work/bad" &&
		fail "$file has lines that are no metrics: $(cat "$work/bad")"
	# a family is one group
	families=$(awk '/^# TYPE/ { print $3 }' "$work/$file" | sort | uniq -d)
	[ -z "$families" ] || fail "$file: families that are torn apart: $families"
	grep -q "^komainu_policy_generation $((gen + 2))\$" "$work/$file" || fail "$file: no generation"
done

# ---- the self-test, and the raw socket
komainu selftest >"$work/said" 2>&1
case $? in 0 | 5) ;; *) fail "selftest: $(cat "$work/said")" ;; esac
grep -q ' pass ' "$work/said" || fail "selftest: nothing passed: $(cat "$work/said")"
sock '{"v":1,"do":"ping"}' | grep -q "\"pid\":$sensor_pid,\"version\"" || fail "ping over nc"
sock 'nonsense' | grep -q '"error":"bad_request"' || fail "nonsense was not refused"

# ---- strangers; they may pass the folders above, which belong to the test
as_nobody() {
	in_host setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all,+dac_read_search \
		--ambient-caps=+dac_read_search "$@"
}
as_nobody "$KOMAINU" status --run-dir "$work/run" >"$work/said" 2>&1
[ $? = 4 ] || fail "a stranger's status: not exit 4: $(cat "$work/said")"
chmod 666 "$work/run/control.sock"
denied=$(status .control.denied)
as_nobody "$KOMAINU" reload --run-dir "$work/run" >"$work/said" 2>&1
[ $? = 4 ] || fail "a stranger's reload: not exit 4: $(cat "$work/said")"
[ "$(status .control.denied)" = $((denied + 1)) ] || fail "the stranger was not counted"

# ---- the end
komainu stop >"$work/said" 2>&1 || fail "stop: $(cat "$work/said")"
kill -0 "$sensor_pid" 2>/dev/null && [ "$(cut -d' ' -f3 "/proc/$sensor_pid/stat")" != Z ] && fail "stop did not wait"
wait "$sensor_pid" || fail "the sensor's exit: $?"
sensor_pid=''
komainu status >/dev/null 2>&1
[ $? = 3 ] || fail "status after the stop: not exit 3"
[ ! -e "$work/run/control.sock" ] && [ ! -e "$work/run/metrics.sock" ] || fail "a socket was left"
exit 0
