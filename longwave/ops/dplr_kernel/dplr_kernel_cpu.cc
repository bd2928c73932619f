// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <span>

#include "longwave/base/parallel.h"
#include "longwave/ops/dplr_kernel/dplr_cauchy.h"
#include "longwave/ops/dplr_kernel/dplr_kernel.h"

namespace longwave::ops {
namespace {

/// Channels that one transform serves: one real kernel in the real parts of a lane, another in the
/// imaginary parts. Spectra of real kernels are told apart by their symmetry.
class PairedTransform {
 public:
  PairedTransform(const DplrKernelPlan& plan, int64_t channels, float* memory)
      : plan_(plan), channels_(channels), lanes_(fft_lanes()), rows_(memory) {}

  static int64_t group_size() { return 2 * fft_lanes(); }

  /// Kernels of group `index` from their spectra.
  void inverse(int64_t index, const View<const float, 3>& spectra, const View<float, 2>& K) {
    for (int64_t lane = 0; lane < lanes_; ++lane) {
      const int64_t a = index * group_size() + lane, b = a + lanes_;
      for (int64_t node = 0; node < plan_.nodes(); ++node) {
        const float a_re = part(spectra, a, 0, node), a_im = part(spectra, a, 1, node);
        const float b_re = part(spectra, b, 0, node), b_im = part(spectra, b, 1, node);
        float* mate = rows_ + plan_.mate(node) * 2 * lanes_ + lane;
        mate[0] = a_re + b_im;
        mate[lanes_] = b_re - a_im;
        if (plan_.mate(node) == plan_.position(node)) {
          mate[0] = a_re;
          mate[lanes_] = b_re;
          continue;
        }
        float* here = rows_ + plan_.position(node) * 2 * lanes_ + lane;
        here[0] = a_re - b_im;
        here[lanes_] = b_re + a_im;
      }
    }
    fft_inverse(plan_.fft(), rows_, scratch());
    const float scale = 1.0f / static_cast<float>(plan_.length());
    each_kernel(index, [&](int64_t channel, float* numbers) {
      for (int64_t l = 0; l < plan_.length(); ++l) K(channel, l) = scale * numbers[l * 2 * lanes_];
    });
  }

  /// Gradients of the spectra of group `index` from those of its kernels.
  void forward(int64_t index, const View<const float, 2>& dK, const View<float, 3>& dspectra) {
    std::fill_n(rows_, plan_.length() * 2 * lanes_, 0.0f);
    each_kernel(index, [&](int64_t channel, float* numbers) {
      for (int64_t l = 0; l < plan_.length(); ++l) numbers[l * 2 * lanes_] = dK(channel, l);
    });
    fft_forward(plan_.fft(), rows_, scratch());
    const float scale = 1.0f / static_cast<float>(plan_.length());
    each_kernel(index, [&](int64_t channel, float* numbers) {
      const int64_t lane = (numbers - rows_) % lanes_;
      const bool is_second = numbers - rows_ >= lanes_;
      for (int64_t node = 0; node < plan_.padded_nodes(); ++node) {
        float re = 0, im = 0;
        if (node < plan_.nodes()) {
          const float* here = rows_ + plan_.position(node) * 2 * lanes_ + lane;
          const float* mate = rows_ + plan_.mate(node) * 2 * lanes_ + lane;
          // A node that is its own mate counts once.
          const float weight = here == mate ? scale / 2 : scale;
          re = weight * (is_second ? here[lanes_] + mate[lanes_] : here[0] + mate[0]);
          im = weight * (is_second ? mate[0] - here[0] : here[lanes_] - mate[lanes_]);
        }
        dspectra(channel, 0, node) = re;
        dspectra(channel, 1, node) = im;
      }
    });
  }

 private:
  float part(const View<const float, 3>& spectra, int64_t channel, int64_t which, int64_t node) {
    return channel < channels_ ? spectra(channel, which, node) : 0.0f;
  }

  float* scratch() { return rows_ + plan_.length() * 2 * lanes_; }

