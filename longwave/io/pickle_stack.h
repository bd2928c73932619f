// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/io/byte_reader.h"
#include "longwave/io/torch_pickle.h"

/// Python's pickles as far as dictionaries of tensors need them: values, containers and the memo.
/// What names stand for is not said here.
///
/// Source     CPython, Lib/pickletools.py (protocols 0 to 5).
namespace longwave::io::pickle {

enum class Kind : uint8_t {
  kNone,
  kFlag,
  kInteger,
  kReal,
  kText,
  kTuple,
  kList,
  kDictionary,
  kName,  ///< of a class or function that we know
  kStorage,
  kTensor,
};

/// A value on the machine's stack. Tuples and lists have items; dictionaries keys and values in
/// turn.
struct Object {
  Kind kind = Kind::kNone;
  int64_t integer = 0;
  std::string text;
  std::vector<const Object*> items;
  std::unique_ptr<PickledTensor> tensor;
};

/// The stack that instructions work on. Everything is bounded; nothing is executed.
///
/// Errors     DataError for whatever a sound pickle does not do.
/// Threads    one owner at a time.
class Stack {
 public:
  Stack(std::span<const std::byte> pickle, std::string_view where)
      : reader_(pickle, where, "torch.save") {}

  [[noreturn]] void refuse(std::string what, std::string got = {}) const {
    reader_.refuse(std::move(what), std::move(got));
  }

  ByteReader& reader() { return reader_; }

  /// Numbers, texts and places in the memo; tuples, lists and dictionaries. False, and nothing
  /// done, for other instructions.
  bool build_value(uint8_t instruction);
  bool build_container(uint8_t instruction);

  Object& push(Kind kind);
  Object* top() const;
  /// Takes the last values, or those since the last mark, off the stack.
  std::vector<Object*> last(size_t count);
  std::vector<Object*> since_mark();
  /// Takes the last one, which must be of this kind.
  const Object* pop(Kind kind, const char* what);

 private:
  Object& make(Kind kind);
  void push_integer(int64_t integer) { push(Kind::kInteger).integer = integer; }
  void push_text(uint64_t length);
  void push_tuple(std::vector<Object*> items);
  void extend(Kind kind, const std::vector<Object*>& items);
  int64_t long_integer();
  void keep(uint64_t place);
  void recall(uint64_t place);

  ByteReader reader_;
  std::deque<Object> objects_;
  std::vector<Object*> stack_;
  std::vector<size_t> marks_;
  std::map<uint64_t, Object*> memo_;
};

}  // namespace longwave::io::pickle
