#!/bin/bash
# The control socket of a real sensor: status has what docs/control.md says, reload is all or nothing
# and says why, metrics are Prometheus text on both ways, the self-test passes, strangers stay outside.
. "$(dirname "$0")/../harness/sensor.sh"
policy() { # policy MODE RULE-MODE FILE [LINE]
	cat >"$3" <<YAML
version: 1
name: control-$1
mode: $1
${4:-}
modules:
  firewall:
    interfaces: [kmn0, kmn8]
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
ip -n "$ns_host" link add kmn8 type veth peer name kmn9 # down
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
	and (.memory | .formula_bytes + .map_bytes + .limit_bytes - .policy_bytes) <= 128 * 1048576
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

# ---- an interface that is down is no fault; it is proven when it comes up
hooks_of() { komainu status --json | jq -c "[.parts[].hooks[] | select(.name | startswith(\"tc/$1/\")) | $2] | unique"; }
[ "$(hooks_of kmn8 '[.state, .required, .why]')" = '[["off",false,"the interface is down"]]' ] ||
	fail "an interface that is down: $(hooks_of kmn8 .)"
status .why | grep -q kmn8 && fail "an interface that is down degrades: $(status .why)"
komainu status | grep -q 'tc/kmn8/ingress .* off .* the interface is down' || fail "status does not say why it is off"
grep -q 'hook tc/kmn8/ingress: off: the interface is down' "$work/log" || fail "the log does not tell of it"
ip -n "$ns_host" link set kmn9 up
ip -n "$ns_host" link set kmn8 up
came_up() { [ "$(hooks_of kmn8 '[.state, .required, .why]')" = '[["proven",true,null]]' ]; }
wait_for 10 came_up || fail "an interface that came up: $(hooks_of kmn8 .)"
ip -n "$ns_host" link set kmn8 down
went_down() { [ "$(hooks_of kmn8 .state)" = '["off"]' ]; }
wait_for 10 went_down || fail "an interface that went down: $(hooks_of kmn8 .)"

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
grep -q 'p.yaml:4:' "$work/log" && fail "the log has what reload was answered"
kill -HUP "$sensor_pid" # nobody hears the answer: the log has all of it
wait_for 10 grep -q 'p.yaml:4:' "$work/log" || fail "SIGHUP with a bad policy logged only: $(tail -5 "$work/log")"
policy prevent prevent "$work/p.yaml"
komainu reload --dry-run >"$work/said" 2>&1 || fail "reload --dry-run: $(cat "$work/said")"
[ "$(status .policy.name)" = control-detect ] || fail "reload --dry-run put a policy in force"
komainu reload >/dev/null || fail "reload of the second policy"
[ "$(status .policy.name)" = control-prevent ] || fail "the second policy is not in force"

# ---- budgets and the memory limit are the policy's, and a refused one leaves the old ones
budgets() { status '[.store.findings, .store.telemetry | .bytes_max / 1048576, .days_max] | tojson'; }
budgets_are() { [ "$(budgets)" = "$1" ]; }
mib() { status ".memory.limit_bytes / 1048576"; }
wait_for 5 budgets_are '[512,400,256,7]' || fail "budgets of a policy that names none: $(budgets)"
[ "$(mib)" = 40 ] || fail "memory limit of a policy that names none: $(mib) MiB"
policy prevent prevent "$work/p.yaml" 'events: {findings: {max_mib: 48, max_days: 30}, telemetry: {max_mib: 16}}'
komainu reload >/dev/null || fail "reload with budgets"
wait_for 5 budgets_are '[48,30,16,7]' || fail "budgets after a reload: $(budgets)"
needs=$(status .memory.policy_bytes)
[ "$needs" -gt 0 ] || fail "the policy in force takes no memory"
{ echo 'version: 1' && echo 'limits: {memory_mib: 1}' && echo 'events: {findings: {max_mib: 99}}' &&
	echo 'modules: {firewall: {interfaces: [kmn0], rules: [{name: many, action: deny, source: [' &&
	seq 8000 | awk '{ printf "10.%d.%d.%d,\n", $1 / 32000, $1 / 125 % 256, $1 % 125 * 2 }' && echo ']}]}}'; } >"$work/p.yaml"
for command in "reload --dry-run" reload; do
	# shellcheck disable=SC2086 # words on purpose
	komainu $command >"$work/said" 2>&1 && fail "$command took a policy above its memory limit: $(status .memory)"
	grep -q ':2:22: error: .* the limit is 1.0 MiB' "$work/said" || fail "$command says of the memory: $(cat "$work/said")"
done
budgets_are '[48,30,16,7]' || fail "a refused policy changed the budgets: $(budgets)"
[ "$(mib)" = 40 ] || fail "a refused policy changed the memory limit: $(mib) MiB"
komainu policy check "$work/p.yaml" >"$work/said" 2>&1
[ $? = 2 ] || fail "policy check took a policy above its memory limit: $(cat "$work/said")"
sed -i 's/memory_mib: 1/memory_mib: 1024/' "$work/p.yaml"
komainu reload >"$work/said" 2>&1 || fail "reload with a higher limit: $(cat "$work/said")"
[ "$(mib)" = 1024 ] || fail "the policy's own memory limit: $(mib) MiB"
wait_for 5 budgets_are '[99,400,256,7]' || fail "budgets of the next policy: $(budgets)"

# ---- a policy that would cut who is connected is put in force with a warning
mkfifo "$work/silence" # not by in_host: its processes are to be ended
nsenter --net="/run/netns/$ns_host" timeout 60 nc -l 10.9.0.254 7022 <>"$work/silence" >/dev/null 2>&1 & server=$!
sockets() { in_host ss -Htn "$@" '( sport = :7022 )' | grep -q ":7022"; }
wait_for 5 sockets -l || fail "the server of the test does not listen"
nsenter --net="/run/netns/$ns_peer" timeout 60 nc 10.9.0.254 7022 <>"$work/silence" >/dev/null 2>&1 & client=$!
wait_for 5 sockets state established || fail "the client of the test is not connected"
cat >"$work/p.yaml" <<'YAML'
version: 1
mode: prevent
modules:
  firewall:
    interfaces: [kmn0]
    rules:
      - {name: all-closed, action: deny, direction: incoming, protocol: tcp}
      - {name: keep-7022, action: allow, priority: 1, direction: incoming, protocol: tcp, destination_port: 7022, mode: off}
YAML
warning='warning: rule "all-closed" denies packets of a connection that is open on this host, of 10.9.0.1 to port 7022'
for command in "policy check $work/p.yaml" "reload --dry-run"; do
	# shellcheck disable=SC2086 # words on purpose
	komainu $command >"$work/said" 2>&1 || fail "$command refuses what is to be warned of: $(cat "$work/said")"
	grep -q "$warning" "$work/said" || fail "$command does not warn: $(cat "$work/said")"
done
sed 's/mode: prevent/mode: detect/' "$work/p.yaml" >"$work/q.yaml"
komainu policy check "$work/q.yaml" | grep -q warning && fail "a warning of what is only watched"
sed 's/, mode: off//' "$work/p.yaml" >"$work/q.yaml"
komainu policy check "$work/q.yaml" | grep -q warning && fail "a warning of what a rule lets through"
komainu reload >"$work/said" 2>&1 || fail "reload: $(cat "$work/said")"
grep -q "$warning" "$work/said" || fail "reload does not warn: $(cat "$work/said")"
kill $server $client 2>/dev/null

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
	grep -q "^komainu_policy_generation $((gen + 5))\$" "$work/$file" || fail "$file: no generation"
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
komainu stop --unload >"$work/said" 2>&1 || fail "stop --unload: $(cat "$work/said")"
grep -qvE '^nothing of komainu is left in the kernel \([0-9]+ removed\)$' "$work/said" &&
	fail "stop --unload says more than its one line: $(cat "$work/said")"
[ ! -e "$work/run/control.sock" ] && [ ! -e "$work/run/metrics.sock" ] || fail "a socket was left"
exit 0
