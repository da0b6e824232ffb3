# The CUDA sources, kernels/*.cu, written in the dialect of kernels/cuda/lane.cuh:
#   compiled by nvcc into exa_kernels        where CUDA is enabled
#   compiled as C++ for the CPU              for the tests (exa_cuda_emulated, an object library), with or without CUDA
# nvcc is called by itself, not as a CMake language: no C++ link step, no compiler probing, ccache not in the way.
set(exa_cuda_architectures "80;90;100;120")
if(EXA_ENABLE_CUDA AND CUDAToolkit_VERSION VERSION_LESS 12.8) # whose nvcc knows neither 100 nor 120: there PTX of 90 serves
    set(exa_cuda_architectures "80;90")
endif()
set(EXA_CUDA_ARCHITECTURES "${exa_cuda_architectures}" CACHE STRING
    "compute capabilities that get machine code; PTX of the last and of 75 is added for all others")

set(EXA_CUDA_FLAGS "" CACHE STRING "more flags for nvcc, such as -lineinfo for a profiler")

file(GLOB EXA_CUDA_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/*.cu)

function(exa_cuda_objects)
    set(codes -gencode=arch=compute_75,code=compute_75)
    foreach(arch ${EXA_CUDA_ARCHITECTURES})
        list(APPEND codes -gencode=arch=compute_${arch},code=sm_${arch})
    endforeach()
    list(GET EXA_CUDA_ARCHITECTURES -1 last)
    list(APPEND codes -gencode=arch=compute_${last},code=compute_${last})
    foreach(source ${EXA_CUDA_SOURCES})
        get_filename_component(name ${source} NAME)
        set(object ${CMAKE_BINARY_DIR}/cuda/${name}.o)
        add_custom_command(OUTPUT ${object}
            COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/cuda
            COMMAND bash ${CMAKE_SOURCE_DIR}/cmake/run_nvcc.sh ${CMAKE_BINARY_DIR}/cuda/${name}.ptxas
                    ${EXA_NVCC} -c -std=c++17 -O3 -Xptxas=-v ${codes} ${EXA_CUDA_FLAGS} --threads 2 -fmad=true
                    -I${CMAKE_SOURCE_DIR}/include -I${CMAKE_SOURCE_DIR}/kernels -I${CMAKE_BINARY_DIR}/generated
                    -Xcompiler=-fPIC,-Wall,-Wextra,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics,-D_GNU_SOURCE
                    -MD -MF ${object}.d -o ${object} ${source}
            DEPENDS ${source} ${CMAKE_SOURCE_DIR}/cmake/run_nvcc.sh DEPFILE ${object}.d VERBATIM COMMENT "nvcc ${name}")
        set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
        target_sources(exa_kernels PRIVATE ${object})
    endforeach()
endfunction()

# Everything a test needs to run the CUDA sources on the CPU: link exa_cuda_emulated ahead of the other libraries, so that
# its exa_* functions are taken and not those of exa_kernels.
function(exa_cuda_emulation)
    add_library(exa_cuda_emulated OBJECT ${EXA_CUDA_SOURCES} ${CMAKE_SOURCE_DIR}/kernels/cuda/lane_host.cpp
                ${CMAKE_SOURCE_DIR}/kernels/cuda/emulation.cpp
                ${CMAKE_SOURCE_DIR}/kernels/cuda/lane_runtime.cpp)
    set_source_files_properties(${EXA_CUDA_SOURCES} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++")
    if(EXA_SANITIZE) # minutes to compile with their checks in the unrolled loops; their memory ends at unmapped pages
        set_source_files_properties(${CMAKE_SOURCE_DIR}/kernels/conv3d_launch.cu PROPERTIES COMPILE_OPTIONS
                                    "-xc++;-fno-sanitize=all")
    endif()
    exa_cuda_emulated_options(exa_cuda_emulated)
endfunction()

function(exa_cuda_emulated_options target)
    target_compile_features(${target} PRIVATE cxx_std_17)
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/kernels
                               ${CMAKE_BINARY_DIR}/generated)
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
                           -Wno-unknown-pragmas -ffp-contract=off $<$<BOOL:${EXA_WERROR}>:-Werror>)
    if(NOT EXA_SANITIZE)
        target_compile_options(${target} PRIVATE -O3)
    else()
        target_compile_options(${target} PRIVATE -O1 -fsanitize=${EXA_SANITIZE} -fno-omit-frame-pointer
                               -fno-sanitize-recover=undefined)
        target_link_options(${target} PUBLIC -fsanitize=${EXA_SANITIZE})
    endif()
endfunction()
