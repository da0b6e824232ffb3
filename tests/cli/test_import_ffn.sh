#!/usr/bin/env bash
# import-ffn from the command line: made checkpoints, every kind of refusal, and the published network.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
make() { python3 "$EXACONN_SOURCE_DIR/tests/make_tf_checkpoint.py" "$@" || { echo "FAIL: make_tf_checkpoint.py $*"; exit 1; }; }
geometry=(--fov 17,33,33 --deltas 4,8,8 --image-mean 128 --image-stddev 33)
json() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); sys.exit(not eval(sys.argv[2], {}, {"d": d}))' "$@"; }

make "$work/m" --counters 1234
expect 0 'depth 2, 8 features' '5 layers, 5[0-9]+ parameters' 'step 1234' 'command line' '17,33,33' 'not stated' 'exaconn run' \
    -- "$EXACONN" import-ffn "$work/m" -o "$work/m.h5" "${geometry[@]}"
expect 2 'exists' 'force' -- "$EXACONN" import-ffn "$work/m" -o "$work/m.h5" "${geometry[@]}"
expect 0 -- "$EXACONN" import-ffn "$work/m.index" -o "$work/m2.h5" "${geometry[@]}"
check "an imported file has the same bytes each time" cmp "$work/m.h5" "$work/m2.h5"
"$EXACONN" import-ffn "$work/m" -o "$work/m.h5" --force --json "${geometry[@]}" --move-threshold .8 --min-segment-size 7 \
    --min-boundary-dist 3,2,1 --disco-seed-threshold -1 >"$work/json" 2>"$work/log" || { echo "FAIL: --json"; cat "$work/log"; exit 1; }
check "--json tells what was taken" json "$work/json" '(d["move_threshold"] == 0.8 and d["min_segment_size"] == 7 and
    d["min_boundary_dist_zyx"] == [3, 2, 1] and d["disco_seed_threshold"] == -1 and d["pad_value"] == 0.05 and
    d["fov_zyx"] == [17, 33, 33] and d["depth"] == 2 and d["features"] == 8 and d["global_step"] == 1234 and
    d["ignored_tensors"] == 3 and d["layers"] == 5 and len(d["weights_sha256"]) == 64)'
check "no temporary files are left" sh -c '! ls "$1" | grep -q tmp-' - "$work"

# a google/ffn request: x,y,z there, z,y,x here; options are stronger
cat >"$work/r.pbtxt" <<'PB'
image_mean: 120  image_stddev: 40
model_name: "convstack_3d.ConvStack3DFFNModel"
model_args: "{\"depth\": 2, \"fov_size\": [35, 33, 17], \"deltas\": [9, 8, 4]}"
inference_options { init_activation: 0.9 pad_value: 0.06 move_threshold: 0.7 segment_threshold: 0.5
  min_boundary_dist { x: 1 y: 2 z: 3 } min_segment_size: 10 odd_option: 1 }
PB
expect 0 'request' '17,33,35' 'deltas 4,8,9' 'init 0.9, pad 0.06, move 0.7, segment 0.5' '3,2,1' 'odd_option' \
    -- "$EXACONN" import-ffn "$work/m" -o "$work/r.h5" --request "$work/r.pbtxt"
expect 0 'command line \+ request' '\(value - 120\) / 50' -- "$EXACONN" import-ffn "$work/m" -fo "$work/r.h5" --request "$work/r.pbtxt" --image-stddev 50
make "$work/deep" --depth 3 --scope ''
expect 2 'depth 2' 'depth 3' 'belongs to another network' -- "$EXACONN" import-ffn "$work/deep" -o "$work/x.h5" --request "$work/r.pbtxt"
expect 0 'depth 3' -- "$EXACONN" import-ffn "$work/deep" -o "$work/x.h5" "${geometry[@]}"
echo 'image_mean: "' >"$work/bad.pbtxt"
expect 2 'bad.pbtxt.*line 1' -- "$EXACONN" import-ffn "$work/m" -fo "$work/x.h5" --request "$work/bad.pbtxt"
expect 1 'No such file' -- "$EXACONN" import-ffn "$work/m" -fo "$work/x.h5" --request "$work/absent.pbtxt"
rm -f "$work/x.h5"

# what is missing is named, with how to give it
expect 2 -- "$EXACONN" import-ffn "$work/m"
expect 2 -- "$EXACONN" import-ffn -o "$work/x.h5"
expect 2 '--fov, --deltas, --image-mean, --image-stddev' '--request FILE.pbtxt' -- "$EXACONN" import-ffn "$work/m" -o "$work/x.h5"
expect 2 'image-stddev is not given' -- "$EXACONN" import-ffn "$work/m" -o "$work/x.h5" --fov 33 --deltas 8 --image-mean 1
expect 2 'fov on axis y is 32' -- "$EXACONN" import-ffn "$work/m" -o "$work/x.h5" "${geometry[@]}" --fov 33,32,33
expect 2 'deltas on axis z is 17' -- "$EXACONN" import-ffn "$work/m" -o "$work/x.h5" "${geometry[@]}" --fov 33 --deltas 17,8,8
expect 2 'image_stddev is 0' -- "$EXACONN" import-ffn "$work/m" -o "$work/x.h5" "${geometry[@]}" --image-stddev 0
expect 2 'move_threshold is 1.5' -- "$EXACONN" import-ffn "$work/m" -o "$work/x.h5" "${geometry[@]}" --move-threshold 1.5

