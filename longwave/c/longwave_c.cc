// SPDX-License-Identifier: Apache-2.0
#include "longwave/longwave_c.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "longwave/c/boundary.h"

namespace longwave::c {
namespace {

// The interface promises one text a thread, which needs an object of each.
thread_local std::string last_error;

}  // namespace

longwave_status failed(longwave_status status, const char* text) noexcept {
  try {
    last_error = text;
  } catch (...) {
    last_error.clear();
  }
  return status;
}

void need(const char* where, std::initializer_list<const void*> pointers) {
  for (const void* pointer : pointers) {
    require(pointer != nullptr, where, "a pointer that must be given is NULL");
  }
}

longwave_status hand_out(std::span<const float> result, const float** answers, size_t* count) {
  *answers = result.data();
  *count = result.size();
  return LONGWAVE_OK;
}

}  // namespace longwave::c

namespace {

using longwave::require;
using longwave::c::failed;
using longwave::c::guarded;
using longwave::c::hand_out;
using longwave::c::need;
using longwave::c::span_of;

static_assert(static_cast<int>(longwave::StateForm::kFloat32) == LONGWAVE_STATE_FLOAT32 &&
              static_cast<int>(longwave::StateForm::kBFloat16) == LONGWAVE_STATE_BFLOAT16 &&
              static_cast<int>(longwave::StateForm::kInt8) == LONGWAVE_STATE_INT8);

const longwave::Tokenizer& tokenizer_of(const longwave_model* model, const char* where) {
  need(where, {model});
  require(model->tokenizer != nullptr, where, "the model has no tokenizer");
  return *model->tokenizer;
}

/// Copies to the caller's buffer if all of it fits, and says how much there is.
template <typename From, typename To>
longwave_status hand_out(const From& values, To* buffer, size_t capacity, size_t* count) {
  *count = values.size();
  if (values.size() > capacity) {
    return failed(LONGWAVE_TOO_SMALL, "the buffer is too small; the needed size was handed out");
  }
  if (!values.empty()) need("the buffer", {buffer});
  std::copy(values.begin(), values.end(), buffer);
  return LONGWAVE_OK;
}

/// What the caller's version of the structure holds, and defaults for the rest.
longwave::SamplerOptions options_of(const longwave_sampling* sampling, const char* where) {
  need(where, {sampling});
  require(
      sampling->struct_size >= sizeof(size_t) && sampling->struct_size <= sizeof(longwave_sampling),
      where, "struct_size is not one that longwave_sampling ever had: call its _init");
  longwave_sampling known;
  longwave_sampling_init(&known);
  std::memcpy(&known, sampling, sampling->struct_size);
  return {.temperature = known.temperature,
          .top_k = known.top_k,
          .top_p = known.top_p,
          .min_p = known.min_p,
          .repetition_penalty = known.repetition_penalty,
          .repetition_window = known.repetition_window,
          .seed = known.seed};
}

}  // namespace

int longwave_c_version(void) { return LONGWAVE_C_VERSION; }

const char* longwave_last_error(void) { return longwave::c::last_error.c_str(); }

longwave_status longwave_model_load(const char* path, longwave_model** model) {
  return guarded([&] {
    need("longwave_model_load", {path, model});
    *model = new longwave_model{longwave::Model::load(path), longwave::load_tokenizer(path)};
    return LONGWAVE_OK;
  });
}

void longwave_model_free(longwave_model* model) { delete model; }

int longwave_model_takes_tokens(const longwave_model* model) {
  if (model == nullptr) return 0;
  return model->model->takes_tokens() ? 1 : 0;
}

int64_t longwave_model_input_size(const longwave_model* model) {
  return model == nullptr ? 0 : model->model->network().config().interface.input_size;
}

int64_t longwave_model_output_size(const longwave_model* model) {
  return model == nullptr ? 0 : static_cast<int64_t>(model->model->output_size());
}

int longwave_model_has_tokenizer(const longwave_model* model) {
  return model != nullptr && model->tokenizer != nullptr ? 1 : 0;
}

