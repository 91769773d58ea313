// SPDX-License-Identifier: Apache-2.0
//
// torch.save's file: a zip archive with data.pkl, which holds the value and names its tensors, and one record for the
// bytes of each storage. libtorch's Pickler writes it such that Python's weights_only=True takes it, if it does not tag
// the types of containers (torch::pickle_save does).
#include <ATen/core/Dict.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>
#include <ATen/ops/empty.h>
#include <caffe2/serialize/inline_container.h>
#include <fcntl.h>
#include <torch/csrc/jit/serialization/pickler.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <unordered_map>

#include "handle.h"

using namespace lancetorch;

namespace {

// A file that comes to be under its name when it is whole, and else leaves nothing behind.
class NewFile final {
 public:
  explicit NewFile(const char* path) : path_(path) {
    static std::atomic<uint64_t> number{0};
    temporary_ = path_ + ".tmp-" + std::to_string(getpid()) + "-" + std::to_string(number++);
    descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
      fail_with(errno, temporary_, "cannot be made");
    }
  }
  ~NewFile() {
    if (descriptor_ >= 0) {
      close(descriptor_);
      unlink(temporary_.c_str());
    }
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  // Does not throw, because the archive's writer calls this, in its destructor too; `finish` tells of an error.
  void append(const void* data, size_t size) noexcept {
    const auto* bytes = static_cast<const char*>(data);
    while (size > 0 && error_ == 0) {
      ssize_t written = write(descriptor_, bytes, size);
      if (written < 0) {
        error_ = errno == EINTR ? 0 : errno;
        continue;
      }
      bytes += written;
      size -= static_cast<size_t>(written);
    }
  }

  void finish() {
    if (error_ == 0 && fsync(descriptor_) != 0) {
      error_ = errno;
    }
    if (error_ != 0) {
      fail_with(error_, temporary_, "cannot be written");
    }
    if (rename(temporary_.c_str(), path_.c_str()) != 0) {
      fail_with(errno, path_, "cannot be put in place");
    }
    close(std::exchange(descriptor_, -1));
    sync_folder();
  }

 private:
  [[noreturn]] static void fail_with(int error, const std::string& path, const char* what) {
    fail(LT_IO, path + " " + what + ": " + std::strerror(error));
  }

  // So that the name too outlives a power cut. Not every file system can.
  void sync_folder() const {
    size_t slash = path_.rfind('/');
    std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
    int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0) {
      (void)fsync(descriptor);
      close(descriptor);
    }
  }

  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
  int error_ = 0;
};

bool is_utf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    auto first = static_cast<unsigned char>(text[i]);
    size_t length = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    if (length == 0 || i + length > text.size()) {
      return false;
    }
    uint32_t point = length == 1 ? first : first & (0x7FU >> length);
    for (size_t j = 1; j < length; j++) {
      auto next = static_cast<unsigned char>(text[i + j]);
      if (next >> 6 != 2) {
        return false;
      }
      point = point << 6 | (next & 0x3FU);
    }
    constexpr uint32_t kLowest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < kLowest[length] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) {
      return false;
    }
    i += length;
  }
  return true;
}

// Tensors as they are to be written: without history, in host memory. Those that share a storage go on sharing one.
class Written final {
 public:
  at::Tensor of(const at::Tensor& tensor, const std::string& name) {
    if (tensor.layout() != c10::kStrided || tensor.is_quantized() || tensor.is_complex()) {
      fail(LT_UNSUPPORTED, "\"" + name + "\" is sparse, quantized or complex");
    }
    c10::ScalarType dtype = tensor.scalar_type();
    if (dtype == c10::kUInt16 || dtype == c10::kUInt32 || dtype == c10::kUInt64) {
      // The Pickler would name torch.UInt16Storage, which Python has not.
      fail(LT_UNSUPPORTED, "\"" + name + "\" is of an unsigned type beyond 8 bits: write it as a signed one");
    }
    at::Tensor plain = tensor.detach().resolve_neg();
    const void* storage = plain.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl();
    auto [entry, is_new] = storages_.try_emplace(storage);
    if (is_new) {
      entry->second.original = plain;
      auto elements = static_cast<int64_t>(plain.storage().nbytes() / plain.element_size());
      if (!plain.is_cpu()) {
        entry->second.copy = plain.as_strided({elements}, {1}, 0).cpu();
      }
    } else if (entry->second.original.scalar_type() != plain.scalar_type()) {
      return plain.cpu().clone();  // the file knows one dtype for a storage
    }
    const at::Tensor& copy = entry->second.copy;
    return copy.defined() ? copy.as_strided(plain.sizes(), plain.strides(), plain.storage_offset()) : plain;
  }

 private:
  struct Storage {
    at::Tensor original;  // held, so that no address is used twice
    at::Tensor copy;      // of all of it in host memory; undefined where it lies there
  };
  std::unordered_map<const void*, Storage> storages_;
};

