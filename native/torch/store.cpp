// SPDX-License-Identifier: Apache-2.0
#include "store.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <string_view>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "handle.h"

using namespace lancetorch;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

lt_store* to_handle(c10::intrusive_ptr<c10d::Store> store) {
  auto made = std::make_unique<lt_store>(lt_store{std::move(store)});
  count_handle(LT_TORCH_STORE, 1);
  return made.release();
}

// TCPStore tries a name that does not resolve until its deadline, and then tells of a timeout.
void require_host(const char* host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* addresses = nullptr;
  int status = getaddrinfo(host, nullptr, &hints, &addresses);
  if (status != 0) {
    fail(LT_NOT_FOUND, "the host \"" + std::string(host) + "\" does not resolve: " + gai_strerror(status));
  }
  freeaddrinfo(addresses);
}

struct Address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
};

// What `host` is, if it is an address or localhost; of size 0 for another name, which may lead others to this machine by
// an address that it does not have itself.
Address address_of(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  if (host == "localhost") {
    hints.ai_family = AF_INET;
  } else {
    hints.ai_flags = AI_NUMERICHOST;
  }
  addrinfo* found = nullptr;
  Address address;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &found) == 0) {
    std::memcpy(&address.bytes, found->ai_addr, found->ai_addrlen);
    address.size = found->ai_addrlen;
    freeaddrinfo(found);
  }
  return address;
}

uint16_t port_of(int descriptor) {
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    return 0;
  }
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                           : reinterpret_cast<sockaddr_in&>(bound).sin_port);
}

// A socket bound to that address alone and to `port`: c10d's own listens on all addresses of the machine.
int bind_to(Address address, const std::string& host, uint16_t port) {
  auto* bytes = reinterpret_cast<sockaddr*>(&address.bytes);
  if (bytes->sa_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(bytes)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(bytes)->sin_port = htons(port);
  }
  int descriptor = socket(bytes->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int reuse = 1;  // as c10d: a port that was served a moment ago can be served again
  if (descriptor < 0 || setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) != 0 ||
      bind(descriptor, bytes, address.size) != 0 || listen(descriptor, SOMAXCONN) != 0) {
    std::string reason = std::strerror(errno);
    bool foreign = errno == EADDRNOTAVAIL;
    if (descriptor >= 0) {
      close(descriptor);
    }
    fail(LT_IO, "cannot listen on " + host + ", port " + std::to_string(port) + ": " + reason +
                    (foreign ? "; it is no address of this machine: where others reach it by that one, give its name, "
                               "on which the store listens on all addresses"
                             : ""));
  }
  return descriptor;
}

c10::intrusive_ptr<c10d::Store> connect(const char* host, c10d::TCPStoreOptions options) {
  try {
    return c10::make_intrusive<c10d::TCPStore>(host, options);
  } catch (const c10::Error& error) {
    if (!options.useLibUV || std::string_view(error.what_without_backtrace()).find("libuv") == std::string_view::npos) {
      throw;
    }
  }
  options.useLibUV = false;  // a libtorch that was built without it
  return c10::make_intrusive<c10d::TCPStore>(host, options);
}

c10::intrusive_ptr<c10d::Store> serve(const char* host, c10d::TCPStoreOptions options) {
  Address address = address_of(host);
  if (address.size == 0) {
    return connect(host, std::move(options));
  }
  int descriptor = bind_to(address, host, options.port);
  options.port = port_of(descriptor);
  options.masterListenFd = descriptor;
  try {
    return connect(host, options);
  } catch (...) {
    // Whether c10d has closed it depends on how far it came.
    if (port_of(descriptor) == options.port) {
      close(descriptor);
    }
    throw;
  }
}

}  // namespace

const c10d::TCPStore* lancetorch::tcp_store(const lt_store& store) {
  const c10d::Store* inner = store.store.get();
  while (const auto* prefixed = dynamic_cast<const c10d::PrefixStore*>(inner)) {
    inner = const_cast<c10d::PrefixStore*>(prefixed)->getUnderlyingStore().get();
  }
  return dynamic_cast<const c10d::TCPStore*>(inner);
}

