# Loads and records of perf/versus. Sourced; needs $work, $data, $kit, and what servers.bash has.

readonly CLIENT_CORE=1

# The number after a name in a line of JSON.
field() {
    sed -n "s/.*\"$1\":\\(-\\{0,1\\}[0-9.]*\\).*/\\1/p" <<<"$2"
}

# Half of a number, rounded.
half_of() {
    awk -v whole="$1" 'BEGIN { printf "%d", whole / 2 }'
}

# Records what is known once: row, server, name, value.
fact() {
    printf '{"kind":"fact","row":"%s","server":"%s","name":"%s","value":%s}\n' "$@" >>"$work/records"
}

# Records what the run says about itself: name, value.
about() {
    printf '{"kind":"about","name":"%s","value":"%s"}\n' "$@" >>"$work/records"
}

# Runs a generator against a server and records what it and the server's clock say: row, server, round, kind of
# generator, seconds, more options. Leaves the generator's line in $told.
load() {
    local row=$1 server=$2 round=$3 generator=$4 secs=$5 before after
    shift 5
    before=$(cpu_ns "$server")
    case $generator in
    gun)
        told=$(boosted "${in_client[@]}" "$kit/gun" --server "$(endpoint "${port[$server]}")" --core $CLIENT_CORE \
            --queries "$data/$set/questions" --seconds "$secs" "$@")
        ;;
    wire)
        told=$(boosted "${in_client[@]}" "$kit/wire" --server "$(endpoint "${port[$server]}")" --core $CLIENT_CORE \
            --interface "$client_interface" --source $CLIENT_ADDRESS --from "$(link_of "$CLIENT_SPACE" "$client_interface")" \
            --to "$(link_of "$SERVER_SPACE" "$server_interface")" --queries "$data/$set/questions" --seconds "$secs" "$@")
        ;;
    dnsperf)
        told=$(boosted "${in_client[@]}" taskset -c $CLIENT_CORE dnsperf -s "$address" -p "${port[$server]}" -e -T 1 -c 16 \
            -q 200 -t 1 -d "$data/$set/questions" -l "$secs" "$@" 2>&1 | dnsperf_as_json)
        ;;
    esac
    after=$(cpu_ns "$server")
    [[ $row == - ]] && return
    printf '{"kind":"load","row":"%s","server":"%s","round":%d,"cpu_ns":%d,"load":%s}\n' \
        "$row" "$server" "$round" $((after - before)) "$told" >>"$work/records"
    printf '  %-10s %-10s round %d: %7.0f qps, %.2f us of CPU per query, %d lost\n' "$row" "$server" "$round" \
        "$(field qps "$told")" "$(awk -v ns=$((after - before)) -v n="$(field answered "$told")" 'BEGIN { print ns / 1e3 / (n ? n : 1) }')" \
        "$(field lost "$told")" >&2
}

# What dnsperf prints, as the generator of ours would say it.
dnsperf_as_json() {
    awk '
        /Queries sent:/ { sent = $3 }
        /Queries completed:/ { answered = $3 }
        /Queries lost:/ { lost = $3 }
        /Queries per second:/ { qps = $4 }
        /Response codes:/ {
            for (word = 3; word < NF; word++) {
                if ($word == "NOERROR") noerror = $(word + 1)
                if ($word == "NXDOMAIN") nxdomain = $(word + 1)
            }
        }
        END {
            printf "{\"sent\":%d,\"answered\":%d,\"lost\":%d,\"qps\":%d,\"noerror\":%d,\"nxdomain\":%d}\n",
                sent, answered, lost, qps, noerror, nxdomain
        }'
}

# Starts servers of a row, and adds them to $started; who does not start is left out, and misses its goals.
start_each() {
    local row=$1 server
    shift
    for server in "$@"; do
        if start "$row" "$server"; then started+=("$server"); fi
    done
}

