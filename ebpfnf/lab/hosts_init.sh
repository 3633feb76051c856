#!/bin/sh
# The first process of a lab host, in new pid, mount, uts and ipc namespaces and the host's network: it makes the rest of a machine.
#   hosts_init.sh NAME FOLDER ADDRESS PORT...
# FOLDER holds hostkey, authorized and disk/, which outlives the machine; /run, /tmp and the bpffs don't.
set -eu
name=$1 folder=$2 address=$3
shift 3
read -r pid _ </proc/self/stat # as the machine outside counts
root=$folder/root
mkdir -p "$folder/disk/up" "$folder/disk/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/disk/up,workdir=$folder/disk/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t sysfs sysfs "$root/sys"
mount -t bpf bpf "$root/sys/fs/bpf" -o mode=0700
mount -t tmpfs -o mode=755,size=16m tmpfs "$root/run"
mount -t tmpfs -o mode=1777,size=16m tmpfs "$root/tmp"
hostname "$name"
mkdir -p "$root/run/sshd" "$root/var/lib" "$root/etc/ssh/lab" "$root/.before"
cp "$folder/hostkey" "$folder/authorized" "$root/etc/ssh/lab/"
chmod 600 "$root/etc/ssh/lab/hostkey"
sed -i 's/^root:[^:]*/root:*/' "$root/etc/shadow" # an account that is locked may not come in by key either
sed -i 's|^\(root:.*:\)[^:]*$|\1/bin/sh|' "$root/etc/passwd" # bash would do what this machine's root has in ~/.bashrc
cat >"$root/etc/ssh/lab/config" <<END
ListenAddress $address
HostKey /etc/ssh/lab/hostkey
AuthorizedKeysFile /etc/ssh/lab/authorized
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
END
cd "$root"
pivot_root . .before
cd /
echo "$pid" >"/.before$folder/pid.new"
mv "/.before$folder/pid.new" "/.before$folder/pid"
umount -l /.before
boot() { # what ran before a power cut runs again before the first packet comes; as systemd would do it, where the unit is installed
	unit=/etc/systemd/system/ebpfnf.service
	if [ -e "$unit" ]; then
		systemd-tmpfiles --create ebpfnf.conf
		user=$(sed -n 's/^User=//p' "$unit")
		caps=-all,$(sed -n 's/^AmbientCapabilities=CAP_/+/p' "$unit" | sed 's/ CAP_/,+/g' | tr A-Z a-z)
		setpriv --reuid="$user" --regid="$user" --init-groups --inh-caps="$caps" --ambient-caps="$caps" --bounding-set="$caps" \
			--no-new-privs $(sed -n 's/^ExecStart=//p' "$unit")
	else
		/usr/bin/python3 -I /var/lib/ebpfnf/agent/current.pyz boot
	fi
}
[ ! -e /var/lib/ebpfnf/agent/current.pyz ] || boot >/var/lib/ebpfnf/boot.log 2>&1 </dev/null || :
for port in "$@"; do ip link set "$port" up; done
/usr/sbin/sshd -D -e -f /etc/ssh/lab/config &
wait # also for whoever lost its parent
