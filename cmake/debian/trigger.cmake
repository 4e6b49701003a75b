# CPack gives a package with a shared library scripts that call ldconfig; Debian's way is the trigger
# that the package has, so they are taken out again.
foreach(package IN LISTS CPACK_PACKAGE_FILES)
    if(package MATCHES "/libdecant[0-9]+_[^/]*$")
        set(folder ${CPACK_TEMPORARY_DIRECTORY}/repacked)
        file(REMOVE_RECURSE ${folder})
        execute_process(COMMAND dpkg-deb -R ${package} ${folder} COMMAND_ERROR_IS_FATAL ANY)
        file(REMOVE ${folder}/DEBIAN/postinst ${folder}/DEBIAN/postrm)
        execute_process(COMMAND dpkg-deb --root-owner-group -b ${folder} ${package} OUTPUT_QUIET
                        COMMAND_ERROR_IS_FATAL ANY)
    endif()
endforeach()
