#!/usr/bin/env bash
# A private Slurm on this machine, for tests: N virtual nodes n0, n1, ..., each a slurmd of its own on another port,
# with munge, keys, ports and state in one folder, and nothing of the system's. Root only.
#   tests/slurm/local_slurm.sh start FOLDER [NODES] [CPUS]     then: export SLURM_CONF=FOLDER/slurm.conf
#   tests/slurm/local_slurm.sh node FOLDER NAME                starts the slurmd of a node again
#   tests/slurm/local_slurm.sh kill FOLDER NAME                a node's death: its slurmd and all it started, at once
#   tests/slurm/local_slurm.sh stop FOLDER
# Requeued jobs may start again after cred_expire (5 s here, 120 s by default); a node that is silent for SlurmdTimeout
# (6 s here, 300 s by default) is dead.
set -eu
PATH=$PATH:/usr/sbin:/sbin
what=${1:?start, node, kill or stop} folder=${2:?a folder}
nodes=${3:-3} cpus=${4:-2}

missing() { for p in munged slurmctld slurmd sbatch scontrol; do command -v "$p" >/dev/null || { echo "$p"; return; }; done; }
alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

write_conf() {
    local host i
    host=$(hostname -s)
    cat <<CONF
ClusterName=exatest
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,bf_interval=1,sched_interval=1
ReturnToService=2
JobRequeue=1
SlurmctldTimeout=30
SlurmdTimeout=6
KillWait=3
MessageTimeout=10
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.%n.log
SlurmdParameters=config_overrides
CONF
    for i in $(seq 0 $((nodes - 1))); do
        echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$(free_port) CPUs=$cpus Boards=1 SocketsPerBoard=1 CoresPerSocket=$cpus ThreadsPerCore=1 RealMemory=500 State=UNKNOWN"
    done
    echo "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO"
}

start() {
    local m i
    m=$(missing)
    [ -z "$m" ] || { echo "local_slurm.sh: no $m here (packages slurm-wlm and munge)" >&2; exit 77; }
    [ "$(id -u)" -eq 0 ] || { echo "local_slurm.sh: a Slurm of one's own needs root" >&2; exit 77; }
    mkdir -p "$folder"/{log,run,state,spool,munge}
    chmod 755 "$folder"
    chmod 700 "$folder/munge"
    (umask 077; dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 status=none)
    munged --force --socket="$folder/munge.socket" --key-file="$folder/munge/key" --pid-file="$folder/run/munged.pid" \
        --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" 2>"$folder/log/munged.err"
    write_conf >"$folder/slurm.conf"
    slurmctld -c -i -f "$folder/slurm.conf"
    for i in $(seq 0 $((nodes - 1))); do start_node "n$i"; done
    for i in $(seq 120); do
        [ "$(sinfo -h -o '%T %D' 2>/dev/null | awk '$1 == "idle" {n = $2} END {print n}')" = "$nodes" ] && return
        sleep 0.25
    done
    echo "local_slurm.sh: the nodes do not come up: see $folder/log" >&2
    tail -n 5 "$folder"/log/* >&2
    exit 1
}

start_node() {
    mkdir -p "$folder/spool/$1"
    alive "$folder/run/slurmd.$1.pid" || slurmd -N "$1" -f "$folder/slurm.conf"
}

# What runs on a node carries its name in its environment, and the parent of the first of it is the step's slurmstepd.
# Slurm's own go first: they would still report the death of the others.
kill_node() {
    local p parent own=() pids=()
    alive "$folder/run/slurmd.$1.pid" && own+=("$(cat "$folder/run/slurmd.$1.pid")")
    for p in /proc/[0-9]*; do
        has_variable "$p" "SLURMD_NODENAME=$1" && has_variable "$p" "SLURM_CONF=$folder/slurm.conf" || continue
        pids+=("${p#/proc/}")
        parent=$(sed -n 's/^PPid:[[:space:]]*//p' "$p/status" 2>/dev/null) || continue
        case $(tr '\0' ' ' 2>/dev/null <"/proc/$parent/cmdline") in slurmstepd:*) own+=("$parent") ;; esac
    done
    kill -KILL "${own[@]+"${own[@]}"}" "${pids[@]+"${pids[@]}"}" 2>/dev/null || true
}

# A process may end while it is looked at.
has_variable() { { tr '\0' '\n' <"$1/environ"; } 2>/dev/null | grep -qxF "$2"; }

stop() {
    local n p
    [ ! -e "$folder/run/slurmctld.pid" ] || kill -KILL "$(cat "$folder/run/slurmctld.pid")" 2>/dev/null || true
    for p in first again; do # a step may just have begun
        for n in $(sed -n 's/^NodeName=\([^ ]*\).*/\1/p' "$folder/slurm.conf"); do kill_node "$n"; done
        [ $p = again ] || sleep 0.5
    done
    if alive "$folder/run/munged.pid"; then kill "$(cat "$folder/run/munged.pid")"; fi
}

export SLURM_CONF=$folder/slurm.conf
case $what in
    start) start ;;
    node) start_node "${3:?a node}" ;;
    kill) kill_node "${3:?a node}" ;;
    stop) stop ;;
    *) echo "local_slurm.sh: start, node, kill or stop, not '$what'" >&2; exit 2 ;;
esac
