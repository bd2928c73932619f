// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/cli/command.h"
#include "longwave/inspect/verify.h"

namespace longwave::cli {

/// What the options of `verify` ask for.
inspect::VerifySettings verify_settings(const Options& options);

/// Prints a verification as a table or JSON; kOk if all views agree, else kFailed.
ExitCode report_verification(Call& call, const inspect::Verification& verification);

}  // namespace longwave::cli
