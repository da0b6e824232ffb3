#!/usr/bin/env bash
# The kill test: a run by chunks with SIGKILL of a random rank (rank 0 included) at a random moment under
# exaconn-supervise, and with the whole job killed and the command repeated by hand. The result must be the
# undisturbed run's to the bit, and nothing that was in a journal when the kill came may be computed again.
#
#   tests/fault/kill.sh [RUNS_WITH_A_RANK_KILLED [RUNS_WITH_THE_JOB_KILLED [SEED]]]      default 4 2; long 50 20
#
# By hand: EXACONN=build/default/exaconn EXACONN_FIXTURE=build/default/tests/make_fixture EXACONN_SOURCE_DIR=$PWD tests/fault/kill.sh 50 20
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
. "$EXACONN_SOURCE_DIR/tests/fault/fault_lib.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 EXACONN
command -v mpirun >/dev/null || { echo "SKIP: no mpirun" >&2; exit 77; }
[ -z "${EXACONN_SANITIZE:-}" ] || { echo "SKIP: under the sanitizers a run takes minutes" >&2; exit 77; }
ranks_killed=${1:-4} jobs_killed=${2:-2}
RANDOM=${3:-$$}
supervise=$EXACONN_SOURCE_DIR/scripts/exaconn-supervise
judge=$EXACONN_SOURCE_DIR/tests/fault/journals.py

small_job_volume=phantom:seed=7,shape=64,empty=0
job() {
    small_job "$1" '"chunks": {"shape": [16, 16, 16], "halo": [10, 10, 10]}' '"compute": {"threads": 1}' \
        '"log_level": "debug"' '"faults": {"heartbeat_timeout_s": 3}' '"progress": {"interval_s": 0.5}'
}

job "$work/whole"
expect 0 -- mpirun -n 3 "$EXACONN" --log-level warn run "$work/whole/job.json" || finish

# The processes of this run's ranks: mpirun, whose command line names the job too, is not among them.
ranks_of() { pgrep -f "^$EXACONN .*run $1/job.json\$"; }

# wait_somewhere FOLDER PID: until a random number of chunks is done, and a little longer; chunks do not all take the
# same time, and neither does anything on a busy machine.
wait_somewhere() {
    local target=$((RANDOM % 64)) ms=$((RANDOM % 500))
    while kill -0 "$2" 2>/dev/null && [ "$(python3 "$judge" chunks "$1/run/journals" | wc -l)" -lt $target ]; do
        sleep 0.1
    done
    sleep "0.$(printf %03d $ms)"
}

late=0 # runs that had ended when the kill came: they are checked too, but do not count
killed=0
for i in $(seq $((2 * ranks_killed + 5))); do
    [ "$killed" -lt "$ranks_killed" ] || break
    folder=$work/r$i
    job "$folder"
    "$supervise" -n 3 --grace 5 "$folder/job.json" >"$folder/out" 2>&1 & pid=$!
    wait_somewhere "$folder" $pid
    mapfile -t ranks < <(ranks_of "$folder")
    victim=none
    if [ "${#ranks[@]}" -gt 0 ]; then
        pid_killed=${ranks[$((RANDOM % ${#ranks[@]}))]}
        victim=$(tr '\0' '\n' 2>/dev/null < "/proc/$pid_killed/environ" | sed -n 's/^OMPI_COMM_WORLD_RANK=//p')
        python3 "$judge" chunks "$folder/run/journals" > "$folder/before"
        kill -KILL "$pid_killed" 2>/dev/null || victim=none
    else
        : > "$folder/before"
    fi
    wait $pid; rc=$?
    check "rank $victim killed ($i): supervised to its end ($rc)" test $rc -eq 0 || tail -n 20 "$folder/out"
    if [ "$victim" = none ]; then late=$((late + 1)); else killed=$((killed + 1)); fi
    same_run "$work/whole" "$folder" "rank $victim killed ($i)"
    check "rank $victim killed ($i): nothing twice" python3 "$judge" again "$folder/run" "$folder/before" "$victim"
    check "rank $victim killed ($i): nobody is left" test -z "$(ranks_of "$folder")"
    [ "$failures" -gt 0 ] || rm -rf "$folder"
done

check "$ranks_killed kills of a rank hit one" test "$killed" -eq "$ranks_killed"

killed=0
for i in $(seq $((2 * jobs_killed + 5))); do
    [ "$killed" -lt "$jobs_killed" ] || break
    folder=$work/j$i
    job "$folder"
    setsid mpirun -n $((2 + RANDOM % 3)) "$EXACONN" run "$folder/job.json" >"$folder/out" 2>&1 & pid=$!
    wait_somewhere "$folder" $pid
    python3 "$judge" chunks "$folder/run/journals" > "$folder/before"
    mapfile -t ranks < <(ranks_of "$folder")
    kill -KILL -- -$pid "${ranks[@]}" 2>/dev/null
    wait $pid 2>/dev/null
    for _ in $(seq 100); do [ -z "$(ranks_of "$folder")" ] && break; sleep 0.05; done
    if [ "${#ranks[@]}" -eq 0 ]; then late=$((late + 1)); else killed=$((killed + 1)); fi
    expect 0 'done in|complete already' -- mpirun -n $((1 + RANDOM % 4)) "$EXACONN" run "$folder/job.json"
    same_run "$work/whole" "$folder" "all killed ($i)"
    check "all killed ($i): nothing twice" python3 "$judge" again "$folder/run" "$folder/before" all
    [ "$failures" -gt 0 ] || rm -rf "$folder"
done
check "$jobs_killed kills of the job hit it" test "$killed" -eq "$jobs_killed"
echo "killed: a rank in $ranks_killed runs, the whole job in $jobs_killed; $late runs more had ended before the kill came"
finish