# refused PATTERN CODE OPTIONS...: a checkpoint made with OPTIONS
refused() {
    local pattern=$1 code=$2
    shift 2
    make "$work/c" "$@"
    expect "$code" "$pattern" "$work/c" -- "$EXACONN" import-ffn "$work/c" -o "$work/x.h5" "${geometry[@]}"
}
refused "conv1_a/weights' has NaN at element 5" 4 --nan seed_update/conv1_a/weights:5
refused "conv_lom/biases' has infinity" 4 --inf seed_update/conv_lom/biases
refused "conv1_b/biases' is missing" 4 --drop seed_update/conv1_b/biases
refused "'extra' does not belong" 4 --add extra
refused "'seed_update/conv1_a/other' does not belong" 4 --add seed_update/conv1_a/other
refused 'two networks' 4 --add other/conv0_a/weights
refused "conv0_b/weights' has 1 dimensions instead of 5" 4 --flatten seed_update/conv0_b/weights
refused 'not float32' 4 --dtype seed_update/conv0_b/weights:3
refused 'multiples of 8' 4 --features 12
refused "no tensor '.../conv0_a/weights'" 4 --drop seed_update/conv0_a/weights
refused 'compressed' 4 --compression 1
refused 'big-endian' 4 --big-endian 1
refused 'slices' 4 --sliced seed_update/conv0_a/weights
check "nothing was written for a refused checkpoint" test ! -e "$work/x.h5"
make "$work/c" --slot seed_update/conv0_a/weights/Adam --slot seed_update/conv0_a/weights/Adam_1
expect 0 'Adam_1' -- "$EXACONN" import-ffn "$work/c" -o "$work/c.h5" "${geometry[@]}"

# missing and damaged files
expect 1 'absent.index' 'hint: name the checkpoint by' -- "$EXACONN" import-ffn "$work/absent" -o "$work/x.h5"
make "$work/c"
data_file=$work/c.data-00000-of-00001
truncate -s -100 "$data_file"
expect 4 'data file of only' -- "$EXACONN" import-ffn "$work/c" -o "$work/x.h5" "${geometry[@]}"
make "$work/c"
printf '\x55' | dd of="$data_file" bs=1 seek=3000 conv=notrunc status=none
expect 4 'checksum of tensor' 'c.data-00000-of-00001' -- "$EXACONN" import-ffn "$work/c" -o "$work/x.h5" "${geometry[@]}"
expect 4 'checksum of tensor' 'the checkpoint is damaged' -- "$EXACONN" import-ffn "$work/c" -o "$work/x.h5"
make "$work/c"
printf 'more' >>"$data_file"
expect 4 '4 bytes follow its last tensor' 'the checkpoint is damaged' -- "$EXACONN" import-ffn "$work/c" -o "$work/x.h5" "${geometry[@]}"
rm "$data_file"
expect 1 'c.data-00000-of-00001' -- "$EXACONN" import-ffn "$work/c" -o "$work/x.h5" "${geometry[@]}"
make "$work/c"
truncate -s -10 "$work/c.index"
expect 4 'c.index' -- "$EXACONN" import-ffn "$work/c" -o "$work/x.h5" "${geometry[@]}"
make "$work/c"
printf '\x55' | dd of="$work/c.index" bs=1 seek=40 conv=notrunc status=none
expect 4 'checksum of the data block' -- "$EXACONN" import-ffn "$work/c" -o "$work/x.h5" "${geometry[@]}"

# outputs that cannot be
expect 1 "folder '.*no/' for the output does not exist" -- "$EXACONN" import-ffn "$work/m" -o "$work/no/x.h5" "${geometry[@]}"
expect 2 'is a folder' -- "$EXACONN" import-ffn "$work/m" -o "$work" "${geometry[@]}"
if [ -d /proc/self ]; then
    expect 1 'cannot create' -- "$EXACONN" import-ffn "$work/m" -o /proc/x.h5 "${geometry[@]}"
fi
check "still nothing was written" test ! -e "$work/x.h5"

# the published FIB-25 network needs nothing but its name
if [ -e "$data/ffn_fib25_tf/model.ckpt-27465036.index" ]; then
    expect 0 'depth 12, 32 features' '25 layers, 638433 parameters, 45.83 GFLOP' 'built-in table \(fib25\)' '33,33,33' \
        'deltas 8,8,8' 'init 0.95, pad 0.05, move 0.9, segment 0.6, disco 0' 'Apache-2.0' 'a2910768' 'step 27465036' \
        -- "$EXACONN" import-ffn "$data/ffn_fib25_tf/model.ckpt-27465036" -o "$work/fib25.h5"
    expect 0 'command line \+ built-in table' 'move 0.8' -- "$EXACONN" import-ffn "$data/ffn_fib25_tf/model.ckpt-27465036" -fo "$work/fib25.h5" --move-threshold .8
    cp "$data/ffn_fib25_tf/"model.ckpt-27465036.* "$work" && chmod u+w "$work"/model.ckpt-27465036.*
    python3 -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(1000000); b = f.read(1); f.seek(1000000); f.write(bytes([b[0] ^ 16]))' \
        "$work/model.ckpt-27465036.data-00000-of-00001"
    expect 4 'checksum of tensor' 'the checkpoint is damaged' -- "$EXACONN" import-ffn "$work/model.ckpt-27465036" -o "$work/x.h5"
else
    echo "SKIP of the published network only: $data/ffn_fib25_tf is not there" >&2
fi
finish
