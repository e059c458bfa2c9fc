#!/bin/busybox sh
# udhcpc's script: what the DHCP server said becomes address, MTU and routes.
# shellcheck disable=SC2154 # udhcpc hands over what it learnt in the environment
case $1 in
bound | renew) ;;
*) exit 0 ;;
esac

ip addr flush dev "$interface"
ip addr add "$ip/$mask" dev "$interface"
if [ -n "$mtu" ]; then
    ip link set "$interface" mtu "$mtu"
fi
echo "$ip/$mask" >"/run/address-$interface"
if [ "$interface" != eth0 ]; then
    # Only the first interface leads outside; the metadata of a further one are asked for by it.
    # shellcheck disable=SC2086 # as below
    set -- $staticroutes
    while [ $# -ge 2 ]; do
        case $1 in 169.254.*) ip route replace "$1" via "$2" dev "$interface" ;; esac
        shift 2
    done
    exit 0
fi
if [ -n "$staticroutes" ]; then
    # RFC 3442: when classless routes are given, the router option is not to be used.
    # shellcheck disable=SC2086 # a list of words: network gateway network gateway …
    set -- $staticroutes
    while [ $# -ge 2 ]; do
        if [ "$2" = 0.0.0.0 ]; then
            ip route add "$1" dev "$interface"
        else
            ip route add "$1" via "$2" dev "$interface"
        fi
        shift 2
    done
else
    for gateway in $router; do
        ip route add default via "$gateway" dev "$interface"
    done
fi
echo "$ip/$mask" >/run/address
