# Debian packages by CPack: cpack -G DEB in a build folder that was configured with
# -DCMAKE_INSTALL_PREFIX=/usr (tests/interop/check_package does it all).
#
#   decant          the program, its manual page, completions and documents
#   decant-data     models, targets, augmentations, experiments: what names are found as
#   libdecant0      the shared library, named by its soname
#   libdecant-dev   header, archive, pkg-config and CMake files, an example
set(DECANT_MAINTAINER "The Decant authors <maintainers@decant.invalid>" CACHE STRING
    "Maintainer of the Debian packages")
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME decant)
set(CPACK_PACKAGE_VENDOR "The Decant authors")
set(CPACK_PACKAGE_CONTACT "${DECANT_MAINTAINER}")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "distill and quantize neural networks for microcontrollers")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ
    GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL program data library development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(about "Decant trains teacher networks, distills small students from them, trains
those under simulated int8 and exports integer weights and C for
microcontrollers, which compute exactly what was evaluated.
.
")
set(own "= ${PROJECT_VERSION}")

set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME decant)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS "decant-data (${own})")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS "gcc | c-compiler")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS "dataset-fashion-mnist")
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION "${about}This package has the program. It proves
exported C with the system's compiler.")

set(CPACK_DEBIAN_DATA_PACKAGE_NAME decant-data)
set(CPACK_DEBIAN_DATA_PACKAGE_SECTION science)
set(CPACK_DEBIAN_DATA_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_DATA_PACKAGE_SHLIBDEPS OFF)
set(CPACK_COMPONENT_DATA_DESCRIPTION "${about}This package has the models, targets,
augmentations and experiments that are found by name.")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libdecant0)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS "decant-data (>= ${PROJECT_VERSION})")
# What depends on the library, and what tells ldconfig of it.
file(WRITE ${CMAKE_BINARY_DIR}/debian/shlibs "libdecant 0 libdecant0 (>= ${PROJECT_VERSION})\n")
file(WRITE ${CMAKE_BINARY_DIR}/debian/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA
    "${CMAKE_BINARY_DIR}/debian/shlibs;${CMAKE_BINARY_DIR}/debian/triggers")
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "${about}This package has the shared library.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libdecant-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
# pkg-config wants the files of what decant.pc requires in private, even where nothing is static.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libdecant0 (${own}), libcairo2-dev, libfyaml-dev,\
 libhdf5-dev, libjansson-dev, libjpeg-dev, liblzma-dev, libpng-dev, libprotobuf-c-dev, libsodium-dev,\
 zlib1g-dev")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "${about}This package has the header, the archive,
and what pkg-config and CMake read.")

# What Debian wants of every package: copyright, changelog, compressed manual pages.
execute_process(COMMAND git log -1 --format=%cd --date=rfc WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
                OUTPUT_VARIABLE stamp OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT stamp)
    string(TIMESTAMP stamp "%a, %d %b %Y %H:%M:%S +0000" UTC)
endif()
file(READ LICENSE licence)
string(REGEX REPLACE "^MIT License\n\nCopyright[^\n]*\n\n" "" licence "${licence}")
string(STRIP "${licence}" licence)
string(REPLACE "\n\n" "\n.\n" licence "${licence}")
string(REPLACE "\n" "\n " licence "${licence}")
configure_file(cmake/debian/copyright.in ${CMAKE_BINARY_DIR}/debian/copyright @ONLY)
configure_file(cmake/debian/changelog.in ${CMAKE_BINARY_DIR}/debian/changelog @ONLY)
set(CPACK_DECANT_FILES ${CMAKE_BINARY_DIR}/debian)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/cmake/debian/finish.cmake)
set(CPACK_POST_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/cmake/debian/trigger.cmake)
include(CPack)
