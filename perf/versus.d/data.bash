# Data sets of perf/versus: zones, questions, snapshots. Sourced; needs $data, $work, $kit and $bin.
#
# small: 100 owners; big: 1,000,000 owners; many: 100,000 zones of ten RRsets; signed: 100,000 owners, signed with one
# ECDSA key and NSEC. They are made once and kept, since they are the same in every run.

readonly ORIGIN=big.test.
readonly QUESTIONS=1000000

# Makes what is missing of a set.
prepare() {
    local set=$1 owners=0
    [[ -f $data/$set/complete ]] && return
    printf 'preparing data: %s\n' "$set" >&2
    rm -rf "${data:?}/$set"
    mkdir -p "$data/$set"
    case $set in
    small) owners=100 ;;
    big) owners=1000000 ;;
    signed) owners=100000 ;;
    many)
        "$kit/data" zones 100000 "$data/many/zones"
        "$kit/data" questions many 100000 $QUESTIONS >"$data/many/questions"
        ;;
    esac
    if ((owners > 0)); then
        "$kit/data" zone $owners >"$data/$set/zone"
        "$kit/data" questions one $owners $QUESTIONS >"$data/$set/questions"
    fi
    [[ $set != signed ]] || sign
    touch "$data/$set/complete"
}

# Signs the zone of the set "signed" in place.
sign() {
    local dir=$data/signed
    mkdir -p "$dir/keys" "$dir/out"
    cat >"$dir/sign.conf" <<END
server:
    rundir: $dir/keys
database:
    storage: $dir/keys
policy:
  - id: one
    algorithm: ecdsap256sha256
    single-type-signing: on
    rrsig-lifetime: 3650d
    nsec3: off
    signing-threads: 2
template:
  - id: default
    storage: $dir
    journal-content: none
    dnssec-signing: on
    dnssec-policy: one
zone:
  - domain: $ORIGIN
    file: zone
END
    kzonesign -c "$dir/sign.conf" -o "$dir/out" $ORIGIN >"$dir/sign.log" 2>&1 || {
        cat "$dir/sign.log" >&2
        return 1
    }
    mv "$dir"/out/* "$dir/zone"
}

# Compiles a set into a new directory of snapshots and records what that costs, as a fact of the row.
compile() {
    local row=$1 set=$2 dir=$work/$1.snapshots wall user sys
    local input=(--origin $ORIGIN "$data/$set/zone")
    [[ $set != many ]] || input=(--zonelist "$data/many/zones/list")
    local TIMEFORMAT='%R %U %S'
    { time "$bin/dnsctl" compile --out "$dir" "${input[@]}" >"$work/compile.out" 2>"$work/compile.err"; } 2>"$work/compile.time" || {
        tail -5 "$work/compile.err" >&2
        return 1
    }
    read -r wall user sys <"$work/compile.time"
    fact "$row" petrel compile_s "$wall"
    fact "$row" petrel compile_cpu_s "$(awk -v u="$user" -v s="$sys" 'BEGIN { print u + s }')"
}
