#!/bin/bash
# Reload under packet load: no packet is judged by a mixture of two policies, and none goes unjudged.
# A policy with errors in between changes nothing. KMN_SOAK=1: 1,000 reloads.
. "$(dirname "$0")/../harness/sensor.sh"
. "$(dirname "$0")/policy_ab.sh"
n=50
[ "${ROW:-host}" = host ] || n=10 # the same code as another build
[ -z "${KOMAINU_VM:-}" ] || n=4  # emulated: a start takes seconds
[ -z "${KMN_SOAK:-}" ] || n=1000

in_peer true && "$BUILD/tests/e2e/tool_load" "$ns_peer" "$ns_host" 1 >"$work/load"
[ $? = 1 ] && read -r sent leaked _ <"$work/load" && [ "$leaked" = "$sent" ] ||
	fail "without the sensor every packet must arrive: $(cat "$work/load")"

sensor_start "$work/policy.yaml"
printf 'version: 1\nname: bad\nmode: prevent\nmodules: {firewall: {rules: [{name: x, action: dney}]}}\n' >"$work/bad.yaml"
load_start 36000 # ended below
for ((i = 1; i <= n; i++)); do
	flip
	if ((i % 10 == 0)); then # by signal
		gen=$(komainu status --json | sed 's/.*"generation":\([0-9]*\).*/\1/')
		kill -HUP "$sensor_pid"
		newer() { [ "$(komainu status --json | sed 's/.*"generation":\([0-9]*\).*/\1/')" -gt "$gen" ]; }
		wait_for 10 newer || fail "SIGHUP $i was not followed"
	else
		komainu reload >"$work/reload" 2>&1 || fail "reload $i: $(cat "$work/reload")"
	fi
	if ((i % 7 == 0)); then
		link=$(readlink "$work/policy.yaml")
		ln -sf "$work/bad.yaml" "$work/policy.yaml"
		komainu reload >"$work/reload" 2>&1 && fail "a policy with an error was taken"
		grep -q 'policy.yaml:4:48: error: .*dney' "$work/reload" || fail "no position in: $(cat "$work/reload")"
		ln -sf "$link" "$work/policy.yaml"
	fi
done
kill -0 "$load_pid" 2>/dev/null || fail "the load ended before the reloads did"
kill -INT "$load_pid"
load_end 10000
echo "$n reloads: 0 third verdicts, 0 unjudged"
# each denial names a rule of its generation: all of one generation are of one policy
sleep 2
komainu events -n all --json --module firewall --stream findings >"$work/events" || fail "events"
grep -q '"a-deny"' "$work/events" && grep -q '"b-deny"' "$work/events" || fail "denials of both policies must be told"
jq -r '.unmapped.komainu | [.generation, .rule.name[0:2]] | @tsv' "$work/events" | sort -u >"$work/pairs"
[ "$(wc -l <"$work/pairs")" -ge 3 ] || fail "too few generations denied anything: $(cat "$work/pairs")"
mixed=$(cut -f 1 "$work/pairs" | uniq -d)
[ -z "$mixed" ] || fail "generations whose denials name rules of both policies: $mixed"
sensor_stop || fail "exit code $?"
