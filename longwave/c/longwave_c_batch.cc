// SPDX-License-Identifier: Apache-2.0
#include "longwave/c/boundary.h"

namespace {

using longwave::c::guarded;
using longwave::c::hand_out;
using longwave::c::need;
using longwave::c::span_of;

std::span<const longwave::Batch::Id> chosen_of(longwave_batch& batch, const int64_t* sequences,
                                               size_t count, const char* where) {
  batch.chosen.clear();
  for (const int64_t id : span_of(sequences, count, where)) {
    batch.chosen.push_back(longwave::Batch::Id{id});
  }
  return batch.chosen;
}

}  // namespace

longwave_status longwave_batch_create(const longwave_model* model, int64_t capacity,
                                      longwave_batch** batch) {
  return guarded([&] {
    need("longwave_batch_create", {model, batch});
    *batch = new longwave_batch{longwave::Batch(model->model, capacity), {}};
    return LONGWAVE_OK;
  });
}

void longwave_batch_free(longwave_batch* batch) { delete batch; }

longwave_status longwave_batch_join(longwave_batch* batch, const longwave_state* state,
                                    int64_t* sequence) {
  return guarded([&] {
    need("longwave_batch_join", {batch, sequence});
    *sequence = static_cast<int64_t>(state == nullptr ? batch->batch.join()
                                                      : batch->batch.join(state->state));
    return LONGWAVE_OK;
  });
}

longwave_status longwave_batch_leave(longwave_batch* batch, int64_t sequence) {
  return guarded([&] {
    need("longwave_batch_leave", {batch});
    batch->batch.leave(longwave::Batch::Id{sequence});
    return LONGWAVE_OK;
  });
}

longwave_status longwave_batch_state_of(const longwave_batch* batch, int64_t sequence,
                                        longwave_state** state) {
  return guarded([&] {
    need("longwave_batch_state_of", {batch, state});
    *state = new longwave_state{batch->batch.state(longwave::Batch::Id{sequence})};
    return LONGWAVE_OK;
  });
}

longwave_status longwave_batch_prefill_tokens(longwave_batch* batch, int64_t sequence,
                                              const int64_t* ids, size_t steps,
                                              const float** answers, size_t* count) {
  return guarded([&] {
    need("longwave_batch_prefill_tokens", {batch, answers, count});
    const auto result = batch->batch.prefill(longwave::Batch::Id{sequence},
                                             span_of(ids, steps, "longwave_batch_prefill_tokens"));
    return hand_out(result, answers, count);
  });
}

longwave_status longwave_batch_step_tokens(longwave_batch* batch, const int64_t* sequences,
                                           const int64_t* ids, size_t count,
                                           const float** answers) {
  return guarded([&] {
    need("longwave_batch_step_tokens", {batch, answers});
    const auto chosen = chosen_of(*batch, sequences, count, "longwave_batch_step_tokens");
    const auto tokens = span_of(ids, count, "longwave_batch_step_tokens");
    *answers = batch->batch.step(chosen, tokens).data();
    return LONGWAVE_OK;
  });
}

longwave_status longwave_batch_step(longwave_batch* batch, const int64_t* sequences, size_t count,
                                    const float* samples, size_t numbers, const float** answers) {
  return guarded([&] {
    need("longwave_batch_step", {batch, answers});
    const auto chosen = chosen_of(*batch, sequences, count, "longwave_batch_step");
    *answers = batch->batch.step(chosen, span_of(samples, numbers, "longwave_batch_step")).data();
    return LONGWAVE_OK;
  });
}
