// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include "longwave/ops/lti_scan/lti_lines_cuda.cuh"

namespace longwave::ops::lti_cuda {

// A stage of a block's lines in shared memory: for each channel and line words of two steps each,
// as tensor cores want them. Numbers of two planes have their high halves in the first one.
template <typename T>
struct Panel {
  static constexpr int kPiece = 16 / static_cast<int>(sizeof(T));  // channels of 16 bytes
  static constexpr int kPairs = kStage / 2;
  static constexpr int kLineWords = kPairs + 4;  // no two lanes of a warp in one bank
  static constexpr int kChannelWords = kLines * kLineWords + 16 / kPiece;
  static constexpr int kPlaneWords = kChannels<T> * kChannelWords;
  static constexpr int kWords = kPlanes<T> * kPlaneWords;
};

// (batch, time, channels), and whether its rows can be copied 16 bytes at a time.
template <typename T>
struct Signal {
  View<T, 3> view;
  bool wide;
};

// A thread's part of a signal, the same in device memory and in a panel: two steps of 16 bytes of
// channels, in one or two lines. What does not differ between threads stays in the launch.
template <typename T>
class Share {
 protected:
  using Number = std::remove_const_t<T>;
  using Layout = Panel<Number>;
  static constexpr int kPieces = 2;
  static constexpr int kRounds = kPieces * Layout::kPairs * kLines / kThreads<Number>;

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
      const int row = threadIdx.x / (kPieces * Layout::kPairs) + r * (kLines / kRounds);
      const Line line = line_of(lines, place.first_line + row);
      at_[r] = signal.view.data() + line.sequence * signal.view.stride(0) +
               (line.segment * lines.cut.steps + 2 * pair) * signal.view.stride(1) +
               (place.first_channel + piece) * signal.view.stride(2);
      left_[r] = line.length - 2 * pair;
      word_[r] = piece * Layout::kChannelWords + row * Layout::kLineWords + pair;
    }
  }

  // On to the next stage.
  __device__ void advance(int r) {
    left_[r] -= kStage;
    at_[r] += kStage * signal_.view.stride(1);
  }
  __device__ T* row(int r, int s) const { return at_[r] + s * signal_.view.stride(1); }
  __device__ bool there(int r, int s) const { return s < left_[r] && count_ > 0; }

  __device__ Piece read(int r, int s) const {
    const T* const from = row(r, s);
    if (signal_.wide && there(r, s)) return *reinterpret_cast<const Piece*>(from);
    Piece piece;
#pragma unroll
    for (int i = 0; i < Layout::kPiece; ++i) {
      const bool given = !signal_.wide && s < left_[r] && i < count_;
      piece.number[i] = given ? from[i * signal_.view.stride(2)] : Number(0.0f);
    }
    return piece;
  }

  const Signal<T>& signal_;
  T* at_[kRounds];
  int left_[kRounds], word_[kRounds];
  int count_;
};

// Brings stages to a panel, kDepth of them on their way through shared memory of the thread's own.
// Readers beside each other must have a depth of one.
template <typename T, int kDepth>
class Reader : Share<const T> {
  using Base = Share<const T>;
  using Base::kRounds;
  using typename Base::Layout;
  using typename Base::Piece;

 public:
  static constexpr int kPieces = kDepth * kRounds * 2 * kThreads<T>;  // of 16 bytes

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
        if constexpr (kPlanes<T> == 1) {
          *word = uint32_t{__bfloat16_as_ushort(rows[0].number[i])} |
                  uint32_t{__bfloat16_as_ushort(rows[1].number[i])} << 16;
        } else {
          const gpu::SplitPair pair = gpu::split(rows[0].number[i], rows[1].number[i]);
          word[0] = pair.high;
          word[Layout::kPlaneWords] = pair.low;
        }
      }
    }
  }

  // Sends for another one, in the oldest one's place.
  __device__ void fetch() {
#pragma unroll
    for (int r = 0; r < kRounds; ++r) {
#pragma unroll
      for (int s = 0; s < 2; ++s) {
        if (this->signal_.wide) {
          const bool there = this->there(r, s);
          const T* const from = there ? this->row(r, s) : this->signal_.view.data();
          gpu::copy_16_bytes_or_zero(piece(r, s), from, there);
        } else {
          *piece(r, s) = this->read(r, s);
        }
      }
      this->advance(r);
    }
    gpu::close_copies();
    slot_ = slot_ + 1 == kDepth ? 0 : slot_ + 1;
  }

 private:
  __device__ Piece* piece(int r, int s) const {
    return pieces_ + ((slot_ * kRounds + r) * 2 + s) * kThreads<T>;
  }

  Piece* pieces_;
  int slot_ = 0;
};

