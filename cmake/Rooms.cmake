# A source file says what it is by its suffix, so that the directory listing is the support matrix:
#   *_test.cc   a test program per folder        *_bench.cc  a benchmark program per file
#   *_fuzz.cc   a libFuzzer program per file     *_torch.cc  part of the train target
#   *_torch_test.cc, *_torch_bench.cc  the same for the train target
#   *_device_torch.cc, cuda/*_torch.cc  what hands tensors to CUDA backends, for a libtorch with CUDA;
#   no_gpu_torch.cc  stands in for all of these in a room, without one
#   *_cuda.cu    a CUDA backend, where nvcc is; *_hopper_cuda.cu for GPUs of compute capability 9.0
#   *_cuda_test.cu, *_cuda_bench.cu  its test program per folder and benchmark programs per file
#   testing/*.cc, testing/*_torch.cc  what the test programs of a room share
# Everything else belongs to the torch-free library.

function(longwave_sources result room)
  cmake_parse_arguments(arg "" "" "SUFFIX;WITHOUT" ${ARGN})
  set(ending .cc)
  if(arg_SUFFIX MATCHES "_cuda")
    set(ending .cu)
  endif()
  file(GLOB_RECURSE found CONFIGURE_DEPENDS
    ${PROJECT_SOURCE_DIR}/longwave/${room}/*${arg_SUFFIX}${ending})
  foreach(pattern ${arg_WITHOUT})
    list(FILTER found EXCLUDE REGEX "${pattern}\\.cc$")
  endforeach()
  set(${result} ${found} PARENT_SCOPE)
endfunction()

set(LONGWAVE_SPECIAL _test _bench _fuzz _torch main testing/[^/]*)

# What most files of the library include, parsed once. Nothing larger pays: the templates of JSON or
# Eigen would be instantiated in every file. Files still include what they use: the preset dev
# builds without this.
set(LONGWAVE_COMMON_HEADERS <fmt/core.h> <algorithm> <array> <cmath> <complex> <cstdint> <cstring>
  <filesystem> <functional> <limits> <map> <memory> <optional> <span> <string> <string_view>
  <utility> <variant> <vector>)

function(longwave_precompile target)
  if(LONGWAVE_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE ${LONGWAVE_COMMON_HEADERS})
    # Through it g++ 12 warns of copies in std::string that are not there (GCC bug 105651).
    target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-stringop-overflow;-Wno-array-bounds>)
  endif()
endfunction()

# Programs share the library's precompiled header, which wants the library's code generation.
function(longwave_reuse_torch_header target)
  target_precompile_headers(${target} REUSE_FROM longwave_train)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1> -fPIC)
  target_link_libraries(${target} PRIVATE OpenMP::OpenMP_CXX)
endfunction()

# Tests are read by people and run once: little optimisation and a precompiled GoogleTest halve the
# time that they take to build.
function(longwave_test_header)
  file(WRITE ${PROJECT_BINARY_DIR}/test_header.cc "")
  add_library(longwave_test_header OBJECT ${PROJECT_BINARY_DIR}/test_header.cc)
  target_link_libraries(longwave_test_header PRIVATE longwave_options GTest::gtest)
  longwave_optimise_little(longwave_test_header)
  target_precompile_headers(longwave_test_header PRIVATE <gtest/gtest.h>)
endfunction()

# The main of CUDA tests, which without a GPU leaves out what needs one.
function(longwave_cuda_test_main result)
  set(target longwave_cuda_test_main)
  if(NOT TARGET ${target})
    add_library(${target} OBJECT ${PROJECT_SOURCE_DIR}/longwave/ops/testing/device_main.cu)
    target_link_libraries(${target} PRIVATE longwave_options GTest::gtest CUDA::cudart_static)
  endif()
  set(${result} $<TARGET_OBJECTS:${target}> PARENT_SCOPE)
endfunction()

function(longwave_optimise_little target)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  # At -O1 g++ 12 sees copies beyond the end of std::string that are not there.
  target_compile_options(${target} PRIVATE
    $<$<CONFIG:Release>:-O1> $<$<CONFIG:Release>:-Wno-array-bounds> -fPIC)
endfunction()

function(longwave_test_options target label)
  if(label STREQUAL "torch_test")
    longwave_reuse_torch_header(${target})
  elseif(NOT label STREQUAL "cuda_test")
    if(NOT TARGET longwave_test_header)
      longwave_test_header()
    endif()
    longwave_optimise_little(${target})
    target_precompile_headers(${target} REUSE_FROM longwave_test_header)
  endif()
endfunction()

# What the test programs of a room share (laws of all its members), compiled once: their objects.
function(longwave_shared_tests result room label)
  cmake_parse_arguments(arg "" "" "LINKS" ${ARGN})
  set(${result} "" PARENT_SCOPE)
  set(found "")
  if(label STREQUAL "torch_test")
    longwave_sources(found ${room} SUFFIX _torch)
  elseif(label STREQUAL "test")
    longwave_sources(found ${room} WITHOUT _torch)
  endif()
  list(FILTER found INCLUDE REGEX "/testing/")
  if(NOT found)
    return()
  endif()
  set(target ${room}_shared_${label})
  add_library(${target} OBJECT ${found})
  target_link_libraries(${target} PRIVATE ${arg_LINKS} longwave_options GTest::gtest)
  longwave_test_options(${target} ${label})
  set(${result} $<TARGET_OBJECTS:${target}> PARENT_SCOPE)
endfunction()

# One test program per folder that holds tests; `links` says against what.
function(longwave_tests room label)
  cmake_parse_arguments(arg "" "" "SUFFIX;WITHOUT;LINKS" ${ARGN})
  if(NOT LONGWAVE_TESTS)
    return()
  endif()
  longwave_sources(found ${room} SUFFIX ${arg_SUFFIX} WITHOUT ${arg_WITHOUT})
  set(folders "")
  foreach(file ${found})
    get_filename_component(folder ${file} DIRECTORY)
    list(APPEND folders ${folder})
  endforeach()
  list(REMOVE_DUPLICATES folders)
  longwave_shared_tests(shared ${room} ${label} LINKS ${arg_LINKS})
  set(main GTest::gtest_main)
  if(label STREQUAL "cuda_test" AND folders)
    longwave_cuda_test_main(shared)
    set(main "")
  endif()
  foreach(folder ${folders})
    file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR}/longwave ${folder})
    string(REPLACE "/" "_" name ${name})
    set(target ${name}_${label})
    set(files ${found})
    list(FILTER files INCLUDE REGEX "^${folder}/[^/]*$")
    add_executable(${target} ${files} ${shared})
    target_link_libraries(${target} PRIVATE ${arg_LINKS} longwave_options GTest::gtest ${main})
    target_compile_definitions(${target} PRIVATE LONGWAVE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    longwave_test_options(${target} ${label})
    add_test(NAME ${target} COMMAND ${target})
    set_tests_properties(${target} PROPERTIES LABELS ${label} TIMEOUT 600 SKIP_RETURN_CODE 77)
  endforeach()
endfunction()

# Only the room of the kernels gains from -O3. Rooms that wait for files, or call the others, do
# not gain from -O2 either; each level costs a sixth to a third of the time to build.
function(longwave_optimise_rooms target)
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources EXCLUDE REGEX "/longwave/ops/|\\.cu$")
  set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS $<$<CONFIG:Release>:-O2>)
  list(FILTER sources INCLUDE REGEX "/longwave/(models|io|text|data|runtime|inspect)/")
  set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS $<$<CONFIG:Release>:-O1>)
endfunction()

function(longwave_programs room)
  cmake_parse_arguments(arg "" "" "SUFFIX;WITHOUT;LINKS" ${ARGN})
  longwave_sources(found ${room} SUFFIX ${arg_SUFFIX} WITHOUT ${arg_WITHOUT})
  foreach(file ${found})
    get_filename_component(target ${file} NAME_WE)
    add_executable(${target} ${file})
    target_link_libraries(${target} PRIVATE ${arg_LINKS} longwave_options)
  endforeach()
endfunction()

# Kernels made of instructions that Hopper alone has, which other code chooses at run time: for
# whatever GPUs the rest is compiled, these are for that one.
function(longwave_add_hopper target)
  if(NOT ARGN)
    return()
  endif()
  add_library(${target}_hopper OBJECT ${ARGN})
  set_target_properties(${target}_hopper PROPERTIES CUDA_ARCHITECTURES 90a-real)
  target_include_directories(${target}_hopper PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${target}_hopper PRIVATE fmt::fmt longwave_options)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_hopper>)
endfunction()

function(longwave_library target)
  cmake_parse_arguments(arg "" "" "ROOMS" ${ARGN})
  set(sources "")
  foreach(room ${arg_ROOMS})
    longwave_sources(found ${room} WITHOUT ${LONGWAVE_SPECIAL})
    list(APPEND sources ${found})
    if(LONGWAVE_HAVE_CUDA)
      longwave_sources(found ${room} SUFFIX _cuda)
      list(APPEND sources ${found})
    endif()
  endforeach()
  set(hopper ${sources})
  list(FILTER hopper INCLUDE REGEX "_hopper_cuda\\.cu$")
  list(FILTER sources EXCLUDE REGEX "_hopper_cuda\\.cu$")
  add_library(${target}_runtime STATIC ${sources})
  add_library(longwave::runtime ALIAS ${target}_runtime)
  set_target_properties(${target}_runtime PROPERTIES OUTPUT_NAME longwave EXPORT_NAME runtime)
  target_include_directories(${target}_runtime PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${target}_runtime PUBLIC cxx_std_20)
  # Threads come from base/parallel_for alone; Eigen would start a team for every matrix product.
  target_compile_definitions(${target}_runtime PRIVATE EIGEN_DONT_PARALLELIZE)
  longwave_optimise_rooms(${target}_runtime)
  longwave_precompile(${target}_runtime)
  target_link_libraries(${target}_runtime
    PUBLIC fmt::fmt
    PRIVATE OpenMP::OpenMP_CXX ZLIB::ZLIB pcre2-8 utf8proc
            $<BUILD_INTERFACE:PkgConfig::hwy> $<BUILD_INTERFACE:PkgConfig::openblas>
            $<INSTALL_INTERFACE:hwy> $<INSTALL_INTERFACE:openblas> $<INSTALL_INTERFACE:tomlplusplus>
            $<BUILD_INTERFACE:Eigen3::Eigen> $<BUILD_INTERFACE:nlohmann_json::nlohmann_json>
            $<BUILD_INTERFACE:tomlplusplus::tomlplusplus> $<BUILD_INTERFACE:longwave_options>)
  if(LONGWAVE_HAVE_CUDA)
    longwave_add_hopper(${target}_runtime ${hopper})
    target_link_libraries(${target}_runtime PRIVATE CUDA::cudart_static)
  endif()
  foreach(room ${arg_ROOMS})
    longwave_tests(${room} test SUFFIX _test WITHOUT _torch_test
      LINKS ${target}_runtime Eigen3::Eigen nlohmann_json::nlohmann_json)
    if(LONGWAVE_BENCHES)
      longwave_programs(${room} SUFFIX _bench WITHOUT _torch_bench
        LINKS ${target}_runtime benchmark::benchmark PkgConfig::openblas)
    endif()
    if(LONGWAVE_HAVE_CUDA)
      longwave_tests(${room} cuda_test SUFFIX _cuda_test LINKS ${target}_runtime CUDA::cudart_static)
      if(LONGWAVE_BENCHES)
        longwave_programs(${room} SUFFIX _cuda_bench LINKS ${target}_runtime CUDA::cudart_static)
      endif()
    endif()
    if(LONGWAVE_FUZZERS)
      longwave_programs(${room} SUFFIX _fuzz LINKS ${target}_runtime -fsanitize=fuzzer)
    endif()
  endforeach()
endfunction()

include(CheckLinkerFlag)

function(longwave_torch_library target)
  cmake_parse_arguments(arg "" "" "ROOMS" ${ARGN})
  set(sources "")
  foreach(room ${arg_ROOMS})
    if(room STREQUAL "train")
      longwave_sources(found ${room} WITHOUT ${LONGWAVE_SPECIAL})
    else()
      longwave_sources(found ${room} SUFFIX _torch WITHOUT testing/[^/]*)
    endif()
    list(APPEND sources ${found})
  endforeach()
  # What queues work on a GPU, or one file a room that stands in for it.
  if(LONGWAVE_TORCH_CUDA)
    list(FILTER sources EXCLUDE REGEX "/no_gpu_torch\\.cc$")
  else()
    list(FILTER sources EXCLUDE REGEX "(_device_torch|/cuda/[^/]*_torch)\\.cc$")
  endif()
  if(NOT sources)
    return()
  endif()
  add_library(${target} STATIC ${sources})
  add_library(longwave::train ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME train)
  target_compile_options(${target} PUBLIC ${TORCH_CXX_FLAGS_LIST})
  # What computes is libtorch or a kernel: more than -O1 doubles the time to build and gains nothing.
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  # Newer libtorch exports the C++ library that it was built with, and removing a folder through that
  # one crashes: the system's must come first, by its name, since some compilers would take an archive.
  check_linker_flag(CXX LINKER:--no-as-needed,-l:libstdc++.so.6 LONGWAVE_SHARED_LIBSTDCXX)
  set(standard_library stdc++)
  if(LONGWAVE_SHARED_LIBSTDCXX)
    set(standard_library :libstdc++.so.6)
  endif()
  target_link_options(${target} PUBLIC
    LINKER:--push-state,--no-as-needed,-l${standard_library},--pop-state)
  target_include_directories(${target} SYSTEM PUBLIC ${TORCH_INCLUDE_DIRS})
  target_link_libraries(${target}
    PUBLIC ${TORCH_LIBRARIES} longwave_runtime
    PRIVATE OpenMP::OpenMP_CXX $<BUILD_INTERFACE:nlohmann_json::nlohmann_json>
            $<BUILD_INTERFACE:longwave_options>)
  # Newer libtorch brings headers of its own fmt, without the library: then take it from the headers.
  foreach(folder ${TORCH_INCLUDE_DIRS})
    if(EXISTS ${folder}/fmt/format.h)
      target_compile_definitions(${target} PUBLIC FMT_HEADER_ONLY)
    endif()
  endforeach()
  if(LONGWAVE_TORCH_CUDA)
    target_compile_definitions(${target} PUBLIC LONGWAVE_TORCH_CUDA)
    target_link_libraries(${target} PUBLIC CUDA::toolkit)
  endif()
  target_precompile_headers(${target} PRIVATE <torch/torch.h>)
  foreach(room ${arg_ROOMS})
    if(room STREQUAL "train")
      longwave_tests(${room} torch_test SUFFIX _test LINKS ${target})
    else()
      longwave_tests(${room} torch_test SUFFIX _torch_test LINKS ${target})
    endif()
    if(LONGWAVE_BENCHES)
      longwave_programs(${room} SUFFIX _torch_bench LINKS ${target} nlohmann_json::nlohmann_json)
    endif()
  endforeach()
endfunction()

# The C interface: a shared library that needs no C++ of its users and shows nothing but
# longwave_c.h.
function(longwave_c_library target)
  cmake_parse_arguments(arg "" "ROOM" "" ${ARGN})
  longwave_sources(sources ${arg_ROOM} WITHOUT ${LONGWAVE_SPECIAL})
  add_library(${target} SHARED ${sources})
  add_library(longwave::c ALIAS ${target})
  set(exports ${PROJECT_SOURCE_DIR}/longwave/${arg_ROOM}/exports.map)
  set_target_properties(${target} PROPERTIES EXPORT_NAME c VERSION ${PROJECT_VERSION} SOVERSION 1
    LINK_DEPENDS ${exports})
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${target} PRIVATE
    $<BUILD_INTERFACE:longwave_runtime> $<BUILD_INTERFACE:longwave_options>)
  target_link_options(${target} PRIVATE LINKER:--version-script=${exports} LINKER:--no-undefined)
  longwave_tests(${arg_ROOM} test SUFFIX _test LINKS ${target} longwave_runtime)
endfunction()

# What `--version` says about the build.
function(longwave_build_facts file)
  execute_process(COMMAND git rev-parse --short HEAD
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE commit
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT commit)
    set(commit unknown)
  endif()
  set(gpus "")
  if(LONGWAVE_HAVE_CUDA)
    set(gpus ${CMAKE_CUDA_ARCHITECTURES})
    if(gpus STREQUAL "native" AND CMAKE_CUDA_ARCHITECTURES_NATIVE)
      set(gpus ${CMAKE_CUDA_ARCHITECTURES_NATIVE})
    endif()
    list(TRANSFORM gpus REPLACE "-real$" "")
    string(REPLACE ";" " " gpus "${gpus}")
  endif()
  set_source_files_properties(${file} PROPERTIES COMPILE_DEFINITIONS
    "LONGWAVE_VERSION=\"${PROJECT_VERSION}\";LONGWAVE_COMMIT=\"${commit}\";LONGWAVE_BUILD_TYPE=\"${CMAKE_BUILD_TYPE}\";LONGWAVE_COMPILER=\"${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}\";LONGWAVE_GPUS=\"${gpus}\"")
endfunction()

# The command line tool, torch-free: a library of commands, which the tests and the torch program
# use too, and a main.
function(longwave_command target)
  cmake_parse_arguments(arg "" "ROOM" "" ${ARGN})
  longwave_sources(sources ${arg_ROOM} WITHOUT _test _torch main)
  add_library(longwave_commands STATIC ${sources})
  longwave_build_facts(${PROJECT_SOURCE_DIR}/longwave/${arg_ROOM}/build_facts.cc)
  target_link_libraries(longwave_commands PUBLIC longwave_runtime nlohmann_json::nlohmann_json
    PRIVATE CLI11::CLI11 PkgConfig::hwy PkgConfig::openblas longwave_options)
  longwave_precompile(longwave_commands)
  # Commands compute nothing themselves: less optimisation takes a third off their time to build.
  target_compile_options(longwave_commands PRIVATE $<$<CONFIG:Release>:-O1>)
  add_executable(${target}_command ${PROJECT_SOURCE_DIR}/longwave/${arg_ROOM}/main.cc)
  set_target_properties(${target}_command PROPERTIES OUTPUT_NAME ${target})
  target_link_libraries(${target}_command PRIVATE longwave_commands longwave_options)
  longwave_tests(${arg_ROOM} test SUFFIX _test WITHOUT _torch_test LINKS longwave_commands)
endfunction()

# The same tool with the commands that need libtorch; `longwave train` hands over to it.
function(longwave_torch_command target)
  cmake_parse_arguments(arg "" "ROOM" "" ${ARGN})
  longwave_sources(sources ${arg_ROOM} SUFFIX _torch)
  if(NOT sources OR NOT TARGET longwave_train)
    return()
  endif()
  add_executable(${target} ${sources})
  target_link_libraries(${target} PRIVATE longwave_commands longwave_train longwave_options)
  longwave_reuse_torch_header(${target})
endfunction()

# The examples must not only compile but run.
function(longwave_example_tests)
  set(model ${PROJECT_SOURCE_DIR}/tests/fixtures/chat_mamba)
  foreach(program generate_example batch_example c_api)
    add_test(NAME example_${program} COMMAND ${program} ${model} "It was")
    set_tests_properties(example_${program} PROPERTIES LABELS test TIMEOUT 60)
    add_test(NAME example_${program}_refuses COMMAND ${program} ${model}/no-such-model "It was")
    set_tests_properties(example_${program}_refuses PROPERTIES LABELS test TIMEOUT 60
      PASS_REGULAR_EXPRESSION "no-such-model")
  endforeach()
  set_tests_properties(example_c_api PROPERTIES PASS_REGULAR_EXPRESSION "^([0-9]+ )+\n")
  set_tests_properties(example_generate_example PROPERTIES PASS_REGULAR_EXPRESSION "It was.*It was")
  set_tests_properties(example_batch_example PROPERTIES PASS_REGULAR_EXPRESSION "It was.+")
endfunction()
