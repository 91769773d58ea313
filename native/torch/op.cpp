// SPDX-License-Identifier: Apache-2.0
//
// One generic call for every ATen operator. What can be known from a schema is worked out once, when the operator is
// found: which tags an argument may have, so that no value reaches libtorch's unchecked conversions with a wrong type.
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/jit_type.h>
#include <ATen/core/stack.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <sstream>
#include <unordered_map>

#include "handle.h"

using namespace lancetorch;

namespace {

enum class Kind : uint8_t {
  kTensor,
  kInt,
  kFloat,
  kBool,
  kNumber,
  kString,
  kDevice,
  kDtype,
  kLayout,
  kMemoryFormat,
  kIntList,
  kFloatList,
  kBoolList,
  kNumberList,
  kTensorList,
  kOptionalTensorList,
  kOther,  // nothing can be given for it but none or the default
};

constexpr uint32_t bit(int32_t tag) { return 1U << tag; }

constexpr const char* kTagNames[] = {"NONE",     "TENSOR",      "INT",       "DOUBLE",      "BOOL",   "STRING",
                                     "INT_LIST", "DOUBLE_LIST", "BOOL_LIST", "TENSOR_LIST", "DEVICE", "DEFAULT"};
constexpr int32_t kTags = sizeof(kTagNames) / sizeof(kTagNames[0]);

uint32_t tags_of(Kind kind) {
  switch (kind) {
    case Kind::kTensor:
      return bit(LT_VALUE_TENSOR);
    case Kind::kInt:
    case Kind::kDtype:
    case Kind::kLayout:
    case Kind::kMemoryFormat:
      return bit(LT_VALUE_INT);
    case Kind::kFloat:
      return bit(LT_VALUE_DOUBLE) | bit(LT_VALUE_INT);
    case Kind::kBool:
      return bit(LT_VALUE_BOOL);
    case Kind::kNumber:
      return bit(LT_VALUE_INT) | bit(LT_VALUE_DOUBLE) | bit(LT_VALUE_BOOL);
    case Kind::kString:
      return bit(LT_VALUE_STRING);
    case Kind::kDevice:
      return bit(LT_VALUE_DEVICE);
    case Kind::kIntList:
      return bit(LT_VALUE_INT_LIST);
    case Kind::kFloatList:
    case Kind::kNumberList:
      return bit(LT_VALUE_DOUBLE_LIST) | bit(LT_VALUE_INT_LIST);
    case Kind::kBoolList:
      return bit(LT_VALUE_BOOL_LIST);
    case Kind::kTensorList:
    case Kind::kOptionalTensorList:
      return bit(LT_VALUE_TENSOR_LIST);
    case Kind::kOther:
      return 0;
  }
  return 0;
}

Kind kind_of(const c10::Type& type) {
  switch (type.kind()) {
    case c10::TypeKind::TensorType:
      return Kind::kTensor;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
      return Kind::kInt;
    case c10::TypeKind::FloatType:
    case c10::TypeKind::SymFloatType:
      return Kind::kFloat;
    case c10::TypeKind::BoolType:
    case c10::TypeKind::SymBoolType:
      return Kind::kBool;
    case c10::TypeKind::NumberType:
      return Kind::kNumber;
    case c10::TypeKind::StringType:
      return Kind::kString;
    case c10::TypeKind::DeviceObjType:
      return Kind::kDevice;
    case c10::TypeKind::ScalarTypeType:
      return Kind::kDtype;
    case c10::TypeKind::LayoutType:
      return Kind::kLayout;
    case c10::TypeKind::MemoryFormatType:
      return Kind::kMemoryFormat;
    case c10::TypeKind::ListType: {
      const c10::Type& element = *type.expectRef<c10::ListType>().getElementType();
      if (element.kind() == c10::TypeKind::OptionalType) {
        bool of_tensors = element.expectRef<c10::OptionalType>().getElementType()->kind() == c10::TypeKind::TensorType;
        return of_tensors ? Kind::kOptionalTensorList : Kind::kOther;
      }
      switch (kind_of(element)) {
        case Kind::kInt:
          return Kind::kIntList;
        case Kind::kFloat:
          return Kind::kFloatList;
        case Kind::kBool:
          return Kind::kBoolList;
        case Kind::kNumber:
          return Kind::kNumberList;
        case Kind::kTensor:
          return Kind::kTensorList;
        default:
          return Kind::kOther;
      }
    }
    default:
      return Kind::kOther;
  }
}

// One argument of a schema.
struct Slot {
  explicit Slot(const c10::Argument& argument) : name(argument.name()), repeats(argument.N().value_or(0)) {
    const c10::Type* type = argument.real_type().get();
    c10::TypePtr inner;
    bool optional = type->kind() == c10::TypeKind::OptionalType;
    if (optional) {
      inner = type->expectRef<c10::OptionalType>().getElementType();
      type = inner.get();
    }
    kind = kind_of(*type);
    tags = tags_of(kind) | (optional ? bit(LT_VALUE_NONE) : 0);
    if (kind == Kind::kIntList && repeats > 0) {
      tags |= bit(LT_VALUE_INT);
    }
    if (argument.default_value().has_value()) {
      fallback = *argument.default_value();
      tags |= bit(LT_VALUE_DEFAULT);
    } else if (optional) {
      tags |= bit(LT_VALUE_DEFAULT);  // `fallback` is none already
    }
  }

