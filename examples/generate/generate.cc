// SPDX-License-Identifier: Apache-2.0
// generate MODEL PROMPT [STATE_FILE]: two ways to go on with a prompt, which is read once.
#include <longwave/longwave.h>

#include <iostream>

int main(int argc, char** argv) try {
  if (argc < 3) return std::cerr << "usage: generate MODEL PROMPT [STATE_FILE]\n", 2;
  const auto model = longwave::Model::load(argv[1]);
  const auto tokenizer = longwave::load_tokenizer(argv[1]);
  if (tokenizer == nullptr) return std::cerr << argv[1] << ": the model has no tokenizer\n", 1;

  longwave::Session session(model);
  const auto ids = tokenizer->encode_prompt(argv[2]);
  if (ids.empty()) return std::cerr << "the prompt is empty\n", 2;
  const auto prompt = session.prefill(ids).last(model->output_size());
  const std::vector<float> first(prompt.begin(), prompt.end());
  const longwave::State after_prompt = session.state();  // a value: copy, compare, save, send
  if (argc > 3) longwave::save_state(argv[3], after_prompt);

  for (const uint64_t seed : {1, 2}) {
    session.restore(after_prompt);
    longwave::Sampler sampler({.temperature = 0.8, .top_p = 0.95, .seed = seed});
    longwave::StreamDecoder decoder(*tokenizer, longwave::Place::kMiddle);
    std::span<const float> logits = first;
    std::cout << argv[2];
    for (int i = 0; i < 40; ++i) {
      const int64_t token = sampler.next(logits);
      std::cout << decoder.push(token) << std::flush;
      logits = session.step(token);
    }
    std::cout << decoder.finish() << '\n';
  }
} catch (const longwave::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
