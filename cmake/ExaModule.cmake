# exa_module(NAME DIR folder LINK targets...): the static library exa_NAME of all C sources in the folder.
# Sources are globbed so that adding a file needs no edit here; CONFIGURE_DEPENDS re-globs at build time.
function(exa_compile_options target)
    target_compile_features(${target} PRIVATE c_std_11)
    set_target_properties(${target} PROPERTIES C_EXTENSIONS ON)
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
                           -Wpointer-arith -Wvla -Wconversion -Wno-sign-conversion
                           $<$<BOOL:${EXA_WERROR}>:-Werror>)
    # Reproducible sums: no reassociation, and contraction only where a kernel asks for it.
    target_compile_options(${target} PRIVATE -ffp-contract=off)
    set(sanitize ${EXA_SANITIZE})
    if(EXA_ENABLE_FUZZ) # coverage for libFuzzer in every library; the harnesses add its main (tests/fuzz)
        if(NOT EXA_SANITIZE)
            set(sanitize address,undefined)
        endif()
        string(APPEND sanitize ,fuzzer-no-link)
    endif()
    if(sanitize)
        target_compile_options(${target} PRIVATE -fsanitize=${sanitize} -fno-omit-frame-pointer
                               -fno-sanitize-recover=undefined)
        target_link_options(${target} PUBLIC -fsanitize=${sanitize})
    endif()
endfunction()

function(exa_module name)
    cmake_parse_arguments(ARG "" "DIR" "LINK" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${ARG_DIR}/*.c)
    add_library(exa_${name} STATIC ${sources})
    target_include_directories(exa_${name} PUBLIC
        $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
        PRIVATE ${CMAKE_SOURCE_DIR}/${ARG_DIR} ${CMAKE_BINARY_DIR}/generated)
    target_link_libraries(exa_${name} PUBLIC ${ARG_LINK})
    set_target_properties(exa_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    exa_compile_options(exa_${name})
    set_property(GLOBAL APPEND PROPERTY EXA_MODULES exa_${name})
endfunction()
