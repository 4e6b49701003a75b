# Writes the fragments of exported C as a C file of strings, in the order of their names.
# cmake -DOUT=FILE -DFOLDER=export/device -P embed.cmake
file(GLOB fragments ${FOLDER}/*.h)
list(SORT fragments)
set(rows "")
foreach(fragment IN LISTS fragments)
    get_filename_component(name ${fragment} NAME_WE)
    file(READ ${fragment} text)
    string(REPLACE "\\" "\\\\" text "${text}")
    string(REPLACE "\"" "\\\"" text "${text}")
    string(REPLACE "\n" "\\n\"\n     \"" text "${text}")
    string(APPEND rows "    {\"${name}\",\n     \"${text}\"},\n")
endforeach()
file(WRITE ${OUT} "// Made from export/device by embed.cmake.\n\n#include \"export/device_text.h\"\n\n"
    "const struct dc__device_text dc__device_texts[] = {\n${rows}    {0, 0}};\n")
