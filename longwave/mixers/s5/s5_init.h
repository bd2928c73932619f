// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <functional>
#include <span>

#include "longwave/base/philox.h"
#include "longwave/mixers/s5/s5.h"

namespace longwave::mixers::s5 {

using Init = std::function<void(std::span<float>, Random&)>;

/// One part of the poles: the eigenvalues of the normal part of HiPPO LegS, block after block.
Init init_Lambda(const Settings& settings, double (*part)(std::complex<double>));

/// V^* B of a real B drawn with variance 1 / state: the input map in the eigenbasis.
Init init_B(const Settings& settings);

/// How a readout is drawn; the names are those of the reference code.
enum class ReadoutInit {
  kTruncStandardNormal,  ///< variance 1 / state, rotated by V (despite the name)
  kLecunNormal,          ///< variance 1 / (channels state), rotated by V
  kComplexNormal,        ///< variance 1, in the eigenbasis
};
Init init_C(const Settings& settings, ReadoutInit kind);

}  // namespace longwave::mixers::s5
