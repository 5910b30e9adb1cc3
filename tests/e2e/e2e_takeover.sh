#!/bin/bash
# Restart, kill -9 and upgrade to a binary with another map layout, under packet load: no packet goes
# unjudged. Each attach type that the kernel lists for us has a probe here. KMN_SOAK=1: 1,000 of each.
. "$(dirname "$0")/../harness/sensor.sh"
. "$(dirname "$0")/policy_ab.sh"
n=${N:-50}
[ "${ROW:-host}" = host ] || n=10 # the same code as another build
[ -z "${KOMAINU_VM:-}" ] || n=4  # emulated: a start takes seconds
[ -z "${KMN_SOAK:-}" ] || n=1000
next=${KOMAINU_NEXT:-$BUILD/next/komainu} # the same source, another KMN_ABI: shares no map with ours

"$BUILD/tests/e2e/tool_load" "$ns_peer" "$ns_host" 1 >"$work/load"
[ $? = 1 ] || fail "without the sensor every packet must arrive: $(cat "$work/load")"
[ -x "$next" ] || fail "no $next: make next"

kernel_lists() { # programs and links of the kernel, and filters of the protected namespace
	bpftool -j prog show | jq -r '.[] | "prog \(.id) \(.type)"'
	bpftool -j link show | jq -r '.[] | "link \(.id) \(.type) \(.attach_type // "-") \(.prog_id)"'
	in_host bpftool -j net show | jq -r '.[].tc[] | "tc \(.prog_id // .id)"'
}
kernel_lists >"$work/before"
sensor_start "$work/policy.yaml"

# ---- what came into the kernel with it, and the probe that shows a gap of it
kernel_lists | grep -vxFf "$work/before" >"$work/after"
while read -r what id type attach _; do
	case $what:$type in
	link:tcx | link:11 | tc:*) ;;			  # the packets of tool_load (11: tcx to an old bpftool)
	link:cgroup) ;;					  # the owners of probe_owners
	link:raw_tracepoint | link:tracing) ;;		  # the execs of probe_exec
	prog:sched_cls) ;;				  # hung by tcx or tc, or called by one that is
	prog:cgroup_sock | prog:cgroup_sock_addr) ;;	  # hung by a link or not at all
	prog:tracing | prog:lsm | prog:raw_tracepoint) ;; # likewise
	*) fail "no probe for what came into the kernel: $what $id $type $attach" ;;
	esac
done <"$work/after"
grep -q '^prog .* sched_cls' "$work/after" && grep -q '^prog .* tracing' "$work/after" &&
	grep -qE '^(link [0-9]+ (tcx|11) |tc )' "$work/after" || fail "the kernel's list shows no sensor: $(cat "$work/after")"
echo "new in the kernel: $(wc -l <"$work/after") programs, links and filters"

# Sockets made every 20 ms while the sensors change, each of which then sends a packet that is denied:
# every event must name this process.
owned=64 owned_swaps=3
in_peer ip route add local 10.9.0.128/26 dev lo # there is somebody at each address
owners_begin() {
	rm -f "$work/owners-go"
	nsenter --net="/run/netns/$ns_host" "$BUILD/tests/e2e/tool_owners" 10.9.0.128 7100 $owned "$work/owners-go" &
	owners_pid=$!
}
owners_told() {
	komainu events --since 1m --stream findings --json 2>/dev/null | jq -r --argjson pid "$owners_pid" '
		select(.dst_endpoint.port == 7100 and .actor.process.pid == $pid) | .dst_endpoint.ip' |
		sort -u >"$work/owners"
	[ "$(wc -l <"$work/owners")" = $owned ]
}
owners_end() {
	: >"$work/owners-go"
	wait "$owners_pid" || fail "tool_owners: $?"
	wait_for 20 owners_told || fail "of $owned sockets $(wc -l <"$work/owners") have an owner: $(tr '\n' ' ' <"$work/owners")"
	owners=$((owners + owned))
}
owners=0
execs=0
told() { komainu events --since 1m --kind exec --grep "komainu-e2e-probe-$tag-$1-" | grep -q .; }
probe_exec() { # an exec that must be told. On disk within half a second: a kill -9 before that takes it
	execs=$((execs + 1))
	in_host /bin/true "komainu-e2e-probe-$tag-$execs-"
	wait_for 20 told "$execs" || fail "exec $execs, after a swap, was not told"
}

