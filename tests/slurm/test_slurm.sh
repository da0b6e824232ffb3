#!/usr/bin/env bash
# scripts/slurm/run.sbatch on a private Slurm of three virtual nodes: several nodes, the time limit, killed ranks, a dead
# node, arrays, errors. What a cluster's Slurm does with a job is real here; its nodes are not (local_slurm.sh).
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
for p in mpirun munged slurmctld slurmd; do
    PATH=$PATH:/usr/sbin command -v $p >/dev/null || { echo "SKIP: no $p (scripts/install_deps.sh --tests)" >&2; exit 77; }
done
[ "$(id -u)" -eq 0 ] || { echo "SKIP: a Slurm of one's own needs root" >&2; exit 77; }
[ -z "${EXACONN_SANITIZE:-}" ] || { echo "SKIP: jobs would be too slow under the sanitizers" >&2; exit 77; }

slurm=$EXACONN_SOURCE_DIR/tests/slurm/local_slurm.sh batch=$EXACONN_SOURCE_DIR/scripts/slurm/run.sbatch
export SLURM_CONF=$work/slurm/slurm.conf
trap 'bash "$slurm" stop "$work/slurm"; sleep 1; rm -rf "$work"' EXIT
# Virtual nodes share host name and /dev/shm, so that ranks must not meet there; and there may be no network but this.
export OMPI_MCA_btl=self,tcp OMPI_MCA_btl_tcp_if_include=lo OMPI_MCA_oob_tcp_if_include=lo

# job FOLDER CHUNKS_ALONG_X
job() {
    small_job_volume="phantom:seed=7,shape=56x56x$((28 * $2)),empty=0" small_job "$1" \
        '"chunks": {"shape": [28, 28, 28], "halo": [10, 10, 10]}' '"compute": {"threads": 1}' '"progress": {"interval_s": 0.2}'
}
# submit FOLDER [SBATCH OPTIONS]: $id
submit() {
    local folder=$1
    shift
    id=$(cd "$folder" && sbatch --parsable --output="$folder/log" "$@" "$batch" "$folder/job.json") || exit 1
}
field() { scontrol show job -o "$1" | grep -oE "(^| )$2=[^ ]*" | cut -d= -f2 | head -n 1; }
# until_true SECONDS COMMAND...
until_true() {
    local end=$((SECONDS + $1))
    shift
    while ! "$@"; do [ "$SECONDS" -lt "$end" ] || return 1; sleep 0.2; done
}
over() { case $(field "$1" JobState) in COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL) return 0 ;; esac; return 1; }
# ends ID STATE FOLDER WHAT
ends() {
    until_true 300 over "$1"
    check "$4: $2 ($(field "$1" JobState))" test "$(field "$1" JobState)" = "$2" || tail -n 30 "$3/log"
}
some_chunks() {
    local n
    n=$("$EXACONN" status --json "$1/run" 2>/dev/null | sed -nE 's/^\t"chunks_done":[[:space:]]*([0-9]+).*/\1/p')
    [ "${n:-0}" -ge 2 ]
}
log_has() { grep -Eq -- "$2" "$1/log" 2>/dev/null; }
# like_one FOLDER WHAT: the result is that of one rank.
like_one() {
    check "$2: the same attempts as one rank" cmp "$work/one/run/attempts.csv" "$1/run/attempts.csv"
    expect 0 '"voi_bits": 0,' -- "$EXACONN" eval "$1/run/segmentation.h5:/segmentation" "$work/one/run/segmentation.h5:/segmentation" --ignore none --json
}

job "$work/one" 4
# Of the processor's time, which other load does not change as it does the clock's: cutime of proc(5).
used_ms() { local f; read -r -a f </proc/$$/stat; echo $((f[15] * 1000 / $(getconf CLK_TCK))); }
before=$(used_ms)
expect 0 'chunks: 2 x 2 x 4' 'done in' -- "$EXACONN" run "$work/one/job.json"
took_ms=$(($(used_ms) - before))
check "one rank: took $took_ms ms of the processor's time" test "$took_ms" -gt 0 || finish

bash "$slurm" start "$work/slurm" 3 2 || exit 1

# (b) The time limit. Slurm looks every 30 s whether one is near, first 30 s after its start: the job must last longer.
# Its minute begins with the warning due, so that every such look stops it; meanwhile the other tests.
many=$((4 * 40000 / took_ms + 4))
job "$work/limit" $many
submit "$work/limit" --nodelist=n2 --time=1 --signal=B:USR1@60
limit=$id

# (a) Two nodes.
job "$work/nodes" 4
submit "$work/nodes" --nodes=2
ends "$id" COMPLETED "$work/nodes" "two nodes"
check "two nodes: a rank on each" test "$(find "$work/nodes/run/journals" -name '*.journal' | wc -l)" -eq 2
check "two nodes: said how they are placed" log_has "$work/nodes" 'launcher: mpirun --map-by ppr:1:node'
like_one "$work/nodes" "two nodes"

# (e) Nothing that a restart cannot mend is started again.
job "$work/wrong" 2
sed -i 's/"volume"/"volum"/' "$work/wrong/job.json"
submit "$work/wrong"
ends "$id" FAILED "$work/wrong" "a wrong job file"
check "a wrong job file: exit 2, not started again" test "$(field "$id" ExitCode) $(field "$id" Restarts)" = "2:0 0"
check "a wrong job file: says so" log_has "$work/wrong" "did you mean 'volume'"
sed -i 's/"volum"/"volume"/; s/ffn_phantom.h5/absent.h5/' "$work/wrong/job.json"
submit "$work/wrong"
ends "$id" FAILED "$work/wrong" "no such network"
check "no such network: not started again" test "$(field "$id" Restarts)" = 0
expect 2 'not inside a Slurm job' -- bash "$batch" "$work/one/job.json"
id=$(cd "$work" && sbatch --parsable --output="$work/wrong/log" "$batch" a.json b.json)
ends "$id" FAILED "$work/wrong" "two jobs without --array"
check "two jobs without --array: one error" test "$(grep -c 'error: 2 job files are named' "$work/wrong/log")" -eq 1

