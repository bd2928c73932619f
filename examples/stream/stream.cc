// SPDX-License-Identifier: Apache-2.0
// stream MODEL STATE: numbers in, one line of answers a sample out; goes on where STATE left off.
#include <longwave/longwave.h>

#include <filesystem>
#include <iostream>

int main(int argc, char** argv) try {
  if (argc != 3) return std::cerr << "usage: stream MODEL_FOLDER STATE_FILE < samples\n", 2;
  longwave::Session session(longwave::Model::load(argv[1]));
  if (std::filesystem::exists(argv[2])) session.restore(longwave::load_state(argv[2]));
  std::vector<float> sample(session.model().network().config().interface.input_size);
  while (std::cin >> sample[0]) {
    for (size_t i = 1; i < sample.size(); ++i) std::cin >> sample[i];
    for (float answer : session.step(sample)) std::cout << answer << ' ';
    std::cout << '\n';
  }
  longwave::save_state(argv[2], session.state());
} catch (const longwave::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
