#!/usr/bin/env bash
# Builds the CUDA backends, then runs their laws and benchmarks if there is a GPU, and writes what
# came out to build/cuda/results.md. With a libtorch for CUDA training is built and run, too.
# usage: scripts/gpu.sh [all|build|run] [LIBTORCH]
#   build      stops before running, for a machine with nvcc but without a GPU
#   run        what was built before, also by another machine
#   LIBTORCH   the libtorch, as CMAKE_PREFIX_PATH wants it
set -euo pipefail
mode=${1:-all}
libtorch=${2:+$(realpath "$2")}
cd "$(dirname "$0")/.."
build=build/cuda
torch_laws=(ops_cuda_torch_test ops_linear_scan_torch_test mixers_torch_test train_torch_test)

build() {
  local kinds='_cuda_(test|bench)' torch=(-DLONGWAVE_TORCH=OFF)
  # What an earlier build left would run as if it were of this one.
  rm -f "$build"/*_test "$build"/*_bench
  if [ -n "$libtorch" ]; then
    local of_torch="${torch_laws[*]} longwave-train training_step_torch_bench"
    kinds+="|^(${of_torch// /|})"
    # Where another libtorch was found before, it would stay.
    torch=(-DLONGWAVE_TORCH=ON "-DCMAKE_PREFIX_PATH=$libtorch" -U 'Torch_DIR' -U 'TORCH_LIBRARY'
      -U 'C10*' -U 'Caffe2_DIR')
  fi
  local found targets
  found=$(cmake --preset cuda "${torch[@]}" -DLONGWAVE_BENCHES=ON | grep '^--   ')
  echo "$found"
  if [ -n "$libtorch" ] && ! grep -q 'training on a GPU: yes' <<<"$found"; then
    echo "gpu: no libtorch for CUDA was found in $libtorch" >&2
    exit 1
  fi
  mapfile -t targets < <(ninja -C "$build" -t targets all | grep -v ^cmake_ |
    sed -nE 's/^([A-Za-z0-9_-]+): .*/\1/p' | grep -E "($kinds)\$")
  cmake --build "$build" --target "${targets[@]}"
}

# part NAME COMMAND...: a section of the results.
part() {
  local name=$1 begin=$SECONDS verdict=passed
  shift
  printf '\n### %s\n\n```\n$ %s\n' "$name" "$*"
  "$@" 2>&1 || verdict=FAILED
  printf '```\n\n%s: %s, %d seconds\n' "$verdict" "$name" $((SECONDS - begin))
}

# Whether python3 has a module.
has() { python3 -c "import $1" 2>/dev/null; }

report() {
  printf '# What came out on a GPU\n\n| | |\n|---|---|\n'
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader |
    awk -F', ' '{ printf "| GPU %d | %s, %s |\n| driver | %s |\n", NR - 1, $1, $3, $2 }'
  printf '| nvcc | %s |\n' "$(sed -nE 's/^set\(CMAKE_CUDA_COMPILER_VERSION "(.*)"\)/\1/p' \
    "$build"/CMakeFiles/*/CMakeCUDACompiler.cmake)"
  printf '| commit | %s |\n' "$(git describe --always --dirty 2>/dev/null || echo unknown)"
  printf '| when | %s |\n\n## Laws\n' "$(date -u '+%Y-%m-%d %H:%M UTC')"
  local program
  for program in "$build"/*_cuda_test; do
    part "$(basename "$program")" "$program" --gtest_brief=1
  done
  for program in "${torch_laws[@]/#/$build/}"; do
    [ -x "$program" ] || continue
    part "$(basename "$program")" "$program" --gtest_filter='*Device*' --gtest_brief=1
  done
  printf '\n## Benchmarks\n'
  for program in "$build"/*_cuda_bench; do
    part "$(basename "$program")" "$program"
  done
  if [ -x "$build/training_step_torch_bench" ]; then
    part "training" bench/gpu_training.py "$build"
  fi
  if has mamba_ssm; then
    part "mamba_ssm beside it" bench/peers/mamba_ssm_gpu.py "$build"
  fi
}

case $mode in
  all | build | run) ;;
  *)
    echo "usage: scripts/gpu.sh [all|build|run] [LIBTORCH]" >&2
    exit 2
    ;;
esac
if [ -n "$libtorch" ] && [ ! -d "$libtorch" ]; then
  echo "gpu: $libtorch is not a folder" >&2
  exit 2
fi
if [ "$mode" != run ]; then build; fi
if [ "$mode" = build ]; then exit; fi
if ! { command -v nvidia-smi && nvidia-smi -L; } >/dev/null; then
  echo "gpu: no GPU here, so nothing was run; copy this folder to a machine with one, for 'run'" >&2
  if [ "$mode" = run ]; then exit 1; fi
  exit 0
fi
if ! compgen -G "$build/*_cuda_test" >/dev/null; then
  echo "gpu: nothing is built in $build, so there is nothing to run: scripts/gpu.sh build" >&2
  exit 1
fi
report | tee "$build/results.md"
echo "gpu: all this is in $build/results.md" >&2
if grep '^FAILED: ' "$build/results.md" >&2; then exit 1; fi
