#!/bin/bash
# The life of the sensor as its user sees it: who may start it, what it refuses, what stays when it ends
# or dies, and that unloading leaves nothing behind.
. "$(dirname "$0")/../harness/sensor.sh"
. "$(dirname "$0")/policy_ab.sh"

arrives() { # do packets of flow Q (denied by policy a) reach the host? All of them, or none
	local sent leaked rest
	"$BUILD/tests/e2e/tool_load" "$ns_peer" "$ns_host" 1 >"$work/load" 2>&1
	read -r sent leaked rest <"$work/load"
	[ "${leaked:-x}" = "${sent:-y}" ] && return 0
	[ "${leaked:-x}" = 0 ] || fail "some packets passed and some did not: $(cat "$work/load")"
	return 1
}
expect() { # expect CODE WORDS COMMAND...: its exit code, and words that it says
	local code=$1 words=$2 r
	shift 2
	"$@" >"$work/said" 2>&1
	r=$?
	[ $r = "$code" ] || fail "$*: exit $r, expected $code: $(cat "$work/said")"
	grep -q "$words" "$work/said" || fail "$*: did not say \"$words\": $(cat "$work/said")"
}
note_map() { # the id of the map that every program of the live instance uses
	state_map=$(bpftool -j map show pinned "$pins/$(readlink "$pins/current")/kmn_state" | sed 's/.*"id":\([0-9]*\).*/\1/')
	[ -n "$state_map" ] || fail "no state map in $pins"
}
nothing_left() {
	[ ! -e "$pins" ] || fail "$1 left pins: $(ls -R "$pins")"
	in_host tc filter show dev kmn0 ingress 2>/dev/null | grep -q . && fail "$1 left a filter on kmn0"
	in_host tc qdisc show dev kmn0 | grep -q clsact && fail "$1 left a qdisc on kmn0"
	# our maps live as long as a program, a pin or a process holds them; freed a moment after
	gone() { ! bpftool map show id "$state_map" >/dev/null 2>&1; }
	wait_for 10 gone || fail "$1 left programs in the kernel: map $state_map is still held"
}

arrives || fail "without the sensor the datagram must arrive"

# ---- who may start it, and with what
expect 4 'sudo' setpriv --reuid=65534 --regid=65534 --clear-groups "$KOMAINU" run --policy "$work/a.yaml"
[ "$(wc -l <"$work/said")" = 1 ] || fail "not one sentence: $(cat "$work/said")"
printf 'version: 1\nname: x\nmode: sometimes\nmodules: {firewall: {rulez: []}}\n' >"$work/bad.yaml"
expect 2 'bad.yaml:3:7: error' komainu run --policy "$work/bad.yaml"
grep -q 'bad.yaml:4:' "$work/said" || fail "only the first error was told: $(cat "$work/said")"
expect 2 'nosuch.yaml' komainu run --policy "$work/nosuch.yaml"
[ ! -e "$pins/links" ] || [ -z "$(ls -A "$pins/links")" ] || fail "a refused start attached something"
expect 3 '.' komainu status

# ---- one at a time
sensor_start "$work/a.yaml"
arrives && fail "policy a must deny the datagram"
expect 1 "$sensor_pid" komainu run --policy "$work/a.yaml"
komainu status >"$work/said"
grep -q 'firewall' "$work/said" || fail "status: $(cat "$work/said")"

# ---- kill -9: verdicts stay; a refused restart changes nothing
sensor_kill
expect 3 '.' komainu status
arrives && fail "kill -9 ended enforcement"
expect 2 'bad.yaml' komainu run --policy "$work/bad.yaml"
arrives && fail "a refused start ended enforcement"

# ---- SIGINT: the same, and a clean exit
sensor_start "$work/a.yaml"
kill -INT "$sensor_pid"
wait "$sensor_pid" || fail "SIGINT: exit $?"
sensor_pid=''
arrives && fail "the end of the sensor ended enforcement"

# ---- unload without a sensor, and by a running one
note_map
expect 0 '.' komainu stop --unload
nothing_left "stop --unload without a sensor"
arrives || fail "after the unload the datagram must arrive"
sensor_start "$work/a.yaml"
arrives && fail "policy a must deny the datagram"
note_map
expect 0 '.' komainu stop --unload
wait "$sensor_pid" || fail "stop --unload: the sensor's exit $?"
sensor_pid=''
nothing_left "stop --unload"
arrives || fail "after stop --unload the datagram must arrive"
sensor_start "$work/a.yaml" --unload
note_map
kill -INT "$sensor_pid"
wait "$sensor_pid" || fail "run --unload: exit $?"
sensor_pid=''
nothing_left "run --unload"
arrives || fail "after run --unload the datagram must arrive"

# ---- what happened is told, in order and whole, after the sensor's end
komainu events verify >"$work/said" 2>&1 || fail "events verify: $(cat "$work/said")"
komainu events -n all --json --module sensor >"$work/events" || fail "events"
[ "$(grep -c '"started"' "$work/events")" -ge 4 ] || fail "starts were not told: $(cut -c1-300 "$work/events")"
