#!/bin/bash
# The sensor on a host where nothing of its own happens: CPU over some seconds, resident memory, and
# the memory of its maps beside what its own formula says that it may take at most.
here=$(dirname "$0")
# shellcheck source=tests/bench/sensor.sh
. "$here/sensor.sh"
seconds=5

cpu_ns() { cat /proc/"$sensor_pid"/task/*/schedstat | awk '{ sum += $1 } END { printf "%.0f\n", sum }'; }

case ${1:-} in
candidates)
	printf 'komainu\n'
	printf 'goal\tcpu\tkomainu\tvalue\t0.2\n'
	printf 'goal\tresident and maps\tkomainu\tvalue\t128\n'
	;;
round)
	sensor_start || exit 1
	sleep 3 # start and canaries
	before=$(cpu_ns)
	sleep $seconds
	after=$(cpu_ns)
	awk -v ns=$((after - before)) -v s=$seconds 'BEGIN { printf "cpu\t%% of one\tmedian\t%.3f\n", ns / s / 1e7 }'
	rss=$(awk '/^VmRSS:/ { print $2 * 1024 }' /proc/"$sensor_pid"/status)
	sensor status --json | jq -r --argjson rss "$rss" '
		def mib: . / 1048576 * 100 | round / 100;
		.memory as $m |
		"resident\tMiB\tmedian\t\($rss | mib)",
		"maps\tMiB\tmedian\t\($m.map_bytes | mib)",
		"resident and maps\tMiB\tmedian\t\($rss + ($m.map_bytes) | mib)",
		"at most, by formula\tMiB\tmedian\t\($m.formula_bytes | mib)"'
	;;
esac
