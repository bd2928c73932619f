// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/data/dataset.h"

/// The sources that come with the library, each defined in the file of its name.
namespace longwave::data {

extern const Source kFashionMnist;
extern const Source kCsv;
extern const Source kWav;
extern const Source kDelay;
extern const Source kReconstruct;
extern const Source kAdding;
extern const Source kCopying;
extern const Source kSelectiveCopying;
extern const Source kMackeyGlass;
extern const Source kParity;
extern const Source kInduction;
extern const Source kRecall;
extern const Source kMqar;
extern const Source kListops;
extern const Source kPathfinder;
extern const Source kText;
extern const Source kAuthors;

}  // namespace longwave::data