longwave_status longwave_encode(const longwave_model* model, const char* text, size_t bytes,
                                int64_t* ids, size_t capacity, size_t* count) {
  return guarded([&] {
    need("longwave_encode", {count});
    const auto characters = span_of(text, bytes, "longwave_encode");
    const std::vector<int64_t> tokens =
        tokenizer_of(model, "longwave_encode").encode({characters.data(), characters.size()});
    return hand_out(tokens, ids, capacity, count);
  });
}

longwave_status longwave_encode_prompt(const longwave_model* model, const char* text, size_t bytes,
                                       int64_t* ids, size_t capacity, size_t* count) {
  return guarded([&] {
    need("longwave_encode_prompt", {count});
    const auto characters = span_of(text, bytes, "longwave_encode_prompt");
    const std::vector<int64_t> tokens = tokenizer_of(model, "longwave_encode_prompt")
                                            .encode_prompt({characters.data(), characters.size()});
    return hand_out(tokens, ids, capacity, count);
  });
}

longwave_status longwave_decode(const longwave_model* model, const int64_t* ids, size_t count,
                                char* text, size_t capacity, size_t* bytes) {
  return guarded([&] {
    need("longwave_decode", {bytes});
    const std::string decoded =
        tokenizer_of(model, "longwave_decode").decode(span_of(ids, count, "longwave_decode"));
    return hand_out(decoded, text, capacity, bytes);
  });
}

longwave_status longwave_session_create(const longwave_model* model, longwave_session** session) {
  return guarded([&] {
    need("longwave_session_create", {model, session});
    *session = new longwave_session{longwave::Session(model->model), model->tokenizer};
    return LONGWAVE_OK;
  });
}

longwave_status longwave_session_create_keeping(const longwave_model* model,
                                                longwave_state_form form,
                                                longwave_session** session) {
  return guarded([&] {
    need("longwave_session_create_keeping", {model, session});
    require(form >= LONGWAVE_STATE_FLOAT32 && form <= LONGWAVE_STATE_INT8,
            "longwave_session_create_keeping", "this is none of the forms of a state");
    *session = new longwave_session{
        longwave::Session(model->model, static_cast<longwave::StateForm>(form)), model->tokenizer};
    return LONGWAVE_OK;
  });
}

int64_t longwave_session_state_bytes(const longwave_session* session) {
  if (session == nullptr) return 0;
  return longwave::runtime::state_bytes(session->session.model().network(),
                                        session->session.form());
}

void longwave_session_free(longwave_session* session) { delete session; }

longwave_status longwave_prefill_tokens(longwave_session* session, const int64_t* ids, size_t steps,
                                        const float** answers, size_t* count) {
  return guarded([&] {
    need("longwave_prefill_tokens", {session, answers, count});
    const auto result = session->session.prefill(span_of(ids, steps, "longwave_prefill_tokens"));
    return hand_out(result, answers, count);
  });
}

longwave_status longwave_prefill(longwave_session* session, const float* input, size_t numbers,
                                 const float** answers, size_t* count) {
  return guarded([&] {
    need("longwave_prefill", {session, answers, count});
    const auto result = session->session.prefill(span_of(input, numbers, "longwave_prefill"));
    return hand_out(result, answers, count);
  });
}

longwave_status longwave_step_token(longwave_session* session, int64_t id, const float** answer) {
  return guarded([&] {
    need("longwave_step_token", {session, answer});
    *answer = session->session.step(id).data();
    return LONGWAVE_OK;
  });
}

longwave_status longwave_step(longwave_session* session, const float* sample, size_t numbers,
                              const float** answer) {
  return guarded([&] {
    need("longwave_step", {session, answer});
    *answer = session->session.step(span_of(sample, numbers, "longwave_step")).data();
    return LONGWAVE_OK;
  });
}

longwave_status longwave_propose_tokens(longwave_session* session, const int64_t* ids, size_t steps,
                                        const float** answers, size_t* count) {
  return guarded([&] {
    need("longwave_propose_tokens", {session, answers, count});
    const auto result = session->session.propose(span_of(ids, steps, "longwave_propose_tokens"));
    return hand_out(result, answers, count);
  });
}

longwave_status longwave_keep_tokens(longwave_session* session, size_t keep) {
  return guarded([&] {
    need("longwave_keep_tokens", {session});
    require(keep <= INT64_MAX, "longwave_keep_tokens", "so many tokens were not proposed");
    session->session.keep(static_cast<int64_t>(keep));
    return LONGWAVE_OK;
  });
}

