#!/bin/sh
# Turns the namespaces it was started in into a lab host, then stands still as their keeper.
#   host.sh ROOT WORK NAME KEY SHARE PROGRAM
# ROOT is shared read-only below an overlay; WORK holds the storage of engines; SHARE is visible under
# the same path inside; KEY is the lab's name in the cgroups; PROGRAM (or nothing) is to be seen inside,
# wherever on this machine it is.
# Enters by pivot_root: under chroot, exec'd processes land in this machine's root.
set -eu
root=$1 work=$2 name=$3 key=$4 share=$5 program=${6-}

stage=$work/stage
mkdir -p "$stage" "$share"
mount -t tmpfs -o mode=755 tmpfs "$stage"
mkdir "$stage/upper" "$stage/work" "$stage/merged"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$stage/upper,workdir=$stage/work" "$stage/merged"
new=$stage/merged

mount -t proc proc "$new/proc"
mount -t sysfs sysfs "$new/sys"      # a fresh one shows the devices of this network namespace
mount --rbind /dev "$new/dev"
mount -t tmpfs -o mode=1777 tmpfs "$new/dev/shm"   # Podman keeps its locks here
mount -t tmpfs -o mode=755 tmpfs "$new/run"
mount -t tmpfs -o mode=1777 tmpfs "$new/tmp"
[ ! -d /sys/kernel/security/lsm ] || mount --rbind /sys/kernel/security "$new/sys/kernel/security"

group=seatrial/$key
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup/$group"
    for level in /sys/fs/cgroup /sys/fs/cgroup/seatrial "/sys/fs/cgroup/$group"; do
        for controller in $(cat "$level/cgroup.controllers"); do
            echo "+$controller" >"$level/cgroup.subtree_control" 2>/dev/null || true
        done
    done
    mount --bind "/sys/fs/cgroup/$group" "$new/sys/fs/cgroup"
else
    mount -t tmpfs -o mode=755 tmpfs "$new/sys/fs/cgroup"
    for hierarchy in /sys/fs/cgroup/*; do
        kind=${hierarchy##*/}
        # crun refuses a hybrid layout, so the empty unified hierarchy stays outside
        [ -f "$hierarchy/tasks" ] || continue
        if [ -L "$hierarchy" ]; then ln -s "$(readlink "$hierarchy")" "$new/sys/fs/cgroup/$kind"; continue; fi
        mkdir -p "$hierarchy/$group" "$new/sys/fs/cgroup/$kind"
        if [ -f "$hierarchy/cpuset.cpus" ]; then
            for level in "$hierarchy/seatrial" "$hierarchy/$group"; do
                cat "$hierarchy/cpuset.cpus" >"$level/cpuset.cpus"
                cat "$hierarchy/cpuset.mems" >"$level/cpuset.mems"
            done
        fi
        mount --bind "$hierarchy/$group" "$new/sys/fs/cgroup/$kind"
    done
fi

for kept in lib/docker lib/containers lib/containerd; do
    mkdir -p "$work/data/$kept" "$new/var/$kept"
    mount --bind "$work/data/$kept" "$new/var/$kept"
done
if [ -n "$program" ] && [ ! -e "$new$program" ]; then
    place=${program%/*}
    mkdir -p "$new$place"
    mount --bind "$place" "$new$place"
fi
mkdir -p "$new$share" "$new/old"
mount --rbind "$share" "$new$share"
hostname "$name"
echo "$name" >"$new/etc/hostname"
printf '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\t%s\n' "$name" >"$new/etc/hosts"
# nothing is reachable from a lab, but an engine wants a resolver that is not on loopback
echo 'nameserver 192.0.2.53' >"$new/etc/resolv.conf"

cd "$new"
pivot_root . old
cd /
umount -l /old
rmdir /old
mount --make-rshared /
ip link set lo up
echo ready
exec sleep infinity >/dev/null 2>&1
