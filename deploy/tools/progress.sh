#!/usr/bin/env bash
# Shows how far a Go build is: progress.sh TOTAL < the output of `go build -v`.
# In a terminal it keeps one line up to date, else it prints one line in a hundred
# packages. Whatever is not progress, an error above all, passes through to stderr.
set -euo pipefail
total=$1 done=0 fetched=0

show() { # how many, of what
	if [ -t 1 ]; then
		printf '\r\033[K%s' "$1"
	elif (($2 % 100 == 0)); then
		printf '%s\n' "$1"
	fi
}

while IFS= read -r line; do
	case $line in
	"go: downloading "*)
		fetched=$((fetched + 1))
		show "  fetched $fetched modules (${line#go: downloading })" "$fetched"
		;;
	*" "*)
		[ ! -t 1 ] || printf '\r\033[K'
		printf '%s\n' "$line" >&2
		;;
	*)
		done=$((done + 1))
		show "  compiled $done of $total packages ($line)" "$done"
		;;
	esac
done
[ ! -t 1 ] || printf '\r\033[K'
