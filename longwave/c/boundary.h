// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the files of the C interface share: the handles, and the way from exceptions to statuses.

#include <cstddef>
#include <exception>
#include <initializer_list>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "longwave/longwave.h"
#include "longwave/longwave_c.h"

struct longwave_model {
  std::shared_ptr<const longwave::Model> model;
  std::shared_ptr<const longwave::Tokenizer> tokenizer;
};

struct longwave_session {
  longwave::Session session;
  std::shared_ptr<const longwave::Tokenizer> tokenizer;
};

struct longwave_batch {
  longwave::Batch batch;
  std::vector<longwave::Batch::Id> chosen;  // of the step that is asked for
};

struct longwave_state {
  longwave::State state;
};

struct longwave_sampler {
  longwave::Sampler sampler;
};

namespace longwave::c {

/// Keeps the text for longwave_last_error of this thread, and gives the status back.
longwave_status failed(longwave_status status, const char* text) noexcept;

/// The one place where exceptions become a status and a text.
template <typename Work>
longwave_status guarded(const Work& work) noexcept {
  try {
    return work();
  } catch (const InvalidArgument& error) {
    return failed(LONGWAVE_INVALID_ARGUMENT, error.what());
  } catch (const ConfigError& error) {
    return failed(LONGWAVE_BAD_CONFIG, error.what());
  } catch (const DataError& error) {
    return failed(LONGWAVE_BAD_DATA, error.what());
  } catch (const Diverged& error) {
    return failed(LONGWAVE_BAD_DATA, error.what());
  } catch (const IoError& error) {
    return failed(LONGWAVE_IO_ERROR, error.what());
  } catch (const std::bad_alloc&) {
    return failed(LONGWAVE_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return failed(LONGWAVE_FAILED, error.what());
  } catch (...) {
    return failed(LONGWAVE_FAILED, "unknown failure");
  }
}

/// InvalidArgument if a pointer is NULL.
void need(const char* where, std::initializer_list<const void*> pointers);

/// What the caller gave as a pointer and a number.
template <typename T>
std::span<const T> span_of(const T* values, size_t count, const char* where) {
  if (count > 0) need(where, {values});
  return {values, count};
}

/// Hands out answers that a session or batch keeps.
longwave_status hand_out(std::span<const float> result, const float** answers, size_t* count);

}  // namespace longwave::c