// Takes stages from a panel to device memory: each thread reads the words that it put there.
template <typename T>
class Writer : Share<T> {
  using Base = Share<T>;
  using Base::kRounds;
  using typename Base::Layout;
  using typename Base::Piece;

 public:
  __device__ Writer(const Signal<T>& signal, const Lines& lines, const Place& place)
      : Base(signal, lines, place) {}

  // Adds to what is there if `add`.
  __device__ void take(const uint32_t* panel, bool add) {
#pragma unroll
    for (int r = 0; r < kRounds; ++r) {
      Piece rows[2];
#pragma unroll
      for (int i = 0; i < Layout::kPiece; ++i) {
        const uint32_t* const word = panel + this->word_[r] + i * Layout::kChannelWords;
        if constexpr (kPlanes<T> == 1) {
          rows[0].number[i] = __ushort_as_bfloat16(static_cast<unsigned short>(*word & 0xffffu));
          rows[1].number[i] = __ushort_as_bfloat16(static_cast<unsigned short>(*word >> 16));
        } else {
          rows[0].number[i] = __uint_as_float(word[0]);
          rows[1].number[i] = __uint_as_float(word[Layout::kPlaneWords]);
        }
      }
#pragma unroll
      for (int s = 0; s < 2; ++s) write(r, s, rows[s], add);
      this->advance(r);
    }
  }

 private:
  __device__ void write(int r, int s, Piece& piece, bool add) const {
    if (!this->there(r, s)) return;
    if (add) {
      const Piece before = this->read(r, s);
#pragma unroll
      for (int i = 0; i < Layout::kPiece; ++i) {
        gpu::narrow(gpu::widen(before.number[i]) + gpu::widen(piece.number[i]), piece.number[i]);
      }
    }
    T* const to = this->row(r, s);
    if (this->signal_.wide) {
      *reinterpret_cast<Piece*>(to) = piece;
      return;
    }
#pragma unroll
    for (int i = 0; i < Layout::kPiece; ++i) {
      if (i < this->count_) to[i * this->signal_.view.stride(2)] = piece.number[i];
    }
  }
};

// Where a lane's part of a channel's lines lies in a panel; see multiply_add.
template <typename T>
__device__ int first_word() {
  const int lane = threadIdx.x % 32;
  return threadIdx.x / 32 * Panel<T>::kChannelWords + lane / 4 * Panel<T>::kLineWords + lane % 4;
}

// The words of a chunk in the order of corners: lines 0 and 8, then 8 steps further.
template <typename T>
__device__ constexpr int corner_word(int corner) {
  return corner % 2 * 8 * Panel<T>::kLineWords + corner / 2 * 4;
}

// A chunk of 16 lines and 16 steps as the left operand of products.
template <typename T>
struct Chunk {
  uint32_t part[kPlanes<T>][4];

  __device__ explicit Chunk(const uint32_t* words) {
#pragma unroll
    for (int p = 0; p < kPlanes<T>; ++p) {
#pragma unroll
      for (int i = 0; i < 4; ++i) part[p][i] = words[p * Panel<T>::kPlaneWords + corner_word<T>(i)];
    }
  }
};

// Results where the chunk was read from: each lane overwrites what it read.
template <typename T>
__device__ void write_chunk(const float (&y)[2][4], uint32_t* words) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float first = y[i / 2][i % 2 * 2], second = y[i / 2][i % 2 * 2 + 1];
    uint32_t* const word = words + corner_word<T>(i);
    if constexpr (kPlanes<T> == 1) {
      *word = gpu::halves(first, second);
    } else {
      word[0] = __float_as_uint(first);
      word[Panel<T>::kPlaneWords] = __float_as_uint(second);
    }
  }
}

}  // namespace longwave::ops::lti_cuda
