# Sourced: two policies that differ in every dimension, so that any mixture of them gives a third
# verdict for one of tool_load's two flows. Q (10.9.0.1 -> 7001) is denied by both, but A's rule has
# another place in the bit vectors than B's: sets of A with bitmaps of B let it pass. R (10.9.0.2 ->
# 7002) passes in both, in A for its address and in B for its port: B's addresses with A's ports deny it.
# Both deny what tool_owners sends to 10.9.0.64 and the 127 addresses above it.
mkdir -p "$work/etc"
cat >"$work/a.yaml" <<'A'
version: 1
name: a
mode: prevent
modules:
  firewall:
    mode: prevent
    interfaces: ["kmn0"]
    rules:
      - {name: a-deny, action: deny, direction: incoming, protocol: udp, source: 10.9.0.1, destination_port: [7001, 7002]}
      - {name: a-owned, action: deny, direction: outgoing, protocol: [udp, tcp], destination: 10.9.0.64-10.9.0.191, destination_port: 7100}
A
cat >"$work/b.yaml" <<'B'
version: 1
name: b
mode: prevent
modules:
  firewall:
    mode: prevent
    interfaces: ["kmn*"]
    rules:
      - {name: b-1, action: deny, priority: 3, direction: incoming, protocol: tcp, source: 192.0.2.1, destination_port: 1-9}
      - {name: b-2, action: deny, priority: 3, direction: outgoing, protocol: udp, source: 192.0.2.2, destination_port: 11}
      - {name: b-3, action: deny, priority: 3, direction: incoming, protocol: sctp, source: "2001:db8::/32", destination_port: 12}
      - {name: b-4, action: deny, priority: 2, direction: incoming, protocol: udp, destination: 192.0.2.0/24}
      - {name: b-5, action: allow, priority: 1, direction: incoming, protocol: udp, source: 192.0.2.7, source_port: 13}
      - {name: b-deny, action: deny, direction: incoming, protocol: [udp, tcp], source: 10.9.0.0/30, destination_port: 7001}
      - {name: b-owned, action: deny, direction: outgoing, protocol: [udp, tcp], destination: [10.9.0.64/26, 10.9.0.128/26], destination_port: 7000-7100}
B
ln -sf "$work/a.yaml" "$work/policy.yaml"
flip() { # the other policy behind the name
	case $(readlink "$work/policy.yaml") in
	*/a.yaml) ln -sf "$work/b.yaml" "$work/policy.yaml" ;;
	*) ln -sf "$work/a.yaml" "$work/policy.yaml" ;;
	esac
}
# load_start SECONDS / load_end: tool_load in the background; its numbers must show no leak, no loss
load_start() {
	${KOMAINU_VM:+nice -n 19} "$BUILD/tests/e2e/tool_load" "$ns_peer" "$ns_host" "$1" >"$work/load" 2>&1 &
	load_pid=$!
}
load_end() {
	wait "$load_pid"
	local r=$? sent leaked rest min=$1
	[ -z "${KOMAINU_VM:-}" ] || min=$((min / 20)) # emulated
	read -r sent leaked rest <"$work/load"
	echo "packets sent, leaked, sent, lost: $(cat "$work/load")"
	[ $r = 0 ] || fail "packets leaked or were lost"
	[ "$sent" -gt "$min" ] || fail "too few packets to mean anything: $sent"
}
