# generated/exa_build_info.h: version, commit and features, for `exaconn --version` and run records.
find_package(Git QUIET)
set(EXA_GIT_COMMIT "unknown")
if(GIT_FOUND)
    execute_process(COMMAND ${GIT_EXECUTABLE} describe --always --dirty --abbrev=12
                    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} OUTPUT_VARIABLE exa_describe
                    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE exa_git_rc)
    if(exa_git_rc EQUAL 0)
        set(EXA_GIT_COMMIT "${exa_describe}")
    endif()
endif()
if(EXA_ENABLE_CUDA)
    set(EXA_CUDA_VERSION "${CUDAToolkit_VERSION}")
    set(EXA_HAVE_CUDA 1)
else()
    set(EXA_CUDA_VERSION "off")
    set(EXA_HAVE_CUDA 0)
endif()
configure_file(${CMAKE_SOURCE_DIR}/cmake/exa_build_info.h.in ${CMAKE_BINARY_DIR}/generated/exa_build_info.h)
