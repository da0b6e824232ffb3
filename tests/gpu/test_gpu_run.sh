#!/usr/bin/env bash
# `exaconn run` on a real GPU: the golden sub-cube in fp32 as the reference has it, in tf32 and fp16 within their
# tolerance (data/README.md); a run by chunks with several canvases in flight, twice, with the same bits. Skips aloud
# without a GPU.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
devices=$("$EXACONN" info --devices)
if grep -Eq '^gpus +0' <<<"$devices"; then
    echo "SKIP: this test needs a GPU: $(sed -n 's/^no gpu because *//p' <<<"$devices")" >&2
    exit 77
fi

# Chunks of procedural tissue: the CPU's fp32 and the GPU's differ in the last bits of logits, so their segmentations are
# compared by score; the same job on the GPU twice is compared bit by bit.
small_job_volume=phantom:seed=7,shape=56x56x40,empty=0
chunks='"chunks": {"shape": [28, 28, 40], "halo": [10, 10, 10]}'
small_job "$work/cpu" "$chunks" '"compute": {"backend": "cpu"}'
expect 0 'done in' -- "$EXACONN" run "$work/cpu/job.json"
for precision in fp32 tf32 fp16; do
    for canvases in 1 3; do
        at=$work/$precision-$canvases
        small_job "$at" "$chunks" "\"compute\": {\"backend\": \"cuda\", \"precision\": \"$precision\", \"canvases\": $canvases}"
        expect 0 'backend: cuda' 'done in' -- "$EXACONN" run "$at/job.json"
    done
    check "$precision: the same with one canvas and with three" \
        "$EXACONN_FIXTURE" same "$at/run/segmentation.h5:/segmentation" "$work/$precision-1/run/segmentation.h5:/segmentation"
    "$EXACONN" eval "$at/run/segmentation.h5:/segmentation" "$work/cpu/run/segmentation.h5:/segmentation" --ignore both --json \
        > "$work/scores" || failures=$((failures + 1))
    error=$(sed -n 's/.*"arand_error": *\([0-9.eE+-]*\).*/\1/p' "$work/scores" | head -n 1)
    check "$precision: ARAND error to the CPU is ${error:-unknown}" \
        awk -v e="${error:-1}" 'BEGIN { exit !(e + 0 <= 0.02) }'
done

# The golden sub-cubes with the published network.
if [ -e "$data/ffn_fib25_tf/model.ckpt-27465036.index" ] && [ -e "$data/fib25_sample2.h5" ]; then
    "$EXACONN" -q import-ffn "$data/ffn_fib25_tf/model.ckpt-27465036" -o "$work/ffn.h5" >/dev/null || { echo "FAIL: import"; exit 1; }
    for precision in fp32 tf32 fp16; do
        mkdir -p "$work/golden-$precision"
        printf '{"volume": "%s:/raw", "weights": "%s", "output": "run", "box": {"start": [90, 100, 40], "shape": [49, 56, 64]},
"inference": {"min_segment_size": 100}, "compute": {"backend": "cuda", "precision": "%s"}}\n' \
            "$data/fib25_sample2.h5" "$work/ffn.h5" "$precision" > "$work/golden-$precision/job.json"
        expect 0 'done in' -- "$EXACONN" run "$work/golden-$precision/job.json"
    done
    check "fp32: 30 steps, 7 floods, 6 objects as the reference" \
        awk -F, 'NR > 1 { n++; s += $4; o += $5 == "object" } END { exit !(n == 7 && s == 30 && o == 6) }' \
        "$work/golden-fp32/run/attempts.csv"
else
    echo "the golden sub-cube is left out: the data are not there (set EXACONN_DATA_DIR)" >&2
fi
finish
