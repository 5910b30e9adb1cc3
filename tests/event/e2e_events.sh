#!/bin/bash
# From an exec in the kernel to komainu events: live, followed, queried, as JSON, after kill -9 and over
# a restart, with names that are hostile; the accounts agree and the chain holds.
. "$(dirname "$0")/../harness/sensor.sh"
cat >"$work/policy.yaml" <<'YAML'
version: 1
name: events
modules:
  firewall: {mode: detect, interfaces: [kmn0]}
YAML
mark=mark$$

expect() { # expect CODE COMMAND...
	local code=$1 r
	shift
	"$@" >"$work/said" 2>&1
	r=$?
	[ $r = "$code" ] || fail "$*: exit $r, expected $code: $(cat "$work/said")"
}
# The line of /bin/echo WORD. Quotes and blanks, so that it is not the line of who looks for it.
line_of() { printf 'exec /usr/bin/echo "/bin/echo" "%s"' "$1"; }
shown() { grep -qF "$(line_of "$1")" "$2"; }
seen() {
	komainu events -n all --kind exec --grep "$1" >"$work/seen"
	shown "$1" "$work/seen"
}
newest() { komainu status --json | jq -r ".result.store.$1.seq // .store.$1.seq"; }
events_json() { komainu events --json "$@"; }

expect 1 komainu events # no sensor has run here
expect 2 komainu events --severity loud

sensor_start "$work/policy.yaml" --foreground

# ---- live, stored, followed
# not by the function: it would have a shell around it, and the signal would end that alone
"$KOMAINU" events -f -n 0 --kind exec --grep "follow-$mark" --state-dir "$work/state" >"$work/followed" 2>&1 &
follower=$!
/bin/echo "first-$mark" >/dev/null
wait_for 10 shown "first-$mark" "$work/out" || fail "run --foreground does not show an exec"
wait_for 10 seen "first-$mark" || fail "komainu events does not show an exec"
began=$(date +%s%N)
/bin/echo "follow-$mark" >/dev/null
wait_for 10 shown "follow-$mark" "$work/followed" || fail "events -f does not show a new exec"
took=$((($(date +%s%N) - began) / 1000000))
echo "an exec was on the follower's terminal after $took ms"
[ $took -lt 5000 ] || fail "events -f took $took ms"

# ---- who did it, in OCSF
bash -c "/bin/echo 'ocsf $mark' >/dev/null; :"
wait_for 10 seen "ocsf $mark" || fail "the exec for JSON is not there"
events_json --since 1m --kind exec --grep "ocsf $mark" >"$work/json"
jq -es 'map(select(.process.name == "echo")) | length == 1 and (.[0] |
	.class_uid == 1007 and .type_uid == 100701 and .process.cmd_line == "/bin/echo ocsf '"$mark"'"
	and (.unmapped.komainu.args | length) == 2 and .actor.process.name == "bash"
	and .process.parent_process.pid == .actor.process.pid and .process.user.uid == "0"
	and .metadata.sequence > 0 and .device.uid != null)' "$work/json" >/dev/null ||
	fail "the exec as OCSF is not right: $(grep -m 1 '"name":"echo"' "$work/json" | cut -c 1-3000)"

# ---- hostile names
evil="$work/$(printf 'a\033[2J\nb\302\233c\342\200\256')"
cp /bin/true "$evil" && "$evil" "$(printf '\033]0;title\007%s' "$mark")"
hostile_seen() { komainu events --since 1m --kind exec | grep -q "title.x07$mark"; }
wait_for 10 hostile_seen || fail "the hostile argument is not shown escaped"
komainu events --since 1m >"$work/text"
events_json --since 1m >"$work/json"
for f in text json; do
	LC_ALL=C grep -q "$(printf '[\001-\010\013-\037\177]')" "$work/$f" && fail "a control character is in the $f"
	LC_ALL=C grep -q "$(printf '\302\233')" "$work/$f" && fail "a C1 control is in the $f"
	LC_ALL=C grep -q "$(printf '\342\200\256')" "$work/$f" && fail "a bidi control is in the $f"
