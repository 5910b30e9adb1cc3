#!/bin/bash
# The completion scripts of the binary: their shells accept them, and they complete words, options
# and files. zsh and fish are asked where they are installed.
set -u
komainu=${KOMAINU:?the binary}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failed=0 here=$PWD
fail() { echo "$*"; failed=1; }

for shell in bash zsh fish; do
	"$komainu" completion "$shell" >"$tmp/$shell" || fail "completion $shell: exit $?"
	[ -s "$tmp/$shell" ] || fail "completion $shell: empty"
	if command -v "$shell" >/dev/null; then
		"$shell" -n "$tmp/$shell" || fail "$shell does not accept its script"
	else
		echo "note: no $shell here, its script is not run"
	fi
done
"$komainu" completion tcsh >/dev/null 2>&1
[ $? = 2 ] || fail "an unknown shell is not bad usage"

# bash_says WORD... : what bash offers for the last word
bash_says() {
	bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _komainu; echo " ${COMPREPLY[*]} "' \
		bash "$tmp/bash" komainu "$@"
}
expect() { # OFFER WORD... : the offer has this word
	local want=$1 got
	shift
	got=$(bash_says "$@")
	case $got in *" $want "*) ;; *) fail "bash: komainu $*: \"$want\" is not in:$got" ;; esac
}
refuse() {
	local want=$1 got
	shift
	got=$(bash_says "$@")
	case $got in *" $want "*) fail "bash: komainu $*: \"$want\" is in:$got" ;; esac
}
expect status st
expect stop st
refuse probe st
expect bash completion ""
expect --watch status --w
expect --run-dir status --
expect check policy c
refuse status policy ""
refuse check ""
expect status --run-dir /x ""
mkdir -p "$tmp/folder/inner"
touch "$tmp/folder/file.yaml"
cd "$tmp/folder" || exit 1
expect file.yaml policy check f
expect inner --run-dir i
refuse file.yaml --run-dir f
cd "$here" || exit 1

# every command that help lists is offered, word by word
"$komainu" help | awk '/^  [a-z]/ { print $1 }' | sort -u >"$tmp/words"
[ -s "$tmp/words" ] || fail "help lists nothing"
while read -r word; do
	[ "$word" = command ] || expect "$word" ""
done <"$tmp/words"

if command -v zsh >/dev/null; then
	zsh_says() {
		zsh -fc 'compdef() { :; }; compadd() { shift; print -rn -- " ${(j: :)@} "; }
			_files() { print -rn -- " FILES "; }
			source "$1"; shift; words=("$@"); CURRENT=$#; _komainu' zsh "$tmp/zsh" komainu "$@"
	}
	case $(zsh_says st) in *" status "*) ;; *) fail "zsh: no words" ;; esac
	case $(zsh_says policy "") in *" check "*) ;; *) fail "zsh: no words of policy" ;; esac
	case $(zsh_says status --) in *" --watch "*) ;; *) fail "zsh: no options" ;; esac
	case $(zsh_says policy check x) in *" FILES "*) ;; *) fail "zsh: no files" ;; esac
fi
if command -v fish >/dev/null; then
	fish_says() {
		HOME=$tmp XDG_CONFIG_HOME=$tmp fish -c "source $tmp/fish; complete -C '$1'" 2>&1
	}
	fish_says 'komainu st' | grep -q '^status' || fail "fish: no words"
	fish_says 'komainu policy ' | grep -q '^check' || fail "fish: no words of policy"
	fish_says 'komainu policy ' | grep -q '^status' && fail "fish: words of another level"
	fish_says 'komainu status --' | grep -q '^--watch' || fail "fish: no options"
fi
exit $failed