# (d) An array of jobs.
job "$work/array0" 4
job "$work/array1" 2
id=$(sbatch --parsable --array=0-1 --output="$work/array%a/log" "$batch" "$work/array0/job.json" "$work/array1/job.json")
ends "${id}_0" COMPLETED "$work/array0" "array 0"
ends "${id}_1" COMPLETED "$work/array1" "array 1"
like_one "$work/array0" "array 0"
check "array 1: complete" test -e "$work/array1/run/summary.json"

# A start in which no chunk is finished is not repeated for ever.
small_job_volume=phantom:seed=7,shape=160,empty=0 small_job "$work/idle" '"chunks": {"shape": [160, 160, 160]}' '"compute": {"threads": 1}'
EXACONN_IDLE_STARTS=1 submit "$work/idle"
check "idle: begins" until_true 60 log_has "$work/idle" 'network: depth'
scancel --batch --signal=USR1 "$id"
ends "$id" FAILED "$work/idle" "idle"
check "idle: not started again" test "$(field "$id" Restarts)" = 0
check "idle: says why" log_has "$work/idle" 'no chunk was finished in 1 starts'

# srun in place of mpirun, where this Slurm knows PMIx.
if srun --mpi=list 2>&1 | grep -qw pmix; then
    job "$work/srun" 2
    EXACONN_LAUNCHER=srun submit "$work/srun" --nodes=1 --ntasks-per-node=2
    ends "$id" COMPLETED "$work/srun" "srun"
    check "srun: two ranks" test "$(find "$work/srun/run/journals" -name '*.journal' | wc -l)" -eq 2
else
    echo "not tested: srun --mpi=pmix (this Slurm has no PMIx)"
fi

# bench.sbatch: the same job by one and by two ranks.
job "$work/bench" 2
id=$(EXACONN_BENCH_NODE=0 EXACONN_BENCH_DIR=$work/bench/results sbatch --parsable --nodes=2 --output="$work/bench/log" "${batch/run.sbatch/bench.sbatch}" "$work/bench/job.json")
ends "$id" COMPLETED "$work/bench" "bench"
check "bench: valid JSON of two runs with the same result" python3 -c 'import json, sys
s = json.load(open(sys.argv[1]))["series"]
assert [r["ranks"] for r in s] == [1, 2] and all(r["same_result"] and r["wall_s"] > 0 for r in s), s' "$work/bench/results/scaling.json"

# (b) A second look would stop it again, and again: it has been shown, and the rest may go undisturbed.
restarted() { [ "$(field "$limit" Restarts)" -ge 1 ]; }
check "time limit: put back into the queue" until_true 60 restarted
scontrol update "JobId=$limit" TimeLimit=10

# (c) The whole job is killed, and submitted again; then one rank is; then the node on which the batch script runs.
job "$work/killed" 4
submit "$work/killed" --nodes=2
check "killed job: begins" until_true 60 some_chunks "$work/killed"
scancel --signal=KILL "$id"
ends "$id" CANCELLED "$work/killed" "killed job"
submit "$work/killed" --nodes=2
check "killed rank: went on after the killed job" until_true 60 log_has "$work/killed" 'resumed: [0-9]+ of 16'
pkill -KILL -n -f "^$EXACONN run $work/killed/job.json"
ends "$id" COMPLETED "$work/killed" "killed rank"
# By the supervisor, where there is one, else through the queue.
check "killed rank: started again, and went on" test "$(grep -c 'resumed: [0-9]* of 16' "$work/killed/log")" -ge 2
like_one "$work/killed" "killed rank"

job "$work/node" 4
submit "$work/node" --nodes=2 --nodelist=n0,n1
check "dead node: begins" until_true 60 some_chunks "$work/node"
bash "$slurm" kill "$work/slurm" n0
node_down() { case $(sinfo -h -n n0 -o %T) in down*) return 0 ;; esac; return 1; }
check "dead node: Slurm notices" until_true 60 node_down
bash "$slurm" node "$work/slurm" n0
ends "$id" COMPLETED "$work/node" "dead node"
check "dead node: started again" test "$(field "$id" Restarts)" -ge 1
check "dead node: went on" log_has "$work/node" 'resumed: [0-9]+ of 16'
like_one "$work/node" "dead node"

# (b) The end.
ends "$limit" COMPLETED "$work/limit" "time limit"
check "time limit: warned" log_has "$work/limit" 'time is nearly up'
check "time limit: started again" test "$(field "$limit" Restarts)" -ge 1
# What each start left is what the next one found: nothing finished was computed again.
left=$(sed -n 's/.*the ranks ended with code 5; \([0-9]*\) chunks are done.*/\1/p' "$work/limit/log")
found=$(sed -n 's/.*resumed: \([0-9]*\) of .*/\1/p' "$work/limit/log")
check "time limit: nothing is computed again (left: $(echo $left); found: $(echo $found))" \
    test -n "$left" -a "$left" = "$found"
check "time limit: all chunks are done" grep -q "\"done\":[[:space:]]*$((4 * many))," "$work/limit/run/summary.json"
echo "took $SECONDS s"
finish
