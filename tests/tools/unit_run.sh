#!/bin/bash
# The runner itself: each way in which a test can end is told, and is red where it must be.
set -u
run=$(cd "$(dirname "$0")/.." && pwd)/run
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
mkdir -p "$top/tests/m" "$top/tests/vm" "$top/build/tests/m"
bad=0

program() { # TEST BODY: a built program with its source
	: >"$top/tests/$1.c"
	printf '#!/bin/sh\n%s\n' "$2" >"$top/build/tests/$1"
	chmod +x "$top/build/tests/$1"
}
expect() { printf '%b\n' "$@" >"$top/tests/expected.tsv"; }
runs() { # STATUS PATTERN WHAT [run's arguments]: its status, and a line that it must print
	local status=$1 pattern=$2 what=$3 got
	shift 3
	"$run" -d "$top/tests" -b "$top/build" "$@" >"$top/out" 2>&1
	got=$?
	if [ $got != "$status" ] || ! grep -qE "$pattern" "$top/out"; then
		echo "wrong: $what: exit $got, wanted $status and /$pattern/"
		sed 's/^/    /' "$top/out"
		bad=1
	fi
}

program m/unit_good 'exit 0'
expect 'm/unit_good\thost'
runs 0 '^pass m/unit_good \[.* host\] ' 'a good test passes' unit
runs 0 '^1 passed, 0 failed, 0 skipped$' 'the last line counts' unit

program m/unit_bad 'echo because; exit 3'
expect 'm/unit_good\thost' 'm/unit_bad\thost'
runs 1 '^FAIL m/unit_bad .*exit 3' 'a failure is red' unit
runs 1 '^    because$' 'a failure shows its log' unit
runs 1 '^1 passed, 1 failed, 0 skipped$' 'the rest goes on after a failure' unit
rm "$top/tests/m/unit_bad.c"

program m/unit_skips 'echo no such thing here; exit 77'
expect 'm/unit_good\thost' 'm/unit_skips\t6.1'
runs 0 '^skip m/unit_skips .*no such thing here' 'a skip says why' unit
expect 'm/unit_good\thost' 'm/unit_skips\thost'
runs 1 '^FAIL m/unit_skips .*must pass here' 'a skip is red where it must pass' unit
rm "$top/tests/m/unit_skips.c"

program m/unit_cases 'echo "[  SKIPPED ] a_case"; exit 0'
expect 'm/unit_good\thost' 'm/unit_cases\thost'
runs 1 '^FAIL m/unit_cases .*case a_case' 'a skipped case is red' unit
expect 'm/unit_good\thost' 'm/unit_cases\thost' 'm/unit_cases:a_case\t6.12'
runs 0 '^pass m/unit_cases' 'a case may be skipped where it is listed for elsewhere' unit
expect 'm/unit_good\thost' 'm/unit_cases\thost' 'm/unit_cases:a_case\thost,6.12'
runs 1 '^FAIL m/unit_cases' 'a case that is listed for here may not' unit
runs 0 '^pass m/unit_cases' 'but with sanitizers it may' -k san unit
rm "$top/tests/m/unit_cases.c"

program m/unit_slow 'sleep 30'
expect 'm/unit_good\thost' 'm/unit_slow\thost\t1'
runs 1 '^FAIL m/unit_slow .*not done after 1 s' 'a test that hangs is ended' unit
rm "$top/tests/m/unit_slow.c"

expect 'm/unit_good\thost' 'm/unit_gone\thost'
runs 1 '^FAIL m/unit_gone .*not built' 'a missing test is red' unit
: >"$top/tests/m/unit_unlisted.c"
program m/unit_unlisted 'exit 0'
expect 'm/unit_good\thost'
runs 1 '^FAIL m/unit_unlisted .*not listed' 'a test that nobody listed is red' unit
rm "$top/tests/m/unit_unlisted.c"

expect 'm/unit_good\thost' 'm/unit_elsewhere\t6.1'
runs 0 '^m/unit_good$' 'a machine runs what is expected of it' -k host -l m/unit_good
runs 1 '^FAIL m/unit_elsewhere \[6.1\]' 'a missing test is red in its machine' -k 6.1 unit
runs 1 '^0 passed, 1 failed' 'and a test for elsewhere is not run there' -k 6.1 unit
expect 'm/unit_good\tnowhere'
runs 2 'no place nowhere' 'a place that is not is an error' unit
exit $bad
