#!/bin/bash
# A packet hook that a new sensor cannot take over goes on judging by the policy of the one before, until
# it can be taken over: then what the one before left goes.
. "$(dirname "$0")/../harness/sensor.sh"
mkdir -p "$work/etc"
cat >"$work/policy.yaml" <<-P
	version: 1
	name: keep
	mode: prevent
	modules:
	  firewall:
	    interfaces: ["kmn*"]
	    rules:
	      - {name: q, action: deny, direction: incoming, protocol: udp, source: 10.9.0.1, destination_port: 7001}
P
load() {
	"$BUILD/tests/e2e/tool_load" "$ns_peer" "$ns_host" 1 >"$work/load" 2>&1
	read -r sent leaked _ <"$work/load" && [ "$sent" -gt 0 ] || fail "no load: $(cat "$work/load")"
}
instances() { find "$pins"/v* -mindepth 1 -maxdepth 1 -type d | wc -l; }
one() { [ "$(instances)" = 1 ]; }
sensor_start "$work/policy.yaml"
wait_for 10 one || fail "instances: $(instances)"
sensor_kill
pin=$(echo "$pins"/links/tc:*:ingress)
[ -e "$pin" ] || { echo "skipped: no links of packet hooks here"; exit 77; }
bpftool link pin id "$(bpftool -j link show pinned "$pin" | jq .id)" "$pins/held" && rm "$pin" && mkdir "$pin" || fail "hold the old link"
sensor_start "$work/policy.yaml"
komainu status --json | grep -q '"state":"failed"' || fail "the hook could be taken over: the test shows nothing"
load
[ "$leaked" = 0 ] || fail "the old program lost its policy: $(cat "$work/load")"
[ "$(instances)" = 2 ] || fail "instances: $(instances), not 2"
rm "$pins/held"
rmdir "$pin" || fail "make way"
wait_for 40 one || fail "what the sensor before left is still there: $(komainu status)"
load
[ "$leaked" = 0 ] || fail "packets are not judged: $(cat "$work/load")"
sensor_stop || fail "exit code $?"
