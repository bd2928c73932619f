// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include "longwave/ops/lti_scan/lti_lines_cuda.cuh"

namespace longwave::ops::lti_cuda {

// A stage of a block's lines in shared memory: for each channel and line words of two steps each,
// as tensor cores want them. Numbers of two planes have their high halves in the first one.
template <typename Form>
struct Panel {
  static constexpr int kPiece = 16 / static_cast<int>(sizeof(typename Form::Number));  // channels
  static constexpr int kPairs = kStage / 2;
  static constexpr int kLineWords = kPairs + 4;  // no two lanes of a warp in one bank
  static constexpr int kChannelWords = Form::kLines * kLineWords + 16 / kPiece;
  static constexpr int kPlaneWords = Form::kChannels * kChannelWords;
  static constexpr int kWords = Form::kParts * kPlaneWords;
};

// (batch, time, channels), and whether its rows can be copied 16 bytes at a time.
template <typename T>
struct Signal {
  View<T, 3> view;
  bool wide;
};

// A thread's part of a signal, the same in device memory and in a panel: two steps of 16 bytes of
// channels, in some lines. What does not differ between threads stays in the launch.
template <typename Form, typename T>
class Share {
 protected:
  using Number = std::remove_const_t<T>;
  using Layout = Panel<Form>;
  static constexpr int kPieces = Form::kChannels / Layout::kPiece;
  static constexpr int kRounds = kPieces * Layout::kPairs * Form::kLines / Form::kThreads;

  struct alignas(16) Piece {
    Number number[Layout::kPiece];
  };

  __device__ Share(const Signal<T>& signal, const Lines& lines, const Place& place)
      : signal_(signal) {
    const int piece = threadIdx.x % kPieces * Layout::kPiece;
    const int pair = threadIdx.x / kPieces % Layout::kPairs;
    const int64_t rest = lines.channels - place.first_channel - piece;
    count_ = static_cast<int>(max(int64_t{0}, min(rest, int64_t{Layout::kPiece})));
#pragma unroll
    for (int r = 0; r < kRounds; ++r) {
      const int row = first_row() + r * (Form::kLines / kRounds);
      const Line line = line_of(lines, place.first_line + row);
      at_[r] = signal.view.data() + line.sequence * signal.view.stride(0) +
               (line.segment * lines.cut.steps + 2 * pair) * signal.view.stride(1) +
               (place.first_channel + piece) * signal.view.stride(2);
      left_[r] = count_ > 0 ? line.length - 2 * pair : 0;
      word_[r] = piece * Layout::kChannelWords + row * Layout::kLineWords + pair;
    }
  }

  // A warp's words lie in different banks: either pieces or lines 4 apart share it.
  __device__ static int first_row() {
    const int slot = threadIdx.x / (kPieces * Layout::kPairs);
    return kPieces == 2 ? slot : slot / 8 * 8 + slot % 2 * 4 + slot / 2 % 4;
  }

  // On to the next stage.
  __device__ void advance(int r) {
    left_[r] -= kStage;
    at_[r] += kStage * signal_.view.stride(1);
  }
  __device__ T* row(int r, int s) const { return at_[r] + s * signal_.view.stride(1); }
  __device__ bool there(int r, int s) const { return s < left_[r]; }

  // The elements of rows that are not wide, one by one.
  template <typename Each>
  __device__ void for_each_element(const Each& each) const {
#pragma unroll
    for (int r = 0; r < kRounds; ++r) {
#pragma unroll 1
      for (int i = 0; i < 2 * Layout::kPiece; ++i) {
        const int s = i % 2, channel = i / 2;
        each(r, s, channel, there(r, s) && channel < count_,
             row(r, s) + channel * signal_.view.stride(2));
      }
    }
  }

  const Signal<T>& signal_;
  T* at_[kRounds];
  int left_[kRounds], word_[kRounds];
  int count_;
};

// Brings stages to a panel, kDepth of them on their way through shared memory of the thread's own.
// Readers beside each other must have a depth of one.
template <typename Form, int kDepth>
class Reader : Share<Form, const typename Form::Number> {
  using T = typename Form::Number;
  using Base = Share<Form, const T>;
  using Base::kRounds;
  using typename Base::Layout;
  using typename Base::Piece;

 public:
  static constexpr int kPieces = kDepth * kRounds * 2 * Form::kThreads;  // of 16 bytes

  __device__ Reader(const Signal<const T>& signal, const Lines& lines, const Place& place,
                    uint4* pieces)
      : Base(signal, lines, place), pieces_(reinterpret_cast<Piece*>(pieces) + threadIdx.x) {
    for (int i = 0; i < kDepth; ++i) fetch();
  }

  // Writes the oldest stage to the panel; steps that are not there count as zero.
  __device__ void put(uint32_t* panel) {
    gpu::await_copies<kDepth - 1>();
#pragma unroll
    for (int r = 0; r < kRounds; ++r) {
      const Piece rows[2] = {*piece(r, 0), *piece(r, 1)};
#pragma unroll
      for (int i = 0; i < Layout::kPiece; ++i) {
        uint32_t* const word = panel + this->word_[r] + i * Layout::kChannelWords;
        if constexpr (Form::kParts == 1) {
          *word = uint32_t{__bfloat16_as_ushort(rows[0].number[i])} |
                  uint32_t{__bfloat16_as_ushort(rows[1].number[i])} << 16;
        } else {
          const gpu::SplitPair pair =
              gpu::split(gpu::widen(rows[0].number[i]), gpu::widen(rows[1].number[i]));
          word[0] = pair.high;
          word[Layout::kPlaneWords] = pair.low;
        }
      }
    }
  }

