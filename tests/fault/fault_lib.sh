# Sourced by the fault tests after test_lib.sh.
# same_run WHOLE FOLDER WHAT: the results of the run in FOLDER/run are those of WHOLE/run to the bit. How HDF5 lays out a
# file depends on the number of ranks, so voxels are compared, not files.
same_run() {
    check "$3: the same segmentation" "$EXACONN_FIXTURE" same "$1/run/segmentation.h5:/segmentation" "$2/run/segmentation.h5:/segmentation"
    for table in attempts candidates segments supervoxels; do
        check "$3: the same $table" cmp "$1/run/$table.csv" "$2/run/$table.csv"
    done
}
