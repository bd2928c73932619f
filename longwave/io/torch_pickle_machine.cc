// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/io/byte_reader.h"
#include "longwave/io/torch_pickle.h"

namespace longwave::io {
namespace {

constexpr size_t kMostPickleBytes = size_t{16} << 20;
constexpr size_t kMostObjects = size_t{1} << 20;
constexpr size_t kMostExtents = 16;
constexpr uint64_t kMostElements = uint64_t{1} << 52;

/// Classes of storages by what they hold. Those without a type are known, and not supported.
struct StorageClass {
  std::string_view name;
  std::string_view type;
  uint64_t bytes;
};
constexpr std::array<StorageClass, 8> kStorages = {{{"torch.FloatStorage", "F32", 4},
                                                    {"torch.HalfStorage", "F16", 2},
                                                    {"torch.BFloat16Storage", "BF16", 2},
                                                    {"torch.DoubleStorage", "F64", 8},
                                                    {"torch.LongStorage", "I64", 8},
                                                    {"torch.IntStorage", "I32", 4},
                                                    {"torch.ByteStorage", "U8", 1},
                                                    {"torch.BoolStorage", "BOOL", 1}}};
constexpr std::string_view kDictionary = "collections.OrderedDict";
constexpr std::string_view kTensor = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kParameter = "torch._utils._rebuild_parameter";

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

/// The few instructions of pickle that build dictionaries of tensors.
class Machine {
 public:
  Machine(std::span<const std::byte> pickle, std::string_view where)
      : reader_(pickle, where, "torch.save"), where_(where) {}

  const Object& run() {
    while (true) {
      const auto instruction = reader_.number<uint8_t>("the pickle, before its end");
      if (instruction == '.') return *pop(Kind::kDictionary, "what is saved");
      if (!build_value(instruction) && !build_container(instruction)) use_name(instruction);
    }
  }

  [[noreturn]] void refuse(std::string what, std::string got = {}) const {
    reader_.refuse(std::move(what), std::move(got));
  }

 private:
  Object& make(Kind kind) {
    if (objects_.size() >= kMostObjects) refuse("the pickle builds too many objects");
    Object& object = objects_.emplace_back();
    object.kind = kind;
    return object;
  }
  Object& push(Kind kind) {
    Object& object = make(kind);
    stack_.push_back(&object);
    return object;
  }
  void push_integer(int64_t integer) { push(Kind::kInteger).integer = integer; }
  void push_text(uint64_t length) {
    const std::string_view text = reader_.text(length, "a text of the pickle");
    push(Kind::kText).text = text;
  }

