// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace longwave {

template <typename Signature>
class FunctionRef;

/// Refers to a callable that somebody else owns; for parameters, never for members.
///
/// Unlike std::function it never allocates, whatever the callable captures, so that `step` may
/// hand a lambda to `parallel_for`.
///
/// Threads    as the callable.
template <typename Result, typename... Args>
class FunctionRef<Result(Args...)> {
 public:
  template <typename Callable>
  requires(!std::is_same_v<Callable, FunctionRef> &&
           std::is_invocable_r_v<Result, const Callable&, Args...>)
      FunctionRef(const Callable& callable)
      : object_(std::addressof(callable)), call_([](const void* object, Args... args) -> Result {
          return (*static_cast<const Callable*>(object))(std::forward<Args>(args)...);
        }) {}

  Result operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  const void* object_;
  Result (*call_)(const void*, Args...);
};

}  // namespace longwave
