#!/bin/bash
# The firewall as its user sees it: a denied address is contacted, from inside and from outside. In
# detect the act succeeds and is told of; in prevent it does not succeed. The event names rule, addresses,
# interface and process, and how the process is known.
. "$(dirname "$0")/../harness/sensor.sh"
mkdir -p "$work/etc"
policy() { # policy MODE
	cat >"$work/policy.yaml" <<-P
		version: 1
		name: e2e
		mode: $1
		modules:
		  firewall:
		    interfaces: ["kmn*"]
		    rules:
		      - {name: no-dns-out, action: deny, direction: outgoing, protocol: udp, destination: {list: denied.txt}, destination_port: 5353}
		      - {name: no-web-out, action: deny, direction: outgoing, protocol: tcp, destination: 10.9.0.1, destination_port: 7080}
		      - {name: no-web-in, action: deny, direction: incoming, protocol: tcp, destination_port: 7081}
		      - {name: v6-in, action: deny, direction: incoming, protocol: udp, source: "fd09::/64", destination_port: 7082}
		      - {name: but-7083, action: allow, priority: 1, direction: incoming, destination_port: 7083}
		      - {name: all-708x, action: deny, direction: incoming, protocol: udp, destination_port: 7083-7089}
	P
	printf '# addresses that nobody here should ask\n10.9.0.1\n' >"$work/denied.txt"
}
# talk IN_SERVER IN_CLIENT PROTO ADDRESS PORT: does a word get from the client to the server?
talk() {
	local server=$1 client=$2 pid
	shift 2
	: >"$work/heard"
	$server "$BUILD/tests/firewall/tool_talk" server "$@" >"$work/heard" &
	pid=$!
	wait_for 30 grep -q ready "$work/heard" || fail "the server of the test does not start"
	$client "$BUILD/tests/firewall/tool_talk" client "$@"
	sleep 0.2 # it is there by now, or it never comes
	kill $pid 2>/dev/null
	wait $pid
}
dns_out() { talk in_peer in_host udp 10.9.0.1 5353; }
web_out() { talk in_peer in_host tcp 10.9.0.1 7080; }
web_in() { talk in_host in_peer tcp 10.9.0.254 7081; }
v6_in() { talk in_host in_peer udp fd09::254 7082; }
exempt() { talk in_host in_peer udp 10.9.0.254 7083; }
beside() { talk in_host in_peer udp 10.9.0.254 7084; }
all="dns_out web_out web_in v6_in exempt beside"
# event RULE WORD...: an event of that rule says all these words
event() {
	local rule=$1 word
	shift
	komainu events --json --module firewall --stream findings >"$work/events" 2>/dev/null
	grep "\"name\":\"$rule\"" "$work/events" >"$work/of_rule" || return 1
	for word; do
		grep -q -- "$word" "$work/of_rule" || return 1
	done
}

for act in $all; do
	wait_for 60 $act || fail "$act must succeed without the sensor"
done

policy detect
sensor_start "$work/policy.yaml"
for act in $all; do
	wait_for 60 $act || fail "$act must succeed in detect"
done
wait_for 30 event no-web-out '"action":"Observed"' '"port":7080' '"ip":"10.9.0.1"' '"interface_name":"kmn0"' \
	'"attribution":"owner"' '"path":"[^"]*/tool_talk' '"client"' || fail "no-web-out: $(cat "$work/of_rule")"
wait_for 30 event no-dns-out '"attribution":"owner"' '"client"' || fail "no-dns-out: $(cat "$work/of_rule")"
wait_for 30 event no-web-in '"attribution":"listener"' '"server"' '"direction":"Inbound"' || fail "no-web-in: $(cat "$work/of_rule")"
wait_for 30 event v6-in '"attribution":"owner"' 'fd09::1' '"server"' || fail "v6-in: $(cat "$work/of_rule")"
event all-708x '"port":7083' && fail "an exempted packet was told of"
event but-7083 && fail "an allow was told of"

# a connection that a child has accepted is the child's from then on
in_host "$BUILD/tests/firewall/tool_talk" forker tcp 10.9.0.254 7081 >"$work/heard" &
server=$!
wait_for 30 grep -q child "$work/heard" || fail "the server that forks does not start"
in_peer "$BUILD/tests/firewall/tool_talk" slowly tcp 10.9.0.254 7081 || fail "the slow client"
wait $server || fail "the word of the slow client did not arrive"
child=$(sed -n 's/^child //p' "$work/heard")
wait_for 30 event no-web-in '"attribution":"owner"' "\"pid\":${child}[,}]" || fail "the child that accepted ($child) is not the owner: $(cat "$work/of_rule")"

policy prevent
komainu reload >"$work/said" || fail "reload: $(cat "$work/said")"
for act in dns_out web_out web_in v6_in beside; do
	$act && fail "$act must not succeed in prevent"
done
wait_for 60 exempt || fail "what is exempted must succeed in prevent"
for rule in no-dns-out no-web-out no-web-in v6-in all-708x; do
	wait_for 30 event $rule '"action":"Denied"' || fail "$rule in prevent: $(cat "$work/of_rule")"
done

# a new interface is protected when it comes, and under its new name
ip link add kmn5 netns "$ns_host" type veth peer name kmn6 netns "$ns_peer" || fail "veth"
ip -n "$ns_host" link set kmn5 up
proven() { komainu status --json | grep -o '"name":"tc/[^}]*' | grep "tc/$1/ingress" | grep -q '"state":"proven"'; }
wait_for 30 proven kmn5 || fail "a new interface is not proven: $(komainu status)"
ip -n "$ns_host" link set kmn5 down
ip -n "$ns_host" link set kmn5 name kmnx
ip -n "$ns_host" link set kmnx up
wait_for 30 proven kmnx || fail "a renamed interface is not proven: $(komainu status)"
ip -n "$ns_host" link del kmnx
gone() { ! komainu status --json | grep -q 'tc/kmn[5x]/'; }
wait_for 30 gone || fail "a deleted interface is still listed"

command -v tcpdump >/dev/null || fail "tcpdump is not installed"
# the canary is a frame of ours that never leaves: the peer sees none of them
in_peer timeout 8 tcpdump -i kmn1 -c 1 -w "$work/seen" ether proto 0x88b5 >/dev/null 2>&1 &
dump=$!
sleep 1
komainu reload >/dev/null || fail "reload"
wait_for 30 proven kmn0 || fail "kmn0 is not proven after the reload"
kill $dump 2>/dev/null
wait $dump 2>/dev/null
[ ! -s "$work/seen" ] || [ "$(stat -c %s "$work/seen")" -le 24 ] || fail "a canary left the host"

komainu selftest >"$work/said" 2>&1
grep -i 'firewall' "$work/said" | grep -qi 'pass\|ok\|good' || fail "selftest: $(cat "$work/said")"
sensor_stop || fail "exit code $?"
echo "denied in prevent, told in detect, with process and listener"
