// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "longwave/cli/commands_torch.h"
#include "longwave/cli/verify_command.h"
#include "longwave/inspect/training_form_torch.h"
#include "longwave/runtime/model_folder.h"

namespace longwave::cli {

ExitCode run_verify_with_training(Call& call) {
  const runtime::ModelFolder folder = runtime::load_model_folder(call.words.at(0));
  const double rate = call.options.real("rate");
  const bool same_rate = std::abs(rate - 1) < 1e-12;
  std::unique_ptr<inspect::TrainingForm> training;
  if (same_rate && call.options.text("training") != "no") {
    training = inspect::make_training_form(folder.config, folder.weights);
  }
  return report_verification(call, inspect::verify(folder.config, folder.weights, rate,
                                                   verify_settings(call.options), training.get()));
}

}  // namespace longwave::cli
