// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/cli/command.h"
#include "longwave/runtime/state_form.h"

namespace longwave::cli {

/// --state, for commands that step through sequences; see runtime::StateForm.
inline Flag state_flag() {
  std::vector<std::string> names;
  for (const auto& [name, form] : runtime::kStateForms) names.emplace_back(name);
  return {.option = {.key = "state",
                     .value = names.front(),
                     .help = "what a recurrent state is rounded to after each step and kept in; "
                             "keys and values of attention stay float32",
                     .choices = std::move(names)}};
}

inline runtime::StateForm state_form_of(const Options& options) {
  const std::string& name = options.text("state");
  for (const auto& [known, form] : runtime::kStateForms) {
    if (known == name) return form;
  }
  return runtime::StateForm::kFloat32;
}

}  // namespace longwave::cli
