# The vectorised kernels (kernels/simd/) are compiled once per instruction set; kernels/conv3d.c chooses at run time.
#   portable  16-byte vectors, the compiler's baseline (SSE2, Neon, ...)
#   avx2      32-byte vectors, AVX2 + FMA        x86-64 only
#   avx512    64-byte vectors, F + VL + DQ + BW  x86-64 only
# -O3 unrolls the register blocks whatever the build type; fused multiply-adds are allowed in the convolutions and only
# there. The phantom's voxels are the same bits on every instruction set: no contraction, square roots without errno.
function(exa_simd_build isa floats)
    add_library(exa_simd_${isa} OBJECT
                ${CMAKE_SOURCE_DIR}/kernels/simd/conv3d_direct.c ${CMAKE_SOURCE_DIR}/kernels/simd/conv3d_winograd.c
                ${CMAKE_SOURCE_DIR}/kernels/simd/phantom_tile_simd.c ${CMAKE_SOURCE_DIR}/kernels/simd/contact_row_simd.c)
    target_include_directories(exa_simd_${isa} PRIVATE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/kernels)
    set_target_properties(exa_simd_${isa} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    exa_compile_options(exa_simd_${isa})
    target_compile_definitions(exa_simd_${isa} PRIVATE EXA_SIMD_NAME=${isa} EXA_SIMD_FLOATS=${floats})
    target_compile_options(exa_simd_${isa} PRIVATE -O3 ${ARGN})
    set_source_files_properties(
        ${CMAKE_SOURCE_DIR}/kernels/simd/conv3d_direct.c ${CMAKE_SOURCE_DIR}/kernels/simd/conv3d_winograd.c
        PROPERTIES COMPILE_OPTIONS -ffp-contract=fast)
    set_source_files_properties(${CMAKE_SOURCE_DIR}/kernels/simd/phantom_tile_simd.c
        PROPERTIES COMPILE_OPTIONS "-ffp-contract=off;-fno-math-errno;-fno-trapping-math;-fno-signed-zeros;-ffinite-math-only")
    # clang takes minutes over these unrolled blocks with UBSan's checks in them; GCC checks them in the asan preset.
    if(EXA_ENABLE_FUZZ)
        target_compile_options(exa_simd_${isa} PRIVATE -fno-sanitize=all)
    elseif(EXA_SANITIZE AND CMAKE_C_COMPILER_ID MATCHES "Clang")
        target_compile_options(exa_simd_${isa} PRIVATE -fno-sanitize=undefined)
    endif()
    target_sources(exa_kernels PRIVATE $<TARGET_OBJECTS:exa_simd_${isa}>)
endfunction()

exa_simd_build(portable 4)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    exa_simd_build(avx2 8 -mavx2 -mfma)
    exa_simd_build(avx512 16 -mavx512f -mavx512vl -mavx512dq -mavx512bw -mavx2 -mfma -mprefer-vector-width=512)
    target_compile_definitions(exa_kernels PRIVATE EXA_SIMD_X86)
endif()
