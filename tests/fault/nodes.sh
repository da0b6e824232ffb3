#!/usr/bin/env bash
# Node death and a cut link: hosts made of network namespaces, each with a name and an address of its own, mpirun's
# daemons and MPI over TCP between them, the run under exaconn-supervise. In each round three runs: a host of two ranks
# dies with all its processes; its link is cut while its ranks live on; the host of rank 0 dies and is unreachable.
# The result must be the undisturbed run's to the bit.
#
#   tests/fault/nodes.sh [ROUNDS]      default 1; needs root and `ip netns`
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
. "$EXACONN_SOURCE_DIR/tests/fault/fault_lib.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 EXACONN
for tool in mpirun ip unshare; do
    command -v $tool >/dev/null || { echo "SKIP: no $tool" >&2; exit 77; }
done
[ "$(id -u)" -eq 0 ] || { echo "SKIP: only root may make network namespaces" >&2; exit 77; }
ip netns add "exaconn-try-$$" 2>/dev/null || { echo "SKIP: network namespaces cannot be made here" >&2; exit 77; }
ip netns del "exaconn-try-$$"
[ -z "${EXACONN_SANITIZE:-}" ] || { echo "SKIP: under the sanitizers a run takes minutes" >&2; exit 77; }
rounds=${1:-1}
supervise=$EXACONN_SOURCE_DIR/scripts/exaconn-supervise

# ---- hosts: n0 runs mpirun, n1 and n2 the ranks ---------------------------------------------------------------------
tag=x$$ bridge=xb$$ net=10.$((100 + $$ / 250 % 100)).$(($$ % 250))
host() { echo "$tag-n$1"; }
hosts_down() {
    for i in 0 1 2; do
        for p in $(ip netns pids "$(host $i)" 2>/dev/null); do kill -KILL "$p" 2>/dev/null; done
        ip netns del "$(host $i)" 2>/dev/null
        rm -rf "/etc/netns/$(host $i)"
    done
    ip link del "$bridge" 2>/dev/null
}
trap 'hosts_down; rm -rf "$work"' EXIT
hosts_up() {
    ip link add "$bridge" type bridge && ip link set "$bridge" up || return 1
    for i in 0 1 2; do
        ip netns add "$(host $i)" || return 1
        ip link add "$tag-$i" type veth peer name eth0 netns "$(host $i)" || return 1
        ip link set "$tag-$i" master "$bridge" up
        ip -n "$(host $i)" addr add "$net.$((10 + i))/24" dev eth0
        ip -n "$(host $i)" link set eth0 up
        ip -n "$(host $i)" link set lo up
        mkdir -p "/etc/netns/$(host $i)" "$work/tmp/$(host $i)"
        { echo "127.0.0.1 localhost"; for j in 0 1 2; do echo "$net.$((10 + j)) $(host $j)"; done; } > "/etc/netns/$(host $i)/hosts"
    done
}
# What mpirun starts its daemons with, in place of ssh: AGENT [OPTIONS] HOST COMMAND...
cat > "$work/agent" <<'AGENT'
#!/usr/bin/env bash
while [[ $1 == -* ]]; do shift; done
h=$1; shift
ip netns exec "$h" ip link show eth0 2>/dev/null | grep -q 'state UP' || { echo "ssh: connect to host $h: no route" >&2; exit 255; }
exec ip netns exec "$h" unshare --uts bash -c "hostname $h; export TMPDIR=$(dirname "$0")/tmp/$h; $*"
AGENT
chmod +x "$work/agent"
on_host0() {
    ip netns exec "$(host 0)" unshare --uts bash -c 'hostname "$0"; export TMPDIR=$1; shift; exec "$@"' \
        "$(host 0)" "$work/tmp/$(host 0)" "$@"
}
kill_host() { for p in $(ip netns pids "$(host "$1")"); do kill -KILL "$p" 2>/dev/null; done; }
cut_host() { ip link set "$tag-$1" down; }
heal_host() { ip link set "$tag-$1" up; }

# ---- the runs ---------------------------------------------------------------------------------------------------
small_job_volume=phantom:seed=7,shape=64,empty=0
job() {
    small_job "$1" '"chunks": {"shape": [16, 16, 16], "halo": [10, 10, 10]}' '"compute": {"threads": 1}' \
        '"faults": {"heartbeat_timeout_s": 4}' '"progress": {"interval_s": 0.5}'
}
job "$work/whole"
expect 0 'done in' -- "$EXACONN" run "$work/whole/job.json"
if ! hosts_up; then echo "SKIP: a bridge or veth pair cannot be made here" >&2; exit 77; fi

# start NAME [OPTIONS]: the run on both hosts in the background, to where 8 chunks are in the journals.
start() {
    folder=$work/$1
    shift
    job "$folder"
    on_host0 "$supervise" -n 4 --host "$(host 1):2,$(host 2):2" --grace 5 "$@" --mca plm rsh \
        --mca plm_rsh_agent "$work/agent" --mca oob_tcp_if_include eth0 --mca btl_tcp_if_include eth0 \
        --mca btl tcp,self,vader -- "$folder/job.json" >"$folder/out" 2>&1 & pid=$!
    for _ in $(seq 600); do
        [ "$(python3 "$EXACONN_SOURCE_DIR/tests/fault/journals.py" chunks "$folder/run/journals" | wc -l)" -ge 8 ] && return
        kill -0 $pid 2>/dev/null || return
        sleep 0.1
    done
}
# judge WHAT PATTERN...
judge() {
    local what=$1; shift
    wait $pid; rc=$?
    check "$what: supervised to its end ($rc)" test $rc -eq 0 || tail -n 40 "$folder/out"
    for p in "$@"; do check "$what: says '$p'" grep -Eq -- "$p" "$folder/out" || tail -n 40 "$folder/out"; done
    same_run "$work/whole" "$folder" "$what"
}
for round in $(seq "$rounds"); do
    start "node$round"
    kill_host 2
    judge "node death ($round)" "rank [23] on $(host 2) is given up" 'start 2 on'

    start "cut$round"
    cut_host 2
    judge "cut link ($round)" "rank [23] on $(host 2) is given up" "left out from now on: $(host 2)" 'start 2 on 2 ranks'
    heal_host 2

    start "root$round" --probe "ip -n {} link show eth0 | grep -q 'state UP'"
    cut_host 1; kill_host 1
    judge "death of the node of rank 0 ($round)" 'start 1 ended without a result' "$(host 1) does not answer" 'start 2 on 2 ranks'
    heal_host 1
done
finish