  bool may_be(int32_t tag) const { return tag >= 0 && tag < kTags && (tags & bit(tag)) != 0; }

  std::string name;
  Kind kind = Kind::kOther;
  uint32_t tags = 0;
  int32_t repeats;  // N of int[N], for which a single int may stand
  c10::IValue fallback;
};

}  // namespace

struct lt_op {
  explicit lt_op(const c10::OperatorHandle& found) : handle(found), name(c10::toString(found.operator_name())) {
    std::ostringstream text;
    text << found.schema();
    schema = text.str();
    for (const c10::Argument& argument : found.schema().arguments()) {
      slots.emplace_back(argument);
    }
    result_count = static_cast<int32_t>(found.schema().returns().size());
  }

  c10::OperatorHandle handle;
  std::string name;
  std::string schema;
  std::vector<Slot> slots;
  int32_t result_count;
};

namespace {

[[noreturn]] void refuse(const lt_op& op, size_t index, const std::string& what) {
  std::string text = "argument " + std::to_string(index);
  if (index < op.slots.size()) {
    text += " (" + op.slots[index].name + ")";
  }
  fail(LT_INVALID_ARGUMENT, text + " " + what + ", in " + op.schema);
}

[[noreturn]] void refuse_tag(const lt_op& op, size_t index, int32_t tag) {
  const Slot& slot = op.slots[index];
  if (tag == LT_VALUE_DEFAULT) {
    refuse(op, index, "has no default");
  }
  std::string wanted;
  for (int32_t other = 0; other < kTags; other++) {
    if (slot.may_be(other) && other != LT_VALUE_DEFAULT) {
      wanted += (wanted.empty() ? "" : " or ") + std::string(kTagNames[other]);
    }
  }
  std::string given = tag >= 0 && tag < kTags ? kTagNames[tag] : "the unknown tag " + std::to_string(tag);
  refuse(op, index, "must be " + (wanted.empty() ? "left to its default" : wanted) + ", not " + given);
}

void require_list(const lt_op& op, size_t index, const lt_value& value, const void* pointer) {
  if (value.length < 0) [[unlikely]] {
    refuse(op, index, "has a negative length");
  }
  if (value.length > 0 && pointer == nullptr) [[unlikely]] {
    refuse(op, index, "is NULL, and its length is not 0");
  }
}

int64_t checked_enum(const lt_op& op, size_t index, int64_t value, int64_t end, const char* what) {
  if (value < 0 || value >= end) [[unlikely]] {
    refuse(op, index, "is no " + std::string(what) + ": " + std::to_string(value));
  }
  return value;
}

c10::IValue to_tensor_list(const lt_op& op, size_t index, const lt_value& value, Kind kind) {
  require_list(op, index, value, value.as.tensors);
  if (kind == Kind::kTensorList) {
    c10::List<at::Tensor> list;
    list.reserve(value.length);
    for (int32_t i = 0; i < value.length; i++) {
      if (value.as.tensors[i] == nullptr) {
        refuse(op, index, "has a NULL at " + std::to_string(i));
      }
      list.push_back(retained(value.as.tensors[i]));
    }
    return list;
  }
  c10::List<std::optional<at::Tensor>> list;
  list.reserve(value.length);
  for (int32_t i = 0; i < value.length; i++) {
    const lt_tensor* handle = value.as.tensors[i];
    list.push_back(handle == nullptr ? std::nullopt : std::optional<at::Tensor>(retained(handle)));
  }
  return list;
}

c10::IValue to_int_list(const lt_op& op, size_t index, const lt_value& value, Kind kind) {
  require_list(op, index, value, value.as.integers);
  const int64_t* begin = value.as.integers;
  const int64_t* end = begin + value.length;
  if (kind == Kind::kFloatList) {
    return std::vector<double>(begin, end);
  }
  if (kind == Kind::kNumberList) {
    return std::vector<c10::Scalar>(begin, end);
  }
  return c10::IValue(c10::IntArrayRef(begin, end));
}

c10::IValue to_double_list(const lt_op& op, size_t index, const lt_value& value, Kind kind) {
  require_list(op, index, value, value.as.doubles);
  const double* begin = value.as.doubles;
  const double* end = begin + value.length;
  if (kind == Kind::kNumberList) {
    return std::vector<c10::Scalar>(begin, end);
  }
  return c10::IValue(c10::ArrayRef<double>(begin, end));
}

c10::IValue to_bool_list(const lt_op& op, size_t index, const lt_value& value) {
  require_list(op, index, value, value.as.integers);
  c10::List<bool> list;
  list.reserve(value.length);
  for (int32_t i = 0; i < value.length; i++) {
    list.push_back(value.as.integers[i] != 0);
  }
  return list;
}

c10::IValue to_int(const lt_op& op, size_t index, int64_t integer, const Slot& slot) {
  switch (slot.kind) {
    case Kind::kFloat:
      return static_cast<double>(integer);
    case Kind::kIntList:
      return std::vector<int64_t>(slot.repeats, integer);
    case Kind::kDtype:
      if (integer == static_cast<int64_t>(c10::ScalarType::Undefined)) {
        refuse(op, index, "is the undefined dtype");
      }
      return checked_enum(op, index, integer, static_cast<int64_t>(c10::ScalarType::NumOptions), "dtype");
    case Kind::kLayout:
      return checked_enum(op, index, integer, static_cast<int64_t>(c10::Layout::NumOptions), "layout");
    case Kind::kMemoryFormat:
      return checked_enum(op, index, integer, static_cast<int64_t>(c10::MemoryFormat::NumOptions), "memory format");
    default:
      return integer;
  }
}

void push(torch::jit::Stack& stack, const lt_op& op, size_t index, const lt_value& value) {
  const Slot& slot = op.slots[index];
  if (!slot.may_be(value.tag)) [[unlikely]] {
    refuse_tag(op, index, value.tag);
  }
  switch (value.tag) {
    case LT_VALUE_TENSOR:
      if (value.as.tensor == nullptr) [[unlikely]] {
        refuse(op, index, "is a NULL tensor");
      }
      stack.emplace_back(retained(value.as.tensor));
      return;
    case LT_VALUE_INT:
      stack.emplace_back(to_int(op, index, value.as.integer, slot));
      return;
    case LT_VALUE_DOUBLE:
      stack.emplace_back(value.as.real);
      return;
    case LT_VALUE_BOOL:
      stack.emplace_back(value.as.integer != 0);
      return;
    case LT_VALUE_STRING:
      require_list(op, index, value, value.as.string);
      stack.emplace_back(std::string(value.as.string == nullptr ? "" : value.as.string, value.length));
      return;
    case LT_VALUE_INT_LIST:
      stack.push_back(to_int_list(op, index, value, slot.kind));
      return;
    case LT_VALUE_DOUBLE_LIST:
      stack.push_back(to_double_list(op, index, value, slot.kind));
      return;
    case LT_VALUE_BOOL_LIST:
      stack.push_back(to_bool_list(op, index, value));
      return;
    case LT_VALUE_TENSOR_LIST:
      stack.push_back(to_tensor_list(op, index, value, slot.kind));
      return;
    case LT_VALUE_DEVICE:
      stack.emplace_back(to_device(value.as.device));
      return;
    case LT_VALUE_DEFAULT:
      stack.push_back(slot.fallback);
      return;
    default:
      stack.emplace_back();
  }
}

lt_value to_value(c10::IValue&& value);

// The results of a call. The caller's array is written when all of them are there; those of a call that fails are given
// back.
class Results final {
 public:
  Results() = default;
  ~Results() {
    for (lt_value& value : values_) {
      if (value.tag == LT_VALUE_TENSOR) {
        release(value.as.tensor);
      } else if (value.tag == LT_VALUE_TENSOR_LIST) {
        lt_tensor_release_all(value.as.tensors, value.length);
      }
      lt_value_free(&value);
    }
  }
  Results(const Results&) = delete;
  Results& operator=(const Results&) = delete;

