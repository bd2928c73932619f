// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/pickle_stack.h"

#include <cstring>
#include <utility>

namespace longwave::io::pickle {
namespace {

constexpr size_t kMostObjects = size_t{1} << 20;

}  // namespace

Object& Stack::make(Kind kind) {
  if (objects_.size() >= kMostObjects) refuse("the pickle builds too many objects");
  Object& object = objects_.emplace_back();
  object.kind = kind;
  return object;
}

Object& Stack::push(Kind kind) {
  Object& object = make(kind);
  stack_.push_back(&object);
  return object;
}

void Stack::push_text(uint64_t length) {
  const std::string_view text = reader_.text(length, "a text of the pickle");
  push(Kind::kText).text = text;
}

bool Stack::build_value(uint8_t instruction) {
  switch (instruction) {
    case 0x80:  // PROTO
      if (reader_.number<uint8_t>("the protocol") > 5) refuse("an unknown protocol of pickles");
      return true;
    case 0x95:  // FRAME
      reader_.number<uint64_t>("the length of a frame");
      return true;
    case 'N':
      push(Kind::kNone);
      return true;
    case 0x88:  // NEWTRUE
    case 0x89:  // NEWFALSE
      push(Kind::kFlag).integer = instruction == 0x88 ? 1 : 0;
      return true;
    case 'K':  // BININT1
      push_integer(reader_.number<uint8_t>("an integer"));
      return true;
    case 'M':  // BININT2
      push_integer(reader_.number<uint16_t>("an integer"));
      return true;
    case 'J':  // BININT
      push_integer(reader_.number<int32_t>("an integer"));
      return true;
    case 0x8a:  // LONG1
      push_integer(long_integer());
      return true;
    case 'G':  // BINFLOAT, whose value nothing here needs
      reader_.number<uint64_t>("a real number");
      push(Kind::kReal);
      return true;
    case 'X':  // BINUNICODE
    case 'T':  // BINSTRING
      push_text(reader_.number<uint32_t>("the length of a text"));
      return true;
    case 0x8c:  // SHORT_BINUNICODE
    case 'U':   // SHORT_BINSTRING
      push_text(reader_.number<uint8_t>("the length of a text"));
      return true;
    case 'q':  // BINPUT
      keep(reader_.number<uint8_t>("a place of the memo"));
      return true;
    case 'r':  // LONG_BINPUT
      keep(reader_.number<uint32_t>("a place of the memo"));
      return true;
    case 0x94:  // MEMOIZE
      keep(memo_.size());
      return true;
    case 'h':  // BINGET
      recall(reader_.number<uint8_t>("a place of the memo"));
      return true;
    case 'j':  // LONG_BINGET
      recall(reader_.number<uint32_t>("a place of the memo"));
      return true;
    default:
      return false;
  }
}

/// Little-endian, two's complement, of at most eight bytes.
int64_t Stack::long_integer() {
  const auto bytes = reader_.run(reader_.number<uint8_t>("the length of an integer"), "integer");
  if (bytes.size() > sizeof(int64_t)) refuse("the pickle has an integer beyond 64 bits");
  if (bytes.empty()) return 0;
  const bool negative = (bytes.back() & std::byte{0x80}) != std::byte{0};
  uint64_t number = negative ? ~uint64_t{0} : 0;
  std::memcpy(&number, bytes.data(), bytes.size());
  return static_cast<int64_t>(number);
}

bool Stack::build_container(uint8_t instruction) {
  switch (instruction) {
    case '(':
      marks_.push_back(stack_.size());
      return true;
    case ')':
      push(Kind::kTuple);
      return true;
    case 't':
      push_tuple(since_mark());
      return true;
    case 0x85:  // TUPLE1
    case 0x86:  // TUPLE2
    case 0x87:  // TUPLE3
      push_tuple(last(instruction - 0x84u));
      return true;
    case ']':
      push(Kind::kList);
      return true;
    case 'a':
      extend(Kind::kList, last(1));
      return true;
    case 'e':
      extend(Kind::kList, since_mark());
      return true;
    case '}':
      push(Kind::kDictionary);
      return true;
    case 's':
      extend(Kind::kDictionary, last(2));
      return true;
    case 'u':
      extend(Kind::kDictionary, since_mark());
      return true;
    case '0':
      last(1);
      return true;
    default:
      return false;
  }
}

void Stack::push_tuple(std::vector<Object*> items) {
  push(Kind::kTuple).items.assign(items.begin(), items.end());
}

void Stack::extend(Kind kind, const std::vector<Object*>& items) {
  if (top()->kind != kind) refuse("the pickle adds items to what has none");
  if (kind == Kind::kDictionary && items.size() % 2 != 0) refuse("a key without a value");
  top()->items.insert(top()->items.end(), items.begin(), items.end());
}

Object* Stack::top() const {
  if (stack_.empty()) refuse("the pickle takes from an empty stack");
  return stack_.back();
}

std::vector<Object*> Stack::last(size_t count) {
  if (stack_.size() < count || (!marks_.empty() && stack_.size() - count < marks_.back())) {
    refuse("the pickle takes from an empty stack");
  }
  const auto from = stack_.end() - static_cast<std::ptrdiff_t>(count);
  std::vector<Object*> result(from, stack_.end());
  stack_.erase(from, stack_.end());
  return result;
}

std::vector<Object*> Stack::since_mark() {
  if (marks_.empty()) refuse("the pickle lacks a mark");
  const size_t mark = marks_.back();
  std::vector<Object*> result = last(stack_.size() - mark);
  marks_.pop_back();
  return result;
}

const Object* Stack::pop(Kind kind, const char* what) {
  const Object* object = last(1).front();
  if (object->kind != kind) refuse(std::string(what) + " is of the wrong kind");
  return object;
}

void Stack::keep(uint64_t place) {
  if (memo_.size() >= kMostObjects) refuse("the pickle keeps too many objects");
  memo_[place] = top();
}

void Stack::recall(uint64_t place) {
  const auto found = memo_.find(place);
  if (found == memo_.end()) refuse("the pickle recalls what it never kept");
  stack_.push_back(found->second);
}

}  // namespace longwave::io::pickle
