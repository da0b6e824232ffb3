#!/usr/bin/env bash
# A run by chunks on several ranks: the same bits as on one, also when the whole job is killed and started again with
# another number of ranks.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 # as in test_mpi_run.sh
command -v mpirun >/dev/null || { echo "SKIP: no mpirun" >&2; exit 77; }
small_job_volume=phantom:seed=7,shape=56,empty=0
[ -z "${EXACONN_SANITIZE:-}" ] || small_job_volume=$small_volume # thousands of network steps would take too long
# Ranks work on different chunks: some are slower than others by chance, so that the schedule differs in every run.
job() { small_job "$1" '"chunks": {"shape": [28, 28, 28], "halo": [10, 10, 10]}' '"compute": {"threads": 1}' '"segmentation": {"probability_map": true}'; }
job "$work/one"
expect 0 'chunks: 2 x 2 x 2' 'done in' -- "$EXACONN" run "$work/one/job.json"

# same FOLDER WHAT
same() {
    check "$2: the same attempts" cmp "$work/one/run/attempts.csv" "$1/run/attempts.csv"
    for table in candidates segments supervoxels; do check "$2: the same $table" cmp "$work/one/run/$table.csv" "$1/run/$table.csv"; done
    check "$2: the same segmentation" "$EXACONN_FIXTURE" same "$1/run/segmentation.h5:/segmentation" "$work/one/run/segmentation.h5:/segmentation"
    check "$2: the same probability" "$EXACONN_FIXTURE" same "$1/run/probability.h5:/probability" "$work/one/run/probability.h5:/probability"
    check "$2: nothing is missing or twice in the attempts" test "$(wc -l < "$1/run/attempts.csv")" -eq "$(wc -l < "$work/one/run/attempts.csv")"
}

for n in 1 2 3 4; do
    job "$work/n$n"
    expect 0 'done in' -- mpirun -n $n "$EXACONN" run "$work/n$n/job.json"
    same "$work/n$n" "$n ranks"
done
check "each rank has a journal" test "$(find "$work/n4/run/journals" -name '*.journal' | wc -l)" -eq 4
expect 0 'complete already' -- mpirun -n 2 "$EXACONN" run "$work/n2/job.json"

# Chunks in flight and read ahead: on one rank and several.
for setup in "1 2 0" "1 3 2" "2 2 1" "3 1 0"; do
    read -r n canvases prefetch <<< "$setup"
    small_job "$work/flight" '"chunks": {"shape": [28, 28, 28], "halo": [10, 10, 10]}' "\"compute\": {\"threads\": 1, \"canvases\": $canvases, \"prefetch\": $prefetch}" '"segmentation": {"probability_map": true}'
    expect 0 'done in' -- mpirun -n "$n" "$EXACONN" run "$work/flight/job.json"
    same "$work/flight" "$n ranks, $canvases chunks in flight, $prefetch read ahead"
    rm -r "$work/flight"
done

expect 0 'stitched' -- mpirun -n 3 "$EXACONN" stitch "$work/n2/run" --threshold 0.9 -o "$work/stitched3"
expect 0 'stitched' -- "$EXACONN" stitch "$work/n4/run" --threshold 0.9 -o "$work/stitched1"
for table in candidates segments supervoxels attempts; do check "stitched again by 3: the same $table" cmp "$work/stitched1/$table.csv" "$work/stitched3/$table.csv"; done

# The whole job is killed again and again, and goes on with another number of ranks.
job "$work/killed"
for n in 3 2 4; do
    setsid mpirun -n $n "$EXACONN" --log-level debug run "$work/killed/job.json" >"$work/err" 2>&1 & pid=$!
    for _ in $(seq 3000); do [ "$(find "$work/killed/run/journals" -name "*.journal" -size +100c 2>/dev/null | wc -l)" -ge 1 ] && break; sleep 0.02; done
    kill -KILL -- -$pid; wait $pid 2>/dev/null
    pkill -KILL -f "$work/killed/job.json"
done
expect 0 'resumed: [1-8] of 8' -- mpirun -n 2 "$EXACONN" run "$work/killed/job.json"
same "$work/killed" "killed three times"