# Execs every 20 ms while the sensors change. Each must be told, by the old sensor or by the new one, but
# what docs/failure.md gives up: a kill -9 takes what was read and not yet written, and rings of another
# layout are not adopted. execs_from: the last exec that may be lost.
swap_execs=0 execs_demanded=0
execs_done() { wc -l <"$work/execs"; }
execs_lossy() { execs_from=$(($(execs_done) + 1)); } # one more may have begun
execs_begin() {
	rm -f "$work/execs-go"
	swap_execs=$((swap_execs + 1)) execs_from=0
	execs_text=komainu-e2e-swap-$tag-$swap_execs-
	: >"$work/execs"
	"$BUILD/tests/e2e/tool_execs" /bin/true "$execs_text" "$work/execs-go" >"$work/execs" &
	execs_pid=$!
	some() { [ "$(execs_done)" -ge 5 ]; } # before the swap
	wait_for 20 some || fail "tool_execs runs too slowly"
}
execs_missing() {
	komainu events --since 5m -n all --kind exec --grep "$execs_text" --json 2>/dev/null |
		grep -o "${execs_text}[0-9]*-" | sed 's/-$//; s/.*-//' | sort -u >"$work/execs-told"
	sort "$work/execs" | comm -23 - "$work/execs-told" | awk -v from="$execs_from" '$1 > from' |
		sort -n >"$work/execs-missing"
}
execs_all_told() { execs_missing && [ ! -s "$work/execs-missing" ]; }
execs_end() {
	local after=$(($(execs_done) + 10))
	some() { [ "$(execs_done)" -ge "$after" ]; } # after the swap
	wait_for 20 some || fail "tool_execs ended early"
	: >"$work/execs-go"
	wait "$execs_pid" || fail "tool_execs: $?"
	wait_for 20 execs_all_told ||
		fail "$how: of execs $((execs_from + 1)) to $(execs_done) not told: $(tr '\n' ' ' <"$work/execs-missing")"
	execs_demanded=$((execs_demanded + $(execs_done) - execs_from))
}
restart() { # stop, then start; enforcement stays meanwhile
	sensor_stop || fail "stop"
	sensor_start "$work/policy.yaml"
}
kill_start() {
	sensor_kill
	execs_lossy
	sensor_start "$work/policy.yaml"
}
upgrade() { # to the other ABI, which adopts nothing, and back
	sensor_kill
	if [ -n "${at_next:-}" ]; then at_next='' && sensor_start "$work/policy.yaml"; else
		at_next=1 && BINARY=$next sensor_start "$work/policy.yaml"
	fi
	execs_lossy
}
load_start 36000 # ended below
for how in restart kill_start upgrade; do
	for ((i = 1; i <= n; i++)); do
		flip
		[ "$i" -gt "$owned_swaps" ] || { owners_begin && execs_begin; }
		$how
		[ "$i" -gt "$owned_swaps" ] || execs_end
		probe_exec
		[ "$i" -gt "$owned_swaps" ] || owners_end
	done
done
kill -0 "$load_pid" 2>/dev/null || fail "the load ended before the swaps did: $SECONDS s"
kill -INT "$load_pid" 2>/dev/null
load_end 10000
echo "$n restarts, $n kills, $n upgrades: 0 unjudged"

echo "$execs execs after swaps: all told; $execs_demanded execs while sensors changed: all told; $owners sockets made during swaps: all with their owner"
komainu stop --unload || fail "stop --unload"
sensor_pid=''
[ ! -e "$pins" ] || fail "stop --unload left $(ls -R "$pins")"
