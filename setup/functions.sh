# What ./demo and ./test share: a bare Debian or Ubuntu machine becomes one that can run ebpfnf.
# Sourced by bash with `set -euo pipefail`, in the repository's root.

readonly PACKAGES=(python3 python3-venv python3-bpfcc linux-libc-dev iproute2)
# Unikernels built and run; their images are for amd64.
BUILD_PACKAGES=(gcc libc6-dev zlib1g-dev liblz4-dev) VM_PACKAGES=()
[[ $(uname -m) != x86_64 ]] || VM_PACKAGES=("${BUILD_PACKAGES[@]}" qemu-system-x86 libvirt-daemon-driver-qemu python3-libvirt)
# What only tests need: hosts by ssh, unikernels as processes and under a fuzzer, libvirt's daemon.
TEST_PACKAGES=(openssh-server sudo systemd iputils-ping nftables ethtool haproxy curl clang libclang-rt-dev "${BUILD_PACKAGES[@]}" "${VM_PACKAGES[@]}")
[[ $(uname -m) != x86_64 ]] || TEST_PACKAGES+=(libvirt-daemon-system)
readonly PYTHON=/usr/bin/python3 VENV=.venv

fail() { # what [cure]: one line, and the end
	printf '%s: %s%s\n' "${0##*/}" "$1" "${2:+ ($2)}" >&2
	exit "${CODE:-1}"
}

as_root() { # command...: with root's rights, by sudo where we don't have them
	if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

can_be_root() { # true where as_root will work without surprising anybody
	((EUID == 0)) && return
	command -v sudo >/dev/null || return
	sudo -n true 2>/dev/null || [[ -t 0 && -t 1 ]]
}

step() { # title command...: runs it quietly; a moving line on a terminal, a plain one elsewhere; its last words when it fails
	local title=$1 log code=0 began=$SECONDS turn=0 marks='|/-\'
	shift
	log=$(mktemp)
	if [[ -t 1 ]]; then
		"$@" >"$log" 2>&1 </dev/null &
		local child=$! columns=0 short tail
		while kill -0 "$child" 2>/dev/null; do
			read -r _ columns < <({ stty size </dev/tty; } 2>/dev/null) || true # a line that wraps can't be written over
			((columns)) || columns=80
			tail="  $((SECONDS - began))s $(progress "$log")"
			short=$(shortened "$title" $((columns - ${#tail} - 5)))
			printf '\r  %s %s%s\033[K' "${marks:turn++%4:1}" "$short" "$tail"
			sleep 0.1
		done
		wait "$child" || code=$?
		((code)) && printf '\r  ✗ %s\033[K\n' "$title" || printf '\r  ✓ %s (%ds)\033[K\n' "$title" $((SECONDS - began))
	else
		echo "  $title ..."
		"$@" >"$log" 2>&1 </dev/null || code=$?
	fi
	((code)) && tail -n 5 "$log" | cut -c1-200 >&2
	rm -f "$log"
	return "$code"
}

shortened() { # text width: what of it fits
	((${#1} <= $2)) && echo "$1" || echo "${1:0:$(($2 > 1 ? $2 - 1 : 0))}…"
}

progress() { # log: how far it is, by what apt (APT::Status-Fd) and pip say
	local percent
	percent=$(grep -aoE '^(dlstatus|pmstatus):[^:]*:[0-9]+' "$1" | tail -n 1)
	if [[ $percent ]]; then
		echo "${percent##*:}%"
	else
		grep -aoE '^(Collecting|Installing) [A-Za-z0-9_.-]+' "$1" | tail -n 1 || true
	fi
}

missing_packages() { # [package...]: of those that everything needs, or of these
	local package
	for package in "${@:-${PACKAGES[@]}}"; do
		[[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || printf '%s ' "$package"
	done
}

install_packages() { # package...; a mirror that fails to refresh matters only if a package then can't be had
	local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3)
	as_root "${apt[@]}" update || true
	as_root "${apt[@]}" -o APT::Status-Fd=1 install --no-install-recommends "$@"
}

set_up_packages() { # [package...]: see missing_packages
	local -a missing
	read -ra missing <<<"$(missing_packages "$@")" || true
	((${#missing[@]})) || return 0
	command -v apt-get >/dev/null || fail "'${missing[*]}' missing, and this is no Debian or Ubuntu" "install their like by hand"
	can_be_root || CODE=77 fail "'${missing[*]}' missing, root is needed to install them" "sudo apt-get install ${missing[*]}"
	step "installing ${missing[*]}" install_packages "${missing[@]}" ||
		CODE=69 fail "'${missing[*]}' could not be installed" "is the network up? then: apt-get update && apt-get install ${missing[*]}"
}

set_up_venv() { # [extra]: .venv with ebpfnf in it, remade only when pyproject.toml, python or the place changed
	local wanted have='' extra=${1-}
	wanted="$(sha256sum <pyproject.toml | cut -d' ' -f1) $("$PYTHON" -V) $PWD"
	exec 9<pyproject.toml # one set-up at a time
	flock 9
	[[ -r $VENV/.set-up ]] && have=$(<"$VENV/.set-up")
	# what has the extra also serves those who don't need it
	if [[ $have != "$wanted [dev]" && ($extra || $have != "$wanted []") ]]; then
		[[ ! -e $VENV || -w $VENV ]] || CODE=77 fail "'$VENV' is out of date and not yours to write" "run as $(stat -c %U "$VENV"), or remove it"
		if ! "$VENV/bin/python" -c "import sys; sys.exit(sys.version.split()[0] != '$("$PYTHON" -V | cut -d' ' -f2)')" 2>/dev/null; then
			step "making $VENV" "$PYTHON" -m venv --clear --system-site-packages "$VENV" || fail "'$VENV' could not be made" "apt-get install python3-venv"
		fi
		step "installing python packages" "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input -e ".${extra:+[$extra]}" ||
			CODE=69 fail "python packages could not be installed" "is the package index reachable? pip's own settings are used"
		echo "$wanted [$extra]" >"$VENV/.set-up"
	fi
	# bytecode, as what runs by sudo writes none; without it each command takes a tenth of a second more
	[[ ! -w ebpfnf ]] || "$VENV/bin/python" -m compileall -q ebpfnf || true
	exec 9<&-
}

set_up_vms() { # libvirt's driver wants the user of its daemon, which we don't install: nothing runs as that user
	((${#VM_PACKAGES[@]} == 0)) || getent passwd libvirt-qemu >/dev/null ||
		as_root useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin libvirt-qemu
}

set_up_kernel() { # what programs need to be loaded and pinned
	ulimit -l unlimited 2>/dev/null || true # kernels before 5.11 charge maps to RLIMIT_MEMLOCK
	if [[ $(stat -f -c %T /sys/fs/bpf 2>/dev/null) != bpf_fs ]]; then
		as_root mount -t bpf bpf /sys/fs/bpf 2>/dev/null ||
			fail "no bpffs at /sys/fs/bpf, and it could not be mounted" "mount -t bpf bpf /sys/fs/bpf; in a container that needs CAP_SYS_ADMIN"
	fi
}
