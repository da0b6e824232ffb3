#!/usr/bin/env bash
# import-images and render from the command line: what works, and each refusal with its text.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
make() { python3 "$EXACONN_SOURCE_DIR/tests/make_volume.py" "$@"; }

make raw "$work/png" && make raw "$work/png16" --bits 16 && make raw "$work/rgb" --rgb && make raw "$work/tiff" --format tiff &&
    make truth "$work/truth" && make seg "$work/seg" || { echo "FAIL: make_volume.py"; exit 1; }

# every layout of the same slices becomes a volume
expect 0 '12 x 40 x 50 uint8 .* 12 png' -- "$EXACONN" import-images "$work/png" -o "$work/png.h5:/raw" --voxel-size 40,4,4.5
expect 0 '12 x 40 x 50 uint16' -- "$EXACONN" import-images "$work/png16" -o "$work/png16.h5:/raw" --voxel-size 8
expect 0 'read as gray' -- "$EXACONN" import-images "$work/rgb" -o "$work/rgb.h5:/raw" --voxel-size 8 --level 0
expect 0 '12 tiff files' -- "$EXACONN" import-images "$work/tiff" -o "$work/tiff.h5:/deep/in/raw" --voxel-size 8,8,8
expect 0 '5 x 40 x 50' -- "$EXACONN" import-images "$work/png" -o "$work/five.h5:/raw" --voxel-size 8 --pattern 'slice_[0-4].png'
# equal voxels: as labels of each other they agree perfectly
for other in rgb.h5:/raw tiff.h5; do
    expect 0 '"voi_bits": 0,' '"overlaps"' -- "$EXACONN" eval "$work/png.h5" "$work/$other" --ignore none --json
done

"$EXACONN" import-images "$work/png" -o "$work/json.h5:/raw" --voxel-size 40,4,4.5 --json >"$work/json" 2>/dev/null
check "--json tells what was made" python3 -c 'import json,sys; d = json.load(open(sys.argv[1])); sys.exit(not (
    d["output"] == sys.argv[2] + "/json.h5:/raw" and d["source"] == sys.argv[2] + "/png" and d["files"] == 12 and
    d["format"] == "png" and d["type"] == "uint8" and d["shape"] == [12, 40, 50] and d["voxel_size_nm"] == [40, 4, 4.5]))' \
    "$work/json" "$work"

# an existing file is not replaced by accident
expect 2 'exists' 'force' -- "$EXACONN" import-images "$work/png" -o "$work/png.h5:/raw" --voxel-size 8
expect 0 -- "$EXACONN" import-images "$work/png" -o "$work/png.h5:/raw" --voxel-size 40,4,4.5 --force

