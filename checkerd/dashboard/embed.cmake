# SPDX-License-Identifier: BSD-2-Clause
#
# cmake -DOUTPUT=... -DGZIP=... -DFILES=a;b -DSCRIPTS=c;d -P embed.cmake: writes
# the files, and the scripts put together as app.js, as they are and compressed,
# with their ETags, into a C file (see dashboard.h).
set(TYPE_.html "text/html; charset=utf-8")
set(TYPE_.css "text/css; charset=utf-8")
set(TYPE_.js "text/javascript; charset=utf-8")

set(bytes "")
set(table "")

function(add_bytes name file ret)
  file(READ ${file} hex HEX)
  file(SIZE ${file} size)
  file(SHA256 ${file} hash)
  string(SUBSTRING ${hash} 0 32 hash)
  string(REGEX REPLACE "(..)" "0x\\1," hex ${hex})
  string(REPEAT "....." 15 line)
  string(REGEX REPLACE "(${line})" "\\1\n" hex ${hex})
  set(bytes "${bytes}static const unsigned char ${name}[] = {\n${hex}\n};\n\n"
      PARENT_SCOPE)
  set(${ret} "{ ${name}, ${size}, \"\\\"${hash}\\\"\" }" PARENT_SCOPE)
endfunction()

get_filename_component(folder ${OUTPUT} DIRECTORY)
set(script ${folder}/app.js)
file(WRITE ${script} "")
foreach(file ${SCRIPTS})
  file(READ ${file} text)
  file(APPEND ${script} "${text}")
endforeach()

foreach(file ${FILES} ${script})
  get_filename_component(name ${file} NAME)
  get_filename_component(extension ${file} LAST_EXT)
  string(MAKE_C_IDENTIFIER ${name} symbol)
  set(packed ${OUTPUT}.gz)
  # -n: no name and no time, so that the same page is the same program
  execute_process(COMMAND ${GZIP} -9nc ${file} OUTPUT_FILE ${packed}
                  COMMAND_ERROR_IS_FATAL ANY)
  add_bytes(${symbol} ${file} plain)
  add_bytes(${symbol}_gzip ${packed} gzip)
  file(REMOVE ${packed})
  set(path "/${name}")
  if(name STREQUAL "index.html")
    set(path "/")
  endif()
  string(APPEND table "\t{ \"${path}\", \"${TYPE_${extension}}\",\n"
         "\t  ${plain},\n\t  ${gzip} },\n")
endforeach()

file(WRITE ${OUTPUT} "#include \"dashboard.h\"\n\n${bytes}"
     "const struct dashboard_file dashboard_files[] = {\n${table}};\n\n"
     "const size_t dashboard_file_count =\n"
     "\tsizeof(dashboard_files) / sizeof(*dashboard_files);\n")
