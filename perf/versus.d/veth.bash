# Rows of perf/versus on a veth pair between two network namespaces. Sourced; needs what the other parts have.
#
# The receiving half of each end runs in a kernel thread on the core of its side, as the interrupts of a network card
# would, and that of the servers' end counts as theirs; not so in the rows wire. One server runs at a time: an interface
# takes one XDP program, and a program makes the path through the kernel slower.

readonly SERVER_SPACE=petrel-s$$ CLIENT_SPACE=petrel-c$$
readonly server_interface=s$$ client_interface=c$$
readonly SERVER_ADDRESS=198.18.5.1 CLIENT_ADDRESS=198.18.5.2
# Merged, since one by one the generator is slower than a server over AF_XDP; in flight no more than the 256 places that a
# queue of veth has.
readonly MERGED=(--gso --sockets 12 --window 192)
# How many times of its peak a server is asked in an overload.
readonly OVERLOAD=2

# What the rows wire offer: more than any server answers, so that each is saturated. Who sends then does the receiving half
# of the other end, as on the loopback interface: what a server does not come to is dropped at the generator's expense, and
# at the server's there is of a reply what the program that counts it takes.
readonly FLOODED=(--rate 3000000)

# Makes the pair, with addresses, neighbours and, if the argument is 1, kernel threads.
make_veth() {
    local threaded=$1 space interface local_address remote core
    ip netns add "$SERVER_SPACE"
    ip netns add "$CLIENT_SPACE"
    ip link add "$server_interface" netns "$SERVER_SPACE" numtxqueues 1 numrxqueues 1 type veth \
        peer name "$client_interface" netns "$CLIENT_SPACE" numtxqueues 1 numrxqueues 1
    while read -r space interface local_address remote core; do
        ip -n "$space" link set lo up
        ip -n "$space" address add "$local_address/24" dev "$interface"
        ip -n "$space" link set "$interface" up
        # Sums must be whole where a program, not the kernel, reads them; GRO makes veth use NAPI.
        ip netns exec "$space" ethtool -K "$interface" tx off gro on >/dev/null
        ip netns exec "$space" sh -c "echo $threaded >/sys/class/net/$interface/threaded"
    done <<<"$SERVER_SPACE $server_interface $SERVER_ADDRESS $CLIENT_ADDRESS 0
$CLIENT_SPACE $client_interface $CLIENT_ADDRESS $SERVER_ADDRESS 1"
    neighbour "$SERVER_SPACE" "$server_interface" "$CLIENT_ADDRESS" "$CLIENT_SPACE" "$client_interface"
    neighbour "$CLIENT_SPACE" "$client_interface" "$SERVER_ADDRESS" "$SERVER_SPACE" "$server_interface"
    boost_napi
}

# Tells one end the link address of the other, so that nothing waits for ARP: space, interface, address, space and
# interface of the other.
neighbour() {
    ip -n "$1" neighbour replace "$3" lladdr "$(link_of "$4" "$5")" dev "$2" nud permanent
}

# The link address of an interface: space, interface.
link_of() {
    ip netns exec "$1" cat "/sys/class/net/$2/address"
}

# The kernel threads of an interface.
napi_of() {
    # Their names are cut off, so the interface's is short.
    ps -e -o pid=,comm= | awk -v name="napi/$1" 'index($2, name) == 1 { print $1 }'
}

# Puts the kernel threads where their sides are, before whatever else runs there.
boost_napi() {
    local thread
    mapfile -t kernel_threads < <(napi_of "$server_interface")
    for thread in "${kernel_threads[@]}"; do
        taskset -p -c $SERVER_CORE "$thread" >/dev/null
        renice -n -15 -p "$thread" >/dev/null
    done
    for thread in $(napi_of "$client_interface"); do
        taskset -p -c $CLIENT_CORE "$thread" >/dev/null
        renice -n -15 -p "$thread" >/dev/null
    done
}

# Removes what make_veth made, as far as it came.
remove_veth() {
    ip netns del "$SERVER_SPACE" 2>/dev/null || true
    ip netns del "$CLIENT_SPACE" 2>/dev/null || true
}

# Whether a program of ours can do AF_XDP.
has_xdp() {
    "$1" --help | grep -q -- --xdp
}

# Starts a server of the row alone, runs a load on it and stops it: row, server, round, seconds, kind and options of the
# generator.
alone() {
    local row=$1 server=$2 round=$3 secs=$4 generator=$5
    shift 5
    # Threads come and go with programs on the interface.
    start "$row" "$server" || return 0
    boost_napi
    load - "$server" 0 gun "$WARM_SECS"
    load "$row" "$server" "$round" "$generator" "$secs" "$@"
    stop "$server"
    # Some leave their program on the interface, where the next one finds it taken.
    ip -n "$SERVER_SPACE" link set dev "$server_interface" xdp off 2>/dev/null || true
}

# A row on the pair.
on_veth() {
    local row=$1 round server servers=(R petrel knot-xdp) peak
    if [[ $(id -u) -ne 0 ]]; then
        printf '%s: only root may make network namespaces\n' "$row" >&2
        return
    fi
    address=$SERVER_ADDRESS
    in_server=(ip netns exec "$SERVER_SPACE") in_client=(ip netns exec "$CLIENT_SPACE")
    local generator=(gun "${MERGED[@]}") threaded=1
    if [[ $row == wire* ]]; then
        servers=(R petrel knot nsd knot-xdp) generator=(wire "${FLOODED[@]}") threaded=0
    fi
    if has_xdp "$kit/reflect"; then servers+=(X); fi
    if has_xdp "$bin/dns-dataplane"; then
        servers+=(petrel-xdp)
    else
        printf '%s: this build of Petrel has no AF_XDP\n' "$row" >&2
    fi
    make_veth $threaded
    compile "$row" "$set"
    for ((round = 1; round <= ROUNDS; round++)); do
        if [[ $row != overload ]]; then
            for server in "${servers[@]}"; do
                alone "$row" "$server" "$round" "$SECS" "${generator[@]}"
            done
            continue
        fi
        for server in "${servers[@]}"; do
            [[ $server != [RX] ]] || continue
            start "$row" "$server" || continue
            boost_napi
            load "$row-peak" "$server" "$round" gun "$SECS" "${MERGED[@]}"
            peak=$(field qps "$told")
            load "$row" "$server" "$round" gun "$SECS" --gso --sockets 12 --no-window \
                --rate "$(awk -v peak="$peak" -v times=$OVERLOAD 'BEGIN { print peak * times }')"
            stop "$server"
            ip -n "$SERVER_SPACE" link set dev "$server_interface" xdp off 2>/dev/null || true
        done
    done
    remove_veth
}
