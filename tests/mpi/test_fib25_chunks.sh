#!/usr/bin/env bash
# Real tissue and Google's network: a crop of the FIB-25 sample in four chunks gives the same bits on 1, 2, 3 and 4
# ranks, with several chunks in flight, and after a kill.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
command -v mpirun >/dev/null || { echo "SKIP: no mpirun" >&2; exit 77; }
[ -z "${EXACONN_SANITIZE:-}" ] || { echo "SKIP: under the sanitizers a step of this network takes seconds" >&2; exit 77; }
need_data fib25_sample2.h5 ffn_fib25_tf/model.ckpt-27465036.index
"$EXACONN" -q import-ffn "$data/ffn_fib25_tf/model.ckpt-27465036" -o "$work/ffn.h5" >/dev/null || { echo "FAIL: import"; exit 1; }
job() { # job FOLDER COMPUTE
    mkdir -p "$1"
    cat > "$1/job.json" <<JOB
{"volume": "$data/fib25_sample2.h5:/raw", "weights": "$work/ffn.h5", "output": "run", "compute": $2,
 "box": {"start": [60, 90, 110], "shape": [57, 73, 73]}, "chunks": {"shape": [57, 37, 37], "halo": [16, 16, 16]},
 "stitching": {"rim": [0, 8, 8], "min_jaccard": 0}, "segmentation": {"probability_map": true}}
JOB
}
same() { # same FOLDER WHAT
    for file in segmentation probability; do check "$2: the same $file" "$EXACONN_FIXTURE" same "$work/one/run/$file.h5:/$file" "$1/run/$file.h5:/$file"; done
    for table in attempts candidates segments supervoxels; do check "$2: the same $table" cmp "$work/one/run/$table.csv" "$1/run/$table.csv"; done
}

job "$work/one" '{"threads": 2}'
expect 0 'chunks: 1 x 2 x 2' 'done in' -- "$EXACONN" run "$work/one/job.json"
check "something was joined" test "$(awk -F, '$7 == 1' "$work/one/run/candidates.csv" | wc -l)" -ge 3
for n in 3 4; do
    job "$work/n$n" '{"threads": 1}'
    expect 0 'done in' -- mpirun -n $n "$EXACONN" run "$work/n$n/job.json"
    same "$work/n$n" "$n ranks"
done
job "$work/flight" '{"threads": 1, "canvases": 3, "prefetch": 1}'
mpirun -n 2 "$EXACONN" run "$work/flight/job.json" >"$work/err" 2>&1 & pid=$!
for _ in $(seq 3000); do kill -0 $pid 2>/dev/null || break; [ "$(find "$work/flight/run/journals" -name '*.journal' -size +1k 2>/dev/null | wc -l)" -ge 1 ] && break; sleep 0.02; done
pkill -KILL -P $pid; kill -KILL $pid; wait $pid 2>/dev/null
expect 0 'resumed: [0-9] of 4' 'done in' -- mpirun -n 2 "$EXACONN" run "$work/flight/job.json"
same "$work/flight" "2 ranks, three chunks in flight on each, killed once"
finish
