#!/bin/bash
# A list of a million prefixes is loaded while the sensor goes on: the loop turns, status answers and
# shows how far it is, a second reload is told so, SIGHUP waits its turn, packets are judged by the old
# policy until the new one is in force, and SIGTERM ends it all at once with the old one in force.
. "$(dirname "$0")/../harness/sensor.sh"
n=${N:-1000000}
turn_max_us=${TURN_MAX_US:-50000} # of the loop, while it loads
mkdir -p "$work/etc"
cat >"$work/policy.yaml" <<-P
	version: 1
	name: list
	mode: prevent
	limits: {memory_mib: 512}
	modules:
	  firewall:
	    interfaces: [kmn0]
	    rules:
	      - {name: bad-nets, action: deny, direction: incoming, protocol: udp, source: {list: bad.txt}}
P
echo 192.0.2.1 >"$work/bad.txt"
{ # 11.0.0.0/28 and on; last the peer
	awk -v n="$n" 'BEGIN { for (i = 0; i < n - 1; i++) { a = i * 16
		printf "%d.%d.%d.%d/28\n", 11 + int(a / 16777216), int(a / 65536) % 256, int(a / 256) % 256, a % 256 } }'
	echo 10.9.0.1
} >"$work/million.txt"
get() { jq -r "$1" "$work/now"; }
ask() { komainu status --json >"$work/now" 2>/dev/null; [ -s "$work/now" ]; }
generation() { ask && get .policy.generation; }
passes() { # does a word of the peer arrive?
	: >"$work/heard"
	in_host "$BUILD/tests/firewall/tool_talk" server udp 10.9.0.254 7090 >"$work/heard" &
	local pid=$!
	wait_for 30 grep -q ready "$work/heard" || fail "the server of the test does not start"
	in_peer "$BUILD/tests/firewall/tool_talk" client udp 10.9.0.254 7090
	wait $pid
}
begin() { # begin NAME: a reload in the background that has begun
	komainu reload >"$work/$1" 2>&1 &
	reload_pid=$!
	wait_for 10 loading || fail "status does not show that a policy is on its way"
}
loading() { ask && [ "$(get .policy.loading.stage)" != null ]; }

wait_for 30 passes || fail "the word must arrive without the sensor"
sensor_start "$work/policy.yaml"
wait_for 30 passes || fail "the word must arrive while the list does not name the peer"
gen=$(generation)
mv "$work/million.txt" "$work/bad.txt"

# ---- while it loads
begin first
worst=0 looks=0 stages=''
while loading; do
	looks=$((looks + 1))
	us=$(get .loop.worst_turn_us)
	[ "$us" -le $worst ] || worst=$us
	stages="$stages $(get .policy.loading.stage)"
	if [ $looks = 3 ]; then
		[ "$(get .policy.generation)" = "$gen" ] || fail "another generation is in force before the end"
		komainu reload >"$work/second" 2>&1 && fail "a second reload was taken meanwhile"
		grep -q 'loaded already' "$work/second" || fail "a second reload is told: $(cat "$work/second")"
		kill -HUP "$sensor_pid"
		komainu status | grep -q 'loading a policy for' || fail "status does not say that it loads"
		passes || fail "the old policy does not hold while the new one is loaded"
	fi
	sleep 0.05
done
wait $reload_pid || fail "the reload: $(cat "$work/first")"
took=$(get .policy.last.took_ms)
[ $looks -ge 4 ] || fail "loaded within $looks looks: too fast to have seen anything"
case $stages in *stage*) ;; *) fail "status never showed that maps are filled:$stages" ;; esac
echo "list of $n: $took ms, $looks looks meanwhile, longest turn of the loop $worst us"
echo "maps $(get '.memory.map_bytes / 1048576 | floor') MiB, private memory $(get '.memory.user_bytes / 1048576 | floor') MiB," \
	"at most $(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$sensor_pid/status") MiB resident"
[ "${ROW:-host}" = san ] || # which keeps what was freed, to see it used
	[ "$(get .memory.user_bytes)" -lt $((40 << 20)) ] || fail "the memory of the load is kept"
[ "$worst" -le "$turn_max_us" ] || fail "a turn of the loop took $worst us"
passes && fail "the new list does not hold"

# ---- SIGHUP meanwhile has waited
queued() { ask && [ "$(get .policy.generation)" = $((gen + 2)) ]; }
wait_for 60 queued || fail "SIGHUP during a load was forgotten"

# ---- its end in the middle of a load
begin third
from=$(date +%s%N)
sensor_stop || fail "exit code $? in the middle of a load"
took=$((($(date +%s%N) - from) / 1000000))
wait $reload_pid && fail "the reload that was given up says that it is in force"
grep -q 'the sensor ends' "$work/third" || fail "the reload that was given up says: $(cat "$work/third")"
grep -q 'given up' "$work/log" || fail "the log does not say that a policy was given up"
[ $took -lt 5000 ] || fail "SIGTERM took $took ms"
passes && fail "the verdicts of the policy in force are gone"
echo "ended in the middle of a load within $took ms"