  void add(c10::IValue&& value) { values_.push_back(to_value(std::move(value))); }

  int32_t move_to(lt_value* target) {
    std::copy(values_.begin(), values_.end(), target);
    auto count = static_cast<int32_t>(values_.size());
    values_.clear();
    return count;
  }

 private:
  c10::SmallVector<lt_value, 4> values_;
};

template <typename Element>
Element* array(size_t length) {
  auto* elements = static_cast<Element*>(std::malloc(length == 0 ? 1 : length * sizeof(Element)));
  if (elements == nullptr) {
    throw std::bad_alloc();
  }
  return elements;
}

template <typename Element>
Element* array(const std::vector<Element>& elements) {
  auto* copy = array<Element>(elements.size());
  std::copy(elements.begin(), elements.end(), copy);
  return copy;
}

lt_value to_value(c10::IValue&& value) {
  lt_value result{};
  if (value.isTensor()) {
    at::Tensor tensor = std::move(value).toTensor();
    if (tensor.defined()) {
      result.tag = LT_VALUE_TENSOR;
      result.as.tensor = to_handle(std::move(tensor));
    }
  } else if (value.isInt()) {
    result.tag = LT_VALUE_INT;
    result.as.integer = value.toInt();
  } else if (value.isDouble()) {
    result.tag = LT_VALUE_DOUBLE;
    result.as.real = value.toDouble();
  } else if (value.isBool()) {
    result.tag = LT_VALUE_BOOL;
    result.as.integer = value.toBool() ? 1 : 0;
  } else if (value.isTensorList()) {
    std::vector<at::Tensor> tensors = std::move(value).toTensorVector();
    auto* handles = array<lt_tensor*>(tensors.size());
    for (size_t i = 0; i < tensors.size(); i++) {
      handles[i] = tensors[i].defined() ? to_handle(std::move(tensors[i])) : nullptr;
    }
    result.tag = LT_VALUE_TENSOR_LIST;
    result.length = static_cast<int32_t>(tensors.size());
    result.as.tensors = handles;
  } else if (value.isIntList()) {
    std::vector<int64_t> integers = value.toIntVector();
    result.tag = LT_VALUE_INT_LIST;
    result.length = static_cast<int32_t>(integers.size());
    result.as.integers = array(integers);
  } else if (value.isDoubleList()) {
    std::vector<double> reals = value.toDoubleVector();
    result.tag = LT_VALUE_DOUBLE_LIST;
    result.length = static_cast<int32_t>(reals.size());
    result.as.doubles = array(reals);
  } else if (!value.isNone()) {
    fail(LT_UNSUPPORTED, "a result of the type " + value.tagKind() + " has no lt_value");
  }
  return result;
}

// The stack of a call. A thread keeps its memory from one call to the next; a call within a call (a deleter that
// computes) finds it taken, and makes its own.
class Frame final {
 public:
  Frame() : stack(std::move(spare)) { stack.clear(); }
  ~Frame() {
    stack.clear();
    spare = std::move(stack);
  }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

