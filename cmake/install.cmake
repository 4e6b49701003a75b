# What is installed: the program with its manual page and completions, libdecant, and the share
# folder where names are found (core/search.h). Everything is found from where it lies, so that a
# prefix may be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The library: all folders but cli/ and bench/ behind decant.h. Every object of them, so that the
# constructor of core/h5_serve.c is there.
set(parts core formats data train distill qat export run report)
file(GLOB library_sources CONFIGURE_DEPENDS library/*.c)
add_library(decant_library STATIC ${library_sources})
target_link_libraries(decant_library PUBLIC decant_report)
set(objects $<TARGET_OBJECTS:decant_library>)
foreach(part IN LISTS parts)
    list(APPEND objects $<TARGET_OBJECTS:decant_${part}>)
endforeach()
set(others Threads::Threads ZLIB::ZLIB LibLZMA::LibLZMA PNG::PNG JPEG::JPEG PkgConfig::FYAML
    PkgConfig::JANSSON PkgConfig::HDF5 PkgConfig::PROTOBUF_C PkgConfig::CAIRO
    PkgConfig::SODIUM m)

add_library(decant_shared SHARED ${objects})
target_link_libraries(decant_shared PRIVATE ${others})
target_link_options(decant_shared PRIVATE
    LINKER:--version-script=${CMAKE_SOURCE_DIR}/library/libdecant.map LINKER:--as-needed)
if(NOT DECANT_SANITIZE)
    target_link_options(decant_shared PRIVATE LINKER:--no-undefined)
endif()
set_target_properties(decant_shared PROPERTIES OUTPUT_NAME decant SOVERSION 0
    VERSION ${PROJECT_VERSION} LINK_DEPENDS ${CMAKE_SOURCE_DIR}/library/libdecant.map
    ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR} LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})

# The archive is one object whose hidden symbols are local: it shows decant.h as well.
set(archive ${CMAKE_BINARY_DIR}/libdecant.a)
file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/generated/archive.rsp CONTENT "$<JOIN:${objects},\n>\n")
add_custom_command(OUTPUT ${archive}
    COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o libdecant.o @${CMAKE_BINARY_DIR}/generated/archive.rsp
    COMMAND ${CMAKE_OBJCOPY} --localize-hidden libdecant.o
    COMMAND ${CMAKE_COMMAND} -E rm -f ${archive}
    COMMAND ${CMAKE_AR} rcsD ${archive} libdecant.o
    COMMAND ${CMAKE_COMMAND} -E rm libdecant.o
    DEPENDS ${objects} decant_library
    WORKING_DIRECTORY ${CMAKE_BINARY_DIR} VERBATIM)
add_custom_target(decant_archive ALL DEPENDS ${archive})

# Manual page and completions, from the tables of cli/. Builds for another machine take them from a
# native one: -DDECANT_PAGES=PROGRAM.
set(DECANT_PAGES "" CACHE FILEPATH "A native decant_pages, where this build is for another machine")
execute_process(COMMAND git log -1 --format=%cs WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
                OUTPUT_VARIABLE day OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT day)
    string(TIMESTAMP day "%Y-%m-%d" UTC)  # SOURCE_DATE_EPOCH's, where that is set
endif()
set(pages ${CMAKE_BINARY_DIR}/pages)
file(MAKE_DIRECTORY ${pages})
if(DECANT_PAGES)
    set(maker ${DECANT_PAGES})
else()
    add_executable(decant_pages cli/pages/pages.c)
    target_link_libraries(decant_pages PRIVATE decant_cli)
    set(maker decant_pages)
endif()
add_custom_command(OUTPUT ${pages}/decant.1 ${pages}/decant.bash ${pages}/_decant
    COMMAND ${maker} man ${day} > ${pages}/decant.1
    COMMAND ${maker} bash > ${pages}/decant.bash
    COMMAND ${maker} zsh > ${pages}/_decant
    DEPENDS ${maker} VERBATIM)
add_custom_target(pages ALL DEPENDS ${pages}/decant.1 ${pages}/decant.bash ${pages}/_decant)

install(TARGETS decant RUNTIME COMPONENT program)
install(FILES ${pages}/decant.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)
install(FILES ${pages}/decant.bash RENAME decant COMPONENT program
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${pages}/_decant COMPONENT program
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)

set(share ${CMAKE_INSTALL_DATADIR}/decant)
foreach(kind IN LISTS share_kinds)
    install(DIRECTORY configs/${kind} DESTINATION ${share} COMPONENT data
            FILES_MATCHING PATTERN *.yaml)
endforeach()
file(GLOB experiments CONFIGURE_DEPENDS experiments/*.yaml)
install(FILES ${experiments} DESTINATION ${share}/experiments COMPONENT data)
install(FILES configs/bench.yaml DESTINATION ${share} COMPONENT data)

file(GLOB documents CONFIGURE_DEPENDS docs/*.md)
install(FILES README.md ${documents} DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)

install(TARGETS decant_shared LIBRARY COMPONENT library NAMELINK_COMPONENT development)
install(FILES ${archive} DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(FILES library/decant.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(DIRECTORY examples/device DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT program)
install(FILES examples/classify.c DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT program)
install(DIRECTORY examples/library DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT development)

# pkg-config and CMake find the prefix from where they lie.
file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
configure_file(cmake/decant.pc.in ${CMAKE_BINARY_DIR}/decant.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/decant.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT development)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/decant)
configure_package_config_file(cmake/decant-config.cmake.in ${CMAKE_BINARY_DIR}/decant-config.cmake
    INSTALL_DESTINATION ${package} PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/decant-config-version.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/decant-config.cmake ${CMAKE_BINARY_DIR}/decant-config-version.cmake
        DESTINATION ${package} COMPONENT development)

include(cmake/package.cmake)
