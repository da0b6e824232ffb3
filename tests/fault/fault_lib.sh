# Sourced by the fault tests after test_lib.sh.
# same_run WHOLE FOLDER WHAT: the results of the run in FOLDER/run are those of WHOLE/run to the bit. How HDF5 lays out a
# file depends on the number of ranks, so the data set is compared where h5py is there (EXACONN_PYTHON). Without it,
# equal partitions of the voxels and equal tables of segments (ids, voxels, boxes, centres) have to do.
same_segmentation() {
    cmp -s "$1" "$2" && return 0
    "${EXACONN_PYTHON:-python3}" "$EXACONN_SOURCE_DIR/tests/fault/journals.py" same "$1" "$2"
    case $? in
        0) return 0 ;;
        2) "$EXACONN" eval "$1:/segmentation" "$2:/segmentation" --ignore none --json | grep -q '"voi_bits": 0,' ;;
        *) return 1 ;;
    esac
}
same_run() {
    check "$3: the same segmentation" same_segmentation "$1/run/segmentation.h5" "$2/run/segmentation.h5"
    for table in attempts candidates segments supervoxels; do
        check "$3: the same $table" cmp "$1/run/$table.csv" "$2/run/$table.csv"
    done
}