 private:
  static thread_local torch::jit::Stack spare;

 public:
  torch::jit::Stack stack;
};
thread_local torch::jit::Stack Frame::spare;

std::string overloads_of(const std::string& name) {
  std::string text;
  for (const c10::OperatorName& other : c10::Dispatcher::singleton().getAllOpNames()) {
    if (other.name == name && c10::Dispatcher::singleton().findSchema(other).has_value()) {
      text += (text.empty() ? "\"" : ", \"") + other.overload_name + "\"";
    }
  }
  return text;
}

// Never destroyed: operators are used for as long as the process lives, its exit included.
struct Found {
  std::shared_mutex mutex;
  std::unordered_map<std::string, std::unique_ptr<lt_op>> operators;
};
Found& found() {
  static auto* instance = new Found();
  return *instance;
}

}  // namespace

lt_status lt_op_find(const char* name, const char* overload, const lt_op** op, lt_error* err) {
  return guard(err, "lt_op_find", [&] {
    require_pointer(name, "name");
    require_pointer(op, "op");
    c10::OperatorName full(name, overload == nullptr ? "" : overload);
    std::string key = full.name + "." + full.overload_name;
    Found& known = found();
    {
      std::shared_lock lock(known.mutex);
      auto entry = known.operators.find(key);
      if (entry != known.operators.end()) {
        *op = entry->second.get();
        return;
      }
    }
    std::optional<c10::OperatorHandle> handle = c10::Dispatcher::singleton().findSchema(full);
    if (!handle.has_value()) {
      std::string others = overloads_of(full.name);
      fail(LT_NOT_FOUND,
           others.empty() ? "this libtorch has no operator " + full.name
                          : full.name + " has no overload \"" + full.overload_name + "\"; its overloads are " + others);
    }
    auto made = std::make_unique<lt_op>(*handle);
    std::unique_lock lock(known.mutex);
    *op = known.operators.try_emplace(std::move(key), std::move(made)).first->second.get();
  });
}

