# Sourced by e2e_*.sh: two network namespaces joined by a veth pair, and a sensor with folders and pins
# of its own in one of them. Everything it makes goes when the test ends.
#   $ns_host   where the sensor runs and protects kmn0 (10.9.0.254)
#   $ns_peer   the other side, kmn1 (10.9.0.1, 10.9.0.2)
#   $work      scratch folder     $KOMAINU  the binary under test
set -u
KOMAINU=${KOMAINU:-$(dirname "$0")/../../build/komainu}
BUILD=${BUILD:-$(dirname "$0")/../../build}
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/kmn.XXXXXX") || exit 1
tag=$$
ns_host=kmnh$tag ns_peer=kmnp$tag
pins=/sys/fs/bpf/komainu-e2e-$tag
sensor_pid=''

fail() {
	echo "FAIL: $*"
	[ -e "$work/log" ] && { echo "--- the sensor said:"; tail -n 40 "$work/log"; }
	exit 1
}
cleanup() {
	[ -z "$sensor_pid" ] || { kill -9 "$sensor_pid"; wait "$sensor_pid"; } 2>/dev/null
	[ -z "${load_pid:-}" ] || kill "$load_pid" 2>/dev/null
	in_host "$KOMAINU" stop --unload --pin-root "$pins" --run-dir "$work/run" --state-dir "$work/state" >/dev/null 2>&1
	ip netns del "$ns_host" 2>/dev/null
	ip netns del "$ns_peer" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT

# "ip netns exec" mounts another /sys, without bpffs: nsenter keeps ours
in_host() { nsenter --net="/run/netns/$ns_host" "$@"; }
in_peer() { nsenter --net="/run/netns/$ns_peer" "$@"; }

mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf || exit 1
ip netns add "$ns_host" && ip netns add "$ns_peer" &&
	ip link add kmn0 netns "$ns_host" type veth peer name kmn1 netns "$ns_peer" || exit 1
ip -n "$ns_host" addr add 10.9.0.254/24 dev kmn0
ip -n "$ns_host" -6 addr add fd09::254/64 dev kmn0 nodad
ip -n "$ns_peer" addr add 10.9.0.1/24 dev kmn1
ip -n "$ns_peer" addr add 10.9.0.2/24 dev kmn1
ip -n "$ns_peer" -6 addr add fd09::1/64 dev kmn1 nodad
ip -n "$ns_host" link set kmn0 up
ip -n "$ns_peer" link set kmn1 up
ip -n "$ns_host" link set lo up
ip -n "$ns_peer" link set lo up

# komainu ARGS: the command line of the sensor under test
komainu() {
	in_host "$KOMAINU" "$@" --pin-root "$pins" --run-dir "$work/run" --state-dir "$work/state" --config-dir "$work/etc"
}
# sensor_start POLICY [OPTION]...: returns when it is ready; BINARY= another binary
sensor_start() {
	local policy=$1 i step=0.05
	shift
	[ -z "${KOMAINU_VM:-}" ] || step=1 # emulated: to ask takes as much as a second of the start
	# not by in_host: a function in the background has a shell around it, and $! would be that
	nsenter --net="/run/netns/$ns_host" "${BINARY:-$KOMAINU}" run --policy "$policy" "$@" --pin-root "$pins" --run-dir "$work/run" \
		--state-dir "$work/state" --config-dir "$work/etc" </dev/null >>"$work/out" 2>>"$work/log" &
	sensor_pid=$!
	for ((i = 0; i < 600; i++)); do
		komainu status --json >"$work/status" 2>/dev/null
		case $? in 0 | 5) grep -q "\"pid\":$sensor_pid," "$work/status" && return 0 ;; esac
		kill -0 "$sensor_pid" 2>/dev/null || fail "the sensor ended at its start"
		sleep $step
	done
	fail "the sensor was not ready in time"
}
# The end by SIGTERM; its exit code
sensor_stop() {
	kill -TERM "$sensor_pid" && wait "$sensor_pid"
	local r=$?
	sensor_pid=''
	return $r
}
sensor_kill() {
	kill -9 "$sensor_pid"
	wait "$sensor_pid" 2>/dev/null
	sensor_pid=''
}
# Wait up to SECONDS until the command succeeds
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}
