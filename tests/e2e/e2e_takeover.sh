#!/bin/bash
# Restart, kill -9 and upgrade to a binary with another map layout, under packet load: no packet goes
# unjudged. Each attach type that the kernel lists for us has a probe here. KMN_SOAK=1: 1,000 of each.
. "$(dirname "$0")/../harness/sensor.sh"
. "$(dirname "$0")/policy_ab.sh"
n=${N:-50} kinds="restart kill_start upgrade" step_ms=20 few=5
[ "${ROW:-host}" = host ] || n=10 # the same code as another build
[ -z "${KOMAINU_VM:-}" ] || n=1 kinds="restart upgrade" step_ms=200 few=2 # emulated: a start takes 10 s
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
creds='' accepts=''
while read -r what id type attach _; do
	case $what:$type:$attach in
	link:tcx:* | link:11:* | tc:*) ;;		      # the packets of tool_load (11: tcx to an old bpftool)
	link:cgroup:*) ;;				      # the owners of tool_owners
	link:raw_tracepoint:* | link:tracing:trace_raw_tp) ;; # the execs of tool_execs
	link:tracing:trace_fentry) creds=cred ;;	      # their changes of group
	link:tracing:trace_fexit) accepts=1 ;;		      # the connections that tool_owners accepts
	prog:sched_cls:*) ;;				      # hung by tcx or tc, or called by one that is
	prog:cgroup_sock:* | prog:cgroup_sock_addr:*) ;;      # hung by a link or not at all
	prog:tracing:* | prog:lsm:* | prog:raw_tracepoint:*) ;; # likewise
	*) fail "no probe for what came into the kernel: $what $id $type $attach" ;;
	esac
done <"$work/after"
grep -q '^prog .* sched_cls' "$work/after" && grep -q '^prog .* tracing' "$work/after" &&
	grep -qE '^(link [0-9]+ (tcx|11) |tc )' "$work/after" || fail "the kernel's list shows no sensor: $(cat "$work/after")"
[ -z "${KOMAINU_VM:-}" ] || [ "$creds$accepts" = cred1 ] || fail "no fentry or no fexit hangs in this kernel"
echo "new in the kernel: $(wc -l <"$work/after") programs, links and filters"

# Sockets made every $step_ms while the sensors change, each of which then sends a packet that is denied:
# every event must name this process as the owner. The callers of the accepted ones live on lo until
# they are told to go, so that their connections stand before a packet meets the rule.
owned=64 owned_swaps=3
in_peer ip route add local 10.9.0.64/26 dev lo # there is somebody at each address
in_peer ip route add local 10.9.0.128/26 dev lo
owners_begin() {
	rm -f "$work/owners-go"
	in_host ip route add local 10.9.0.64/26 dev lo
	nsenter --net="/run/netns/$ns_host" "$BUILD/tests/e2e/tool_owners" 10.9.0.128 7100 $owned $step_ms "$work/owners-go" \
		${accepts:+10.9.0.254 10.9.0.64} &
	owners_pid=$!
}
owners_told() {
	komainu events --since 1m --stream findings --json 2>/dev/null | jq -r --argjson pid "$owners_pid" '
		select(.dst_endpoint.port == 7100 and .actor.process.pid == $pid and
			.unmapped.komainu.attribution == "owner") | .dst_endpoint.ip' |
		sort -u >"$work/owners"
	[ "$(wc -l <"$work/owners")" = $((owned * (accepts + 1))) ]
}
owners_end() {
	in_host ip route del local 10.9.0.64/26 dev lo
	: >"$work/owners-go"
	wait "$owners_pid" || fail "tool_owners: $?"
	wait_for 20 owners_told || fail "$how: of $((owned * (accepts + 1))) sockets $(wc -l <"$work/owners") have an owner: $(tr '\n' ' ' <"$work/owners")"
	owners=$((owners + owned * (accepts + 1)))
}
owners=0
execs=0
told() { komainu events --since 1m --kind exec --grep "komainu-e2e-probe-$tag-$1-" | grep -q .; }
probe_exec() { # an exec that must be told. On disk within half a second: a kill -9 before that takes it
	execs=$((execs + 1))
	in_host /bin/true "komainu-e2e-probe-$tag-$execs-"
	wait_for 20 told "$execs" || fail "exec $execs, after a swap, was not told"
}

# Execs every $step_ms while the sensors change, each after a change of group. Each must be told, by the old
# sensor or by the new one, but what docs/failure.md gives up: a kill -9 takes what was read and not yet
# written, and rings of another layout are not adopted. The change must be told at once where a hook
# stands there: else it is only noticed at the exec, by who saw the fork. execs_from: the last that may be lost.
swap_execs=0 execs_demanded=0
execs_done() { wc -l <"$work/execs"; }
execs_lossy() { execs_from=$(($(execs_done) + 1)); } # one more may have begun
execs_begin() {
	rm -f "$work/execs-go"
	swap_execs=$((swap_execs + 1)) execs_from=0
	execs_text=komainu-e2e-swap-$tag-$swap_execs-
	: >"$work/execs"
	"$BUILD/tests/e2e/tool_execs" /bin/true "$execs_text" $step_ms "$work/execs-go" >"$work/execs" &
	execs_pid=$!
	execs_groups=$((execs_pid % 262144 * 8192)) # as tool_execs makes them
	some() { [ "$(execs_done)" -ge $few ]; } # before the swap
	wait_for 20 some || fail "tool_execs runs too slowly"
}
execs_told() { # KIND: the numbers of those that it tells of
	komainu events --since 5m -n all --kind "$1" 2>/dev/null | sed -n "s/.*$execs_text\([0-9]*\)-.*/\1/p
		s/.* credentials gid 0 -> \([0-9]*\), at once.*/\1 $execs_groups/p" | awk '{ print $1 - $2 }' | sort -u
}
execs_missing() {
	for kind in exec $creds; do
		execs_told $kind >"$work/execs-told"
		sort "$work/execs" | comm -23 - "$work/execs-told" |
			awk -v from="$execs_from" -v kind=$kind '$1 > from { print kind, $1 }' | sort -k2n
	done >"$work/execs-missing"
}
execs_all_told() { execs_missing && [ ! -s "$work/execs-missing" ]; }
execs_end() {
	local after=$(($(execs_done) + 2 * few))
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
for how in $kinds; do
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
echo "$n times each of $kinds: 0 unjudged"

echo "$execs execs after swaps: all told; $execs_demanded execs${creds:+ and changes of group} while sensors changed: all told; $owners sockets made during swaps: all with their owner"
komainu stop --unload || fail "stop --unload"
sensor_pid=''
[ ! -e "$pins" ] || fail "stop --unload left $(ls -R "$pins")"
