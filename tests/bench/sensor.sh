# A sensor of our own for a bench or a test, in folders of its own: source it.
#   sensor_start [POLICY]      started and ready; sets sensor_pid, sensor_dir
#   sensor COMMAND...          komainu COMMAND, asking that sensor
#   sensor_stop                ended and unloaded; also at exit
# BUILD or KOMAINU says which binary. Without a policy: nothing but a name, mode detect.
# shellcheck shell=bash
: "${KOMAINU:=${BUILD:-build}/komainu}"
sensor_pid='' sensor_dir=''

sensor() { "$KOMAINU" "$@" "${sensor_places[@]}"; }

sensor_start() {
	local policy=${1:-} i
	sensor_dir=$(mktemp -d)
	sensor_pins=/sys/fs/bpf/komainu-$$-$RANDOM
	sensor_places=(--state-dir "$sensor_dir/state" --run-dir "$sensor_dir/run"
		--pin-root "$sensor_pins")
	if [ -z "$policy" ]; then
		policy=$sensor_dir/policy.yaml
		printf 'version: 1\nname: bench\nmode: detect\n' >"$policy"
	fi
	trap sensor_stop EXIT
	trap 'exit 130' INT TERM
	# not by sensor(): its pid would be a subshell's, and idle for ever
	"$KOMAINU" run --foreground --policy "$policy" "${sensor_places[@]}" >"$sensor_dir/events" 2>"$sensor_dir/log" </dev/null &
	sensor_pid=$!
	for ((i = 0; i < 300; i++)); do
		sensor status >/dev/null 2>&1
		case $? in 0 | 5) return 0 ;; esac # 5: degraded, as on a host that refuses LSM
		kill -0 $sensor_pid 2>/dev/null || break
		sleep 0.1
	done
	echo "the sensor did not start:" >&2
	tail -n 20 "$sensor_dir/log" >&2
	return 1
}

sensor_stop() {
	trap - EXIT
	if [ -n "$sensor_pid" ]; then
		kill "$sensor_pid" 2>/dev/null
		wait "$sensor_pid" 2>/dev/null
		sensor_pid=''
		sensor stop --unload >/dev/null 2>&1
	fi
	[ -z "$sensor_dir" ] || rm -rf "$sensor_dir"
	sensor_dir=''
}
