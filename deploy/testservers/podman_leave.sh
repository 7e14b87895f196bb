# Removes what an engine has outside of its directory: the processes of its
# containers, their network and their mounts. usage: cd DIRECTORY && sh leave.sh
left() { [ -n "$(./podman ps -aq)" ]; }
for _ in 1 2 3 4 5; do
	left || break
	./podman pod rm -af -t 0
	./podman rm -af -t 0
done >/dev/null
if left; then
	echo "containers are left"
	failed=1
fi
# The fifth word of a line in the table of mounts is the path.
while read -r _ _ _ _ path _; do
	case $path in "$PWD"/*) umount -l "$path" ;; esac
done </proc/self/mountinfo
bridge=$(cat bridge)
if [ -e "/sys/class/net/$bridge" ]; then
	ip link delete "$bridge"
fi
exit ${failed:-0}
