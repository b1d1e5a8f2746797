# One folder = one namespace umbra::x = one static library umbra_x.
#
#   umbra_library(x SOURCES a.cc b.cc USES base x509 LIBRARIES OpenSSL::Crypto)
#   umbra_tests(x SOURCES a_test.cc LIBRARIES ...)      unit tests, beside their sources
#
# APART names the sources that cannot stand beside the others, as when their own names are others' too: what the sanitizers see
# is compiled several files at once (CMAKE_UNITY_BUILD in the presets), which takes a third of the time.
#
# Tests take GIVEN_KEYS if they are about something else than how keys are made (tests/keys.cc).
#
# Both take COMPUTES if it is their own code that works hard, and not OpenSSL's or SQLite's.
#   umbra_program(umbrad SOURCES umbrad.cc USES io server)

add_library(umbra_warnings INTERFACE)
target_compile_options(umbra_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
if(CMAKE_UNITY_BUILD)
  # Of one file's private names these warn when they stand beside another file's.
  target_compile_options(umbra_warnings INTERFACE
    -Wno-shadow $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wshadow=local -Wno-subobject-linkage>)
endif()

find_program(UMBRA_CCACHE ccache)
if(UMBRA_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${UMBRA_CCACHE})
endif()

if(UMBRA_SANITIZE)
  add_compile_options(-fsanitize=${UMBRA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -O1)
  add_link_options(-fsanitize=${UMBRA_SANITIZE})
  find_program(UMBRA_LLD ld.lld)
  if(UMBRA_LLD AND CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    add_link_options(-fuse-ld=lld)  # several times as fast
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # g++ 12 sees uninitialised members in every variant it instruments (GCC bug 105562 and its kin).
    add_compile_options(-Wno-maybe-uninitialized)
  elseif(UMBRA_SANITIZE MATCHES address)
    add_compile_definitions(__SANITIZE_ADDRESS__)  # as g++ says it
  elseif(UMBRA_SANITIZE MATCHES thread)
    add_compile_definitions(__SANITIZE_THREAD__)
  endif()
endif()
if(UMBRA_SANITIZE MATCHES thread)
  # ThreadSanitizer does not know fences; without them Asio orders its handlers by its locks alone.
  add_compile_definitions(BOOST_ASIO_DISABLE_FENCED_BLOCK)
endif()
if(UMBRA_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# What the sanitizers' runs need: no program, no bench.
add_custom_target(unit_tests)
# What the run as shipped needs beside the programs.
add_custom_target(shipped_tests)
# What fuzz/run runs.
add_custom_target(fuzzers)

# ctest is run with twice as many jobs as there are processors: a test counts for a whole processor
# with two of them, and for half of one if it mostly waits for other programs' timers.
set(UMBRA_A_PROCESSOR 2)
set(UMBRA_HALF_A_PROCESSOR 1)

function(umbra_uses target)
  foreach(used ${ARGN})
    if(TARGET umbra_${used})  # a folder of headers alone has none
      target_link_libraries(${target} PUBLIC umbra_${used})
    endif()
  endforeach()
endfunction()

# To optimise what a sanitizer has put into a file takes longer than to run it.
function(umbra_quickly_built target)
  if(UMBRA_SANITIZE AND NOT UMBRA_FUZZ)  # a fuzzer runs for hours
    target_compile_options(${target} PRIVATE -O0)
    if(UMBRA_SANITIZE MATCHES undefined)
      # Before every access to memory, and the largest part of the code. The first is AddressSanitizer's to see as well;
      # octets are read as something else where messages are parsed, and that is COMPUTES.
      target_compile_options(${target} PRIVATE -fno-sanitize=null,alignment)
    endif()
  endif()
endfunction()

function(umbra_library name)
  cmake_parse_arguments(ARG "COMPUTES" "" "SOURCES;APART;USES;LIBRARIES" ${ARGN})
  if(ARG_SOURCES)
    add_library(umbra_${name} STATIC ${ARG_SOURCES} ${ARG_APART})
    set_source_files_properties(${ARG_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    target_include_directories(umbra_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
    target_include_directories(umbra_${name} SYSTEM PUBLIC ${UMBRA_EXPECTED_INCLUDE})
    target_link_libraries(umbra_${name} PRIVATE umbra_warnings ${ARG_LIBRARIES})
    umbra_uses(umbra_${name} ${ARG_USES})
    if(NOT ARG_COMPUTES)
      umbra_quickly_built(umbra_${name})
    endif()
  endif()
endfunction()

function(umbra_given_keys target)
  target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests/keys.cc)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/tests/keys.cc PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  target_link_libraries(${target} PRIVATE OpenSSL::Crypto)
endfunction()

function(umbra_tests name)
  cmake_parse_arguments(ARG "COMPUTES;GIVEN_KEYS" "" "SOURCES;APART;USES;LIBRARIES" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES} ${ARG_APART})
  set_source_files_properties(${ARG_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  set_target_properties(${name}_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_link_libraries(${name}_test PRIVATE umbra_warnings umbra_${name} ${ARG_LIBRARIES} GTest::gmock GTest::gtest_main)
  foreach(used ${ARG_USES})
    target_link_libraries(${name}_test PRIVATE umbra_${used})
  endforeach()
  target_compile_definitions(${name}_test PRIVATE UMBRA_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  if(ARG_GIVEN_KEYS)
    umbra_given_keys(${name}_test)
  endif()
  if(NOT ARG_COMPUTES)
    umbra_quickly_built(${name}_test)
  endif()
  add_dependencies(unit_tests ${name}_test)
  gtest_discover_tests(${name}_test TEST_PREFIX "${name}." DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT 300 PROCESSORS ${UMBRA_A_PROCESSOR})
endfunction()

function(umbra_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES UNITY_BUILD OFF)  # a file a command, with private names of the same kind
  target_link_libraries(${name} PRIVATE umbra_warnings ${ARG_LIBRARIES})
  foreach(used ${ARG_USES})
    target_link_libraries(${name} PRIVATE umbra_${used})
  endforeach()
endfunction()
