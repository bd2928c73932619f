// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/run_folder.h"

#include "longwave/base/error.h"
#include "longwave/runtime/gguf_file.h"

namespace longwave::runtime {

namespace fs = std::filesystem;

namespace {

/// What a folder of a model holds one of: ours and published ones.
constexpr const char* kWeights[] = {"model.safetensors", "model.safetensors.index.json",
                                    "pytorch_model.bin", "pytorch_model.bin.index.json"};

}  // namespace

fs::path find_model_folder(const fs::path& path) {
  std::error_code ignored;
  if (is_gguf_file(path)) return path;
  for (const char* inner : {"", "checkpoints/best", "checkpoints/latest"}) {
    const fs::path candidate = *inner == 0 ? path : path / inner;
    for (const char* weights : kWeights) {
      if (fs::exists(candidate / weights, ignored)) return candidate;
    }
  }
  throw IoError({.where = path.string(),
                 .what = "is neither a model nor a run",
                 .got = fs::exists(path, ignored) ? "no model.safetensors in it" : "no such folder",
                 .fix = "give a run folder such as runs/delay, a folder with config.json and "
                        "model.safetensors, or a .gguf file"});
}

std::optional<fs::path> find_recipe(const fs::path& model_folder) {
  std::error_code error;
  const fs::path real = fs::canonical(model_folder, error);
  if (error) return std::nullopt;
  // runs/NAME/checkpoints/step_N, or a model saved in the run folder itself.
  for (const fs::path& folder : {real.parent_path().parent_path(), real}) {
    if (fs::exists(folder / "resolved.toml", error)) return folder / "resolved.toml";
  }
  return std::nullopt;
}

}  // namespace longwave::runtime