const char* lt_op_schema(const lt_op* op) { return op == nullptr ? nullptr : op->schema.c_str(); }

lt_status lt_op_call(const lt_op* op, const lt_value* arguments, int32_t argument_count, lt_value* results,
                     int32_t result_capacity, int32_t* result_count, lt_error* err) {
  return guard(err, op == nullptr ? "lt_op_call" : op->name.c_str(), [&] {
    require_pointer(op, "op");
    require_pointer(result_count, "result_count");
    if (argument_count < 0 || (argument_count > 0 && arguments == nullptr)) [[unlikely]] {
      fail(LT_INVALID_ARGUMENT, "arguments is NULL, or their number is negative");
    }
    auto given = static_cast<size_t>(argument_count);
    if (given > op->slots.size()) [[unlikely]] {
      refuse(*op, op->slots.size(), "is one too many");
    }
    if (result_capacity < op->result_count || (op->result_count > 0 && results == nullptr)) [[unlikely]] {
      fail(LT_INVALID_ARGUMENT, "there is no room for " + std::to_string(op->result_count) + " results");
    }

    Frame frame;
    for (size_t i = 0; i < given; i++) {
      push(frame.stack, *op, i, arguments[i]);
    }
    for (size_t i = given; i < op->slots.size(); i++) {
      if (!op->slots[i].may_be(LT_VALUE_DEFAULT)) [[unlikely]] {
        refuse(*op, i, "is missing");
      }
      frame.stack.push_back(op->slots[i].fallback);
    }
    op->handle.callBoxed(frame.stack);

    Results made;
    for (c10::IValue& value : frame.stack) {
      made.add(std::move(value));
    }
    *result_count = made.move_to(results);
  });
}

void lt_value_free(lt_value* value) {
  if (value == nullptr) {
    return;
  }
  switch (value->tag) {
    case LT_VALUE_INT_LIST:
    case LT_VALUE_DOUBLE_LIST:
    case LT_VALUE_TENSOR_LIST:
      std::free(const_cast<void*>(static_cast<const void*>(value->as.tensors)));
      break;
    default:
      break;
  }
  *value = lt_value{};
}
