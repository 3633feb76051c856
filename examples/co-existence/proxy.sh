#!/bin/sh
# A network namespace for a proxy, behind the interface proxy0 of the namespace HOST:
#
#   proxy.sh up HOST [COMMAND...] | down HOST
#
# With a command `up` becomes it, in the namespace: proxy.sh up HOST haproxy -f haproxy.cfg
set -eu
[ $# -ge 2 ] || { sed -n '2,6s/^# \?//p' "$0" >&2; exit 2; }
verb=$1 host=$2 inside="$2-proxy"
shift 2

case "$verb" in
up)
	ip netns add "$inside"
	ip -n "$host" link add proxy0 type veth peer name eth0 netns "$inside"
	ip netns exec "$inside" ethtool -K eth0 gro on tx off >/dev/null # takes what XDP redirects; finishes checksums itself
	ip -n "$inside" link set eth0 address 02:00:00:00:99:02 up
	ip -n "$host" link set proxy0 up
	ip -n "$host" addr add 10.99.0.1/30 dev proxy0
	ip -n "$inside" link set lo up
	ip -n "$inside" addr add 198.51.100.7/32 dev lo
	ip -n "$inside" addr add 10.99.0.2/30 dev eth0
	ip -n "$inside" route add default via 10.99.0.1
	[ $# -eq 0 ] || exec ip netns exec "$inside" "$@"
	;;
down) ip netns del "$inside" ;;
*) exit 2 ;;
esac
