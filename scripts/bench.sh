#!/usr/bin/env bash
# Runs every operator benchmark of a build (each checks its result before it times anything), then
# the comparison of layers with PyTorch where Debian's python3-torch is installed.
#   scripts/bench.sh [BUILD]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/train}

for program in "$build"/*_bench; do
  case $program in
    */layer_torch_bench) continue ;;
  esac
  echo "== $(basename "$program")"
  "$program"
done
if /usr/bin/python3 -c 'import torch' 2>/dev/null; then
  echo "== layers against PyTorch"
  bench/layers.py "$build"
else
  echo "== layers against PyTorch: left out, install python3-torch"
fi