int64_t longwave_session_position(const longwave_session* session) {
  return session == nullptr ? 0 : session->session.state().position;
}

longwave_status longwave_session_reset(longwave_session* session) {
  return guarded([&] {
    need("longwave_session_reset", {session});
    session->session.reset();
    return LONGWAVE_OK;
  });
}

longwave_status longwave_state_of(const longwave_session* session, longwave_state** state) {
  return guarded([&] {
    need("longwave_state_of", {session, state});
    *state = new longwave_state{session->session.state()};
    return LONGWAVE_OK;
  });
}

longwave_status longwave_session_restore(longwave_session* session, const longwave_state* state) {
  return guarded([&] {
    need("longwave_session_restore", {session, state});
    session->session.restore(state->state);
    return LONGWAVE_OK;
  });
}

longwave_status longwave_state_save(const longwave_state* state, const char* path) {
  return guarded([&] {
    need("longwave_state_save", {state, path});
    longwave::save_state(path, state->state);
    return LONGWAVE_OK;
  });
}

longwave_status longwave_state_load(const char* path, longwave_state** state) {
  return guarded([&] {
    need("longwave_state_load", {path, state});
    *state = new longwave_state{longwave::load_state(path)};
    return LONGWAVE_OK;
  });
}

int64_t longwave_state_position(const longwave_state* state) {
  return state == nullptr ? 0 : state->state.position;
}

void longwave_state_free(longwave_state* state) { delete state; }

void longwave_sampling_init_sized(longwave_sampling* sampling, size_t struct_size) {
  const longwave::SamplerOptions defaults;
  const longwave_sampling filled = {.struct_size = std::min(struct_size, sizeof(longwave_sampling)),
                                    .temperature = defaults.temperature,
                                    .top_k = defaults.top_k,
                                    .top_p = defaults.top_p,
                                    .min_p = defaults.min_p,
                                    .repetition_penalty = defaults.repetition_penalty,
                                    .repetition_window = defaults.repetition_window,
                                    .seed = defaults.seed};
  if (sampling != nullptr) std::memcpy(sampling, &filled, filled.struct_size);
}

longwave_status longwave_sampler_create(const longwave_sampling* sampling,
                                        longwave_sampler** sampler) {
  return guarded([&] {
    need("longwave_sampler_create", {sampler});
    *sampler =
        new longwave_sampler{longwave::Sampler(options_of(sampling, "longwave_sampler_create"))};
    return LONGWAVE_OK;
  });
}

longwave_status longwave_sampler_next(longwave_sampler* sampler, const float* logits, size_t count,
                                      int64_t* id) {
  return guarded([&] {
    need("longwave_sampler_next", {sampler, id});
    require(count > 0, "longwave_sampler_next", "there are no logits");
    *id = sampler->sampler.next(span_of(logits, count, "longwave_sampler_next"));
    return LONGWAVE_OK;
  });
}

longwave_status longwave_sampler_observe(longwave_sampler* sampler, int64_t id) {
  return guarded([&] {
    need("longwave_sampler_observe", {sampler});
    sampler->sampler.observe(id);
    return LONGWAVE_OK;
  });
}

void longwave_sampler_free(longwave_sampler* sampler) { delete sampler; }

longwave_status longwave_generate(longwave_session* session, const int64_t* prompt,
                                  size_t prompt_size, const longwave_sampling* sampling,
                                  int64_t most, longwave_token_sink sink, void* user,
                                  int64_t* drawn) {
  return guarded([&] {
    need("longwave_generate", {session});
    require(most >= 0, "longwave_generate", "a number of tokens is never negative");
    const auto show = [&](int64_t id, std::string_view text) {
      return sink == nullptr || sink(user, id, text.data(), text.size()) != 0;
    };
    const longwave::Generation generation = longwave::generate(
        session->session, session->tokenizer.get(),
        span_of(prompt, prompt_size, "longwave_generate"),
        {.sampler = options_of(sampling, "longwave_generate"), .max_tokens = most}, show);
    if (drawn != nullptr) *drawn = static_cast<int64_t>(generation.ids.size());
    return LONGWAVE_OK;
  });
}
