# Starts, pins, watches and stops the servers of perf/versus. Sourced; needs $work, $data, $kit, $bin.
#
# A server is a name: R (the reflector), petrel, knot, nsd; on the veth pair also X, petrel-xdp and knot-xdp. What it
# needs to know of the row comes in $set, $address, and $in_server, the words that run a command where servers are.

readonly SERVER_CORE=0
# How long a server may take to its first answer.
readonly PATIENCE_SECS=120
declare -A pid=() port=()
in_server=() in_client=()

# A port that nobody has. Another may take it before we do; then the server does not start, and the row says so.
free_port() {
    local candidate
    while :; do
        candidate=$((20000 + RANDOM % 40000))
        awk -v hex=":$(printf %04X $candidate)" 'index($2, hex) { exit 1 }' /proc/net/{udp,udp6,tcp,tcp6} && break
    done
    printf '%s\n' $candidate
}

# Address and port as the generator wants them.
endpoint() {
    if [[ $address == *:* ]]; then printf '[%s]:%s\n' "$address" "$1"; else printf '%s:%s\n' "$address" "$1"; fi
}

# Becomes a command that goes before whatever else runs, as far as we may.
boosted() {
    # Niceness counts inside of a session only, where the kernel groups by session; so there is one for each, and it is
    # lifted too.
    exec setsid bash -c '{ echo -15 >/proc/self/autogroup; renice -n -15 -p $$; } >/dev/null 2>&1; exec "$@"' boosted "$@"
}

# Configures Knot for the set; the argument is an extra section, for its AF_XDP listener.
configure_knot() {
    local dir=$1 listen=$2
    mkdir -p "$dir"
    cat >"$dir/knot.conf" <<END
server:
    rundir: $dir
    listen: $address@$listen
    udp-workers: 1
    tcp-workers: 1
    background-workers: 2
${3:-}
log:
  - target: $dir/log
    any: warning
database:
    storage: $dir/db
template:
  - id: default
    storage: $data/$set
    zonefile-sync: -1
    journal-content: none
zone:
END
    if [[ $set == many ]]; then
        awk '{ printf "  - domain: %s\n    file: zones/%s\n", $1, $2 }' "$data/many/zones/list" >>"$dir/knot.conf"
    else
        printf '  - domain: %s\n    file: zone\n' $ORIGIN >>"$dir/knot.conf"
    fi
}

# Configures NSD for the set.
configure_nsd() {
    local dir=$1 listen=$2
    mkdir -p "$dir"
    cat >"$dir/nsd.conf" <<END
server:
    server-count: 1
    ip-address: $address@$listen
    username: ""
    chroot: ""
    zonesdir: "$data/$set"
    database: ""
    pidfile: "$dir/pid"
    xfrdfile: "$dir/xfrd.state"
    xfrdir: "$dir"
    zonelistfile: "$dir/zone.list"
    logfile: "$dir/log"
    minimal-responses: yes
    receive-buffer-size: 4194304
    send-buffer-size: 4194304
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
    statistics: 0
    zonefiles-write: 0
remote-control:
    control-enable: no
END
    if [[ $set == many ]]; then
        awk '{ printf "zone:\n    name: %s\n    zonefile: zones/%s\n", $1, $2 }' "$data/many/zones/list" >>"$dir/nsd.conf"
    else
        printf 'zone:\n    name: %s\n    zonefile: zone\n' $ORIGIN >>"$dir/nsd.conf"
    fi
}

