#!/usr/bin/env bash
# synapses.h5, which `exaconn connectome` writes, read again as a table: the same synapses, in the same units, at the same
# places; and a folder in which a start was killed at once is taken.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
total() { awk -F, 'NR > 1 { s += $3 } END { print s + 0 }' "$1"; }

# Rows of one pair that only a neuropil tells apart stay two.
printf 'pre_root_id,post_root_id,neuropil,syn_count\n1,2,X,5\n1,2,Y,7\n3,1,X,2\n' > "$work/codex.csv"
expect 0 -- "$EXACONN" connectome --synapses "$work/codex.csv" --format codex-csv -o "$work/a"
expect 0 -- "$EXACONN" connectome --synapses "$work/a/synapses.h5" --format exaconn-hdf5 -o "$work/b"
check "12 synapses from 1 to 2, and 2" test "$(total "$work/a/connections.csv")" -eq 14
check "all of them again" cmp "$work/a/connections.csv" "$work/b/connections.csv"

# Positions in nm are nm in the file, and are looked up as such.
printf 'pre_id,post_id,pre_z_nm,pre_y_nm,pre_x_nm,post_z_nm,post_y_nm,post_x_nm\n1,2,100,200,300,400,500,600\n' > "$work/nm.csv"
expect 0 -- "$EXACONN" connectome --synapses "$work/nm.csv" --format exaconn-csv -o "$work/c"
expect 0 -- "$EXACONN" connectome --synapses "$work/c/synapses.h5" --format exaconn-hdf5 --units nm -o "$work/d"
expect 2 'says itself that its positions are nm' -- "$EXACONN" connectome --synapses "$work/c/synapses.h5" \
    --format exaconn-hdf5 --units voxels -o "$work/e"

# Counted in voxels of 8 nm, used with a segmentation of 16 nm.
"$EXACONN" phantom -q seed=7,shape=64,synapses=0.5 --labels "$work/labels.h5:/labels" --synapses "$work/synapses.csv"
expect 0 -- "$EXACONN" connectome "$work/labels.h5:/labels" --synapses "$work/synapses.csv" --format exaconn-csv -o "$work/f"
check "there are some" test "$(total "$work/f/connections.csv")" -gt 0
expect 0 -- "$EXACONN" connectome "$work/labels.h5:/labels" --synapses "$work/f/synapses.h5" --format exaconn-hdf5 -o "$work/g"
check "the same from synapses.h5" cmp "$work/f/connections.csv" "$work/g/connections.csv"
expect 2 'says itself that its voxels are 16,16,16 nm' -- "$EXACONN" connectome "$work/labels.h5:/labels" \
    --synapses "$work/f/synapses.h5" --format exaconn-hdf5 --units voxels --table-voxel-size 8,8,8 -o "$work/h"
expect 0 'outside' -- "$EXACONN" connectome "$work/labels.h5:/labels" --voxel-size 4,4,4 \
    --synapses "$work/f/synapses.h5" --format exaconn-hdf5 -o "$work/i"

mkdir "$work/j" && touch "$work/j/lock" "$work/j/identity.txt.tmp-1"
expect 0 -- "$EXACONN" connectome --synapses "$work/codex.csv" --format codex-csv -o "$work/j"
touch "$work/k.txt" && mkdir "$work/l" && mv "$work/k.txt" "$work/l"
expect 2 'has other things in it' -- "$EXACONN" connectome --synapses "$work/codex.csv" --format codex-csv -o "$work/l"
finish
