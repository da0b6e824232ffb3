#!/usr/bin/env bash
# exaconn export: volumes and runs in Neuroglancer's format, resumed, refused, damaged; what was written is read again.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
truth=phantom:seed=9,shape=70x90x140,empty=0:/labels
image=phantom:seed=9,shape=70x90x140,empty=0

# equal FOLDER VOLUME [MORE...]: label by label.
equal() { expect 0 '"voi_bits": 0,' -- "$EXACONN" eval "$1" "$2" --ignore none --json "${@:3}"; }
expect 0 'scales' 'exported in' 'exaconn view' -- "$EXACONN" export "$truth" -o "$work/labels" --voxel-size 40,8,8
equal "$work/labels" "$truth"
equal "precomputed://$work/labels" "$truth"
expect 0 'precomputed' 'uint64' '\[70, 90, 140\]' '\[40, 8, 8\]' 'compressed_segmentation' -- "$EXACONN" info "$work/labels"
expect 0 '\[70, 45, 70\]' '\[40, 16, 16\]' -- "$EXACONN" info "$work/labels:/16_16_40"
expect 2 "no scale '9_9_9'" 'it has 8_8_40, 16_16_40' -- "$EXACONN" info "$work/labels:/9_9_9"
expect 0 -- "$EXACONN" export "$image" -o "$work/image"
equal "$work/image" "$image"

# Twice the same bytes; from an export of an export as well.
expect 0 -- "$EXACONN" export "$truth" -o "$work/again" --voxel-size 40,8,8
check "the same bytes again" diff -r "$work/labels" "$work/again"
expect 0 'complete already' -- "$EXACONN" export "$truth" -o "$work/again" --voxel-size 40,8,8
expect 0 -- "$EXACONN" export "$work/labels" -o "$work/third"
check "an export of an export" diff -r -x source.json "$work/labels" "$work/third"

# A box, another place, no compression.
expect 0 -- "$EXACONN" export "$truth" -o "$work/part" --box 10,20,30,40,50,66 --gzip 0
expect 0 '"seg_offset_zyx": \[10, 20, 30\]' '"voi_bits": 0,' -- "$EXACONN" eval "$work/part" "$truth" --ignore none --json
expect 0 -- "$EXACONN" export "$truth" -o "$work/moved" --box 10,20,30,40,50,66 --offset -3,7,1000001
expect 0 -- "$EXACONN" info "$work/moved"
check "it lies there" grep -q '"voxel_offset": \[1000001, 7, -3\]' "$work/moved/info"

