#!/bin/bash
# komainu policy as a user meets it: answers, exit codes, JSON, and no control byte on the terminal.
set -u
k=$KOMAINU
bad=0
cd "$(dirname "$0")/../.." || exit 2
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT

is() { # WHAT STATUS COMMAND...: run it, its output to $top/out and $top/err
	local what=$1 status=$2 got
	shift 2
	"$k" policy "$@" >"$top/out" 2>"$top/err"
	got=$?
	[ $got = "$status" ] || wrong "$what: exit $got, wanted $status"
}
wrong() {
	echo "wrong: $*"
	sed 's/^/    /' "$top/out" "$top/err"
	bad=1
}
has() { grep -qE "$2" "$top/$1" || wrong "no /$2/ in $1"; }
json() { python3 -c 'import json,sys
d = json.load(open(sys.argv[1]))
sys.exit(0 if eval(sys.argv[2]) else 1)' "$top/out" "$1" || wrong "JSON: not $1"; }

is 'good policies' 0 check policies/*.yaml
has out '^policies/default.yaml: good$'
is 'one bad among good' 2 check policies/default.yaml tests/policy/bad/key-duplicate.yaml
has out '^policies/default.yaml: good$'
has out 'key-duplicate.yaml:4:1: error: the key `mode` stands here again'
has out '^tests/policy/bad/key-duplicate.yaml: 1 error$'
is 'JSON of check' 2 check --json policies/demo.yaml tests/policy/bad/key-duplicate.yaml
json 'd[0]["ok"] and not d[1]["ok"] and d[1]["diagnostics"][0]["line"] == 4'
is 'no such file' 2 check "$top/nowhere.yaml"
has out 'cannot read the policy: No such file'
is 'no file named' 2 diff policies/demo.yaml
has err 'komainu policy diff --help'
mkdir "$top/etc" && cp policies/*.yaml "$top/etc" && cp policies/demo.yaml "$top/etc/policy.yaml"
is 'the policy of the sensor' 0 check --config-dir "$top/etc"
has out "^$top/etc/policy.yaml: good$"
is 'an unknown option' 2 check --jason policies/demo.yaml
is 'an option of another command' 2 diff --origins policies/demo.yaml policies/demo.yaml

printf 'version: 1\nmode: detect\n' >"$top/a.yaml"
printf 'version: 1\nmode: prevent\nlabels: {x: "y"}\n' >"$top/b.yaml"
is 'layers' 0 show "$top/a.yaml" "$top/b.yaml"
has out '^mode: prevent$'
is 'layers the other way' 0 show "$top/b.yaml" "$top/a.yaml"
has out '^mode: detect$'
has out '^  x: "y"$'
is 'origins' 0 show --origins policies/demo.yaml
has out '^mode: prevent .*# policies/demo.yaml:[0-9]+$'
has out 'bad-nets-out .*# policies/default.yaml:[0-9]+$'
"$k" policy show policies/demo.yaml >"$top/shown.yaml"
is 'what is shown is a policy, and the same' 0 diff policies/demo.yaml "$top/shown.yaml"
[ -s "$top/out" ] && wrong 'a difference to itself'
is 'show as JSON' 0 show --json policies/demo.yaml
json 'd["version"] == 1 and d["modules"]["firewall"]["rules"][0]["name"] == "bad-nets-out"'
cp "$top/out" "$top/shown.json"
is 'JSON reads back' 0 diff policies/demo.yaml "$top/shown.json"
is 'show of a bad one' 2 show tests/policy/bad/enum-mode-on.yaml
has err 'error: mode: `on` is not known'

is 'a difference' 1 diff policies/default.yaml policies/demo.yaml
has out '^- mode: detect$'
has out '^\+ mode: prevent$'
is 'a difference as JSON' 1 diff --json policies/default.yaml policies/demo.yaml
json 'd["differences"] == 3 and "+ mode: prevent" in d["changes"]'

is 'explain' 0 explain policies/demo.yaml
has out '^firewall: prevent, decided by policy \(policies/demo.yaml:[0-9]+\)$'
has out '^ +bad-nets-out +prevent +policy +policies/demo.yaml:[0-9]+ +deny outgoing'
is 'explain, detect is the ceiling' 0 explain policies/default.yaml
has out '^ +bad-nets-out +detect +policy '
is 'explain as JSON' 0 explain --json policies/default.yaml
json 'all(r["mode"] == "detect" for r in d["modules"][0]["rules"])'

is 'schema' 0 schema
json 'd["$schema"].endswith("2020-12/schema") and d["required"] == ["version"]'

for f in tests/policy/bad/*.yaml; do # what hostile files print is harmless
	"$k" policy check "$f" >"$top/out" 2>"$top/err"
	[ $? = 2 ] || wrong "$f: not refused with 2"
	if LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]' "$top/out" "$top/err"; then
		wrong "$f: a control byte was printed"
	fi
done
exit $bad
