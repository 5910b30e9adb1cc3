#!/bin/bash
# Real containers under runc, podman and containerd, each with a root of busybox: the exec of a
# program inside is told with the container's id, runtime, name and image, as far as that runtime
# has them, and so is the very first one, 20 times of 20. Their state is in folders of this test's own
# mount namespace. RUNTIMES="runc podman containerd" says which, FIRSTS how many first ones: an
# emulated machine, where podman takes a quarter of a minute to start one, does one, of podman.
if [ "${1:-}" != inner ]; then
	[ "$(id -u)" = 0 ] || { echo "skipped: needs root"; exit 77; }
	exec unshare -m --propagation private "$0" inner
fi
. "$(dirname "$0")/../harness/sensor.sh"

runtimes='runc podman containerd' slow=1 rounds=20
[ -z "${KOMAINU_VM:-}" ] || { slow=5 && rounds=1 && runtimes=podman; } # it runs runc
runtimes=${RUNTIMES:-$runtimes} rounds=${FIRSTS:-$rounds}
wanted() { # NAME PROGRAM...: is it asked for, and is it there?
	case " $runtimes " in *" $1 "*) ;; *) return 1 ;; esac
	for program in "${@:2}"; do
		command -v "$program" >/dev/null || { echo "$1: $program is not installed" && return 1; }
	done
}

for folder in /run/runc /run/containers /run/libpod /run/containerd /var/lib/containers /var/lib/containerd /run/netns; do
	[ $folder != /run/netns ] || continue # the harness keeps its own there
	mkdir -p $folder && mount -t tmpfs -o size=64m kmn-$tag $folder || exit 1
done
mountpoint -q /sys/fs/cgroup || { echo "skipped: no cgroups"; exit 77; }

rootfs=$work/rootfs
mkdir -p "$rootfs/bin" "$rootfs/proc" "$rootfs/dev" "$rootfs/sys" "$rootfs/tmp" "$rootfs/etc"
cp "$(command -v busybox)" "$rootfs/bin/" || exit 1
for applet in sh sleep echo; do ln -s busybox "$rootfs/bin/$applet"; done

containerd_pid=''
leave() {
	[ -z "$containerd_pid" ] || kill "$containerd_pid" 2>/dev/null
	for id in $(runc list -q 2>/dev/null); do # of our own folder: nobody else's
		runc delete -f "$id" 2>/dev/null
	done
	podman --cgroup-manager=cgroupfs rm -f -a -t 0 >/dev/null 2>&1
	wait "$containerd_pid" 2>/dev/null
	# the runtimes leave the folder above their cgroups; one in use does not go
	for id in "kmn$tag" libpod_parent/conmon libpod_parent; do
		find /sys/fs/cgroup -xdev -path "*/$id" -type d -exec rmdir {} + 2>/dev/null
		for folder in /sys/fs/cgroup/*/; do
			find "$folder" -xdev -path "*/$id" -type d -exec rmdir {} + 2>/dev/null
		done
	done
	umount -l /run/runc /run/containers /run/libpod /run/containerd /var/lib/containers /var/lib/containerd 2>/dev/null
	cleanup
}
trap leave EXIT

# Inside each container runs "sh", which waits, then executes /bin/echo with a word of its own:
# by then the runtime has written its files, and one tick has read them.
inside() { # WORD
	echo "sleep 3; /bin/busybox echo $1; sleep 1"
}

events() { # WORD: the exec events with it, as JSON
	komainu events --stream telemetry --kind exec --last all --grep "$1" --json 2>/dev/null |
		jq -c "select(.process.cmd_line? == \"/bin/busybox echo $1\")"
}
told() { [ -n "$(events "$1" | head -n 1)" ]; }