# Starts a server of a row, waits for its first answer and records how long that took and what it holds then.
start() {
    local row=$1 server=$2 listen dir command ready begun
    dir=$work/$row.$server
    mkdir -p "$dir"
    listen=$(free_port)
    local petrel=("$bin/dns-dataplane" --snapshots "$work/$row.snapshots" --threads 1 --control "$dir/control"
        --listen "$(endpoint "$listen")")
    case $server in
    R) command=("$kit/reflect" --listen "$(endpoint "$listen")") ;;
    X) command=("$kit/reflect" --listen "$(endpoint "$listen")" --xdp "$server_interface") ;;
    petrel) command=("${petrel[@]}") ;;
    petrel-xdp) command=("${petrel[@]}" --engine xdp --xdp "$server_interface") ;;
    knot) configure_knot "$dir" "$listen" && command=(knotd -c "$dir/knot.conf") ;;
    knot-xdp)
        # The listener over sockets is elsewhere, so that what is measured cannot fall back to it.
        configure_knot "$dir" "$(free_port)" "xdp:
    listen: $server_interface@$listen
    udp: on" && command=(knotd -c "$dir/knot.conf")
        ;;
    nsd) configure_nsd "$dir" "$listen" && command=(nsd -d -c "$dir/nsd.conf") ;;
    esac
    ulimit -n 65536 2>/dev/null || true
    begun=$EPOCHREALTIME
    boosted "${in_server[@]}" "${command[@]}" >"$dir/out" 2>&1 </dev/null &
    pid[$server]=$! port[$server]=$listen
    if ! ready=$("${in_client[@]}" "$kit/gun" --server "$(endpoint "$listen")" --queries "$data/$set/questions" --limit 1 \
        --sockets 1 --seconds 0 --wait-ready $PATIENCE_SECS 2>&1); then
        printf '%s: %s does not answer; its last words:\n' "$row" "$server" >&2
        tail -5 "$dir/out" >&2
        stop "$server"
        return 1
    fi
    # Pinned only now: loading may use all cores.
    pin "$server"
    fact "$row" "$server" start_ms "$(awk -v a="$begun" -v b="$(field ready_at "$ready")" 'BEGIN { printf "%d", (b - a) * 1000 }')"
    fact "$row" "$server" load_cpu_s "$(awk -v ns="$(cpu_ns "$server")" 'BEGIN { printf "%.2f", ns / 1e9 }')"
    settle "$server"
    fact "$row" "$server" rss_mb "$(memory_mb "$server" Rss)"
    fact "$row" "$server" pss_mb "$(memory_mb "$server" Pss)"
}

# The processes of a server: its own and all below.
processes() {
    local process=$1 child
    printf '%s\n' "$process"
    for child in $(cat /proc/"$process"/task/*/children 2>/dev/null); do
        processes "$child"
    done
}

# Keeps all threads of a server on its core.
pin() {
    local process
    for process in $(processes "${pid[$1]}"); do
        taskset -a -p -c $SERVER_CORE "$process" >/dev/null 2>&1 || true
    done
}

# Waits until a server does nothing any more: some go on loading after the first answer.
settle() {
    local before after
    after=$(cpu_ns "$1")
    for _ in {1..100}; do
        before=$after
        sleep 0.2
        after=$(cpu_ns "$1")
        # A hundredth of the time is idle enough.
        ((after - before > 2000000)) || return 0
    done
}

# CPU time of all threads of a server so far, and of the kernel threads that work for it alone.
cpu_ns() {
    local process sum=0 ran rest file
    for process in $(processes "${pid[$1]}") "${kernel_threads[@]}"; do
        for file in /proc/"$process"/task/*/schedstat; do
            read -r ran rest <"$file" 2>/dev/null && sum=$((sum + ran))
        done
    done
    printf '%s\n' $sum
}
kernel_threads=()

# Rss or Pss of a server in megabytes.
memory_mb() {
    local process
    for process in $(processes "${pid[$1]}"); do
        cat "/proc/$process/smaps_rollup" 2>/dev/null || true
    done | awk -v field="$2:" '$1 == field { kb += $2 } END { printf "%.1f\n", kb * 1024 / 1e6 }'
}

# Ends a server and waits for its end.
stop() {
    local process=${pid[$1]:-}
    [[ -n $process ]] || return 0
    unset "pid[$1]" "port[$1]"
    local all
    all=$(processes "$process")
    kill "$process" 2>/dev/null || true
    for _ in {1..100}; do
        kill -0 "$process" 2>/dev/null || break
        sleep 0.1
    done
    # shellcheck disable=SC2086  # process numbers
    kill -KILL $all 2>/dev/null || true
    wait "$process" 2>/dev/null || true
}

stop_all() {
    local server
    for server in "${!pid[@]}"; do
        stop "$server"
    done
}
