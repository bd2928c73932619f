#!/usr/bin/env bash
# Fuzzes every parser for SECONDS each (default 60): builds the preset `fuzz`, lets each program
# write its seeds, and stops at the first program that crashes, leaks or runs out of memory.
#   scripts/fuzz.sh [SECONDS] [NAME...]        for example: scripts/fuzz.sh 300 safetensors
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
build=build/fuzz
corpora=$build/corpora

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  while IFS= read -r file; do
    names+=("$(basename "${file%_fuzz.cc}")")
  done < <(find longwave -name '*_fuzz.cc' | sort)
fi

cmake --preset fuzz >/dev/null
cmake --build "$build" --target "${names[@]/%/_fuzz}"

for name in "${names[@]}"; do
  corpus=$corpora/$name
  mkdir -p "$corpus"
  "$build/${name}_fuzz" --seeds="$corpus" -runs=0 -verbosity=0 2>/dev/null
  echo "fuzz: $name for $seconds s"
  "$build/${name}_fuzz" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
    -print_final_stats=1 -verbosity=0 -artifact_prefix="$corpora/$name-" "$corpus"
done
echo "fuzz: ${#names[@]} parsers survived $seconds s each"
