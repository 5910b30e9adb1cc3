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

sensor_start "$work/policy.yaml"

# ---- what hangs in the kernel, and the probe that shows a gap of it
for pin in "$pins"/links/*; do
	name=${pin##*/}
	case $name in
	tc:*) ;;		    # the packets of tool_load
	cgroup:*) ;;		    # the owner of each packet: checked below
	tp_btf:* | fentry:* | lsm:*) ;; # an exec during each swap: checked below
	*) fail "no probe for the attach type of $name" ;;
	esac
done
ids=$(bpftool -j link show 2>/dev/null | tr '{' '\n' | grep -c '"type"')
echo "links in the kernel: $ids, pinned by us: $(ls "$pins/links" | wc -l)"

execs=0
told() { komainu events --since 1m --kind exec --grep "komainu-e2e-probe-$tag-$1-" | grep -q .; }
probe_exec() { # an exec that must be told. On disk within half a second: a kill -9 before that takes it
	execs=$((execs + 1))
	in_host /bin/true "komainu-e2e-probe-$tag-$execs-"
	wait_for 20 told "$execs" || fail "exec $execs, after a swap, was not told"
}
load_start 3600 # ended below
for ((i = 1; i <= n; i++)); do # restart: stop, then start; enforcement stays meanwhile
	flip
	sensor_stop || fail "stop $i"
	sensor_start "$work/policy.yaml"
	probe_exec
done
for ((i = 1; i <= n; i++)); do
	flip
	sensor_kill
	sensor_start "$work/policy.yaml"
	probe_exec
done
for ((i = 1; i <= n; i++)); do # upgrade and back: the other ABI adopts nothing
	flip
	sensor_kill
	if ((i & 1)); then BINARY=$next sensor_start "$work/policy.yaml"; else sensor_start "$work/policy.yaml"; fi
	probe_exec
done
kill -0 "$load_pid" 2>/dev/null || fail "the load ended before the swaps did: $SECONDS s"
kill -INT "$load_pid" 2>/dev/null
load_end 10000
echo "$n restarts, $n kills, $n upgrades: 0 unjudged"

echo "$execs execs after swaps: all told"
komainu stop --unload || fail "stop --unload"
sensor_pid=''
[ ! -e "$pins" ] || fail "stop --unload left $(ls -R "$pins")"
