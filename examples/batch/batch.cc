// SPDX-License-Identifier: Apache-2.0
// batch MODEL PROMPT...: answers several prompts at once: a step of all reads the weights once.
#include <longwave/longwave.h>

#include <iostream>

namespace {

/// What is kept of a prompt while its answer grows.
struct Answer {
  longwave::Batch::Id sequence;
  longwave::Sampler sampler;
  std::vector<int64_t> ids;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) return std::cerr << "usage: batch MODEL PROMPT...\n", 2;
  const auto model = longwave::Model::load(argv[1]);
  const auto tokenizer = longwave::load_tokenizer(argv[1]);
  if (tokenizer == nullptr) return std::cerr << argv[1] << ": the model has no tokenizer\n", 1;
  const size_t vocabulary = model->output_size();

  longwave::Batch batch(model, argc - 2);
  std::vector<Answer> answers;
  for (int i = 2; i < argc; ++i) {
    answers.push_back({batch.join(), longwave::Sampler({.temperature = 0}), {}});
    const auto prompt = tokenizer->encode_prompt(argv[i]);
    if (prompt.empty()) return std::cerr << "a prompt is empty\n", 2;
    const auto logits = batch.prefill(answers.back().sequence, prompt).last(vocabulary);
    answers.back().ids.push_back(answers.back().sampler.next(logits));
  }

  std::vector<longwave::Batch::Id> sequences;
  std::vector<int64_t> tokens;
  for (int step = 0; step < 40; ++step) {
    sequences.clear();
    tokens.clear();
    for (const Answer& answer : answers) {
      sequences.push_back(answer.sequence);
      tokens.push_back(answer.ids.back());
    }
    const auto logits = batch.step(sequences, tokens);
    for (size_t i = 0; i < answers.size(); ++i) {
      const auto row = logits.subspan(i * vocabulary, vocabulary);
      answers[i].ids.push_back(answers[i].sampler.next(row));
    }
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    std::cout << argv[i + 2] << tokenizer->decode(answers[i].ids, longwave::Place::kMiddle) << '\n';
  }
} catch (const longwave::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
