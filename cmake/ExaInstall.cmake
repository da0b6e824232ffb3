# cmake --install: the program, its headers and libraries with an exported package (exaconn::exaconn),
# the man page, the bash completion, the job schema.
include(CMakePackageConfigHelpers)
install(TARGETS exaconn RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/exaconn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
