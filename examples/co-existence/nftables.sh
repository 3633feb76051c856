#!/bin/sh
# nftables in a network namespace of its own, as a bridge between the interfaces nft0 and nft1 of the namespace HOST:
#
#   nftables.sh up HOST | count HOST | cut HOST | mend HOST | down HOST
#
# count: packets that its rules saw. cut takes its carrier away, mend gives it back.
set -eu
[ $# -eq 2 ] || { sed -n '2,6s/^# \?//p' "$0" >&2; exit 2; }
inside="$2-nft"
ip -n "$2" link >/dev/null

case "$1" in
up)
	ip netns add "$inside"
	ip netns exec "$inside" sysctl -qw net.ipv6.conf.default.disable_ipv6=1 # its own frames would be counted as the function's
	for n in 0 1; do
		ip -n "$2" link add "nft$n" type veth peer name "p$n" netns "$inside"
		ip netns exec "$2" sysctl -qw "net.ipv6.conf.nft$n.disable_ipv6=1"
		ip netns exec "$inside" ethtool -K "p$n" gro on # else it takes nothing that XDP redirects
		ip -n "$inside" link set "p$n" up
		ip -n "$2" link set "nft$n" up
	done
	ip -n "$inside" link add br0 type bridge mcast_snooping 0
	ip -n "$inside" link set br0 up
	for n in 0 1; do ip -n "$inside" link set "p$n" master br0; done
	ip netns exec "$inside" nft -f - <<-RULES
		table bridge filter {
			counter seen { }
			chain forward {
				type filter hook forward priority 0; policy accept;
				counter name seen
				ip daddr 198.51.100.7 tcp dport 22 drop
			}
		}
	RULES
	;;
count) ip netns exec "$inside" nft -j list counter bridge filter seen | sed 's/.*"packets": \([0-9]*\).*/\1/' ;;
cut) ip -n "$inside" link set p1 down ;;
mend) ip -n "$inside" link set p1 up ;;
down) ip netns del "$inside" ;; # its ends of the cables go with it
*) exit 2 ;;
esac