# check WORD RUNTIME ID NAME IMAGE: the container of that exec; an empty one is not asked for
check() {
	local event
	wait_for $((15 * slow)) told "$1" || {
		komainu status | grep -iE 'ring|throttled|dropped|offered' # was it sent at all?
		fail "$2: no event of the exec inside"
	}
	event=$(events "$1" | head -n 1)
	jq -e --arg r "$2" --arg i "$3" --arg n "$4" --arg g "$5" '
		(.process.container // .container // .actor.process.container) as $c
		| ($c.runtime == $r) and ($c.uid == $i or ($i == "" and ($c.uid | length) == 64))
		and ($c.name == $n) and ($g == "" or $c.image.name == $g)' <<<"$event" >/dev/null ||
		fail "$2: the event says: $event"
	echo "$2: told${5:+, with its image}"
}

# in an emulated machine the first program stays a little: the sensor has the same one processor
brief() { if [ $slow = 1 ]; then program=(/bin/busybox echo "$1"); else program=(/bin/busybox env "A=$1" /bin/busybox sleep 4); fi; }
# firsts RUNTIME NAME IMAGE: by "start_RUNTIME NAME-NUMBER PROGRAM...", many times; all that each
# container does is one exec, and its event must have id, name and image already
firsts() {
	local i right
	for ((i = 1; i <= rounds; i++)); do
		brief "first-$1-$i-$tag"
		"start_$1" "$2-$i" "${program[@]}" >"$work/first.out" 2>&1 || fail "$1: start $i: $(cat "$work/first.out")"
	done
	wait_for $((15 * slow)) right_firsts "$@" && echo "$1: the first exec told $rounds of $rounds times" && return
	komainu status --json | jq -c '.. | .containers? // empty'
	fail "$1: the first exec was told rightly $(count_firsts "$@") of $rounds times: $(
		komainu events --stream telemetry --kind exec --last all --grep "first-$1-" --json |
			jq -c 'select(.process.cmd_line | startswith("/bin/busybox")) | [.process.cmd_line, .process.container // .container // .actor.process.container]' | head -n 60)"
}
count_firsts() { # as firsts; how many events are right
	komainu events --stream telemetry --kind exec --last all --grep "first-$1-" --json 2>/dev/null |
		jq -r --arg r "$1" --arg i "$2" --arg g "$3" --arg w "^/bin/busybox .*first-$1-(?<n>[0-9]+)-$tag( .*)?\$" '
		((.process.cmd_line? // "" | capture($w)) // empty).n as $n
		| (.process.container // .container // .actor.process.container) as $c
		| select($c.runtime == $r and $c.name == "\($i)-\($n)" and ($c.uid == $c.name or ($c.uid | length) == 64)
			and ($g == "" or $c.image.name == $g)) | $n' | sort -u | wc -l
}
right_firsts() { [ "$(count_firsts "$@")" = "$rounds" ]; }

sensor_start "$(dirname "$0")/../../policies/default.yaml"
ran=0

# runc: a bundle; it knows no image
if wanted runc runc; then
	mkdir "$work/bundle" && cd "$work/bundle" && runc spec || fail "runc spec"
	jq --arg root "$rootfs" --arg run "$(inside "word1$tag")" \
		'.process.terminal = false | .process.args = ["/bin/sh", "-c", $run] | .root.path = $root' \
		config.json >config.new && mv config.new config.json
	cd / || exit 1
	timeout $((30 * slow)) runc run -b "$work/bundle" "kmnr$tag" >"$work/runc.out" 2>&1 || fail "runc run: $(cat "$work/runc.out")"
	check "word1$tag" runc "kmnr$tag" "kmnr$tag" ""
	start_runc() { # ID PROGRAM...
		jq '.process.args = $ARGS.positional' --args "${@:2}" <"$work/bundle/config.json" >"$work/bundle/new" &&
			mv "$work/bundle/new" "$work/bundle/config.json" && timeout $((30 * slow)) runc run -b "$work/bundle" "$1"
	}
	firsts runc "kmnr$tag" ""
	ran=$((ran + 1))
fi

# podman: an imported image with a name
if wanted podman podman runc; then
	tar -C "$rootfs" -c . | timeout $((60 * slow)) podman --cgroup-manager=cgroupfs import - "localhost/kmn$tag:1" >"$work/podman.out" 2>&1 ||
		fail "podman import: $(cat "$work/podman.out")"
	limit=$(ulimit -Hn)
	timeout $((60 * slow)) podman --cgroup-manager=cgroupfs run --rm --network=none --runtime runc --name "kmnp$tag" \
		--ulimit "nofile=$limit:$limit" --ulimit nproc=1024:1024 \
		"localhost/kmn$tag:1" /bin/sh -c "$(inside "word2$tag")" >"$work/podman.out" 2>&1 ||
		fail "podman run: $(cat "$work/podman.out")"
	check "word2$tag" podman "" "kmnp$tag" "localhost/kmn$tag:1"
	start_podman() { # NAME PROGRAM...
		timeout $((60 * slow)) podman --cgroup-manager=cgroupfs run --rm --network=none --runtime runc --name "$1" \
			--ulimit "nofile=$limit:$limit" --ulimit nproc=1024:1024 "localhost/kmn$tag:1" "${@:2}"
	}
	firsts podman "kmnp$tag" "localhost/kmn$tag:1"
	ran=$((ran + 1))
fi

# containerd by ctr, with the image that podman has made: the name is the id
if wanted containerd containerd ctr; then
	containerd --log-level error >"$work/containerd.out" 2>&1 &
	containerd_pid=$!
	wait_for $((30 * slow)) test -S /run/containerd/containerd.sock || fail "containerd: $(tail "$work/containerd.out")"
	wait_for $((30 * slow)) ctr version >/dev/null 2>&1 || fail "containerd does not answer"
	image='' what=(--rootfs "$rootfs")
	if wanted podman podman && podman --cgroup-manager=cgroupfs save --format oci-archive -o "$work/image.tar" \
		"localhost/kmn$tag:1" >"$work/ctr.out" 2>&1; then
		timeout $((60 * slow)) ctr -n "kmn$tag" image import "$work/image.tar" >"$work/ctr.out" 2>&1 ||
			fail "ctr image import: $(cat "$work/ctr.out")"
		image=localhost/kmn$tag:1 what=("localhost/kmn$tag:1")
	fi
	timeout $((60 * slow)) ctr -n "kmn$tag" run --rm "${what[@]}" "kmnc$tag" /bin/sh -c "$(inside "word3$tag")" \
		>"$work/ctr.out" 2>&1 || fail "ctr run: $(cat "$work/ctr.out")"
	check "word3$tag" containerd "kmnc$tag" "kmnc$tag" "$image"
	start_containerd() { timeout $((60 * slow)) ctr -n "kmn$tag" run --rm "${what[@]}" "$@"; }
	firsts containerd "kmnc$tag" "$image"
	ran=$((ran + 1))
fi

[ $ran -gt 0 ] || { echo "skipped: no container runtime"; exit 77; }
# a process of the host is in no container
/bin/busybox echo "word4$tag" >/dev/null
wait_for $((15 * slow)) told "word4$tag" || fail "no event of an exec on the host"
[ -z "$(events "word4$tag" | jq -r '(.process.container // .container // empty) | .uid')" ] || fail "the host is told as a container"
sensor_stop || fail "the sensor's end"
echo "passed: $ran runtimes"
