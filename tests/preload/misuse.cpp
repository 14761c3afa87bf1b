// SPDX-License-Identifier: BSL-1.0
// Does one misdeed, named by its first argument, to an allocation as long as the second one says; the script looks at
// how that ends.
#include "expect.hpp"

#include <malloc.h>

#include <atomic>
#include <thread>

using namespace preload_tests;

extern "C" [[gnu::weak]] void free_sized(void* p, std::size_t bytes) noexcept;
extern "C" [[gnu::weak]] void free_aligned_sized(void* p, std::size_t alignment, std::size_t bytes) noexcept;

namespace {

template <class T>
T* hidden(T* p) {  // from the compiler, which warns
  T* volatile unseen = p;
  return unseen;
}

char global[64];

}  // namespace

int main(int count, char** arguments) {
  expect_replaced();
  expect(count == 3, "a misdeed is named, and a size");
  const auto is = [&](const char* name) { return std::strcmp(arguments[1], name) == 0; };
  const std::size_t bytes = std::strtoul(arguments[2], nullptr, 10);
  char* others[5];
  for (char*& other : others) other = static_cast<char*>(std::malloc(bytes));
  char* const p = static_cast<char*>(std::malloc(bytes));
  if (bytes != 0) std::memset(p, 1, bytes);
  if (is("nothing")) {
    std::free(p);
  } else if (is("double-free")) {
    std::free(p);
    std::free(hidden(p));
  } else if (is("double-free-later")) {
    std::free(p);
    for (char* const other : others) std::free(other);
    for (int n = 0; n < 3; ++n) std::free(std::malloc(bytes + 500));
    std::free(hidden(p));
  } else if (is("double-free-elsewhere")) {
    std::atomic<bool> is_freed{false};  // a thread that starts allocates, perhaps what was freed
    std::thread other{[&] {
      is_freed.wait(false);
      std::free(hidden(p));
    }};
    std::free(p);
    is_freed = true;
    is_freed.notify_one();
    other.join();
  } else if (is("double-delete")) {
    ::operator delete(static_cast<void*>(p));
    ::operator delete(static_cast<void*>(hidden(p)));
  } else if (is("freed-realloc")) {
    std::free(p);
    expect(std::realloc(hidden(p), bytes + 1000) == nullptr, "it is stopped");
  } else if (is("freed-usable-size")) {
    std::free(p);
    expect(malloc_usable_size(hidden(p)) == 0, "it is stopped");
  } else if (is("global")) {
    std::free(hidden(global + 16));
  } else if (is("stack")) {
    char local[64];
    std::free(hidden(local + 16));
  } else if (is("interior")) {
    std::free(hidden(p + 16));
  } else if (is("unaligned")) {
    std::free(hidden(p + 1));
  } else if (is("wrong-size")) {
    free_sized(p, bytes + 5000);
  } else if (is("size-less-one")) {
    free_sized(p, bytes - 1);
  } else if (is("wrong-alignment")) {
    free_aligned_sized(p, 256, bytes);
  } else if (is("overflow-1")) {
    hidden(p)[bytes] = 0;
    std::free(p);
  } else if (is("overflow-8")) {
    std::memset(hidden(p) + bytes, 'A', 8);
    std::free(p);
  } else if (is("overflow-kept")) {
    hidden(p)[bytes] = 1;
  } else if (is("underflow")) {
    std::memset(hidden(p) - 8, 'A', 8);
  } else if (is("far-overflow")) {
    for (std::size_t at = 0; at < 8 << 20; at += 8) hidden(p)[at] = 0;
  } else if (is("write-after-free")) {
    std::free(p);
    hidden(p)[bytes / 2] = 1;
    for (int n = 0; n < 20000; ++n) std::free(std::malloc(bytes));
  } else if (is("write-after-free-at-end")) {
    std::free(p);
    hidden(p)[bytes / 2] = 1;
  } else if (is("read-after-free")) {
    std::free(p);
    for (std::size_t n = 0; n < bytes; ++n) expect(hidden(p)[n] == 0, "what was freed reads as zero");
  } else if (is("fresh-read")) {
    std::free(p);
    for (int n = 0; n < 100; ++n) {
      auto* const q = static_cast<char*>(std::malloc(bytes));
      for (std::size_t at = 0; at < bytes; ++at) expect(q[at] == 0, "what is new reads as zero");
      std::memset(q, 1, bytes);
      if (n % 2 == 0) std::free(q);
    }
  } else if (is("zero-write")) {
    *static_cast<volatile char*>(std::malloc(0)) = 1;
  } else if (is("zero-read")) {
    return *static_cast<volatile char*>(std::malloc(0));
  } else {
    expect(false, "the misdeed is known");
  }
}
