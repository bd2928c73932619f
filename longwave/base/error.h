// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

namespace longwave {

/// The four parts of every message: where, what is wrong, what was got, how to fix it.
///
/// `got` and `fix` may be empty. Rendered as
///
///   where: what
///     got: ...
///     fix: ...
struct Report {
  std::string where;
  std::string what;
  std::string got;
  std::string fix;
};

/// Renders a report in the house grammar.
std::string to_string(const Report& report);

/// Base of everything that Longwave throws.
class Error : public std::runtime_error {
 public:
  explicit Error(Report report);

  const Report& report() const noexcept { return report_; }

 private:
  Report report_;
};

/// A caller broke a documented precondition; thrown before any work is done.
class InvalidArgument : public Error {
  using Error::Error;
};

/// A recipe, option or checkpoint description is not acceptable.
class ConfigError : public Error {
  using Error::Error;
};

/// Data that was read is malformed, empty or not finite.
class DataError : public Error {
  using Error::Error;
};

/// The file system refused: open, read, write, rename, disk full.
class IoError : public Error {
  using Error::Error;
};

/// An accelerator or its driver refused: no such device, out of memory, a launch that failed.
class DeviceError : public Error {
  using Error::Error;
};

/// Numbers went bad during training.
class Diverged : public Error {
  using Error::Error;
};

/// Throws InvalidArgument unless `condition` holds; for checks whose report costs nothing to build.
void require(bool condition, const char* where, const char* what);

}  // namespace longwave