# A row: all servers run, one at a time is loaded, round after round.
rounds() {
    local row=$1 generator=$2 round server
    shift 2
    started=()
    start_each "$row" R
    compile "$row" "$set"
    start_each "$row" petrel knot nsd
    # What a first load pays for, such as filling caches and buffers, is no part of the first round.
    for server in "${started[@]}"; do
        load - "$server" 0 "$generator" "$WARM_SECS" "$@"
    done
    for ((round = 1; round <= ROUNDS; round++)); do
        for server in "${started[@]}"; do
            load "$row" "$server" "$round" "$generator" "$SECS" "$@"
        done
    done
    stop_all
}

# How late replies are at half of what a server can do; R, which does nothing, shows how much of that is the machine's.
half() {
    local round server
    declare -A rate=()
    started=()
    start_each half R
    compile half "$set"
    start_each half petrel knot nsd
    for server in "${started[@]}"; do
        load - "$server" 0 gun "$WARM_SECS"
        rate[$server]=$(half_of "$(field qps "$told")")
    done
    for ((round = 1; round <= ROUNDS; round++)); do
        for server in "${started[@]}"; do
            load half "$server" "$round" gun "$SECS" --rate "${rate[$server]}"
        done
    done
    stop_all
}

# Makes generations ahead, so that nothing compiles under the load: row, how many, and options of `dnsctl compile` for
# each. CURRENT of each is kept beside.
stage() {
    local row=$1 count=$2 number dir=$work/$1.staged
    shift 2
    mkdir -p "$work/$row.snapshots"
    for ((number = 1; number <= count; number++)); do
        if ((number == 1)); then
            "$bin/dnsctl" compile --out "$dir" --keep 100 --origin $ORIGIN "$data/$set/zone"
        else
            # A serial of its own makes it a zone of its own.
            sed "s/ 2026010101 / $((2026010101 + number)) /" "$1" >"$work/changed"
            "$bin/dnsctl" compile --out "$dir" --keep 100 --merge --origin "$2" "$work/changed"
        fi >/dev/null 2>&1
        cp "$dir/CURRENT" "$dir/current.$number"
    done
    ln "$dir"/pack-* "$work/$row.snapshots/"
    put_in_service "$row" 1
}

# Makes a staged generation the current one, as its writer would: whole, by a rename.
put_in_service() {
    local row=$1 number=$2 live=$work/$1.snapshots manifest
    for manifest in "$work/$row.staged"/manifest-*; do
        # The names of manifests end with the generation, in hexadecimal.
        if ((16#${manifest##*-} <= number)) && [[ ! -e $live/${manifest##*/} ]]; then
            ln "$manifest" "$live/"
        fi
    done
    cp "$work/$row.staged/current.$number" "$live/next"
    mv "$live/next" "$live/CURRENT"
}

# How late replies are while generations are put in service every second: row, file that changes, its origin.
swaps() {
    local row=$1 count=$((SWAPS + 1)) number begun rate control thread
    started=()
    stage "$row" "$count" "$2" "$3"
    start_each "$row" petrel
    ((${#started[@]} > 0)) || return 0
    # The loader runs where there is room, as it would on a machine with a core to spare; the worker stays.
    for thread in /proc/"${pid[petrel]}"/task/*; do
        if [[ $(<"$thread/comm") != worker* ]]; then taskset -p -c 0-1 "${thread##*/}" >/dev/null; fi
    done
    control=$work/$row.petrel/control
    load - petrel 0 gun "$WARM_SECS"
    rate=$(half_of "$(field qps "$told")")
    echo 5 >"/proc/${pid[petrel]}/clear_refs" 2>/dev/null || true
    load "$row" petrel 1 gun $((SWAPS + 1)) --rate $rate &
    local loading=$!
    for ((number = 2; number <= count; number++)); do
        sleep 1
        put_in_service "$row" $number
        begun=$EPOCHREALTIME
        "$bin/dnsctl" --json push "$work/$row.snapshots" --to "$control" >"$work/pushed" || return
        fact "$row" petrel push_ms "$(field millis "$(<"$work/pushed")")"
        fact "$row" petrel push_wall_ms "$(awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { printf "%d", (b - a) * 1000 }')"
    done
    wait $loading
    fact "$row" petrel peak_mb "$(awk '$1 == "VmHWM:" { print $2 * 1024 / 1e6 }' "/proc/${pid[petrel]}/status")"
    stop_all
}
