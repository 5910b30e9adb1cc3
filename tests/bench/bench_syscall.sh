#!/bin/bash
# What a system call costs that nobody watches. A sensor that hangs on sys_enter taxes every one.
here=$(dirname "$0")
# shellcheck source=tests/bench/sensor.sh
. "$here/sensor.sh"
# shellcheck source=tests/bench/audit.sh
. "$here/audit.sh"
case ${1:-} in
candidates)
	printf 'nothing\nkomainu\n'
	if why=$(audit_absent); then printf -- '-auditd\t%s\n' "$why"; else echo auditd; fi
	printf 'goal\tgetppid\tkomainu\tratio\t1.01\n'
	;;
round)
	case $2 in
	komainu) sensor_start || exit 1 ;;
	auditd) trap audit_stop EXIT && { audit_start || exit 1; } ;;
	esac
	"$BUILD/tests/bench/tool_syscall"
	;;
esac
