#!/usr/bin/env bash
# Installs a build into a temporary folder, moves it, and builds a stranger's project against it in
# the three ways that the documentation promises: find_package, pkg-config, add_subdirectory.
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
    refused:*) echo "install: $2 works" ;;
    *) echo "install: $2: unexpected answer: $answer" >&2; exit 1 ;;
  esac
}

cmake -S tests/install -B "$work/found" -DCMAKE_PREFIX_PATH="$work/moved" >>"$work/log"
cmake --build "$work/found" >>"$work/log"
run "$work/found/stranger" find_package

flags=$(PKG_CONFIG_PATH=$(dirname "$(find "$work/moved" -name longwave.pc)") \
  pkg-config --cflags --libs longwave)
# shellcheck disable=SC2086  # the flags are words
g++ -std=c++20 tests/install/stranger.cc $flags -o "$work/with_pkg_config"
run "$work/with_pkg_config" pkg-config

model=$PWD/tests/fixtures/chat_mamba
cmake -S examples/c_api -B "$work/c_found" -DCMAKE_PREFIX_PATH="$work/moved" >>"$work/log"
cmake --build "$work/c_found" >>"$work/log"
"$work/c_found/c_api" "$model" "It was" >>"$work/log" && echo "install: C by find_package works"

flags=$(PKG_CONFIG_PATH=$(dirname "$(find "$work/moved" -name longwave_c.pc)") \
  pkg-config --cflags --libs longwave_c)
# shellcheck disable=SC2086  # the flags are words
gcc -std=c11 -Wall -Wextra -Wpedantic -Werror examples/c_api/c_api.c $flags -o "$work/c_with_pkg"
LD_LIBRARY_PATH=$(dirname "$(find "$work/moved" -name liblongwave_c.so)") \
  "$work/c_with_pkg" "$model" "It was" >>"$work/log" && echo "install: C by pkg-config works"

cmake -S tests/install -B "$work/added" -G Ninja -DLONGWAVE_SOURCE="$PWD" >>"$work/log"
cmake --build "$work/added" --target stranger >>"$work/log"
run "$work/added/stranger" add_subdirectory
