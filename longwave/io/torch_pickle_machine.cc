// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/io/pickle_stack.h"
#include "longwave/io/torch_pickle.h"

namespace longwave::io {
namespace {

using pickle::Kind;
using pickle::Object;
using pickle::Stack;

constexpr size_t kMostPickleBytes = size_t{16} << 20;
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

/// The few names that dictionaries of tensors need, and what becomes of their arguments.
class Machine {
 public:
  Machine(std::span<const std::byte> pickle, std::string_view where)
      : stack_(pickle, where), where_(where) {}

  const Object& run() {
    while (true) {
      const auto instruction = stack_.reader().number<uint8_t>("the pickle, before its end");
      if (instruction == '.') return *stack_.pop(Kind::kDictionary, "what is saved");
      const bool built = stack_.build_value(instruction) || stack_.build_container(instruction);
      if (!built) use_name(instruction);
    }
  }

  [[noreturn]] void refuse(std::string what, std::string got = {}) const {
    stack_.refuse(std::move(what), std::move(got));
  }

 private:
  /// Everything that has to do with classes and functions.
  void use_name(uint8_t instruction) {
    switch (instruction) {
      case 'c': {  // GLOBAL
        const std::string module = line();
        return push_name(module + "." + line());
      }
      case 0x93: {  // STACK_GLOBAL
        const auto names = stack_.last(2);
        if (names[0]->kind != Kind::kText || names[1]->kind != Kind::kText) {
          refuse("the name of a function or class must be a text");
        }
        return push_name(names[0]->text + "." + names[1]->text);
      }
      case 'Q':  // BINPERSID
        return push_storage(*stack_.pop(Kind::kTuple, "the description of a storage"));
      case 'R': {  // REDUCE
        const Object& arguments = *stack_.pop(Kind::kTuple, "the arguments of a function");
        return call(stack_.pop(Kind::kName, "a function")->text, arguments);
      }
      case 'b':  // BUILD: the attributes of a dictionary, which say nothing of its tensors
        stack_.pop(Kind::kDictionary, "the attributes of a dictionary");
        if (stack_.top()->kind != Kind::kDictionary) {
          refuse("the pickle sets attributes of an object");
        }
        return;
      default:
        refuse("the pickle has an instruction that no dictionary of tensors needs",
               "number " + std::to_string(instruction) + " at byte " +
                   std::to_string(stack_.reader().at() - 1));
    }
  }

  std::string line() {
    std::string text;
    while (true) {
      const auto letter = static_cast<char>(stack_.reader().number<uint8_t>("a name"));
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
    stack_.push(Kind::kName).text = name;
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
    Object& object = stack_.push(Kind::kStorage);
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
      stack_.push(Kind::kDictionary);
    } else if (function == kParameter) {
      if (items.empty() || items[0]->kind != Kind::kTensor) refuse("a parameter is no tensor");
      Object& object = stack_.push(Kind::kTensor);
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
    Object& object = stack_.push(Kind::kTensor);
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

  Stack stack_;
  std::string_view where_;
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