done
jq -e . "$work/json" >/dev/null || fail "not every line is JSON"
jq -se --arg p "$evil" 'map(select(.process.file.path == $p)) | length > 0' "$work/json" >/dev/null ||
	jq -se 'map(select(.unmapped.komainu.texts != null)) | length > 0' "$work/json" >/dev/null ||
	fail "the hostile path does not come back"

# ---- the accounts
sleep 1
komainu status --json >"$work/status" 2>/dev/null
jq -e '(.result // .) | .events | [.findings, .telemetry] | all(
	.offered == .sent + .dropped + .throttled and
	.sent == .before + .delivered + .refused + .in_ring + .unsettled and .refused == 0)' "$work/status" >/dev/null ||
	fail "the accounts do not agree: $(jq -c '(.result // .) | .events' "$work/status")"

# ---- kill -9: the store can be read, numbers go on
before=$(newest telemetry)
[ "$before" -gt 0 ] || fail "no number in status"
sensor_kill
seen "first-$mark" || fail "events is silent when the sensor is dead"
expect 0 komainu events verify
grep -q 'good *telemetry' "$work/said" || fail "verify: $(cat "$work/said")"
: >"$work/out"
sensor_start "$work/policy.yaml" --foreground --json
/bin/echo "second-$mark" >/dev/null
wait_for 10 seen "second-$mark" || fail "no exec after the restart"
printed() { grep -q "second-$mark" "$work/out"; }
wait_for 10 printed || fail "run --foreground --json does not show an exec"
sensor_stop || fail "the sensor did not end well"

# ---- what the sensor printed is, object by object, what the store has
events_json -n all >"$work/json"
sort "$work/out" >"$work/printed"
sort "$work/json" >"$work/stored"
comm -23 "$work/printed" "$work/stored" >"$work/other"
[ ! -s "$work/other" ] || fail "run --foreground --json shows other objects than events --json: $(head -n 1 "$work/other")"
jq -se 'length > 0 and all(.metadata.sequence > 0 and .metadata.uid != null and .device.uid != null and
	.device.boot_uid != null)' "$work/out" >/dev/null || fail "a printed object lacks number, host or boot"
jq -se 'any(.unmapped.komainu.kind == "stopped") and any(.unmapped.komainu.kind == "exec") and
	all(.unmapped.komainu.kind != "fork")' "$work/out" >/dev/null || fail "not what is to be shown was printed"
kill $follower 2>/dev/null
wait $follower 2>/dev/null
shown "follow-$mark" "$work/followed" || fail "the follower lost its lines"
events_json -n all --stream telemetry | jq -r .metadata.sequence >"$work/seq"
[ "$(tail -n 1 "$work/seq")" -gt "$before" ] || fail "numbers do not go on after kill -9"
awk 'NR > 1 && $1 != last + 1 { print "after " last " comes " $1; bad = 1 } { last = $1 } END { exit bad }' "$work/seq" ||
	fail "the numbers have holes"
expect 0 komainu events verify --json
jq -e '.findings.good and .telemetry.good and .key_known and .telemetry.missing == 0' "$work/said" >/dev/null ||
	fail "verify --json: $(cat "$work/said")"

# ---- somebody changes the store
if command -v sqlite3 >/dev/null; then
	db=$(find "$work/state/events/telemetry" -name '*.db' | head -n 1)
	sqlite3 "$db" 'UPDATE batch SET last_ns = last_ns + 1 WHERE first_seq = 1'
	expect 1 komainu events verify
	grep -q 'was changed' "$work/said" || fail "verify does not see a change: $(cat "$work/said")"
fi

# ---- not root
expect 4 in_host setpriv --reuid=65534 --regid=65534 --clear-groups "$KOMAINU" events --state-dir "$work/state"
echo "events: live, followed, queried, over kill -9 and a restart: good"
