#!/usr/bin/env bash
# Wrong input to `run`: one clear message with a reason, the right exit code, nothing left that looks whole.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
job=$work/job.json
"$EXACONN_FIXTURE" volume "$work/volume.h5" 30
cp "$small_weights" "$work/weights.h5"

# write_job KEY VALUE...: the good job with some keys replaced (VALUE is JSON; an empty VALUE removes the key).
write_job() {
    local volume='"volume.h5:/raw"' weights='"weights.h5"' output='"run"' rest=
    while [ $# -gt 0 ]; do
        case "$1" in
            volume) volume=$2 ;; weights) weights=$2 ;; output) output=$2 ;;
            *) rest="$rest, \"$1\": $2" ;;
        esac
        shift 2
    done
    echo "{\"volume\": $volume, \"weights\": $weights, \"output\": $output$rest}" > "$job"
}
# refused CODE PATTERN...: the run fails so, and leaves no summary and no segmentation.
refused() {
    local code=$1; shift
    expect "$code" "$@" -- "$EXACONN" run "$job"
    check "nothing that looks whole" test ! -e "$work/run/summary.json" -a ! -e "$work/run/segmentation.h5"
    check "no temporary file" test -z "$(find "$work" -name '*.tmp*')"
}

write_job volume '"phantom:shape=64,sede=3"';     refused 2 "no parameter 'sede'" "mean 'seed'"
write_job volume '"phantom:shape=64:/labels"';    refused 4 'uint64' 'label volume'
write_job volume '"missing.h5:/raw"';           refused 1 'missing.h5' 'No such file'
write_job volume '"weights.h5:/nothing"';       refused 2 'no dataset' 'nothing'
write_job volume '"volume.h5:/rav"';            refused 2 'rav' 'did you mean /raw'
write_job volume '"volume.h5:/flat"';           refused 2 'flat' '2 dimensions'
write_job volume '"volume.h5:/words"';          refused 4 'words' 'float64|type'
write_job volume '"volume.h5:/labels"';         refused 4 'uint32' 'label volume'
write_job volume '"volume.h5:/nan"';            refused 4 'not finite' '\(15, 0, 0\)'
rm -rf "$work/run"
echo "this is no HDF5 file" > "$work/text.h5"
write_job volume '"text.h5:/raw"';              refused 4 'text.h5' 'HDF5'
head -c 9000 "$work/volume.h5" > "$work/short.h5"
write_job volume '"short.h5:/raw"';             refused 4 'short.h5'
write_job box '{"start": [0, 0, 20], "shape": [30, 30, 20]}';  refused 2 'not inside' '\(30, 30, 30\)'
write_job box '{"shape": [30, 8, 30]}';         refused 2 'field of view' 'axis y'
write_job box '{"shape": [30, -8, 30]}';        refused 2 'box.shape'
write_job boxes '{}';                           refused 2 'boxes' '"box"|box'
write_job inference '{"move_treshold": 0.8}';   refused 2 'inference.move_treshold' 'move_threshold'
write_job inference '{"move_threshold": 1.8}';  refused 2 'inference.move_threshold'
write_job compute '{"threads": "two"}';         refused 2 'compute.threads'
# With a GPU this job would run, so it is for machines without: no driver and no GPU is 1, a program without CUDA 4.
devices=$("$EXACONN" info --devices)
if grep -Eq '^gpus +0' <<<"$devices"; then
    code=1
    ! grep -q 'has no CUDA' <<<"$devices" || code=4
    write_job compute '{"backend": "cuda"}';    refused "$code" 'compute.backend' 'driver|GPU|CUDA'
fi
write_job compute '{"precision": "bf16"}';      refused 2 'compute.precision' 'fp16'
write_job mask '{"volume": "nowhere.h5:/m"}';   refused 1 'mask.volume' 'nowhere.h5'
rm -rf "$work/run"
echo '{"volume": "volume.h5:/raw", ' > "$job";  refused 2 'line|column|JSON'
expect 1 'absent.json' -- "$EXACONN" run "$work/absent.json"