lt_status lt_store_tcp(const char* host, int32_t port, int32_t world_size, int32_t is_server, int32_t wait_for_workers,
                       int64_t timeout_milliseconds, lt_store** store, lt_error* err) {
  return guard(err, "lt_store_tcp", [&] {
    require_pointer(host, "host");
    require_pointer(store, "store");
    require(port >= 0 && port <= 65535, "port is not 0 to 65535");
    require(port != 0 || is_server != 0, "only a server may leave the port open");
    require(world_size == -1 || world_size >= 1, "world_size is neither -1 nor 1 or more");
    require(timeout_milliseconds > 0, "timeout_milliseconds must be 1 or more");
    require_host(host);
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(port);
    options.isServer = is_server != 0;
    if (world_size > 0) {
      options.numWorkers = static_cast<size_t>(world_size);
    }
    options.waitWorkers = wait_for_workers != 0;
    options.timeout = milliseconds(timeout_milliseconds);
    *store = to_handle(options.isServer ? serve(host, options) : connect(host, options));
  });
}

lt_status lt_store_prefix(lt_store* store, const char* prefix, lt_store** prefixed, lt_error* err) {
  return guard(err, "lt_store_prefix", [&] {
    require_pointer(store, "store");
    require_pointer(prefix, "prefix");
    require_pointer(prefixed, "prefixed");
    *prefixed = to_handle(c10::make_intrusive<c10d::PrefixStore>(prefix, store->store));
  });
}

int32_t lt_store_port(const lt_store* store) {
  const c10d::TCPStore* tcp = store == nullptr ? nullptr : tcp_store(*store);
  return tcp == nullptr ? -1 : tcp->getPort();
}

lt_status lt_store_set(lt_store* store, const char* key, const void* value, int64_t size, lt_error* err) {
  return guard(err, "lt_store_set", [&] {
    require_pointer(store, "store");
    require_pointer(key, "key");
    require(size >= 0, "size is negative");
    require(size == 0 || value != nullptr, "value is NULL, and its size is not 0");
    const auto* bytes = static_cast<const uint8_t*>(value);
    store->store->set(key, std::vector<uint8_t>(bytes, bytes + size));
  });
}

lt_status lt_store_get(lt_store* store, const char* key, int64_t timeout_milliseconds, void* value, int64_t capacity,
                       int64_t* size, lt_error* err) {
  return guard(err, "lt_store_get", [&] {
    require_pointer(store, "store");
    require_pointer(key, "key");
    require_pointer(size, "size");
    require(timeout_milliseconds >= 0, "timeout_milliseconds is negative");
    require(capacity >= 0, "capacity is negative");
    require(capacity == 0 || value != nullptr, "value is NULL, and its capacity is not 0");
    // Asks again and again rather than by Store::wait, which holds the store's one connection: a thread that waits for
    // a key would keep out the thread that is to set it.
    steady_clock::time_point begin = steady_clock::now();
    std::chrono::microseconds pause(100);
    while (!store->store->check({key})) {
      auto left = std::chrono::duration_cast<std::chrono::microseconds>(begin + milliseconds(timeout_milliseconds) -
                                                                        steady_clock::now());
      if (left.count() <= 0) {
        fail(LT_TIMEOUT,
             "the key \"" + std::string(key) + "\" was not set within " + std::to_string(timeout_milliseconds) + " ms");
      }
      std::this_thread::sleep_for(std::min(pause, left));
      pause = std::min(pause * 2, std::chrono::microseconds(20'000));
    }
    std::vector<uint8_t> found = store->store->get(key);
    *size = static_cast<int64_t>(found.size());
    if (capacity > 0 && !found.empty()) {
      std::memcpy(value, found.data(), std::min(static_cast<size_t>(capacity), found.size()));
    }
  });
}

lt_status lt_store_add(lt_store* store, const char* key, int64_t amount, int64_t* sum, lt_error* err) {
  return guard(err, "lt_store_add", [&] {
    require_pointer(store, "store");
    require_pointer(key, "key");
    require_pointer(sum, "sum");
    *sum = store->store->add(key, amount);
  });
}

lt_status lt_store_check(lt_store* store, const char* key, int32_t* found, lt_error* err) {
  return guard(err, "lt_store_check", [&] {
    require_pointer(store, "store");
    require_pointer(key, "key");
    require_pointer(found, "found");
    *found = store->store->check({key}) ? 1 : 0;
  });
}

void lt_store_release(lt_store* store) {
  if (store != nullptr) {
    count_handle(LT_TORCH_STORE, -1);
    delete store;
  }
}
