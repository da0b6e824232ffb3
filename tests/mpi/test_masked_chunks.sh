#!/usr/bin/env bash
# Chunks of which the mask leaves nothing are never given to a rank; the result is the same for any number of ranks and
# after an interruption.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 # as in test_mpi_run.sh
command -v mpirun >/dev/null || { echo "SKIP: no mpirun" >&2; exit 77; }
small_job_volume=phantom:seed=7,shape=56,empty=0
[ -z "${EXACONN_SANITIZE:-}" ] || { echo "SKIP: under the sanitizers a run of this size takes minutes" >&2; exit 77; }
"$EXACONN_FIXTURE" mask "$work/mask.h5" 56 18
"$EXACONN_FIXTURE" mask "$work/all.h5" 56 0
# The halo of the chunks at larger x begins at 18.
job() { small_job "$1" '"chunks": {"shape": [28, 28, 28], "halo": [10, 10, 10]}' '"compute": {"threads": 1}' "\"mask\": {\"volume\": \"$2:/mask\"}" '"segmentation": {"probability_map": true}'; }

job "$work/one" "$work/mask.h5"
expect 0 'mask: 4 chunks have nothing to segment' 'done in' -- "$EXACONN" --log-level debug run "$work/one/job.json"
check "only the others were worked on" test "$(grep -c ' of 8 done' "$work/one/run/run.log")" -eq 4
check "counted" grep -q '"masked_out":[[:space:]]*4' "$work/one/run/summary.json"
check "voxels of all masked chunks are counted" grep -q "\"voxels_excluded\":[[:space:]]*$((56 * 56 * 38))" "$work/one/run/summary.json"
expect 0 'whole' '8 of 8' -- "$EXACONN" verify "$work/one/run"
check "something is left to segment" test "$(wc -l < "$work/one/run/segments.csv")" -gt 1
check "nothing in the mask" awk -F, 'NR > 1 && $5 + $8 > 18 { exit 1 }' "$work/one/run/segments.csv"

for n in 2 3; do
    job "$work/n$n" "$work/mask.h5"
    expect 0 'mask: 4 chunks' 'done in' -- mpirun -n $n "$EXACONN" run "$work/n$n/job.json"
    for file in segmentation probability; do check "$n ranks: the same $file" "$EXACONN_FIXTURE" same "$work/one/run/$file.h5:/$file" "$work/n$n/run/$file.h5:/$file"; done
    for table in attempts candidates segments supervoxels; do check "$n ranks: the same $table" cmp "$work/one/run/$table.csv" "$work/n$n/run/$table.csv"; done
done

# What was found empty once is in the journal.
rm "$work/one/run/summary.json" "$work/one/run/segmentation.h5"
expect 0 'resumed: 8 of 8' 'done in' -- "$EXACONN" run "$work/one/job.json"
check "the same again" "$EXACONN_FIXTURE" same "$work/one/run/segmentation.h5:/segmentation" "$work/n2/run/segmentation.h5:/segmentation"

# Nothing at all to segment is a result, too.
job "$work/none" "$work/all.h5"
expect 0 'mask: 8 chunks have nothing to segment' 'done in' -- mpirun -n 2 "$EXACONN" run "$work/none/job.json"
check "an empty table" test "$(wc -l < "$work/none/run/segments.csv")" -eq 1
finish