// The value that an array in pre-order describes.
class Description final {
 public:
  Description(const lt_value* values, int64_t count) : values_(values), count_(count) {}

  c10::IValue whole() {
    c10::IValue value = next("the value", 0);
    if (at_ < count_) {
      fail(LT_INVALID_ARGUMENT,
           "of " + std::to_string(count_) + " values, the first " + std::to_string(at_) + " describe all there is");
    }
    return value;
  }

 private:
  // The Pickler, and those who read what it wrote, go down by recursion.
  static constexpr int kDeepest = 64;

  c10::IValue next(const std::string& path, int depth) {
    if (at_ == count_) {
      fail(LT_INVALID_ARGUMENT, "the values end before " + path);
    }
    const lt_value& value = values_[at_++];
    switch (value.tag) {
      case LT_VALUE_NONE:
        return {};
      case LT_VALUE_TENSOR:
        require_pointer(value.as.tensor, path.c_str());
        return written_.of(retained(value.as.tensor), path);
      case LT_VALUE_INT:
        return value.as.integer;
      case LT_VALUE_DOUBLE:
        return value.as.real;
      case LT_VALUE_BOOL:
        return value.as.integer != 0;
      case LT_VALUE_STRING:
        return text(value, path);
      case LT_VALUE_LIST: {
        require_length(value, path, depth);
        c10::impl::GenericList list(c10::AnyType::get());
        for (int32_t i = 0; i < value.length; i++) {
          list.push_back(next(path + "[" + std::to_string(i) + "]", depth + 1));
        }
        return list;
      }
      case LT_VALUE_DICT: {
        require_length(value, path, depth);
        c10::impl::GenericDict dict(c10::AnyType::get(), c10::AnyType::get());
        for (int32_t i = 0; i < value.length; i++) {
          auto [key, name] = next_key(path);
          std::string below = depth == 0 ? name : path + "." + name;
          if (dict.contains(key)) {
            fail(LT_INVALID_ARGUMENT, "\"" + below + "\" is there twice");
          }
          dict.insert(key, next(below, depth + 1));
        }
        return dict;
      }
      default:
        fail(LT_INVALID_ARGUMENT, path + " has tag " + std::to_string(value.tag) + ", which no file has a place for");
    }
  }

  std::pair<c10::IValue, std::string> next_key(const std::string& path) {
    if (at_ == count_) {
      fail(LT_INVALID_ARGUMENT, "the values end before a key of " + path);
    }
    const lt_value& key = values_[at_++];
    if (key.tag == LT_VALUE_INT) {
      return {key.as.integer, std::to_string(key.as.integer)};
    }
    require(key.tag == LT_VALUE_STRING, path + " has a key that is no string and no int");
    std::string name = text(key, "a name in " + path);
    return {name, name};
  }

  static std::string text(const lt_value& value, const std::string& path) {
    require(value.length >= 0, path + " has a negative length");
    require(value.length == 0 || value.as.string != nullptr, path + " is NULL");
    std::string text(value.length == 0 ? "" : value.as.string, static_cast<size_t>(value.length));
    require(is_utf8(text), path + " is not UTF-8");
    return text;
  }

  static void require_length(const lt_value& value, const std::string& path, int depth) {
    require(value.length >= 0, path + " has a negative length");
    require(depth < kDeepest, path + " is more than " + std::to_string(kDeepest) + " levels deep");
  }

  const lt_value* values_;
  int64_t count_;
  int64_t at_ = 0;
  Written written_;
};

}  // namespace

lt_status lt_pickle_write(const char* path, const lt_value* values, int64_t count, lt_error* err) {
  return guard(err, "lt_pickle_write", [&] {
    require_pointer(path, "path");
    require(path[0] != '\0', "path is empty");
    require_pointer(values, "values");
    require(count > 0, "there is no value");
    Description description(values, count);
    c10::IValue value = description.whole();

    std::string pickle;
    torch::jit::Pickler pickler([&](const char* bytes, size_t size) { pickle.append(bytes, size); }, nullptr, nullptr,
                                nullptr, nullptr, /*tag_aggregates=*/false);
    pickler.protocol();
    pickler.pushIValue(value);
    pickler.stop();

    NewFile file(path);
    {
      caffe2::serialize::PyTorchStreamWriter writer([&](const void* bytes, size_t size) {
        file.append(bytes, size);
        return size;
      });
      writer.writeRecord("data.pkl", pickle.data(), pickle.size());
      writer.writeRecord(".format_version", "1", 1);
      writer.writeRecord("byteorder", "little", 6);
      const std::vector<at::Tensor>& storages = pickler.tensorData();
      for (size_t i = 0; i < storages.size(); i++) {
        const c10::Storage& storage = storages[i].storage();
        writer.writeRecord("data/" + std::to_string(i), storage.data(), storage.nbytes());
      }
      writer.writeEndOfFile();
    }
    file.finish();
  });
}