  // Sends for another one, in the oldest one's place.
  __device__ void fetch() {
    if (this->signal_.wide) {
#pragma unroll
      for (int r = 0; r < kRounds; ++r) {
#pragma unroll
        for (int s = 0; s < 2; ++s) {
          gpu::copy_16_bytes_or_zero(piece(r, s), this->row(r, s), this->there(r, s));
        }
      }
    } else {
      this->for_each_element([&](int r, int s, int channel, bool there, const T* from) {
        piece(r, s)->number[channel] = there ? *from : T(0.0f);
      });
    }
#pragma unroll
    for (int r = 0; r < kRounds; ++r) this->advance(r);
    gpu::close_copies();
    slot_ = slot_ + 1 == kDepth ? 0 : slot_ + 1;
  }

 private:
  __device__ Piece* piece(int r, int s) const {
    return pieces_ + ((slot_ * kRounds + r) * 2 + s) * Form::kThreads;
  }

  Piece* pieces_;
  int slot_ = 0;
};

// Takes stages from a panel to device memory: each thread reads the words that it put there.
template <typename Form>
class Writer : Share<Form, typename Form::Number> {
  using T = typename Form::Number;
  using Base = Share<Form, T>;
  using Base::kRounds;
  using typename Base::Layout;
  using typename Base::Piece;

 public:
  __device__ Writer(const Signal<T>& signal, const Lines& lines, const Place& place)
      : Base(signal, lines, place) {}

  // Adds to what is there if `add`.
  __device__ void take(const uint32_t* panel, bool add) {
    if (this->signal_.wide) {
#pragma unroll
      for (int r = 0; r < kRounds; ++r) {
        Piece rows[2];
#pragma unroll
        for (int i = 0; i < Layout::kPiece; ++i) {
#pragma unroll
          for (int s = 0; s < 2; ++s) rows[s].number[i] = number_at(panel, r, s, i);
        }
#pragma unroll
        for (int s = 0; s < 2; ++s) {
          if (this->there(r, s)) write(this->row(r, s), rows[s], add);
        }
      }
    } else {
      this->for_each_element([&](int r, int s, int channel, bool there, T* to) {
        if (there) *to = sum_of(number_at(panel, r, s, channel), add ? *to : T(0.0f));
      });
    }
#pragma unroll
    for (int r = 0; r < kRounds; ++r) this->advance(r);
  }

 private:
  __device__ T number_at(const uint32_t* panel, int r, int s, int channel) const {
    const uint32_t* const word = panel + this->word_[r] + channel * Layout::kChannelWords;
    T number;
    if constexpr (Form::kParts == 1) {
      number = __ushort_as_bfloat16(static_cast<unsigned short>(s == 0 ? *word : *word >> 16));
    } else {
      gpu::narrow(__uint_as_float(word[s * Layout::kPlaneWords]), number);
    }
    return number;
  }

  __device__ static T sum_of(T x, T y) {
    T sum;
    gpu::narrow(gpu::widen(x) + gpu::widen(y), sum);
    return sum;
  }

  __device__ static void write(T* to, Piece& piece, bool add) {
    Piece* const all = reinterpret_cast<Piece*>(to);
    if (add) {
      const Piece before = *all;
#pragma unroll
      for (int i = 0; i < Layout::kPiece; ++i) {
        piece.number[i] = sum_of(piece.number[i], before.number[i]);
      }
    }
    *all = piece;
  }
};

// Where a lane's part of its warp's lines lies in a panel; see multiply_add.
template <typename Form>
__device__ int first_word() {
  using Layout = Panel<Form>;
  const int lane = threadIdx.x % 32;
  return channel_of_warp<Form>() * Layout::kChannelWords +
         (lines_of_warp<Form>() * kStep + lane / 4) * Layout::kLineWords + lane % 4;
}

// From there, lines in eights and steps in eights.
template <typename Form>
__device__ constexpr int word_at(int line, int step) {
  return line * 8 * Panel<Form>::kLineWords + step * 4;
}

// A chunk of a warp's lines as left operands of products, of 16 steps each.
template <typename Form>
struct Chunk {
  uint32_t of[Form::kSteps][Form::kParts][4];

  __device__ explicit Chunk(const uint32_t* words) {
#pragma unroll
    for (int k = 0; k < Form::kSteps; ++k) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const uint32_t* const word = words + word_at<Form>(i % 2, 2 * k + i / 2);
#pragma unroll
        for (int p = 0; p < Form::kParts; ++p) of[k][p][i] = word[p * Panel<Form>::kPlaneWords];
      }
    }
  }
};

// Results where the chunk was read from: each lane overwrites what it read.
template <typename Form>
__device__ void write_chunk(const float (&y)[2 * Form::kSteps][4], uint32_t* words) {
#pragma unroll
  for (int n = 0; n < 2 * Form::kSteps; ++n) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float first = y[n][2 * i], second = y[n][2 * i + 1];
      uint32_t* const word = words + word_at<Form>(i, n);
      if constexpr (Form::kParts == 1) {
        *word = gpu::halves(first, second);
      } else {
        word[0] = __float_as_uint(first);
        word[Panel<Form>::kPlaneWords] = __float_as_uint(second);
      }
    }
  }
}

}  // namespace longwave::ops::lti_cuda
