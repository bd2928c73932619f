#!/usr/bin/env bash
# The main job, from nothing: builds the tool, trains an S4D classifier on Fashion-MNIST one pixel
# at a time, evaluates it, proves that its views agree, streams test images pixel by pixel, and
# writes a report with pictures.
#
#   DEMO_RUN=runs/demo   where the run goes; a finished run there is used again
#   DEMO_ARGS="..."      overrides of the recipe, such as train.epochs=0.2
set -euo pipefail
cd "$(dirname "$0")/.."

run=${DEMO_RUN:-runs/demo}
streamed_images=20
answers=$(mktemp -d)
trap 'rm -rf "$answers"' EXIT

say() { printf '\n== %s\n' "$*"; }

say "build"
cmake --preset train -DLONGWAVE_TESTS=OFF -DLONGWAVE_BENCHES=OFF -B build/demo >/dev/null
cmake --build build/demo --target longwave_command longwave-train
export PATH="$PWD/build/demo:$PATH"

if [ -e "$run/checkpoints/best" ]; then
  say "train: $run is there already; remove it to train again"
else
  say "train: S4D on 784 pixels, one at a time"
  # shellcheck disable=SC2086  # the overrides are words
  longwave train recipes/fashion_mnist_s4d.toml --out "$run" ${DEMO_ARGS:-}
fi

say "evaluate: every test image"
longwave eval "$run" | tee "$answers/eval"
accuracy=$(awk '$2 == "accuracy" { print $3 }' "$answers/eval")

say "verify: recurrent, chunked, convolutional and training forms agree"
longwave verify "$run"

say "stream: $streamed_images test images pixel by pixel, in constant memory"
longwave eval "$run" --limit "$streamed_images" --answers "$answers/whole" --quiet >/dev/null
for image in $(seq 0 $((streamed_images - 1))); do
  longwave data fashion_mnist --split test --example "$image" --quiet
done >"$answers/pixels"
split -l 784 -d -a 3 "$answers/pixels" "$answers/image_"
for image in "$answers"/image_*; do
  longwave stream "$run" --last --quiet <"$image"
done >"$answers/streamed"
# Both files hold ten numbers an image: the classes must agree, the numbers nearly.
same=$(paste -d' ' "$answers/whole" "$answers/streamed" | awk '
  function class(from,   i, best) {
    best = from
    for (i = from; i < from + 10; ++i) if ($i > $best) best = i
    return best - from
  }
  { if (class(1) == class(11)) ++same }
  END { print same + 0 }')
echo "$same of $streamed_images images get the same class as from the whole sequence"
[ "$same" -eq "$streamed_images" ]

say "report"
longwave inspect "$run" --html "$run/report.html" >/dev/null

say "summary"
echo "test accuracy $accuracy"
echo "views agree; $same of $streamed_images streamed images agree"
echo "model $run/checkpoints/best, pictures $run/report.html"
