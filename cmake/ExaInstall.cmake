# cmake --install: the program, its headers and libraries with an exported package (exaconn::exaconn),
# the man page, the bash completion, the job schema, the bundled network.
include(CMakePackageConfigHelpers)

# ---- the program and what it prints about itself ------------------------------------------------
install(TARGETS exaconn RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(PROGRAMS scripts/exaconn-supervise DESTINATION ${CMAKE_INSTALL_BINDIR})

set(exa_man ${CMAKE_BINARY_DIR}/share/exaconn.1)
set(exa_completion ${CMAKE_BINARY_DIR}/share/exaconn.bash)
set(exa_run_quietly ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0 $<TARGET_FILE:exaconn>)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/share)
add_custom_command(OUTPUT ${exa_man} COMMAND ${exa_run_quietly} man > ${exa_man} DEPENDS exaconn VERBATIM)
add_custom_command(OUTPUT ${exa_completion} COMMAND ${exa_run_quietly} completion > ${exa_completion}
                   DEPENDS exaconn VERBATIM)
add_custom_target(exaconn_documents ALL DEPENDS ${exa_man} ${exa_completion})

install(FILES ${exa_man} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${exa_completion} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME exaconn)
install(DIRECTORY scripts/slurm DESTINATION ${CMAKE_INSTALL_DATADIR}/exaconn USE_SOURCE_PERMISSIONS)
install(DIRECTORY configs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/exaconn/configs FILES_MATCHING PATTERN "*.json"
        PATTERN "*.h5")

# ---- the package: find_package(exaconn) gives exaconn::exaconn ----------------------------------
# The modules are static libraries that need each other's dependencies; all of them are exported, and one interface
# target stands for the whole. A consumer finds MPI, HDF5 and the rest again through the installed copy of
# ExaDependencies.cmake.
get_property(exa_modules GLOBAL PROPERTY EXA_MODULES)
set(exa_wraps exa_wrap_cjson exa_wrap_hwloc exa_wrap_zstd exa_wrap_crypto exa_wrap_mpi exa_wrap_png exa_wrap_tiff
    exa_wrap_hdf5 exa_wrap_zlib exa_wrap_microhttpd)
add_library(exa_all INTERFACE)
target_link_libraries(exa_all INTERFACE ${exa_modules})
set_target_properties(exa_all PROPERTIES EXPORT_NAME exaconn)
add_library(exaconn::exaconn ALIAS exa_all)

install(TARGETS exa_all ${exa_modules} ${exa_wraps} EXPORT exaconnTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/exaconn
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/exaconn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

set(exa_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/exaconn)
install(EXPORT exaconnTargets NAMESPACE exaconn:: DESTINATION ${exa_package_dir})
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/exaconnConfig.cmake.in
                              ${CMAKE_BINARY_DIR}/exaconnConfig.cmake INSTALL_DESTINATION ${exa_package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/exaconnConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/exaconnConfig.cmake ${CMAKE_BINARY_DIR}/exaconnConfigVersion.cmake
        ${CMAKE_SOURCE_DIR}/cmake/ExaDependencies.cmake DESTINATION ${exa_package_dir})
