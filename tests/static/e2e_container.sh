#!/bin/bash
# The sensor as a privileged container, by the command of docs/run.md, from an image that holds the
# static binary and nothing that is alive without it: every hook proven as on the host, another
# container's name, a verdict; a container that is killed leaves enforcement, the next one takes over.
if [ "${1:-}" != inner ]; then
	[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }
	: "${KOMAINU:=$(dirname "$0")/../../build-static/komainu}"
	case $(file -Lb "$KOMAINU") in
	*static-pie*) ;;
	*) echo "skipped: $KOMAINU is not the static binary (make static)" && exit 77 ;;
	esac
	exec unshare -m --propagation private "$0" inner
fi
. "$(dirname "$0")/../harness/sensor.sh"
command -v podman >/dev/null && command -v runc >/dev/null || fail "podman and runc are not installed: make deps"
for folder in /run/runc /run/containers /run/libpod /var/lib/containers; do
	mkdir -p $folder && mount -t tmpfs -o size=256m kmn-$tag $folder || exit 1
done
leave() {
	podman --cgroup-manager=cgroupfs rm -f -a -t 0 >/dev/null 2>&1
	find /sys/fs/cgroup -depth -type d -path '*libpod_parent*' -exec rmdir {} + 2>/dev/null
	umount -l /run/runc /run/containers /run/libpod /var/lib/containers 2>/dev/null
	cleanup
}
trap leave EXIT

image=$work/image
mkdir -p "$image/bin" "$image/usr/sbin" "$image/tmp" "$image/proc" "$image/sys" "$image/host" "$work/etc" "$work/run" "$work/state"
strip -o "$image/usr/sbin/komainu" "$KOMAINU" && cp "$(command -v busybox)" "$image/bin/" || fail "image"
tar -C "$image" -c . | podman --cgroup-manager=cgroupfs import - "localhost/kmn$tag:1" >"$work/out" 2>&1 || fail "import: $(cat "$work/out")"
cat >"$work/etc/policy.yaml" <<-P
	version: 1
	name: container
	mode: prevent
	modules:
	  firewall:
	    interfaces: ["kmn0"]
	    rules:
	      - {name: no-5353, action: deny, direction: outgoing, protocol: udp, destination: 10.9.0.1, destination_port: 5353}
P
limit=$(ulimit -Hn)
podman_run() { # NAME OPTION... IMAGE COMMAND...
	timeout 60 podman --cgroup-manager=cgroupfs --runtime runc run --ulimit "nofile=$limit:$limit" --ulimit nproc=1024:1024 \
		--name "$@"
}
sensor_up() { # NAME: the sensor of this test in a container
	podman_run "$1" -d --privileged --pid=host --network="ns:/run/netns/$ns_host" --cgroupns=host \
		-v /:/host:ro,rslave -v /sys:/sys -v "$work/etc:/etc/komainu:ro" -v "$work/state:/var/lib/komainu" -v "$work/run:/run/komainu" \
		"localhost/kmn$tag:1" /usr/sbin/komainu run --host-root /host --pin-root "$pins" >"$work/out" 2>&1 || fail "podman: $(cat "$work/out")"
	wait_for 30 ready || fail "not ready: $(podman logs "$1" 2>&1 | tail -n 20)"
}
ready() { komainu status --json >"$work/status" 2>/dev/null; [ $? != 3 ] && jq -e .pid "$work/status" >/dev/null; }
unproven() { # what is not in force and no host refuses
	jq -er '[.parts[].hooks[] | select(.state != "off")] | if length < 10 then "hooks: \(length)" else
		.[] | select(.state != "proven" and (.name | test("^f(entry|exit)/") | not)) | .name end' "$work/status"
	[ $? != 5 ] || echo "status cannot be read"
}
ask() { # does a word get out?
	local server
	: >"$work/heard"
	in_peer "$BUILD/tests/firewall/tool_talk" server udp 10.9.0.1 5353 >"$work/heard" &
	server=$!
	wait_for 10 grep -q ready "$work/heard" || fail "the server of the test does not start"
	in_host "$BUILD/tests/firewall/tool_talk" client udp 10.9.0.1 5353
	sleep 0.2
	pkill -TERM -P "$server" 2>/dev/null || kill "$server"
	wait "$server" 2>/dev/null
	grep -q word "$work/heard"
}
ask || fail "without the sensor the packet must leave"

sensor_up "kmns$tag"
all_proven() { ready && [ -z "$(unproven)" ]; }
wait_for 20 all_proven || fail "not proven: $(unproven)"
ask && fail "the denied packet left"
told() { komainu events --stream findings --json | jq -e 'select(.dst_endpoint.port == 5353 and .actor.process.name == "tool_talk")' >/dev/null; }
wait_for 20 told || fail "the denial is not told with its process: $(komainu events --stream findings)"

podman_run "beside$tag" --rm --network none "localhost/kmn$tag:1" /bin/busybox sh -c "sleep 2; busybox echo word$tag" >/dev/null 2>&1
named() {
	komainu events --kind exec --last all --grep "word$tag" --json |
		jq -e --arg n "beside$tag" 'select((.process.container // .container).name == $n)' >/dev/null
}
wait_for 20 named || fail "the container beside has no name: $(komainu events --kind exec --grep "word$tag")"

podman --cgroup-manager=cgroupfs kill -s KILL "kmns$tag" >/dev/null || fail "kill"
ask && fail "a sensor container that was killed must leave the verdicts in force"
sensor_up "again$tag"
ask && fail "the next container must enforce"
podman logs "again$tag" 2>&1 | grep -q 'taken over from the one before' || fail "no takeover: $(podman logs "again$tag" 2>&1)"
podman --cgroup-manager=cgroupfs exec "again$tag" /usr/sbin/komainu stop --unload --pin-root "$pins" >"$work/out" 2>&1 || fail "stop: $(cat "$work/out")"
ask || fail "after stop --unload the packet must leave"
[ ! -e "$pins" ] || fail "left: $(ls -R "$pins")"
echo "a sensor in a container: proven, killed, taken over, unloaded"
