#!/usr/bin/env bash
# Formats all C++ sources, or with --check says which are not formatted.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=(-i)
[ "${1:-}" = --check ] && mode=(--dry-run --Werror)
git ls-files -z --cached --others --exclude-standard -- '*.h' '*.cc' '*.cu' '*.cuh' |
  xargs -0 -r clang-format "${mode[@]}"
