#!/usr/bin/env bash
# Builds the CUDA backends, then runs their laws and benchmarks if there is a GPU.
# usage: scripts/gpu.sh [build|run]     run: only what was built before, also by another machine
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/cuda
mode=${1:-all}

if [ "$mode" != run ]; then
  cmake --preset cuda -DLONGWAVE_TORCH=OFF -DLONGWAVE_BENCHES=ON >/dev/null
  mapfile -t targets < <(ninja -C "$build" -t targets all | grep -v ^cmake_ |
    sed -nE 's/^([a-z0-9_]+_cuda_(test|bench)): .*/\1/p')
  cmake --build "$build" --target "${targets[@]}"
fi
[ "$mode" = build ] && exit 0

if ! nvidia-smi -L; then
  echo "gpu: no GPU here, so nothing was run; copy the programs in $build to a machine with one" >&2
  exit 0
fi
for program in "$build"/*_cuda_test; do
  "$program" --gtest_brief=1
done
for program in "$build"/*_cuda_bench; do
  "$program"
done
