#!/usr/bin/env bash
# Installs the Debian packages that Longwave needs and does not find, and nothing else.
set -euo pipefail

packages=(
  # build
  g++ cmake ninja-build pkg-config ccache git ca-certificates
  # library
  libfmt-dev nlohmann-json3-dev libtomlplusplus-dev libcli11-dev libeigen3-dev libhwy-dev
  libopenblas-openmp-dev zlib1g-dev libpcre2-dev libutf8proc-dev
  # training
  libtorch-dev
  # tests and checks
  libgtest-dev libbenchmark-dev clang clang-format libclang-rt-14-dev libomp-dev python3
  # data of the demo
  dataset-fashion-mnist
)

# The text of the language models: six novels, unpacked without installing R.
fetch_texts() {
  [ -e /usr/local/share/longwave/texts/austen/persuasion.txt ] && return
  echo "setup: unpacking six novels"
  "$@" "$(dirname "$0")/fetch_texts.py" >/dev/null ||
    echo "setup: no novels; language models need them: scripts/fetch_texts.py" >&2
}

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null; then
    as_root=(sudo)
  elif [ ${#missing[@]} -gt 0 ]; then
    echo "setup: these packages are missing, and installing them needs root or sudo:" >&2
    echo "  apt-get install ${missing[*]}" >&2
    exit 1
  fi
fi

if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: every package is there"
  fetch_texts "${as_root[@]}"
  exit 0
fi

echo "setup: installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fetch_texts "${as_root[@]}"
echo "setup: done"
