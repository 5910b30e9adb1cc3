#!/bin/bash
# An interface is renamed under packet load, with the sensor running and while it is down: the programs
# in the kernel stay the same, no packet goes unjudged, status shows the new name, and a name that no
# pattern matches takes them out.
. "$(dirname "$0")/../harness/sensor.sh"
n=20 down=3 least=5000
[ -z "${KOMAINU_VM:-}" ] || n=4 down=1 least=250 # emulated: a start takes seconds
mkdir -p "$work/etc"
cat >"$work/policy.yaml" <<-P
	version: 1
	name: rename
	mode: prevent
	modules:
	  firewall:
	    interfaces: ["kmn*"]
	    rules:
	      - {name: by-name, action: deny, direction: incoming, protocol: udp, source: 10.9.0.1, destination_port: 7001, interfaces: ["kmn*"]}
P
load_start() { "$BUILD/tests/e2e/tool_load" "$ns_peer" "$ns_host" "$1" >"$work/load" 2>&1 & load_pid=$!; }
name=kmn0
to() { ip -n "$ns_host" link set "$name" name "$1" && name=$1; }
named() { komainu status --json | jq -e --arg h "tc/$1/ingress" '[.parts[].hooks[].name] | index($h) != null' >/dev/null; }
ids() { # program and link of each pin
	for pin in "$pins"/links/tc:*; do
		echo "${pin##*/} $(bpftool -j link show pinned "$pin" | jq -c '[.id]')"
	done
}

load_start 1
wait "$load_pid"
[ $? = 1 ] && read -r sent leaked _ <"$work/load" && [ "$leaked" = "$sent" ] ||
	fail "without the sensor every packet must arrive: $(cat "$work/load")"
if ! to kmn1x; then
	echo "skipped: this kernel renames no interface that is up"
	exit 77
fi
to kmn0
sensor_start "$work/policy.yaml"
wait_for 10 named kmn0 || fail "status does not show tc/kmn0"
before=$(ids)
[ "$(wc -l <<<"$before")" = 2 ] || fail "pins: $before"

load_start 3600 # ended below
for ((i = 1; i <= n; i++)); do
	to "kmn$i" || fail "rename $i"
	wait_for 10 named "kmn$i" || fail "status does not show tc/kmn$i: $(komainu status)"
done
[ "$(ids)" = "$before" ] || fail "a rename changed the links: $before, now $(ids)"
for ((i = 1; i <= down; i++)); do
	sensor_kill
	to "kmnd$i"
	sensor_start "$work/policy.yaml"
	named "kmnd$i" || fail "status does not show tc/kmnd$i: $(komainu status)"
	[ "$(ids)" = "$before" ] || fail "the links are others after a rename without a sensor: $before, now $(ids)"
done
kill -0 "$load_pid" 2>/dev/null || fail "the load ended too early"
kill -INT "$load_pid"
wait "$load_pid" || fail "packets went unjudged or were lost: $(cat "$work/load")"
read -r sent leaked _ <"$work/load"
load_pid=''
[ "$sent" -gt $least ] || fail "too few packets to mean anything: $sent"
echo "$n renames with a sensor and $down without: $sent packets, 0 unjudged"

# a name that no pattern matches
to other0
out() { ! named other0 && [ -z "$(find "$pins/links" -name 'tc:*')" ]; }
wait_for 10 out || fail "the programs still hang on other0: $(ls "$pins/links")"
load_start 1
wait "$load_pid"
load_pid=''
read -r sent leaked _ <"$work/load"
[ "$leaked" = "$sent" ] || fail "packets of an interface that no pattern names are judged: $(cat "$work/load")"
to kmn0
wait_for 10 named kmn0 || fail "kmn0 is not protected again"

# without a sensor it goes to another namespace, its programs with it, and another one has its index
sensor_kill
index=$(ip -n "$ns_host" -j link show kmn0 | jq '.[0].ifindex')
ip -n "$ns_host" link set kmn0 netns "$ns_peer" name was0 &&
	ip -n "$ns_host" link add kmn0 index "$index" type veth peer name kmn9 &&
	ip -n "$ns_host" link set kmn0 up && ip -n "$ns_host" link set kmn9 up || fail "another kmn0 of index $index"
sensor_start "$work/policy.yaml"
proven() { # INTERFACE
	komainu status --json | jq -e --arg h "tc/$1/" '[.parts[].hooks[] | select(.name | startswith($h)) | .state] == ["proven", "proven"]' >/dev/null
}
wait_for 20 proven kmn0 || fail "the interface that has the index of one that left is not protected: $(komainu status)"
sensor_stop || fail "exit code $?"
