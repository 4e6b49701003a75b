# Writes files as a C file of strings, in the order of their names: the fragments of exported C, named
# without ending, the example for boards, with the script for other runtimes, and the units of
# memory images.
# cmake -DOUT=FILE -DFRAGMENTS=export/device -DRTL=export/rtl -DEXAMPLE=examples/device -DSCRIPT=export/runtimes.py -P embed.cmake
function(embed array name_part rows)
    set(all "")
    foreach(path IN LISTS ARGN)
        get_filename_component(name ${path} ${name_part})
        file(READ ${path} text)
        string(REPLACE "\\" "\\\\" text "${text}")
        string(REPLACE "\"" "\\\"" text "${text}")
        string(REPLACE "\n" "\\n\"\n     \"" text "${text}")
        string(APPEND all "    {\"${name}\",\n     \"${text}\"},\n")
    endforeach()
    set(${rows} "const struct dc__device_text ${array}[] = {\n${all}    {0, 0}};\n" PARENT_SCOPE)
endfunction()
file(GLOB fragments ${FRAGMENTS}/*.h)
file(GLOB example ${EXAMPLE}/*)
file(GLOB rtl ${RTL}/*.sv ${RTL}/*.svh)
list(SORT fragments)
list(SORT example)
list(SORT rtl)
list(APPEND example ${SCRIPT})
embed(dc__device_texts NAME_WE device ${fragments})
embed(dc__example_texts NAME board ${example})
embed(dc__rtl_texts NAME logic ${rtl})
file(WRITE ${OUT} "// Made from export/device and examples/device by embed.cmake.\n\n"
    "#include \"export/device_text.h\"\n\n${device}\n${board}\n${logic}")