# A signal to one rank ends all, and says how far it came.
job "$work/signal"
mpirun -n 2 "$EXACONN" run "$work/signal/job.json" >"$work/err" 2>&1 & pid=$!
for _ in $(seq 200); do [ -e "$work/signal/run/journals" ] && break; sleep 0.02; done
pkill -TERM -n -f "$EXACONN run $work/signal/job.json"
wait $pid; rc=$?
check "a signal to one rank: exit 5 ($rc)" test $rc -eq 5
check "a signal to one rank: says so once" test "$(grep -c 'exaconn: error: stopped by' "$work/err")" -eq 1
expect 0 'done in' -- "$EXACONN" run "$work/signal/job.json"
same "$work/signal" "after a signal"

# A batch system's warning that time is nearly up, to mpirun and by it to all ranks, to one rank alone, and to all at
# once and again (srun and the batch shell both): each time what is finished is kept, and the exit code is that of an
# interruption.
job "$work/warned"
for whom in mpirun rank all; do
    before=$(cat "$work/warned/run/journals"/*.journal 2>/dev/null | wc -c)
    mpirun -n 3 "$EXACONN" run "$work/warned/job.json" >"$work/err" 2>&1 & pid=$!
    for _ in $(seq 3000); do
        kill -0 $pid 2>/dev/null || break # there may be nothing left to do
        [ "$(cat "$work/warned/run/journals"/*.journal 2>/dev/null | wc -c)" -gt $((before + 1000)) ] && break
        sleep 0.02
    done
    case $whom in
        mpirun) kill -USR1 $pid ;;
        rank) pkill -USR1 -n -f "$EXACONN run $work/warned/job.json" ;;
        all) for _ in 1 2 3; do pkill -USR1 -f "^$EXACONN run $work/warned/job.json"; done; kill -USR1 $pid ;;
    esac
    wait $pid; rc=$?
    # Where the warning came after the last chunk, the run is complete, and the loop has seen enough.
    [ -e "$work/warned/run/summary.json" ] && break
    check "SIGUSR1 to $whom: exit 5 ($rc)" test $rc -eq 5
    check "SIGUSR1 to $whom: says so once" test "$(grep -c 'exaconn: error: stopped by' "$work/err")" -eq 1
    expect 0 'interrupted' 'chunks [1-8] of 8' -- "$EXACONN" status "$work/warned/run"
done
check "SIGUSR1: at least one warning came in time" test "$whom" != mpirun
[ -e "$work/warned/run/summary.json" ] || expect 0 'resumed: [1-8] of 8' -- mpirun -n 2 "$EXACONN" run "$work/warned/job.json"
same "$work/warned" "after warnings"

# What is wrong is said once, whatever the number of ranks.
small_job "$work/wrong" '"chunks": {"shape": [20, 20, 20]}' '"mask": {"volume": "absent.h5:/m"}'
expect 1 'absent.h5' -- mpirun -n 3 "$EXACONN" run "$work/wrong/job.json"
check "said once" test "$(mpirun -n 3 "$EXACONN" run "$work/wrong/job.json" 2>&1 | grep -c 'exaconn: error')" -eq 1

printf '{"volume": 3}' > "$work/wrong/job.json"
check "an error in the job is said once" test "$(mpirun -n 3 "$EXACONN" run "$work/wrong/job.json" 2>&1 | grep -c 'exaconn: error')" -eq 1

# More ranks than chunks; ranks that would compute otherwise.
small_job "$work/few" '"chunks": {"shape": [28, 56, 56], "halo": [10, 10, 10]}' '"compute": {"threads": 1}'
expect 0 'chunks: 2 x 1 x 1' 'done in' -- mpirun -n 4 "$EXACONN" run "$work/few/job.json"
small_job "$work/isa" '"chunks": {"shape": [28, 56, 56], "halo": [10, 10, 10]}' '"compute": {"threads": 1, "isa": "portable"}' '"limits": {"max_steps": 1}'
expect 0 'portable' 'done in' -- mpirun -n 2 "$EXACONN" run "$work/isa/job.json"

# Without chunks there is nothing to share.
small_job "$work/plain"
expect 2 '2 ranks' 'chunks' -- mpirun -n 2 "$EXACONN" run "$work/plain/job.json"
check "nothing is left" test ! -e "$work/plain/run"
finish
