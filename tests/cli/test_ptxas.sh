#!/usr/bin/env bash
# The convolutions' kernels keep everything in registers: ptxas reports no stack and no spill for any of them, on any
# architecture of the build (the reports lie beside the objects) and on sm_90a, compiled here.
source "$(dirname "$0")/../test_lib.sh"
cuda=$EXACONN_BUILD_DIR/cuda
[ -e "$cuda/conv3d_launch.cu.ptxas" ] || { echo "SKIP: this build has no CUDA: nothing says whether its kernels spill" >&2; exit 77; }
read -ra built <<<"$(sed -n 's/^EXA_CUDA_ARCHITECTURES:[A-Z]*=//p' "$EXACONN_BUILD_DIR/CMakeCache.txt" | tr ';' ' ')"
check "the build's architectures are known (${built[*]})" test "${#built[@]}" -ge 1
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)

# no_spills REPORT ARCHITECTURE...: each is there, with the same number of kernels, and none uses the stack.
no_spills() {
    local report=$1 kernels='' n
    shift
    for arch in "$@"; do
        n=$(grep -c "Compiling entry function .* for 'sm_$arch'" "$report")
        [ "$n" -ge 8 ] && [ "${kernels:-$n}" -eq "$n" ] || { echo "$n kernels for sm_$arch instead of ${kernels:-8 or more}"; return 1; }
        kernels=$n
    done
    n=$(grep -c 'bytes stack frame' "$report")
    [ "$n" -eq $((kernels * $#)) ] || { echo "$n reports for $((kernels * $#)) kernels"; return 1; }
    ! grep 'bytes stack frame' "$report" | grep -v ' 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads'
}

check "${built[*]}: no convolution spills" no_spills "$cuda/conv3d_launch.cu.ptxas" "${built[@]}"
check "90a compiles" "$nvcc" -cubin -std=c++17 -O3 -Xptxas=-v -I"$EXACONN_SOURCE_DIR/include" -I"$EXACONN_SOURCE_DIR/kernels" \
    -gencode=arch=compute_90a,code=sm_90a -o "$work/90a.cubin" "$EXACONN_SOURCE_DIR/kernels/conv3d_launch.cu" 2>"$work/90a.ptxas"
check "90a: no convolution spills" no_spills "$work/90a.ptxas" 90a

# The check itself: a report with one spilling kernel fails it.
sed '0,/0 bytes spill stores/s//8 bytes spill stores/' "$cuda/conv3d_launch.cu.ptxas" > "$work/spilling"
if no_spills "$work/spilling" "${built[@]}" >/dev/null; then echo "FAIL: a spill is not noticed"; failures=$((failures + 1)); fi
finish
