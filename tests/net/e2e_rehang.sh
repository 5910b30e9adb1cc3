#!/bin/bash
# Programs that somebody takes out behind the sensor's back are missed before the next canary, hung again and proven, and the
# verdicts are back; so it is with an interface that took the index of one that went while messages of
# the kernel were lost.
. "$(dirname "$0")/../harness/sensor.sh"
mkdir -p "$work/etc"
cat >"$work/policy.yaml" <<-P
	version: 1
	name: rehang
	mode: prevent
	modules:
	  firewall:
	    interfaces: ["kmn*"]
	    rules:
	      - {name: q, action: deny, direction: incoming, protocol: udp, source: 10.9.0.1, destination_port: 7001}
P
load() { # sets sent and leaked
	"$BUILD/tests/e2e/tool_load" "$ns_peer" "$ns_host" 1 >"$work/load" 2>&1
	read -r sent leaked _ <"$work/load" && [ "$sent" -gt 0 ] || fail "no load: $(cat "$work/load")"
}
judged() { load && [ "$leaked" = 0 ]; }
unjudged() { load && [ "$leaked" = "$sent" ]; }
states() { komainu status --json | jq -c '[.parts[].hooks[] | select(.name | startswith("tc/kmn0/")) | .state]'; }
proven() { [ "$(states)" = '["proven","proven"]' ]; }
take_out() { # DIRECTION
	local pin
	pin=$(echo "$pins"/links/tc:*:"$1")
	bpftool link detach id "$(bpftool -j link show pinned "$pin" | jq .id)" || fail "detach $pin"
}

unjudged || fail "without the sensor every packet must arrive: $(cat "$work/load")"
sensor_start "$work/policy.yaml"
wait_for 10 proven || fail "not proven: $(komainu status)"
judged || fail "packets are not judged: $(cat "$work/load")"

kill -STOP "$sensor_pid" # else it would be quicker than the load that shows the gap
if [ -z "$(find "$pins/links" -name 'tc:*')" ]; then
	tc -n "$ns_host" qdisc del dev kmn0 clsact || fail "no qdisc"
else
	take_out ingress
	take_out egress
fi
unjudged || fail "judged though nothing hangs there"
kill -CONT "$sensor_pid"
for direction in ingress egress; do
	wait_for 15 grep -q "tc/kmn0/$direction: somebody took the program out" "$work/log" || fail "$direction: not missed"
done
back() { grep -q 'kmn0: the programs are in their places again' "$work/log" && proven; }
wait_for 15 back || fail "not hung again: $(komainu status)"
judged || fail "packets are not judged: $(cat "$work/load")"
[ "$(grep -c 'hung again' "$work/log")" = 1 ] || fail "told $(grep -c 'hung again' "$work/log") times, not once"
hung() { komainu status --json | jq '[.. | .hung_again? // empty] | add'; }
[ "$(hung)" = 1 ] || fail "counted $(hung), not 1"

# the sensor is deaf while kmn0 goes and another one gets its index and its name
index=$(ip -n "$ns_host" -j link show kmn0 | jq '.[0].ifindex')
for ((i = 0; i < 1500; i++)); do echo "link set kmn0 mtu $((1400 + i % 2))"; done >"$work/many"
kill -STOP "$sensor_pid"
ip -n "$ns_host" -batch "$work/many" && ip -n "$ns_host" link del kmn0 &&
	ip link add kmn0 index "$index" netns "$ns_host" type veth peer name kmn1 netns "$ns_peer" || fail "another kmn0"
ip -n "$ns_host" addr add 10.9.0.254/24 dev kmn0
ip -n "$ns_peer" addr add 10.9.0.1/24 dev kmn1
ip -n "$ns_peer" addr add 10.9.0.2/24 dev kmn1
ip -n "$ns_host" link set kmn0 up
ip -n "$ns_peer" link set kmn1 up
kill -CONT "$sensor_pid"
wait_for 5 grep -q 'were lost: all are read' "$work/log" || fail "no message was lost: the test shows nothing"
again() { [ "$(hung)" -gt 1 ] && proven; }
wait_for 5 again || fail "the interface that has the index of one that went is not protected: $(komainu status)"
judged || fail "its packets are not judged: $(cat "$work/load")"
sensor_stop || fail "exit code $?"
