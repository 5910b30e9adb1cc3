#!/bin/bash
# As a service of systemd, by the unit of docs/run.md as it stands there, from `make install`: ready is
# told, a reload waits and tells, a killed or a hanging sensor comes back and takes over, a stop is clean.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
BUILD=${BUILD:-$root/build}
if [ "$(cat /proc/1/comm)" != systemd ] || [ -z "${KOMAINU_VM:-}" ]; then
	echo "skipped: needs a machine of its own with systemd (tests/vm/vm run -s)"
	exit 77
fi
fail() {
	echo "FAIL: $*"
	systemctl status --no-pager -l komainu | tail -n 30
	exit 1
}
wait_for() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}
pid() { systemctl show -P MainPID komainu; }
answers() { komainu status --json 2>/dev/null | jq -e --argjson pid "$(pid)" '.pid == $pid' >/dev/null; }
came_back() { [ "$(pid)" != "$1" ] && [ "$(pid)" != 0 ] && answers; } # OLD-PID
leaves() { # does the SYN reach the listener?
	timeout 10 nc -l 127.0.0.1 7001 >/tmp/heard 2>/dev/null &
	local server=$!
	sleep 1
	echo word | timeout 5 nc -N 127.0.0.1 7001 2>/dev/null
	sleep 0.5
	kill $server 2>/dev/null
	wait $server 2>/dev/null
	grep -q word /tmp/heard
}

(cd "$root" && tools/install "$BUILD" "" /usr) || fail "install"
command -v komainu >/dev/null || fail "komainu is not in the path"
awk '/^```ini/ { on = 1; next } /^```/ { on = 0 } on' "$root/docs/run.md" >/etc/systemd/system/komainu.service
grep -q '^ExecStart=/usr/sbin/komainu run' /etc/systemd/system/komainu.service || fail "no unit in docs/run.md"
mkdir -p /etc/systemd/system/komainu.service.d
printf '[Service]\nWatchdogSec=20\n' >/etc/systemd/system/komainu.service.d/test.conf # not to wait for 30
systemctl daemon-reload
systemd-analyze verify /etc/systemd/system/komainu.service 2>&1 | grep -i komainu.service && fail "systemd finds fault with the unit"
policy() { # PORT
	cat >/etc/komainu/policy.yaml <<-P
		version: 1
		name: service-$1
		mode: prevent
		modules:
		  firewall:
		    interfaces: ["lo"]
		    rules:
		      - {name: no-$1, action: deny, direction: incoming, protocol: tcp, destination_port: $1}
	P
}
leaves || fail "without the sensor the word must be heard"

policy 7001
systemctl start komainu || fail "start"
answers || fail "started, but it does not answer: READY was told too early"
first=$(pid)
leaves && fail "denied, but heard"

policy 7002
systemctl reload komainu || fail "reload"
komainu status --json | jq -e '.policy.name == "service-7002"' >/dev/null || fail "the reload was told done before it was"
leaves || fail "allowed by the new policy, but not heard"
echo 'mode: of my own' >>/etc/komainu/policy.yaml
systemctl reload komainu 2>/dev/null && fail "a bad policy was reloaded without a word"
systemctl is-active -q komainu || fail "a bad policy ended the sensor"
komainu status --json | jq -e '.policy.name == "service-7002"' >/dev/null || fail "a bad policy is in force"
policy 7001
systemctl kill -s HUP komainu
in_force() { komainu status --json | jq -e '.policy.name == "service-7001"' >/dev/null; }
wait_for 30 in_force || fail "SIGHUP did not reload"

kill -9 "$first"
wait_for 60 came_back "$first" || fail "not restarted after kill -9"
leaves && fail "heard after a restart"
journalctl -u komainu -o cat --no-pager | grep -q 'taken over from the one before' || fail "no takeover"
second=$(pid)
kill -STOP "$second" # it hangs: only the watchdog can tell
leaves && fail "heard while the sensor hangs"
wait_for 120 came_back "$second" || fail "a hanging sensor was not replaced"
leaves && fail "heard after the watchdog"

systemctl stop komainu || fail "stop"
[ "$(systemctl show -P Result komainu)" = success ] || fail "stopped with $(systemctl show -P Result komainu)"
leaves && fail "a stop takes no verdict away"
komainu stop --unload >/dev/null || fail "unload"
leaves || fail "after unload the word must be heard"
echo "installed, started, reloaded, killed, hung, stopped, unloaded"
