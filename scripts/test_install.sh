#!/usr/bin/env bash
# Installs a build into a temporary folder, moves it, and builds a stranger's project against it in
# the three ways that the documentation promises: find_package, pkg-config, add_subdirectory.
# usage: scripts/test_install.sh [BUILD [installed]]     installed: not the last, which builds all
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath "${1:-build/train}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/first" >"$work/log"
mv "$work/first" "$work/moved"

run() {
  local answer
  answer=$("$1" "$work/no-such-model")
  case $answer in
    refused:* | takes:*) echo "install: $2 works" ;;
    *) echo "install: $2: unexpected answer: $answer" >&2; exit 1 ;;
  esac
}

cmake -S tests/install -B "$work/found" -DCMAKE_PREFIX_PATH="$work/moved" >>"$work/log"
cmake --build "$work/found" >>"$work/log"
run "$work/found/stranger" find_package
if [ -x "$work/found/stranger_cuda" ]; then
  run "$work/found/stranger_cuda" "CUDA by find_package"
fi

# Of the C interface, what the library is made of is not looked for.
unused=(-DCMAKE_DISABLE_FIND_PACKAGE_{fmt,OpenMP,ZLIB,CUDAToolkit,Torch}=ON)
cmake -S tests/install -B "$work/c_alone" --no-warn-unused-cli "${unused[@]}" -DC_ALONE=ON \
  -DCMAKE_PREFIX_PATH="$work/moved" >>"$work/log"
cmake --build "$work/c_alone" >>"$work/log"
run "$work/c_alone/stranger_c" "C++ by the component c"

PKG_CONFIG_PATH=$(dirname "$(find "$work/moved" -name longwave.pc)")
export PKG_CONFIG_PATH
flags=$(pkg-config --cflags --libs longwave)
# shellcheck disable=SC2086  # the flags are words
g++ -std=c++20 tests/install/stranger.cc $flags -o "$work/with_pkg_config"
run "$work/with_pkg_config" pkg-config
if [ "$(pkg-config --variable=cuda longwave)" = TRUE ]; then
  # shellcheck disable=SC2086
  g++ -std=c++20 tests/install/stranger_cuda.cc $flags -o "$work/cuda_with_pkg_config"
  run "$work/cuda_with_pkg_config" "CUDA by pkg-config"
fi

model=$PWD/tests/fixtures/chat_mamba
cmake -S examples/c_api -B "$work/c_found" -DCMAKE_PREFIX_PATH="$work/moved" >>"$work/log"
cmake --build "$work/c_found" >>"$work/log"
"$work/c_found/c_api" "$model" "It was" >>"$work/log" && echo "install: C by find_package works"

flags=$(pkg-config --cflags --libs longwave_c)
# shellcheck disable=SC2086  # the flags are words
gcc -std=c11 -Wall -Wextra -Wpedantic -Werror examples/c_api/c_api.c $flags -o "$work/c_with_pkg"
LD_LIBRARY_PATH=$(dirname "$(find "$work/moved" -name liblongwave_c.so)") \
  "$work/c_with_pkg" "$model" "It was" >>"$work/log" && echo "install: C by pkg-config works"

if [ "${2:-}" = installed ]; then exit; fi
cmake -S tests/install -B "$work/added" -G Ninja -DLONGWAVE_SOURCE="$PWD" >>"$work/log"
cmake --build "$work/added" --target stranger >>"$work/log"
run "$work/added/stranger" add_subdirectory
