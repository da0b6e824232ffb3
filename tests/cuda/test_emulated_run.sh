#!/usr/bin/env bash
# `exaconn run` on a GPU that the CPU plays (exaconn_emulated: our canvas kernels emulated, the CPU's network for the
# logits): the same bits as on the CPU, in one piece and by chunks, with three canvases in flight, after an interruption,
# with steps that leave fp16's range, and when the GPU is lost.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
EMULATED=${EXACONN_EMULATED:?}
small_job_volume=phantom:seed=7,shape=40x40x36,empty=0
chunks='"chunks": {"shape": [20, 40, 36], "halo": [10, 10, 10]}'
map='"segmentation": {"probability_map": true}'
skip='"skip_zero_raw": true'

# same FOLDER WHAT: the run in FOLDER ended as the one in $run did.
same() {
    check "$2: the same attempts" cmp "$run/attempts.csv" "$1/run/attempts.csv"
    check "$2: the same segmentation" "$EXACONN_FIXTURE" same "$1/run/segmentation.h5:/segmentation" "$run/segmentation.h5:/segmentation"
    check "$2: the same probability" "$EXACONN_FIXTURE" same "$1/run/probability.h5:/probability" "$run/probability.h5:/probability"
}
number() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$@"; }

small_job "$work/cpu" "$map" "$skip" '"compute": {"threads": 1, "backend": "cpu"}'
expect 0 'done in' -- "$EXACONN" run "$work/cpu/job.json"
run=$work/cpu/run
small_job "$work/one" "$map" "$skip" '"compute": {"threads": 1, "backend": "cuda", "precision": "fp16"}'
expect 0 'backend: cuda, GPU 0 \(emulated GPU' '1 canvas of' "CPU's network" 'done in' \
    'network steps of this process \([0-9]+ %\) had activations beyond' -- env EXACONN_TEST_OVERFLOW=3 "$EMULATED" run "$work/one/job.json"
same "$work/one" "in one piece"
check "steps were done again" test "$(number "$work/one/run/summary.json" steps_done_again)" -gt 0
check "the summary names the GPU" test "$(number "$work/one/run/summary.json" gpu)" = "emulated GPU"

small_job "$work/cut" "$chunks" "$map" "$skip" '"compute": {"threads": 1, "backend": "cpu"}'
expect 0 'done in' -- "$EXACONN" run "$work/cut/job.json"
run=$work/cut/run
small_job "$work/flight" "$chunks" "$map" "$skip" '"compute": {"threads": 1, "canvases": 2, "prefetch": 1, "precision": "fp16"}'
expect 0 'backend: cuda' '2 canvases of' 'done in' 'of this process \([0-9]+ %\) had activations beyond' -- \
    env EXACONN_TEST_OVERFLOW=3 "$EMULATED" run "$work/flight/job.json"
same "$work/flight" "two canvases in flight"

# Interrupted in the middle of a chunk: what is finished of it is kept, and a later start goes on there.
small_job "$work/part" "$chunks" "$map" "$skip" '"compute": {"threads": 1, "backend": "cuda", "canvases": 1}' \
    '"checkpoint": {"chunk_interval_s": 0.01}'
"$EMULATED" --log-level debug run "$work/part/job.json" 2>"$work/err" & pid=$!
for _ in $(seq 3000); do grep -q 'of 2 done' "$work/err" && break; kill -0 $pid 2>/dev/null || break; sleep 0.01; done
sleep 0.3
kill -TERM $pid 2>/dev/null; wait $pid; code=$?
check "stopped by the signal, or done ($code)" test "$code" -eq 5 -o "$code" -eq 0
expect 0 'done in|complete' -- "$EMULATED" run "$work/part/job.json"
same "$work/part" "interrupted"
check "no step was done again, and no warning says so" test "$(grep -c 'had activations beyond' "$work/part/run/run.log")" -eq 0

# A GPU that computes something else is not believed, also where the choice was ours.
small_job "$work/wrong" "$map" '"compute": {"threads": 1}'
expect 1 'differs from the CPU.s by 1 in a logit' 'hint: "compute"' -- env EXACONN_TEST_WRONG=1 "$EMULATED" run "$work/wrong/job.json"
check "nothing was segmented" test ! -e "$work/wrong/run/segmentation.h5" -a ! -e "$work/wrong/run/summary.json"