# refusals; nothing is left behind
o="$work/no.h5:/raw"
expect 2 'say where' -- "$EXACONN" import-images "$work/png" --voxel-size 8
expect 2 'say how large' -- "$EXACONN" import-images "$work/png" -o "$o"
expect 2 'one or three' -- "$EXACONN" import-images "$work/png" -o "$o" --voxel-size 8,8
expect 2 'nanometres' -- "$EXACONN" import-images "$work/png" -o "$o" --voxel-size 8,-8,8
expect 2 'zstd levels' -- "$EXACONN" import-images "$work/png" -o "$o" --voxel-size 8 --level 30
expect 2 'no dataset' -- "$EXACONN" import-images "$work/png" -o "$work/no.h5" --voxel-size 8
expect 2 'does not name a volume' -- "$EXACONN" import-images "$work/png" -o "no" --voxel-size 8
expect 1 'No such file' -- "$EXACONN" import-images "$work/absent" -o "$o" --voxel-size 8
expect 2 'no file that matches' -- "$EXACONN" import-images "$work/png" -o "$o" --voxel-size 8 --pattern '*.tif'
mkdir "$work/bad" && cp "$work/png"/* "$work/bad"
rm "$work/bad/slice_5.png" "$work/bad/slice_6.png"
expect 0 '2 slices may be missing between .slice_4.png. and .slice_7.png.' -- "$EXACONN" import-images "$work/bad" -o "$work/gap.h5:/raw" --voxel-size 8
truncate -s 500 "$work/bad/slice_3.png"
expect 4 'slice_3.png. is truncated' -- "$EXACONN" import-images "$work/bad" -o "$o" --voxel-size 8
cp "$work/tiff/slice_3.tif" "$work/bad/slice_3.png"
expect 4 'is tiff but' -- "$EXACONN" import-images "$work/bad" -o "$o" --voxel-size 8
cp "$work/png16/slice_3.png" "$work/bad/slice_3.png"
expect 4 'slice_3.png. holds uint16' -- "$EXACONN" import-images "$work/bad" -o "$o" --voxel-size 8
check "nothing is left of refused imports" test -z "$(find "$work" -name 'no.h5*')"

# pictures
expect 0 -- "$EXACONN" import-images "$work/truth" -o "$work/truth.h5:/labels" --voxel-size 40,4,4.5
expect 0 -- "$EXACONN" import-images "$work/seg" -o "$work/seg.h5:/labels" --voxel-size 40,4,4.5
for slice in z=6 y=20 x=0; do
    expect 0 'wrote' -- "$EXACONN" render --raw "$work/png.h5" --truth "$work/truth.h5" --seg "$work/seg.h5" --slice $slice -o "$work/$slice.png"
    check "the picture of $slice is a PNG" python3 -c "import sys; sys.exit(open(sys.argv[1], 'rb').read(4) != b'\x89PNG')" "$work/$slice.png"
done
expect 0 'wrote' -- "$EXACONN" render --raw "$work/png16.h5" --seg "$work/seg.h5" --slice z=0 --scale 1 --no-match -o "$work/16.png"
expect 0 'has nothing in this slice' -- "$EXACONN" render --raw "$work/png.h5" --seg "$work/seg.h5" --seg-offset 5,0,0 --slice z=0 -o "$work/none.png"
expect 2 'give an axis' -- "$EXACONN" render --raw "$work/png.h5" --slice w=1 -o "$work/x.png"
expect 2 'has 12 voxels on axis z' -- "$EXACONN" render --raw "$work/png.h5" --slice z=12 -o "$work/x.png"
expect 2 'say which raw' -- "$EXACONN" render --slice z=12 -o "$work/x.png"
expect 2 'say which slice' -- "$EXACONN" render --raw "$work/png.h5" -o "$work/x.png"
expect 2 'say where' -- "$EXACONN" render --raw "$work/png.h5" --slice z=1
expect 1 'No such file' -- "$EXACONN" render --raw "$work/png.h5" --slice z=1 -o "$work/absent/x.png"
expect 2 'has no dataset' 'did you mean /raw' -- "$EXACONN" render --raw "$work/png.h5:/row" --slice z=1 -o "$work/x.png"
for scale in 0 -1 65; do
    expect 2 "--scale $scale: choose 1 to 64" -- "$EXACONN" render --raw "$work/png.h5" --slice z=1 --scale $scale -o "$work/x.png"
done

# a segmentation of a part: that part is drawn, by its offset_zyx_vx; without one shapes must be equal
small_job "$work/part" '"box": {"start": [2, 4, 6], "shape": [20, 22, 18]}'
"$EXACONN" run "$work/part/job.json" >"$work/log" 2>&1 || { echo "FAIL: run"; cat "$work/log"; exit 1; }
part=(--raw "$small_volume" --seg "$work/part/run/segmentation.h5:/segmentation" --scale 3)
expect 0 'what the segmentation covers, 2,4,6,20,22,18; --whole' -- "$EXACONN" render "${part[@]}" --slice z=10 -o "$work/part.png"
expect 0 'wrote' -- "$EXACONN" render "${part[@]}" --slice z=10 --box 10,4,6,1,22,18 -o "$work/box.png"
expect 0 'wrote' -- "$EXACONN" render "${part[@]}" --slice z=10 --whole -o "$work/whole.png"
check "the part is drawn as --box draws it" cmp "$work/part.png" "$work/box.png"
size_of() { python3 -c 'import struct,sys; print(*struct.unpack(">II", open(sys.argv[1], "rb").read()[16:24]))' "$1"; }
check "--whole is larger by what is around: two panels of 40 - 18 columns, 40 - 22 rows" python3 -c 'import sys
a = list(map(int, sys.argv[1:])); sys.exit(not (a[0] - a[2] == 2 * 22 * 3 and a[1] - a[3] == 18 * 3))' \
    $(size_of "$work/whole.png") $(size_of "$work/part.png")
expect 2 'choose --box or --whole' -- "$EXACONN" render "${part[@]}" --slice z=10 --whole --box 10,4,6,1,22,18 -o "$work/x.png"
expect 2 'does not go through' -- "$EXACONN" render "${part[@]}" --slice z=11 --box 10,4,6,1,22,18 -o "$work/x.png"
expect 2 'not inside the raw volume' -- "$EXACONN" render "${part[@]}" --slice z=10 --box 10,4,6,1,37,12 -o "$work/x.png"
expect 2 'six whole numbers' -- "$EXACONN" render "${part[@]}" --slice z=10 --box 10,4,6 -o "$work/x.png"
make seg "$work/few" --shape 5,40,50 && "$EXACONN" import-images "$work/few" -o "$work/few.h5:/labels" --voxel-size 8 >/dev/null || exit 1
expect 2 'is 5 x 40 x 50 but .* is 12 x 40 x 50' 'seg-offset' -- "$EXACONN" render --raw "$work/png.h5" --seg "$work/few.h5" --slice z=6 -o "$work/x.png"
expect 2 'is 5 x 40 x 50 but' -- "$EXACONN" render --raw "$work/png.h5" --truth "$work/few.h5" --slice z=6 -o "$work/x.png"
expect 0 'wrote' -- "$EXACONN" render --raw "$work/png.h5" --seg "$work/few.h5" --seg-offset 4,0,0 --slice z=6 -o "$work/few.png"
check "nothing is left of refused pictures" test ! -e "$work/x.png"
finish