  /// Numbers, texts and places in the memo.
  bool build_value(uint8_t instruction) {
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
  int64_t long_integer() {
    const auto bytes = reader_.run(reader_.number<uint8_t>("the length of an integer"), "integer");
    if (bytes.size() > sizeof(int64_t)) refuse("the pickle has an integer beyond 64 bits");
    if (bytes.empty()) return 0;
    const bool negative = (bytes.back() & std::byte{0x80}) != std::byte{0};
    uint64_t number = negative ? ~uint64_t{0} : 0;
    std::memcpy(&number, bytes.data(), bytes.size());
    return static_cast<int64_t>(number);
  }

  /// Tuples, lists and dictionaries.
  bool build_container(uint8_t instruction) {
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

  void push_tuple(std::vector<Object*> items) {
    push(Kind::kTuple).items.assign(items.begin(), items.end());
  }

  void extend(Kind kind, const std::vector<Object*>& items) {
    if (top()->kind != kind) refuse("the pickle adds items to what has none");
    if (kind == Kind::kDictionary && items.size() % 2 != 0) refuse("a key without a value");
    top()->items.insert(top()->items.end(), items.begin(), items.end());
  }

  /// Everything that has to do with classes and functions.
  void use_name(uint8_t instruction) {
    switch (instruction) {
      case 'c': {  // GLOBAL
        const std::string module = line();
        return push_name(module + "." + line());
      }
      case 0x93: {  // STACK_GLOBAL
        const auto names = last(2);
        if (names[0]->kind != Kind::kText || names[1]->kind != Kind::kText) {
          refuse("the name of a function or class must be a text");
        }
        return push_name(names[0]->text + "." + names[1]->text);
      }
      case 'Q':  // BINPERSID
        return push_storage(*pop(Kind::kTuple, "the description of a storage"));
      case 'R': {  // REDUCE
        const Object& arguments = *pop(Kind::kTuple, "the arguments of a function");
        return call(pop(Kind::kName, "a function")->text, arguments);
      }
      case 'b':  // BUILD: the attributes of a dictionary, which say nothing of its tensors
        pop(Kind::kDictionary, "the attributes of a dictionary");
        if (top()->kind != Kind::kDictionary) refuse("the pickle sets attributes of an object");
        return;
      default:
        refuse("the pickle has an instruction that no dictionary of tensors needs",
               "number " + std::to_string(instruction) + " at byte " +
                   std::to_string(reader_.at() - 1));
    }
  }

  std::string line() {
    std::string text;
    while (true) {
      const auto letter = static_cast<char>(reader_.number<uint8_t>("a name"));
      if (letter == '\n') return text;
      text.push_back(letter);
    }
  }

  void push_name(const std::string& name) {
    const bool known = name == kDictionary || name == kTensor || name == kParameter ||
                       std::ranges::find(kStorages, name, &StorageClass::name) != kStorages.end();
    if (!known) {
      throw DataError({.where = std::string(where_),
                       .what = "the pickle asks for more than tensors; nothing was executed",
                       .got = in_quotes(name),
                       .fix = "do not load this file with other programs if you do not trust its "
                              "origin; save the state_dict alone, or as safetensors"});
    }
    push(Kind::kName).text = name;
  }

  void push_storage(const Object& place) {
    const auto& items = place.items;
    const bool sound = items.size() == 5 && items[0]->kind == Kind::kText &&
                       items[0]->text == "storage" && items[1]->kind == Kind::kName &&
                       items[2]->kind == Kind::kText && items[4]->kind == Kind::kInteger &&
                       items[4]->integer >= 0;
    const auto* found =
        sound ? std::ranges::find(kStorages, items[1]->text, &StorageClass::name) : kStorages.end();
    if (found == kStorages.end()) refuse("the description of a storage is not torch's");
    const auto elements = static_cast<uint64_t>(items[4]->integer);
    if (elements > kMostElements) refuse("a storage is too large", std::to_string(elements));
    Object& object = push(Kind::kStorage);
    object.tensor = std::make_unique<PickledTensor>();
    object.tensor->storage = items[2]->text;
    object.tensor->type = found->type;
    object.tensor->element_bytes = found->bytes;
    object.tensor->storage_elements = elements;
  }

  void call(const std::string& function, const Object& arguments) {
    const auto& items = arguments.items;
    if (function == kDictionary) {
      if (!items.empty()) refuse("a dictionary must begin empty");
      push(Kind::kDictionary);
    } else if (function == kParameter) {
      if (items.empty() || items[0]->kind != Kind::kTensor) refuse("a parameter is no tensor");
      Object& object = push(Kind::kTensor);
      object.tensor = std::make_unique<PickledTensor>(*items[0]->tensor);
    } else if (function == kTensor) {
      push_tensor(items);
    } else {
      refuse("the pickle calls a class of storages", function);
    }
  }

  /// (storage, offset, sizes, strides, requires_grad, hooks), and marks that a view may have.
  void push_tensor(const std::vector<const Object*>& items) {
    const bool sound = (items.size() == 6 || items.size() == 7) &&
                       items[0]->kind == Kind::kStorage && items[1]->kind == Kind::kInteger &&
                       items[2]->kind == Kind::kTuple && items[3]->kind == Kind::kTuple &&
                       items[2]->items.size() == items[3]->items.size() &&
                       items[2]->items.size() <= kMostExtents && items[1]->integer >= 0;
    if (!sound) refuse("the description of a tensor is not torch's");
    if (items.size() == 7 && !items[6]->items.empty()) {
      refuse("a tensor is to be conjugated or negated when it is read, which is not supported");
    }
    Object& object = push(Kind::kTensor);
    object.tensor = std::make_unique<PickledTensor>(*items[0]->tensor);
    PickledTensor& tensor = *object.tensor;
    tensor.offset = static_cast<uint64_t>(items[1]->integer);
    tensor.shape = numbers(*items[2]);
    tensor.strides = numbers(*items[3]);
    check_view(tensor);
  }

  std::vector<int64_t> numbers(const Object& tuple) const {
    std::vector<int64_t> result;
    for (const Object* item : tuple.items) {
      if (item->kind != Kind::kInteger || item->integer < 0 ||
          static_cast<uint64_t>(item->integer) > kMostElements) {
        refuse("extents and strides of a tensor must be numbers from 0 on");
      }
      result.push_back(item->integer);
    }
    return result;
  }

  /// The last element of the view must lie in the storage, and no more elements be asked for than
  /// it has: a stride of 0 could make a whale of a drop.
  void check_view(const PickledTensor& tensor) const {
    uint64_t count = 1, last = tensor.offset;
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      const auto extent = std::max<uint64_t>(1, static_cast<uint64_t>(tensor.shape[i]));
      const auto stride = static_cast<uint64_t>(tensor.strides[i]);
      if (count > kMostElements / extent) refuse("the extents of a tensor overflow");
      count *= extent;
      if (stride > 0 && extent - 1 > kMostElements / stride) {
        refuse("the strides of a tensor overflow");
      }
      last += (extent - 1) * stride;
    }
    if (std::ranges::find(tensor.shape, 0) != tensor.shape.end()) return;
    if (last < tensor.storage_elements && count <= tensor.storage_elements) return;
    refuse("a tensor of " + to_string(tensor.shape) + " does not fit into its storage",
           std::to_string(tensor.storage_elements) + " elements, from " +
               std::to_string(tensor.offset) + " on");
  }

  Object* top() const {
    if (stack_.empty()) refuse("the pickle takes from an empty stack");
    return stack_.back();
  }

  std::vector<Object*> last(size_t count) {
    if (stack_.size() < count || (!marks_.empty() && stack_.size() - count < marks_.back())) {
      refuse("the pickle takes from an empty stack");
    }
    const auto from = stack_.end() - static_cast<std::ptrdiff_t>(count);
    std::vector<Object*> result(from, stack_.end());
    stack_.erase(from, stack_.end());
    return result;
  }

  std::vector<Object*> since_mark() {
    if (marks_.empty()) refuse("the pickle lacks a mark");
    const size_t mark = marks_.back();
    std::vector<Object*> result = last(stack_.size() - mark);
    marks_.pop_back();
    return result;
  }

  const Object* pop(Kind kind, const char* what) {
    const Object* object = last(1).front();
    if (object->kind != kind) refuse(std::string(what) + " is of the wrong kind");
    return object;
  }

  void keep(uint64_t place) {
    if (memo_.size() >= kMostObjects) refuse("the pickle keeps too many objects");
    memo_[place] = top();
  }

  void recall(uint64_t place) {
    const auto found = memo_.find(place);
    if (found == memo_.end()) refuse("the pickle recalls what it never kept");
    stack_.push_back(found->second);
  }

  ByteReader reader_;
  std::string_view where_;
  std::deque<Object> objects_;
  std::vector<Object*> stack_;
  std::vector<size_t> marks_;
  std::map<uint64_t, Object*> memo_;
};

}  // namespace

std::vector<PickledTensor> parse_tensor_pickle(std::span<const std::byte> pickle,
                                               std::string_view where) {
  Machine machine(pickle, where);
  if (pickle.size() > kMostPickleBytes) machine.refuse("the pickle is too long");
  const Object& dictionary = machine.run();
  std::vector<PickledTensor> tensors;
  std::set<std::string_view> names;
  for (size_t i = 0; i < dictionary.items.size(); i += 2) {
    const Object& name = *dictionary.items[i];
    const Object& value = *dictionary.items[i + 1];
    if (name.kind != Kind::kText) machine.refuse("a name is no text");
    if (!names.insert(name.text).second) machine.refuse("duplicate name " + in_quotes(name.text));
    if (value.kind != Kind::kTensor) {
      throw DataError({.where = std::string(where),
                       .what = "entry " + in_quotes(name.text) + " is no tensor",
                       .got = value.kind == Kind::kDictionary ? "a dictionary" : std::string(),
                       .fix = "save the model's state_dict alone"});
    }
    tensors.push_back(*value.tensor);
    tensors.back().name = name.text;
  }
  return tensors;
}

}  // namespace longwave::io
