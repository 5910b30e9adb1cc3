# auditd as a peer: source it.  audit_absent: prints why it cannot be one.  audit_start, audit_stop:
# a daemon with a configuration of its own and one rule, every execve. The audit state of a kernel is
# one for the whole host, and a host where somebody uses it is left alone.
# After auditd ran once, every new task takes the slow way into the kernel until the rule task,never
# (or a reboot): so that rule stands for everybody but auditd itself.
# shellcheck shell=bash
audit_dir='' audit_pid=''

audit_absent() {
	if [ "$(id -u)" != 0 ]; then
		echo "needs root"
	elif ! command -v auditd >/dev/null || ! command -v auditctl >/dev/null; then
		echo "auditd is not installed"
	elif ! auditctl -s >/dev/null 2>&1; then
		echo "this kernel has no audit"
	elif [ "$(auditctl -s | awk '$1 == "pid" { print $2 }')" != 0 ]; then
		echo "an audit daemon is in use on this host"
	elif auditctl -l | grep -v -e 'No rules' -e 'never,task' -e 'task,never' | grep -q .; then
		echo "audit rules are in use on this host"
	else
		return 1
	fi
}

audit_start() {
	audit_dir=$(mktemp -d)
	chmod 700 "$audit_dir"
	printf '%s\n' "log_file = $audit_dir/audit.log" 'log_format = RAW' 'flush = INCREMENTAL_ASYNC' \
		'freq = 50' 'num_logs = 2' 'max_log_file = 50' 'max_log_file_action = ROTATE' \
		'space_left = 75' 'space_left_action = IGNORE' 'admin_space_left = 50' \
		'admin_space_left_action = IGNORE' 'disk_full_action = IGNORE' 'disk_error_action = IGNORE' \
		'priority_boost = 0' 'name_format = NONE' 'local_events = yes' 'write_logs = yes' \
		>"$audit_dir/auditd.conf"
	auditd -n -c "$audit_dir" >/dev/null 2>"$audit_dir/err" &
	audit_pid=$!
	local i
	for ((i = 0; i < 50; i++)); do
		[ "$(auditctl -s | awk '$1 == "pid" { print $2 }')" = 0 ] || break
		sleep 0.1
	done
	auditctl -D >/dev/null 2>&1 # task,never of the last round too
	auditctl -e 1 >/dev/null
	auditctl -b 8192 >/dev/null
	auditctl -a always,exit -F arch=b64 -S execve >/dev/null || { cat "$audit_dir/err" >&2 && return 1; }
}

audit_stop() {
	auditctl -D >/dev/null 2>&1
	auditctl -e 0 >/dev/null 2>&1
	auditctl -a task,never >/dev/null 2>&1
	[ -z "$audit_pid" ] || { kill "$audit_pid" 2>/dev/null && wait "$audit_pid" 2>/dev/null; }
	audit_pid=''
	[ -z "$audit_dir" ] || rm -rf "$audit_dir"
}
