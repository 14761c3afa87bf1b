// SPDX-License-Identifier: BSL-1.0
// For programs that run with malloc replaced: a promise that is broken ends them with a line. Uses libc alone.
#pragma once

#include <dlfcn.h>
#include <unistd.h>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace preload_tests {

inline void expect(bool holds, const char* promise) {
  if (holds) return;
  const char prefix[] = "broken: ";
  const bool is_told = ::write(STDERR_FILENO, prefix, sizeof prefix - 1) > 0 &&
                       ::write(STDERR_FILENO, promise, std::strlen(promise)) > 0 && ::write(STDERR_FILENO, "\n", 1) > 0;
  ::_exit(is_told ? 1 : 2);
}

/// Without this a test could pass because the library was never loaded.
inline void expect_replaced() {
  Dl_info info{};
  void* const function = ::dlsym(RTLD_DEFAULT, "malloc");
  expect(::dladdr(function, &info) != 0 && std::strstr(info.dli_fname, "libminiheap_malloc") != nullptr,
         "malloc is the one of libminiheap_malloc.so");
}

/// An allocation that knows its own bytes.
struct filled {
  unsigned char* p;
  std::size_t bytes;
  unsigned char value;

  static filled make(std::size_t bytes, unsigned char value) {
    auto* const p = static_cast<unsigned char*>(std::malloc(bytes));
    expect(p != nullptr, "there is memory");
    std::memset(p, value, bytes);
    return {p, bytes, value};
  }

  void resize(std::size_t new_bytes) {
    p = static_cast<unsigned char*>(std::realloc(p, new_bytes));
    expect(p != nullptr, "there is memory to resize");
    verify(new_bytes < bytes ? new_bytes : bytes);
    std::memset(p, value, new_bytes);
    bytes = new_bytes;
  }

  void verify(std::size_t first_bytes) const {
    for (std::size_t i = 0; i < first_bytes; ++i) expect(p[i] == value, "an allocation keeps its bytes");
  }

  void end() const {
    verify(bytes);
    std::free(p);
  }
};

}  // namespace preload_tests