  /// Calls `body(channel, first)` with where the channel's numbers begin in row 0.
  template <typename Body>
  void each_kernel(int64_t index, const Body& body) {
    const int64_t begin = index * group_size();
    const int64_t end = std::min(begin + group_size(), channels_);
    for (int64_t channel = begin; channel < end; ++channel) body(channel, rows_ + channel - begin);
  }

  const DplrKernelPlan& plan_;
  int64_t channels_;
  int64_t lanes_;
  float* rows_;
};

/// Memory of one call: spectra of all channels and scratch of each worker.
class Memory {
 public:
  Memory(const DplrKernelPlan& plan, int64_t channels, int64_t modes, int64_t rank,
         Workspace& workspace)
      : per_worker_(std::max(2 * plan.length() * 2 * kFftMaxLanes,
                             dplr_cauchy_scratch_floats(modes, rank))),
        spectra_(workspace.take<float>(channels * 2 * plan.padded_nodes()).data(),
                 {channels, 2, plan.padded_nodes()}) {
    const size_t room = workspace.capacity() - workspace.used();
    const auto most = static_cast<int64_t>(room / Workspace::bytes_for<float>(per_worker_));
    workers_ = std::clamp<int64_t>(most, 1, thread_count());
    scratch_ = workspace.take<float>(workers_ * padded_per_worker());
  }

  const View<float, 3>& spectra() const { return spectra_; }

  /// Cuts [0, count) into one piece a worker and runs `body(begin, end, scratch)`.
  template <typename Body>
  void run(int64_t count, const Body& body) const {
    parallel_for(workers_, 1, [&](int64_t first, int64_t last) {
      for (int64_t w = first; w < last; ++w) {
        body(count * w / workers_, count * (w + 1) / workers_,
             scratch_.data() + w * padded_per_worker());
      }
    });
  }

 private:
  int64_t padded_per_worker() const {
    return static_cast<int64_t>(Workspace::bytes_for<float>(per_worker_) / sizeof(float));
  }

  int64_t per_worker_;
  View<float, 3> spectra_;
  int64_t workers_;
  std::span<float> scratch_;
};

template <typename Args>
Memory memory_for(const Args& args, int64_t channels, Workspace& workspace) {
  return Memory(*args.plan, channels, args.Lambda.extent(1), args.P.absent() ? 0 : args.P.extent(0),
                workspace);
}

int64_t groups_of(int64_t channels) {
  return (channels + PairedTransform::group_size() - 1) / PairedTransform::group_size();
}

}  // namespace

void dplr_kernel_cpu(const DplrKernelArgs<float>& args, Workspace& workspace) {
  if (args.K.size() == 0) return;
  const int64_t channels = args.K.extent(0);
  const Workspace::Scope scope(workspace);
  const Memory memory = memory_for(args, channels, workspace);
  memory.run(channels, [&](int64_t begin, int64_t end, float* scratch) {
    dplr_cauchy(args, begin, end, memory.spectra(), scratch);
  });
  memory.run(groups_of(channels), [&](int64_t begin, int64_t end, float* scratch) {
    PairedTransform transform(*args.plan, channels, scratch);
    for (int64_t g = begin; g < end; ++g) transform.inverse(g, memory.spectra(), args.K);
  });
}

void dplr_kernel_grad_cpu(const DplrKernelGradArgs<float>& args, Workspace& workspace) {
  const int64_t channels = args.dK.extent(0);
  if (channels == 0) return;
  const Workspace::Scope scope(workspace);
  const Memory memory = memory_for(args, channels, workspace);
  memory.run(groups_of(channels), [&](int64_t begin, int64_t end, float* scratch) {
    PairedTransform transform(*args.plan, channels, scratch);
    for (int64_t g = begin; g < end; ++g) transform.forward(g, args.dK, memory.spectra());
  });
  memory.run(channels, [&](int64_t begin, int64_t end, float* scratch) {
    dplr_cauchy_grad(args, begin, end, memory.spectra(), scratch);
  });
}

}  // namespace longwave::ops
