// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The library in one include: load a trained model, feed it in constant memory, draw from it, keep
/// its state. examples/generate and examples/stream are whole programs; longwave_c.h is the same
/// for C.
///
///   #include <longwave/longwave.h>
///
///   const auto model = longwave::Model::load("runs/austen");
///   const auto tokenizer = longwave::load_tokenizer("runs/austen");
///   longwave::Session session(model);
///   const auto prompt = tokenizer->encode_prompt("It is a truth");
///   auto logits = session.prefill(prompt).last(model->output_size());
///   const longwave::State fork = session.state();     // a value: copy, compare, send
///   longwave::Sampler sampler({.temperature = 0.8});
///   for (int i = 0; i < 100; ++i) {
///     const int64_t id = sampler.next(logits);
///     std::cout << tokenizer->token(id) << std::flush;
///     logits = session.step(id);
///   }
///   session.restore(fork);                            // back to the end of the prompt
///   longwave::save_state("prompt.state", fork);
///
/// A Batch moves several sequences on together, which reads the weights once for all of them.
///
/// Errors     everything throws longwave::Error, whose message says where, what, what was got and
///            how to fix it. An object whose call threw is as it was before.
/// Threads    Model and Tokenizer are immutable: share them among any number of threads. Session,
///            Batch, Sampler and State have one owner at a time; sessions of different threads
///            never wait for each other. set_thread_count limits the threads inside one call.
///
/// Torch and CUDA appear in no header of the runtime.

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/runtime/batch.h"
#include "longwave/runtime/generate.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/sampler.h"
#include "longwave/runtime/session.h"
#include "longwave/runtime/state.h"
#include "longwave/text/stream_decoder.h"
#include "longwave/text/tokenizer.h"

namespace longwave {

using runtime::Batch;
using runtime::generate;
using runtime::GenerateOptions;
using runtime::Generation;
using runtime::load_model_folder;
using runtime::load_state;
using runtime::load_tokenizer;
using runtime::Model;
using runtime::pack;
using runtime::PackedState;
using runtime::Sampler;
using runtime::SamplerOptions;
using runtime::save_model_folder;
using runtime::save_state;
using runtime::Session;
using runtime::Speculator;
using runtime::State;
using runtime::StateForm;
using runtime::TokenSink;
using runtime::unpack;
using text::Place;
using text::StreamDecoder;
using text::Tokenizer;

}  // namespace longwave
