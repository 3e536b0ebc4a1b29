#!/bin/sh
# The first process under a kernel of its own: mounts what a system has, switches the security module on, and
# becomes the agent. `seatrial` (apparmor, selinux or cgroup2) and `name` come from the kernel's command line.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
here=/lib/seatrial
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t mqueue mqueue /dev/mqueue
[ -e /dev/ptmx ] || ln -s pts/ptmx /dev/ptmx
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir -p /run/lock
mount -t securityfs securityfs /sys/kernel/security
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
# hostfs has no extended attributes and no overlay: what engines store, and labelled root file systems, lie in memory
for place in /var/lib/docker /var/lib/containers /var/lib/containerd; do
    mkdir -p $place
    mount -t tmpfs -o mode=710,size=60% tmpfs $place
done
mkdir -p "/lib/modules"
[ -e "/lib/modules/$(uname -r)" ] || ln -s "/usr/lib/uml/modules/$(uname -r)" "/lib/modules/$(uname -r)"
# Debian builds this kernel without nftables for IPv4 and IPv6
for tool in iptables ip6tables; do
    for end in "" -save -restore; do ln -sf "$tool-legacy$end" "/usr/sbin/$tool$end"; done
done
modprobe -qa overlay br_netfilter veth iptable_filter iptable_nat ip6table_filter ip6table_nat \
    xt_MASQUERADE xt_conntrack xt_addrtype xt_comment tun
echo 1 >/proc/sys/net/ipv4/ip_forward
ip link set lo up
hostname "$name"
mount --make-rshared /
case $seatrial in
selinux)
    mount -t selinuxfs selinuxfs /sys/fs/selinux
    load_policy -i 2>&1 || load_policy 2>&1
    echo 1 >/sys/fs/selinux/enforce
    ;;
esac
exec perl $here/agent.pl /wire
