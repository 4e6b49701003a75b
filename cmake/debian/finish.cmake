# Before a package is made of its files: copyright and changelog into each, manual pages compressed.
foreach(component IN LISTS CPACK_COMPONENTS_ALL)
    string(TOUPPER ${component} upper)
    set(root ${CPACK_TEMPORARY_DIRECTORY}/${component}${CPACK_PACKAGING_INSTALL_PREFIX})
    set(own ${root}/share/doc/${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
    file(COPY ${CPACK_DECANT_FILES}/copyright ${CPACK_DECANT_FILES}/changelog DESTINATION ${own}
         FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ
         DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                               WORLD_READ WORLD_EXECUTE)
    file(GLOB_RECURSE pages ${root}/share/man/*.1)
    execute_process(COMMAND gzip -9nf ${own}/changelog ${pages} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
