#!/usr/bin/env bash
# A disk that is full when the output is written: one clear error on any number of ranks, nothing that looks complete,
# and the same command finishes when there is room.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0
command -v mpirun >/dev/null || { echo "SKIP: no mpirun" >&2; exit 77; }
[ -z "${EXACONN_SANITIZE:-}" ] || { echo "SKIP: under the sanitizers a run takes minutes" >&2; exit 77; }
mkdir "$work/small"
mount -t tmpfs -o size=4m tmpfs "$work/small" 2>/dev/null || { echo "SKIP: needs root, to mount a small file system" >&2; exit 77; }
trap 'umount "$work/small"; rm -rf "$work"' EXIT
small_job_volume=phantom:seed=7,shape=56,empty=0
small_job "$work/whole" '"chunks": {"shape": [28, 28, 28], "halo": [10, 10, 10]}' '"compute": {"threads": 1}'
expect 0 -- "$EXACONN" --log-level warn run "$work/whole/job.json"

for n in 1 2; do
    folder=$work/small/n$n
    mkdir "$folder"
    cp -r "$work/whole/run" "$work/whole/job.json" "$folder/"
    rm "$folder"/run/{summary.json,segmentation.h5,segments.csv,supervoxels.csv,candidates.csv,attempts.csv}
    # In the tables, when HDF5 begins, and in the middle of its writing (or, on several ranks, before it).
    for left in 16384 40960 81920; do
        free=$(($(stat -f -c '%a * %S' "$work/small")))
        head -c $((free - left)) /dev/zero > "$work/small/filler"
        timeout -k 5 60 mpirun -n "$n" "$EXACONN" run "$folder/job.json" > "$work/err" 2>&1; rc=$?
        rm "$work/small/filler"
        if [ $rc -eq 0 ]; then # one rank needs no more than this
            check "$n ranks, $left bytes: it did fit" test "$n" -eq 1 -a "$left" -gt 16384
            rm "$folder"/run/{summary.json,segmentation.h5}
            continue
        fi
        check "$n ranks, $left bytes: exit 1 ($rc)" test $rc -eq 1
        check "$n ranks, $left bytes: says why" grep -Eq '[Nn]o (room|space)' "$work/err"
        check "$n ranks, $left bytes: says what to do" grep -q 'hint: make room' "$work/err"
        check "$n ranks, $left bytes: nothing looks complete" test ! -e "$folder/run/summary.json"
        [ ! -e "$folder/run/segmentation.h5" ] || check "$n ranks, $left bytes: what has its name is whole" \
            "$EXACONN_FIXTURE" same "$work/whole/run/segmentation.h5:/segmentation" "$folder/run/segmentation.h5:/segmentation"
    done
    expect 0 'resumed: 8 of 8' 'done in' -- mpirun -n "$n" "$EXACONN" run "$folder/job.json"
    check "$n ranks: the same voxels" "$EXACONN_FIXTURE" same "$work/whole/run/segmentation.h5:/segmentation" "$folder/run/segmentation.h5:/segmentation"
    for table in segments supervoxels candidates attempts; do check "$n ranks: the same $table" cmp "$work/whole/run/$table.csv" "$folder/run/$table.csv"; done
    check "$n ranks: no leftovers" test -z "$(find "$folder" -name '*.tmp-*')"
    rm -r "$folder"
done
finish
