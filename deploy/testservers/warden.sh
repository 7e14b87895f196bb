# Waits for the death of the program that started servers in a directory, and
# then ends whatever is left of them. usage: sh warden.sh DIRECTORY <pipe
#
# The pipe's other end is open as long as that program lives. If it cleaned up,
# the directory is gone by then, and there is nothing to do. A process belongs to
# the directory if it carries it in its environment, or if its parent belongs. The
# name server of podman's networks serves other engines, too, and ends by itself.
trap '' HUP INT TERM
dir=$1
read -r _
[ -d "$dir" ] || exit 0

# belonging writes the process ids of all that belong.
belonging() {
	found=" $(cd /proc && grep -lzF "FLYBALL_TESTSERVER=$dir/" [0-9]*/environ 2>/dev/null |
		while read -r file; do
			pid=${file%/*}
			grep -qsx aardvark-dns "$pid/comm" || echo "$pid"
		done | tr '\n' ' ')"
	more=yes
	while [ -n "$more" ]; do
		more=
		for stat in /proc/[0-9]*/stat; do
			read -r line 2>/dev/null <"$stat" || continue
			pid=${line%% *}
			rest=${line##*) }
			rest=${rest#* }
			case $found in *" $pid "*) continue ;; esac
			case $found in *" ${rest%% *} "*) found="$found$pid " more=yes ;; esac
		done
	done
	echo $found
}

# They are stopped first, so that none makes another while it is looked for.
known=
while pids=$(belonging) && [ "$pids" != "$known" ]; do
	known=$pids
	[ -z "$pids" ] || kill -STOP $pids 2>/dev/null
done
[ -z "$known" ] || kill -KILL $known 2>/dev/null

for script in "$dir"/*/leave.sh; do
	[ ! -e "$script" ] || (cd "${script%/*}" && sh ./leave.sh)
done
for file in "$dir"/*/data/postmaster.pid; do
	[ ! -e "$file" ] || ipcrm -m "$(sed -n '7s/.* //p' "$file")"
done
until rm -rf "$dir"; do sleep 1; done
