#!/bin/bash
# What an exec costs: with nothing, with the sensor, with auditd. Beside the end-to-end figures, which
# are noisy, the run time of our programs at the exec, by the kernel's own statistics.
here=$(dirname "$0")
# shellcheck source=tests/bench/sensor.sh
. "$here/sensor.sh"
# shellcheck source=tests/bench/audit.sh
. "$here/audit.sh"
runs=400

program_ns() { # ns per run of our program at the exec, by bpf_stats; by its pin, for others run too
	local pin id
	for pin in "${sensor_pins:?}"/links/*sched_process_exec*; do
		id=$(bpftool -j link show pinned "$pin" | jq .prog_id)
		bpftool -j prog show id "$id" | jq -r 'select(.run_cnt > 0) | .run_time_ns / .run_cnt'
	done
}

case ${1:-} in
candidates)
	printf 'nothing\nkomainu\n'
	if why=$(audit_absent); then printf -- '-auditd\t%s\n' "$why"; else echo auditd; fi
	printf 'goal\tcpu per exec\tkomainu\tratio\t1.03\n'
	printf 'goal\tprogram at exec\tkomainu\tvalue\t2000\n'
	;;
round)
	case $2 in
	nothing)
		"$BUILD/tests/bench/tool_exec" $runs
		;;
	komainu)
		stats=$(sysctl -n kernel.bpf_stats_enabled 2>/dev/null)
		sensor_start || exit 1
		"$BUILD/tests/bench/tool_exec" $runs "$sensor_pid" || exit 1
		sysctl -qw kernel.bpf_stats_enabled=1
		"$BUILD/tests/bench/tool_exec" 100 >/dev/null
		program_ns | while read -r ns; do printf 'program at exec\tns\tmin\t%s\n' "$ns"; done
		sysctl -qw kernel.bpf_stats_enabled="${stats:-0}"
		;;
	auditd)
		trap audit_stop EXIT
		audit_start || exit 1
		"$BUILD/tests/bench/tool_exec" $runs "$audit_pid"
		;;
	esac
	;;
esac
