# Every foreign library as one exa:: interface target; a missing one stops here and says what to install.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(MPI REQUIRED COMPONENTS C)
set(HDF5_PREFER_PARALLEL ON)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(PNG REQUIRED)
find_package(TIFF REQUIRED)

if(NOT HDF5_IS_PARALLEL)
    message(FATAL_ERROR "HDF5 was built without MPI. Install the parallel one "
                        "(Debian: libhdf5-openmpi-dev, Spack: hdf5+mpi) or set HDF5_ROOT; "
                        "scripts/install_deps.sh does it on Debian and Ubuntu.")
endif()

pkg_check_modules(EXA_PC_CJSON REQUIRED IMPORTED_TARGET libcjson)
pkg_check_modules(EXA_PC_HWLOC REQUIRED IMPORTED_TARGET hwloc)
pkg_check_modules(EXA_PC_ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(EXA_PC_CRYPTO REQUIRED IMPORTED_TARGET libcrypto)

function(exa_wrap name)
    add_library(exa_wrap_${name} INTERFACE)
    add_library(exa::${name} ALIAS exa_wrap_${name})
    target_link_libraries(exa_wrap_${name} INTERFACE ${ARGN})
endfunction()

exa_wrap(cjson PkgConfig::EXA_PC_CJSON)
exa_wrap(hwloc PkgConfig::EXA_PC_HWLOC)
exa_wrap(zstd PkgConfig::EXA_PC_ZSTD)
exa_wrap(crypto PkgConfig::EXA_PC_CRYPTO)
exa_wrap(mpi MPI::MPI_C)
exa_wrap(png PNG::PNG)
exa_wrap(tiff TIFF::TIFF)
exa_wrap(hdf5 ${HDF5_C_LIBRARIES} MPI::MPI_C)
target_include_directories(exa_wrap_hdf5 SYSTEM INTERFACE ${HDF5_INCLUDE_DIRS})

if(EXA_ENABLE_CUDA)
    if(NOT EXA_NVCC)
        message(FATAL_ERROR "EXA_ENABLE_CUDA is ON but nvcc was not found: install the CUDA Toolkit, "
                            "put nvcc on PATH, or configure with -DEXA_ENABLE_CUDA=OFF.")
    endif()
    cmake_path(GET EXA_NVCC PARENT_PATH exa_cuda_bin)
    cmake_path(GET exa_cuda_bin PARENT_PATH exa_cuda_root)
    set(CUDAToolkit_ROOT ${exa_cuda_root})
    find_package(CUDAToolkit 12 REQUIRED)
endif()
