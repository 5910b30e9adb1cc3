#!/bin/bash
# The static binary alone: in a root folder that holds it, a policy, a list and the kernel's own mounts,
# and nothing else. It says its version, probes, checks a policy with a list in a worker, and runs:
# exec events of the host, a denial that names the list's rule, a worker in its sandbox.
set -u
KOMAINU=${KOMAINU:-$(dirname "$0")/../../build-static/komainu}
[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }
case $(file -Lb "$KOMAINU") in
*static-pie*) ;;
*) echo "skipped: $KOMAINU is not the static binary (make static)" && exit 77 ;;
esac
if [ -z "${KMN_STATIC_INSIDE:-}" ]; then # mounts and interfaces of its own, gone when it ends
	KMN_STATIC_INSIDE=1 exec unshare -m -n --propagation private "$0"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/kmn-static.XXXXXX") || exit 1
root=$work/root sensor_pid='' pins=/sys/fs/bpf/komainu-static-$$
fail() {
	echo "FAIL: $*"
	for f in out err; do [ ! -s "$work/$f" ] || { echo "--- $f:" && tail -n 30 "$work/$f"; }; done
	exit 1
}
inside() { chroot "$root" /komainu "$@"; }
places=(--run-dir /run --state-dir /state --config-dir /etc --pin-root "$pins")
cleanup() {
	if [ -n "$sensor_pid" ]; then
		kill "$sensor_pid" 2>/dev/null
		wait "$sensor_pid"
	fi
	inside stop --unload "${places[@]}" >/dev/null 2>&1
	umount -l "$root/sys" "$root/proc" 2>/dev/null
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT

mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf || exit 1
mkdir -p "$root/proc" "$root/sys"
strip -o "$root/komainu" "$KOMAINU" # what is shipped
if ! mount -t proc proc "$root/proc" || ! mount --rbind /sys "$root/sys"; then fail "mount"; fi
cat >"$root/policy.yaml" <<-EOF
	version: 1
	name: alone
	mode: prevent
	modules:
	  firewall:
	    interfaces: [kmns0]
	    rules:
	      - {name: listed, action: deny, direction: outgoing, destination: {list: nets.txt}}
EOF
printf '# documentation\n198.51.100.0/24\n2001:db8::/32\n' >"$root/nets.txt"
[ "$(find "$root" -xdev -type f | wc -l)" = 3 ] || fail "there is more in the root: $(find "$root" -xdev -type f)"

# --- commands
inside --version | grep -q '^komainu [0-9]' || fail "--version"
inside probe >"$work/out" 2>"$work/err"
case $? in 0 | 5) ;; *) fail "probe: exit $?" ;; esac
grep -qi 'btf' "$work/out" || fail "probe says nothing of BTF"
inside policy check /policy.yaml >"$work/out" 2>"$work/err" || fail "policy check: exit $?"
echo 'not an address' >>"$root/nets.txt"
inside policy check /policy.yaml >"$work/out" 2>"$work/err" && fail "a bad list was taken"
cat "$work/out" "$work/err" | grep -q 'nets.txt.*4' || fail "the place of the mistake in the list is not told"
sed -i '$d' "$root/nets.txt"

# --- the sensor
ip link set lo up
network() { # without IPv6, whose own packets would be counted as ours
	echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
	ip link add kmns0 type veth peer name kmns1 && ip link set kmns0 up && ip link set kmns1 up &&
		ip addr add 10.99.0.1/24 dev kmns0 && ip route add 198.51.100.0/24 via 10.99.0.2 &&
		ip neigh add 10.99.0.2 lladdr 02:00:00:00:00:02 dev kmns0
}
network || fail "no interface"
sent() { ip -s -j link show kmns0 | sed 's/.*"tx":{"bytes":[0-9]*,"packets":\([0-9]*\).*/\1/'; }
knock() { timeout 5 bash -c 'echo x >/dev/udp/198.51.100.7/9' 2>/dev/null; }
before=$(sent)
knock
[ "$(sent)" -gt "$before" ] || fail "without the sensor the packet must leave"

chroot "$root" /komainu run --policy /policy.yaml --foreground --json "${places[@]}" >"$work/out" 2>"$work/err" </dev/null &
sensor_pid=$!
ready() {
	kill -0 "$sensor_pid" 2>/dev/null || fail "the sensor ended at its start"
	inside status --json "${places[@]}" >"$work/status" 2>/dev/null
	case $? in 0 | 5) ;; *) false ;; esac
}
wait_for() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}
wait_for 30 ready || fail "not ready within 30 s"
grep -q '"sandbox":"uid 65534, no capabilities, empty bounding set, no_new_privs, seccomp, limits, empty root' \
	"$work/status" || fail "no worker in its sandbox: $(cat "$work/status")"

mark=static-$$-$RANDOM
/bin/true "$mark"
wait_for 30 grep -q "$mark" "$work/out" || fail "no exec event of /bin/true $mark"
before=$(sent)
knock
[ "$(sent)" = "$before" ] || fail "a denied packet left"
wait_for 30 grep -q '"listed"' "$work/out" || fail "no event of the denial"
kill -TERM "$sensor_pid"
wait "$sensor_pid" || fail "the sensor ended with $?"
sensor_pid=''
inside events --json --module firewall "${places[@]}" 2>/dev/null | grep -q '"listed"' || fail "the denial is not in the store"
echo "one file in an empty root: version, probe, policy with a list, exec and firewall events, store"