# Interrupted: what is there stays, the rest is made; leftovers go.
first=$(cd "$work/again" && ls 8_8_40/*.shard | head -n 1)
rm "$work/again/info" "$work/again/$first"
find "$work/again" -name '*.shard' -exec stat -c '%n %Y %i' {} + | sort > "$work/before"
touch "$work/again/$first.tmp-1234" "$work/again/info.tmp-99"
expect 4 'chunk at 0,0,0' 'is missing' -- bash -c "cp '$work/labels/info' '$work/again/info'; '$EXACONN' eval '$work/again' '$truth'"
rm "$work/again/info"
expect 0 'going on' -- "$EXACONN" export "$truth" -o "$work/again" --voxel-size 40,8,8
check "the same bytes after an interruption" diff -r "$work/labels" "$work/again"
check "finished shards were kept" test -z "$(find "$work/again" -name '*.shard' -exec stat -c '%n %Y %i' {} + | sort | comm -13 - "$work/before")"

# Refused.
expect 2 'holds another volume' -- "$EXACONN" export "$image" -o "$work/labels"
expect 2 'holds another volume' -- "$EXACONN" export "$truth" -o "$work/labels" --voxel-size 8
mkdir "$work/full" && touch "$work/full/precious"
expect 2 'not empty' 'precious' -- "$EXACONN" export "$truth" -o "$work/full"
touch "$work/file"
expect 2 'a file of that name' -- "$EXACONN" export "$truth" -o "$work/file"
expect 2 'hint: -o FOLDER' -- "$EXACONN" export "$truth"
expect 2 '--voxel-size' -- "$EXACONN" export "$truth" -o "$work/no" --voxel-size 8,8
expect 2 '--box' -- "$EXACONN" export "$truth" -o "$work/no" --box 0,0,0,1
expect 2 'not inside' -- "$EXACONN" export "$truth" -o "$work/no" --box 0,0,0,71,1,1
expect 2 '--gzip 10' -- "$EXACONN" export "$truth" -o "$work/no" --gzip 10
expect 4 'image of uint64' 'as a segmentation' -- "$EXACONN" export "$truth" -o "$work/no" --type image
expect 1 'absent.h5' -- "$EXACONN" export absent.h5:/x -o "$work/no"
python3 "$EXACONN_SOURCE_DIR/tests/make_volume.py" raw "$work/slices" --shape 40,41,42 > /dev/null
expect 0 -- "$EXACONN" import-images "$work/slices" -o "$work/plain.h5:/v" --voxel-size 8
check "nothing was begun" test ! -e "$work/no"
expect 0 -- "$EXACONN" export "$work/plain.h5:/v" -o "$work/plain" --voxel-size 8
touch -d '2001-01-01' "$work/plain.h5"
expect 2 'another state of the source' -- "$EXACONN" export "$work/plain.h5:/v" -o "$work/plain" --voxel-size 8
expect 4 'lies on a server' -- "$EXACONN" info precomputed://https://example.org/volume
expect 1 'disk full|No space|cannot write' -- bash -c "trap '' XFSZ; ulimit -f 20; exec '$EXACONN' export '$image' -o '$work/small'"
check "no info after a full disk" test ! -e "$work/small/info"
expect 0 'going on' -- "$EXACONN" export "$image" -o "$work/small"
check "the same bytes after a full disk" diff -r "$work/image" "$work/small"

# A run: with the job, and afterwards.
small_job "$work" '"precomputed": {"segmentation": true}' '"box": {"start": [3, 2, 1], "shape": [33, 34, 35]}' '"limits": {"max_objects": 2}'
expect 0 'exporting' -- "$EXACONN" run "$work/job.json"
check "a state for the viewer" grep -q SERVER/segmentation "$work/run/neuroglancer.json"
check "no raw, as the job says" test ! -e "$work/run/precomputed/raw"
equal "$work/run/precomputed/segmentation" "$work/run/segmentation.h5:/segmentation"
check "where it lies" grep -q '"voxel_offset": \[1, 2, 3\]' "$work/run/precomputed/segmentation/info"
cp -r "$work/run/precomputed" "$work/kept"
expect 0 'segmentation. is complete already' 'exporting' -- "$EXACONN" export "$work/run"
check "nothing else was changed" diff -r "$work/kept/segmentation" "$work/run/precomputed/segmentation"
equal "$work/run/precomputed/raw" "$small_volume"
check "both layers" grep -q SERVER/raw "$work/run/neuroglancer.json"
expect 2 '--output is for volumes' -- "$EXACONN" export "$work/run" -o "$work/x"
rm "$work/run/summary.json"
expect 2 'no complete run' -- "$EXACONN" export "$work/run"
# Begun again with another job in the same folder, what was exported is not taken for the new result.
rm "$work/run/segmentation.h5"
small_job "$work" '"precomputed": {"segmentation": true, "raw": true}' '"box": {"start": [3, 2, 1], "shape": [33, 34, 35]}' '"limits": {"max_objects": 1}'
expect 0 'exporting' -- "$EXACONN" run "$work/job.json"
equal "$work/run/precomputed/segmentation" "$work/run/segmentation.h5:/segmentation"

# A job reads what was exported.
small_job_volume=../run/precomputed/raw small_job "$work/from" '"limits": {"max_objects": 1}'
expect 0 'done in' -- "$EXACONN" run "$work/from/job.json"
finish
