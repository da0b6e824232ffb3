#!/usr/bin/env bash
# import-segclr: checkpoints of both variants, by name and by object, become what the generator says they are; each
# kind of refusal.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
make() { python3 "$EXACONN_SOURCE_DIR/tests/make_tf_checkpoint.py" --depth 18 "$@" || { echo "FAIL: make_tf_checkpoint.py $*"; exit 1; }; }
digest() { "$EXACONN" info --json "$1" | python3 -c 'import json,sys; print(json.load(sys.stdin)["weights_sha256"])'; }
nm=(--resolution-nm 33,32,32)

# The checkpoint's tensors and our generator's meet under the same digest: every tensor is where it belongs.
for variant in tf1 tf2; do
    objects=()
    [ "$variant" = tf2 ] && objects=(--objects tf2-object)
    make "$work/$variant" --segclr "$variant" "${objects[@]}" --counters 1234
    expect 0 "variant $variant, ResNet-18, width 16" 'step 1234' '129,129,129 voxels of 33,32,32' 'not stated' \
        -- "$EXACONN" import-segclr "$work/$variant" "${nm[@]}" -o "$work/$variant.h5"
    expect 0 'nobody trained this network' -- "$EXACONN" import-segclr --random 1 --variant "$variant" --width 16 -o "$work/random.h5" -f
    check "$variant: the tensors are the generator's" test "$(digest "$work/$variant.h5")" = "$(digest "$work/random.h5")"
done
expect 0 'segclr weights' 'variant +tf2' 'gflop per patch' -- "$EXACONN" info "$work/tf2.h5"
"$EXACONN" import-segclr "$work/tf1.index" "${nm[@]}" -o "$work/again.h5" >/dev/null
check "an imported file has the same bytes each time" cmp "$work/tf1.h5" "$work/again.h5"
expect 2 'exists' 'force' -- "$EXACONN" import-segclr "$work/tf1" "${nm[@]}" -o "$work/tf1.h5"
make "$work/o" --segclr tf1 --zeros --objects tf1-object
expect 0 'variant tf1' -- "$EXACONN" import-segclr "$work/o" "${nm[@]}" -o "$work/o.h5"

# settings
expect 0 'resolution-nm .*required; of$' 'random weights default 33,32,32' -- "$EXACONN" import-segclr --help
expect 0 'voxels of 33,32,32 nm' -- "$EXACONN" import-segclr --random 1 --width 16 --patch 33 -o "$work/default.h5"
expect 2 'in no checkpoint' 'resolution-nm 33,32,32' -- "$EXACONN" import-segclr "$work/o" -o "$work/x.h5"
expect 2 'patch on axis z is 128' 'stride 2 meets an even number' -- "$EXACONN" import-segclr "$work/o" "${nm[@]}" --patch 128 -o "$work/x.h5"
expect 2 'either a CHECKPOINT or --random' -- "$EXACONN" import-segclr -o "$work/x.h5"
expect 2 'either a CHECKPOINT or --random' -- "$EXACONN" import-segclr "$work/o" --random 1 -o "$work/x.h5"
expect 2 'depth is for --random' -- "$EXACONN" import-segclr "$work/o" "${nm[@]}" --depth 50 -o "$work/x.h5"
expect 2 'depth is 19' -- "$EXACONN" import-segclr --random 1 --depth 19 -o "$work/x.h5"

# checkpoints that are not whole, not alone, or of another network
refused() {
    local pattern=$1 code=$2
    shift 2
    make "$work/b" --segclr tf1 --zeros "$@"
    expect "$code" "$pattern" "'$work/b'|b.index|b.data" -- "$EXACONN" import-segclr "$work/b" "${nm[@]}" -o "$work/x.h5"
}
block=base_model_0/resnet18/stage_3/block_b
refused "tensor '$block/conv_1/bias' is missing" 4 --drop $block/conv_1/bias
refused "tensor '$block/bn_0/moving_variance' is missing" 4 --drop $block/bn_0/moving_variance
refused "tensor '$block/conv_2/bias' does not belong" 4 --add $block/conv_2/bias
refused "has 1 dimensions instead of 5" 4 --flatten $block/conv_1/kernel
refused "tensor 'stage_3/block_1/conv_1/kernel' has NaN at element 7" 4 --nan $block/conv_1/kernel:7
refused "tensor 'head_2/gamma' has infinity at element 3" 4 --inf bottleneck_head_0/nl_2/nl_2_bn/gamma:3
refused "'stem/variance' is -1 at element 2" 4 --set base_model_0/resnet18/stage_1/bn1/moving_variance:2:bf800000
refused "type 3, not float32" 4 --dtype $block/conv_1/bias:3
refused "several encoders" 4 --add base_model_1/resnet18/stage_1/conv1/kernel
refused "neither 'base_model_0/resnet18" 4 --drop base_model_0/resnet18/stage_1/conv1/kernel
make "$work/b" --depth 2
expect 4 "neither 'base_model_0/resnet18" -- "$EXACONN" import-segclr "$work/b" "${nm[@]}" -o "$work/x.h5"
make "$work/b" --segclr tf1 --zeros --channels 2
expect 4 'input has 2 channels' 'masked_em' -- "$EXACONN" import-segclr "$work/b" "${nm[@]}" -o "$work/x.h5"
make "$work/b" --segclr tf1 --zeros
printf '\x55' | dd of="$work/b.data-00000-of-00001" bs=1 seek=3000 conv=notrunc status=none
expect 4 'checksum of tensor' -- "$EXACONN" import-segclr "$work/b" "${nm[@]}" -o "$work/x.h5"
check "nothing was written for a refused checkpoint" test ! -e "$work/x.h5"

finish
