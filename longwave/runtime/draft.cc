// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/draft.h"

#include "longwave/base/error.h"
#include "longwave/runtime/model_folder.h"

namespace longwave::runtime {
namespace {

bool same_tokens(const text::Tokenizer& left, const text::Tokenizer& right) {
  if (left.size() != right.size()) return false;
  for (int64_t id = 0; id < left.size(); ++id) {
    if (left.token(id) != right.token(id)) return false;
  }
  return true;
}

}  // namespace

std::shared_ptr<const Model> load_draft(const std::filesystem::path& path,
                                        const text::Tokenizer* tokenizer, double rate,
                                        int64_t context) {
  const auto its = load_tokenizer(path);
  if (tokenizer != nullptr && its != nullptr && !same_tokens(*tokenizer, *its)) {
    throw DataError({.where = "--draft",
                     .what = "the draft has other tokens than the model",
                     .got = path.string(),
                     .fix = "take a smaller model of the same family"});
  }
  return Model::load(path, rate, context);
}

}  // namespace longwave::runtime
