#!/usr/bin/env bash
# The phantom from the command line: files equal what is read without files, parts equal the whole, wrong input is
# refused and leaves nothing behind.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
spec=phantom:seed=5,shape=90x100x110
same() { # two label-like volumes are equal
    "$EXACONN" eval "$1" "$2" --ignore none --json | grep -q '"voi_bits": 0,'
}

expect 0 'raw.h5:/raw: 90 x 100 x 110 uint8' 'labels.h5:/labels: 90 x 100 x 110 uint64' 'synapses' -- \
    "$EXACONN" phantom "$spec" -o "$work/raw.h5:/raw" --labels "$work/labels.h5:/labels" --synapses "$work/synapses.csv"
check "the image file is the image" same "$work/raw.h5:/raw" "$spec"
check "the label file is the labels" same "$work/labels.h5:/labels" "$spec:/labels"
check "the table has rows" test "$(wc -l < "$work/synapses.csv")" -gt 2
check "the table has its columns" grep -q '^pre_id,post_id,z_vx,y_vx,x_vx,.*,radius_nm$' "$work/synapses.csv"
expect 0 'voxel size nm +\[16, 16, 16\]' 'uint64' -- "$EXACONN" info "$work/labels.h5:/labels"

# A part is the part; without "phantom:" too; however many threads; the offset says where it lies.
"$EXACONN" phantom "${spec#phantom:}" --box 20,30,40,33,34,35 -o "$work/part.h5:/raw" --threads 3 --json > "$work/json" 2>&1
check "JSON says what was made" python3 -c 'import json,sys; d = json.load(open(sys.argv[1])); sys.exit(not (
    d["start"] == [20, 30, 40] and d["shape"] == [33, 34, 35] and d["labels"] is None and d["phantom"] == sys.argv[2]))' "$work/json" "$spec"
expect 0 '"voi_bits": 0,' -- "$EXACONN" eval "$work/part.h5:/raw" "$spec" --ignore none --json --seg-offset 20,30,40
"$EXACONN" phantom "$spec" -o "$work/one.h5:/raw" --threads 1 >/dev/null
check "one thread makes the same file" cmp "$work/one.h5" "$work/raw.h5"

# Any size: 10 EB are planned by nobody's memory, a box of it is made alone.
huge=phantom:seed=5,shape=2000000x2000000x2500000
expect 0 '\[2000000, 2000000, 2500000\]' 'voxels +1e\+19' -- "$EXACONN" info "$huge"
expect 0 '20 x 20 x 20' -- "$EXACONN" phantom "$huge" --box 1999980,1999980,2499980,20,20,20 -o "$work/far.h5:/raw"
expect 0 '"voi_bits": 0,' -- "$EXACONN" eval "$work/far.h5:/raw" "$huge" --seg-offset 1999980,1999980,2499980 --ignore none --json
small_job_volume=$huge small_job "$work/huge"
expect 2 'hint: .*"box"' -- "$EXACONN" plan "$work/huge/job.json"
expect 0 'wrote' -- "$EXACONN" render --raw "$spec" --truth "$spec:/labels" --slice z=45 -o "$work/slice.png"

# Wrong input.
expect 2 'say what to write' -- "$EXACONN" phantom "$spec"
expect 2 "no parameter 'sede'" "mean 'seed'" -- "$EXACONN" phantom sede=5,shape=64 -o "$work/no.h5:/raw"
expect 2 'no shape' -- "$EXACONN" phantom seed=5 -o "$work/no.h5:/raw"
expect 2 'no shape' -- "$EXACONN" info phantom:seed=5
expect 2 'not inside the phantom' -- "$EXACONN" phantom "$spec" --box 80,0,0,20,20,20 -o "$work/no.h5:/raw"
expect 2 'exists' 'force' -- "$EXACONN" phantom "$spec" -o "$work/raw.h5:/raw"
expect 2 'exists' 'force' -- "$EXACONN" phantom "$spec" --synapses "$work/synapses.csv"
expect 2 'name two files' -- "$EXACONN" phantom "$spec" -o "$work/no.h5:/raw" --labels "$work/no.h5:/labels"
expect 2 'only be read' -- "$EXACONN" phantom "$spec" -o "$spec"
expect 2 '64-bit ids' -- "$EXACONN" info phantom:shape=1000000000000x1000000000000x1000000
expect 1 'No such file' -- "$EXACONN" phantom "$spec" --synapses "$work/absent/synapses.csv"
expect 2 'zstd level' -- "$EXACONN" phantom "$spec" -o "$work/no.h5:/raw" --level 99
expect 2 'name two files' -- "$EXACONN" phantom "$spec" -o "$work/no.h5:/raw" --synapses "$work/../$(basename "$work")/no.h5"
expect 2 'name a file' -- "$EXACONN" phantom "$spec" --synapses -
mkfifo "$work/pipe"
expect 1 'no ordinary file' -- "$EXACONN" phantom "$spec" --synapses "$work/pipe" --force
check "a pipe is left alone" test -p "$work/pipe"
expect 2 '...:/labels' -- "$EXACONN" phantom shape=32:labels -o "$work/no.h5:/raw"
expect 2 'names a part' -- "$EXACONN" phantom "$spec:/labels" -o "$work/no.h5:/raw"
expect 2 'too much for files' 'hint: .*--box' -- "$EXACONN" phantom "$huge" -o "$work/no.h5:/raw"
expect 2 '64-bit ids' -- "$EXACONN" info "$huge,pitch=50"
expect 2 'somata=0.7 and glia=0.7' -- "$EXACONN" info phantom:shape=64,somata=0.7,glia=0.7

# Interrupted: says so, leaves nothing.
for signal in INT TERM; do
    bash -c 'exec "$0" phantom "$1" -o "$2:/raw" --threads 1 2>"$3"' "$EXACONN" seed=3,shape=3000 "$work/no.h5" "$work/err" &
    pid=$!
    for _ in $(seq 200); do ls "$work"/no.h5.tmp-* >/dev/null 2>&1 && break; sleep 0.02; done
    kill -$signal $pid; wait $pid; rc=$?
    check "$signal: exit 5 ($rc)" test $rc -eq 5
    check "$signal: says so" grep -q 'stopped by signal' "$work/err"
done
# A wide table: its slabs are made in pieces, and the first signal is heard between them.
bash -c 'exec "$0" phantom "$1" --synapses "$2.csv" --threads 1 2>"$3"' "$EXACONN" shape=64x200000x200000 "$work/no.h5" "$work/err" &
pid=$!
for _ in $(seq 200); do ls "$work"/no.h5.csv.tmp-* >/dev/null 2>&1 && break; sleep 0.02; done
kill -TERM $pid
( sleep 60; kill -KILL $pid ) 2>/dev/null & guard=$!
wait $pid; rc=$?
kill $guard 2>/dev/null
check "TERM in a wide table: exit 5 ($rc)" test $rc -eq 5
check "nothing is left of refused ones" test -z "$(find "$work" -name 'no.h5*' -o -name '*.tmp*')"
expect 0 -- "$EXACONN" phantom "$spec" -o "$work/raw.h5:/raw" --force
finish
