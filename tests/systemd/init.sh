#!/bin/bash
# Process 1 of a new host until it becomes systemd: mounts what systemd expects, then changes the root to $1.
# Runs in new pid, mount, network, ipc, uts and cgroup namespaces (tests/systemd/host.py).
set -eu
root=$1

mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"

mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
for name in null zero full random urandom tty; do
    : >"dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for number in 0 1 2; do
    ln -s "/proc/self/fd/$number" "dev/$(printf 'stdin stdout stderr' | cut -d' ' -f$((number + 1)))"
done

# The kernel's hierarchies as this machine has them, each seen from the host's own group.
options=()
if [[ $(stat -fc %T /sys/fs/cgroup) == cgroup2fs ]]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
    for controller in cpu cpuacct cpuset memory devices freezer blkio pids; do
        mkdir "sys/fs/cgroup/$controller"
        mount -t cgroup -o "$controller" cgroup "sys/fs/cgroup/$controller" 2>/dev/null || rmdir "sys/fs/cgroup/$controller"
    done
    mkdir sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
    options=(systemd.unified_cgroup_hierarchy=0)
fi

ip link set lo up
mkdir -p run/host
echo container-other >run/host/container-manager
mkdir -p mnt
pivot_root . mnt
umount -l /mnt
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 \
    /lib/systemd/systemd --log-target=console --log-level=info --show-status=no "${options[@]}"