# Everything is found before the run directory is made, by `plan` as by `run`.
for bad in '"mask": {"volume": "volume.h5:/nothing"}' '"initial_segmentation": "volume.h5:/nan"' \
           '"seeds": {"policy": "list", "points": [[15, 15, 40]]}' '"seeds": {"policy": "list", "file": "none.txt"}' \
           '"inference": {"move_threshold": 0.97}'; do
    echo "{\"volume\": \"volume.h5:/raw\", \"weights\": \"weights.h5\", \"output\": \"early\", $bad}" > "$job"
    "$EXACONN" run "$job" > "$work/run.err" 2>&1; rc=$?
    "$EXACONN" plan "$job" > "$work/plan.err" 2>&1; plan_rc=$?
    check "refused early ($rc, $plan_rc): $bad" test "$rc" -ne 0 -a "$rc" -eq "$plan_rc" -a ! -e "$work/early"
    sed -i 's/^\[[0-9:]*\] //' "$work/run.err" "$work/plan.err" # a warning's time may be a second later
    check "with the same words" cmp "$work/run.err" "$work/plan.err"
done
echo '1 2' > "$work/two.txt"
write_job seeds '{"policy": "list", "file": "two.txt"}';           refused 4 'seeds.file' 'two.txt' 'line 1'
write_job seeds '{"policy": "list", "points": [[15, 15, 40]]}';    refused 2 '\(15, 15, 40\)' 'outside the box'
write_job initial_segmentation '"volume.h5:/nan"';                 refused 4 'float32' 'integers'
write_job inference '{"move_threshold": 0.97}';                    refused 2 'first step'

# Weights: missing, NaN, truncated, one bit flipped, another kind of file.
write_job weights '"none.h5"';                  refused 1 'none.h5'
touch "$work/model.ckpt.index"
write_job weights '"model.ckpt"';               refused 4 'TensorFlow checkpoint' 'hint: .*`exaconn import-ffn .*/model.ckpt -o ffn.h5`'
"$EXACONN_FIXTURE" nan-weights "$work/nan.h5"
write_job weights '"nan.h5"';                   refused 4 'nan.h5' 'seed_update/conv0_b/weights' 'NaN'
size=$(stat -c %s "$work/weights.h5")
head -c $((size - 100)) "$work/weights.h5" > "$work/cut.h5"
write_job weights '"cut.h5"';                   refused 4 'cut.h5' 'truncat|short|length|bytes'
cp "$work/weights.h5" "$work/flip.h5"
byte=$(od -An -tu1 -j $((size / 2)) -N 1 "$work/flip.h5" | tr -d ' ')
printf "\\$(printf %o $((byte ^ 4)))" | dd of="$work/flip.h5" bs=1 seek=$((size / 2)) conv=notrunc status=none
write_job weights '"flip.h5"';                  refused 4 'flip.h5' 'checksum|SHA-256|sha256|damaged'
write_job weights '"volume.h5"';                refused 4 'volume.h5' 'weights'

# Output: a file in the way, a foreign folder, a folder that cannot be written.
touch "$work/file"
write_job output '"file/run"';                  expect 1 'file' -- "$EXACONN" run "$job"
mkdir "$work/foreign"; echo x > "$work/foreign/thesis.txt"
write_job output '"foreign"';                   expect 2 'thesis.txt' 'not a run directory' -- "$EXACONN" run "$job"
check "a foreign folder is left alone" test "$(ls "$work/foreign")" = thesis.txt
write_job output '"/proc/exaconn"';             expect 1 '/proc/exaconn' -- "$EXACONN" run "$job"

# Disk full: a tmpfs too small for the segmentation.
small=$work/small
mkdir "$small"
if mount -t tmpfs -o size=40k tmpfs "$small" 2>/dev/null; then
    write_job output "\"$small/run\"" segmentation '{"zstd_level": 0}'
    expect 1 'No space left|space' -- "$EXACONN" run "$job"
    check "disk full leaves no segmentation" test ! -e "$small/run/segmentation.h5" -a ! -e "$small/run/summary.json"
    umount "$small"
else
    echo "SKIP (this part): no permission to mount a small tmpfs"
fi

# Out of memory: planned, and by the system's refusal (not under a sanitizer, which reserves terabytes).
rm -rf "$work/run"
write_job compute '{"memory_limit_gib": 0.001}'; refused 1 'needs about' 'memory_limit_gib'
if [ -z "${EXACONN_SANITIZE:-}" ]; then
    "$EXACONN_FIXTURE" volume "$work/large.h5" 300
    write_job volume '"large.h5:/raw"'
    out=$( (ulimit -v 400000; "$EXACONN" run "$job") 2>&1); rc=$?
    check "ulimit: exit 1 with the reason (rc $rc)" test "$rc" -eq 1
    check "ulimit: the message names the use" grep -Eq 'cannot allocate|memory' <<<"$out"
    check "ulimit: nothing whole" test ! -e "$work/run/summary.json"
fi
finish
