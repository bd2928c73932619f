# Warnings, sanitizers and the compiler cache: one interface target that every target of ours uses.
add_library(longwave_options INTERFACE)
set(cxx $<COMPILE_LANGUAGE:CXX>)
set(cuda $<COMPILE_LANGUAGE:CUDA>)
target_compile_options(longwave_options INTERFACE $<${cxx}:-Wall;-Wextra;-Wpedantic>)
# The front end of nvcc does not know fmt's consteval, and warns about the conversion of a View of
# const elements, which is never used.
target_compile_options(longwave_options INTERFACE
  $<${cuda}:--expt-relaxed-constexpr;-DFMT_CONSTEVAL=;-DFMT_USE_CONSTEXPR=1;-diag-suppress=554>)
# g++ 12 sees overlapping copies in "text" + std::string that are not there (GCC bug 105651).
target_compile_options(longwave_options INTERFACE
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>)
# Kernels are built for AVX2, AVX-512 and any processor: SSE alone is not worth its time to build.
target_compile_definitions(longwave_options INTERFACE "HWY_DISABLED_TARGETS=(HWY_SSSE3|HWY_SSE4)")
if(LONGWAVE_WERROR)
  target_compile_options(longwave_options INTERFACE $<${cxx}:-Werror> $<${cuda}:-Werror=all-warnings>)
endif()
if(LONGWAVE_SANITIZE)
  target_compile_options(longwave_options INTERFACE -fsanitize=${LONGWAVE_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(longwave_options INTERFACE -fsanitize=${LONGWAVE_SANITIZE})
endif()
if(LONGWAVE_HARDENED)
  target_compile_definitions(longwave_options INTERFACE LONGWAVE_HARDENED)
endif()

find_program(LONGWAVE_CCACHE ccache)
if(LONGWAVE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # The precompiled header would otherwise make every torch unit a cache miss.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${LONGWAVE_CCACHE})
endif()