small_job "$work/batch" "$chunks" "$map" '"compute": {"threads": 1, "canvases": 2}'
expect 1 'other bits as number 2 of 2 at once than alone' -- env EXACONN_TEST_WRONG=2 "$EMULATED" run "$work/batch/job.json"
expect 1 'other bits as number 2 of 2 in a graph than alone' -- env EXACONN_TEST_WRONG=3 "$EMULATED" run "$work/batch/job.json"

# A GPU that the program has no code for, or that goes away while it is looked at: the CPU does it, unless one is asked for.
small_job "$work/auto" '"compute": {"threads": 1}' '"limits": {"max_steps": 3}'
expect 0 'backend: cpu \(no code for the emulated GPU\)' 'done in' -- env EXACONN_TEST_NO_CODE=1 "$EMULATED" run "$work/auto/job.json"
small_job "$work/gone" '"compute": {"threads": 1}' '"limits": {"max_steps": 3}'
expect 0 'backend: cpu \(a GPU that was there a moment ago' 'done in' -- env EXACONN_TEST_GONE=2 "$EMULATED" run "$work/gone/job.json"
small_job "$work/asked" '"compute": {"threads": 1, "backend": "cuda"}'
expect 4 'backend is "cuda": no code for' -- env EXACONN_TEST_NO_CODE=1 "$EMULATED" run "$work/asked/job.json"
expect 1 'backend is "cuda": a GPU that was there' -- env EXACONN_TEST_GONE=2 "$EMULATED" run "$work/asked/job.json"

# The list of seeds is on the GPU, too, and planned for: of the policy max each of 8 million voxels is a seed of 4 bytes.
planned() {
    small_job_volume=phantom:seed=7,shape=200x200x200 small_job "$work/plan" '"seeds": {"policy": "'"$1"'"}'
    "$EMULATED" plan "$work/plan/job.json" | sed -n 's/^GPU memory.* canvas of \([0-9]*\)[.0-9]* MiB.*/\1/p'
}
check "the seeds of the policy max are planned for" test "$(planned max)" -gt "$(($(planned peaks) + 20))"
small_job "$work/max" '"seeds": {"policy": "max"}' '"compute": {"threads": 1, "backend": "cuda"}' '"limits": {"max_steps": 3}'
expect 0 'done in' -- "$EMULATED" run "$work/max/job.json"

# A GPU that fails: alone, the run ends with what is finished, and the same command goes on.
small_job "$work/lost" "$chunks" "$map" "$skip" '"compute": {"threads": 1, "backend": "cuda", "canvases": 1}'
expect 1 'fallen off the bus' -- env EXACONN_TEST_LOSE=2 "$EMULATED" run "$work/lost/job.json"
check "nothing that looks whole" test ! -e "$work/lost/run/summary.json" -a ! -e "$work/lost/run/failed_chunks.csv"
expect 0 'done in' -- "$EMULATED" run "$work/lost/job.json"
same "$work/lost" "after a lost GPU"

# With other ranks they do its chunks: both share the GPU, and rank 1 loses it.
quarters='"chunks": {"shape": [20, 20, 36], "halo": [10, 10, 10]}'
small_job "$work/four" "$quarters" "$map" "$skip" '"compute": {"threads": 1, "backend": "cpu"}'
expect 0 'done in' -- "$EXACONN" run "$work/four/job.json"
run=$work/four/run
small_job "$work/rank" "$quarters" "$map" "$skip" '"compute": {"threads": 1, "backend": "cuda", "canvases": 1, "prefetch": 0}'
expect 0 '2 ranks on it' 'rank 1: .*fallen off the bus; the other ranks do its chunks' 'done in' -- \
    mpirun -n 1 "$EMULATED" run "$work/rank/job.json" : -n 1 env EXACONN_TEST_LOSE=1 "$EMULATED" run "$work/rank/job.json"
same "$work/rank" "one of two ranks without its GPU"

# Too little memory: refused with what is needed, or done by the CPU where the job leaves it open.
small_job "$work/small" '"compute": {"threads": 1, "backend": "cuda"}'
expect 1 'GPU memory' 'smaller chunks' -- "$EMULATED" plan --gpu-memory 0.001 "$work/small/job.json"
expect 0 'GPU memory .* canvas' 'at least 32 fit|[0-9]+ fit' -- "$EMULATED" plan "$work/small/job.json"
expect 0 'gpus +1' 'emulated GPU' 'gpu taken +0' 'beside +unknown' -- "$EMULATED" info --devices
finish
