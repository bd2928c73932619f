// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/bundle.h"

#include <fmt/core.h>

#include <cmath>

#include "longwave/io/atomic_file.h"
#include "longwave/io/safetensors.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/train/checkpoint.h"
#include "longwave/train/diagnosis.h"
#include "longwave/train/run.h"

namespace longwave::train {
namespace {

constexpr const char* kBatchFile = "batches.safetensors";

std::string batch_name(size_t place) { return fmt::format("batch.{}", place); }

}  // namespace

void write_bundle(const std::filesystem::path& folder, const Trainer& trainer,
                  const Report& report) {
  io::AtomicFolder fresh(folder);
  runtime::write_model_files(fresh.path(), trainer.model().config(), trainer.model().weights());
  Weights batches;
  const std::vector<Batch>& last = trainer.last_batches();
  for (size_t place = 0; place < last.size(); ++place) {
    put(batches, batch_name(place), last[place]);
  }
  io::save_safetensors(fresh.path() / kBatchFile, batches);
  const Record meta{{"step", trainer.counters().step},
                    {"batches", static_cast<int64_t>(last.size())},
                    {"seed", trainer.recipe().integer("seed")},
                    {"what", report.what},
                    {"got", report.got}};
  io::write_file_atomically(fresh.path() / "meta.json", json_line(meta) + "\n");
  fresh.commit();
}

void replay(const std::filesystem::path& folder) {
  const std::filesystem::path bundle = folder / "diverged";
  const Record meta = read_meta(bundle);
  const int64_t step = integer_of(meta, "step");
  const Weights stored = io::load_safetensors(bundle / kBatchFile).weights;
  std::vector<Batch> batches;
  for (int64_t place = 0; place < integer_of(meta, "batches"); ++place) {
    batches.push_back(get(stored, batch_name(static_cast<size_t>(place))));
  }
  Trainer trainer(recipe_of_run(folder));
  // Read without the checks of a model folder: these weights may hold what is not finite.
  trainer.load(io::load_safetensors(bundle / "model.safetensors").weights);
  const Gradients found = trainer.gradients(batches, step);
  if (std::isfinite(found.loss) && std::isfinite(found.norm)) return;
  throw Diverged(diagnose(trainer.model(), batches, step, found.loss, found.norm));
}

}  // namespace longwave::train
