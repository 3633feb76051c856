#!/bin/sh
# A small Linux that bridges its two network interfaces: Debian's cloud kernel, its drivers and busybox. Makes `vmlinuz` and `initrd`
# beside this file and leaves them alone as long as Debian has no newer packages. Needs apt, dpkg-deb and the network; nothing is installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
[ -n "$kernel" ] || { echo "no linux-image-cloud-amd64 among apt's packages: apt-get update" >&2; exit 1; }
packages="$kernel busybox-static cpio xz-utils"
# shellcheck disable=SC2086 -- words
wanted=$(apt-cache show --no-all-versions $packages | grep '^SHA256: ' | cat - "$0" | sha256sum)
if [ -f "$here/initrd" ] && [ "$(cat "$here/made-of" 2>/dev/null)" = "$wanted" ]; then exit 0; fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
# shellcheck disable=SC2086
apt-get -qq download $packages 2>/dev/null
for package in *.deb; do dpkg-deb -x "$package" packages; done

mkdir -p root/bin root/modules root/dev root/proc root/sys
cp "$(find packages -path '*/bin/busybox' -type f)" root/bin/
# in the order in which they need each other
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover virtio_net llc stp bridge; do
	found=$(find packages -name "$module.ko" -o -name "$module.ko.xz" | head -n 1)
	case "$found" in
	*.xz) packages/usr/bin/xz -dc "$found" >"root/modules/$module.ko" ;;
	*.ko) cp "$found" root/modules/ ;;
	*)
		grep -rqs "/$module.ko" --include=modules.builtin packages || { echo "$kernel has no $module.ko" >&2; exit 1; }
		continue
		;;
	esac
	echo "$module" >>root/modules/order
done
cat >root/init <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module.ko"; done </modules/order
brctl addbr br0
for interface in eth0 eth1; do
	brctl addif br0 "$interface"
	ip link set "$interface" up
done
ip link set br0 up
until grep -q 3 /sys/class/net/eth0/brport/state && grep -q 3 /sys/class/net/eth1/brport/state; do usleep 20000; done
echo "bridging: eth0 eth1" >/dev/console
while :; do sleep 3600; done
INIT
chmod +x root/init
cpio=$PWD/$(find packages -name cpio -type f -path '*/bin/*')
(cd root && find . | LC_ALL=C sort | "$cpio" --quiet -o -H newc -R 0:0 | gzip -n -9) >"$here/initrd.new"
cp packages/boot/vmlinuz-* "$here/vmlinuz"
mv "$here/initrd.new" "$here/initrd"
echo "$wanted" >"$here/made-of"
