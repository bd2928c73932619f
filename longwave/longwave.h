// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The library in one include: load a trained model, stream samples through it in constant memory,
/// keep its state.
///
///   #include <longwave/longwave.h>
///
///   longwave::Session session(longwave::Model::load("runs/demo"));
///   std::span<const float> answer = session.step(sample);
///   longwave::save_state("here.state", session.state());
///
/// Everything throws longwave::Error, whose message says where, what, what was got and how to fix
/// it. Torch and CUDA appear in no header of the runtime.

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/session.h"
#include "longwave/runtime/state.h"

namespace longwave {

using runtime::load_model_folder;
using runtime::load_state;
using runtime::Model;
using runtime::save_model_folder;
using runtime::save_state;
using runtime::Session;
using runtime::State;

}  // namespace longwave
