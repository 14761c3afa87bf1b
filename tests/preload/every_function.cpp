// SPDX-License-Identifier: BSL-1.0
// Every name that the library gives to the program does what it says, and all of them work on the same memory.
#include <malloc.h>
#include <cerrno>
#include <cstdint>
#include <new>

#include "expect.hpp"

using namespace preload_tests;

// libc does not have these yet, so only the library can provide them.
extern "C" {
[[gnu::weak]] void free_sized(void* p, std::size_t bytes) noexcept;
[[gnu::weak]] void free_aligned_sized(void* p, std::size_t alignment, std::size_t bytes) noexcept;
}

namespace {

constexpr std::size_t bytes = 1000;
constexpr std::size_t alignment = 512;
constexpr std::align_val_t aligned{alignment};

/// `p` is memory of ours, at a multiple of `power`, and counted.
void* sound(void* p, std::size_t power = 16, std::size_t live_bytes = bytes) {
  expect(p != nullptr && reinterpret_cast<std::uintptr_t>(p) % power == 0, "memory is aligned");
  expect(::malloc_usable_size(p) >= live_bytes, "the usable size is known");
  expect(::mallinfo2().uordblks >= live_bytes, "what is live is counted");
  std::memset(p, 1, ::malloc_usable_size(p));
  return p;
}

/// Allocates by `make` and frees by `end`; nothing may be left.
template <class Make, class End>
void pair(Make make, End end) {
  const std::size_t before = ::mallinfo2().uordblks;
  for (int n = 0; n < 3; ++n) end(make());
  expect(::mallinfo2().uordblks == before, "what is freed is gone");
}

void use_c() {
  const auto end = [](void* p) { std::free(p); };
  pair([] { return sound(std::malloc(bytes)); }, end);
  pair([] { return sound(std::calloc(bytes / 10, 10)); }, end);
  pair([] { return sound(std::realloc(nullptr, bytes)); }, end);
  pair([] { return sound(std::malloc(10), 16, 10); }, [](void* p) { std::free(sound(std::realloc(p, bytes))); });
  pair([] { return sound(::reallocarray(nullptr, bytes / 10, 10)); }, end);
  pair([] { return sound(std::aligned_alloc(alignment, bytes), alignment); }, end);
  pair([] { return sound(::memalign(alignment, bytes), alignment); }, end);
  pair([] { return sound(::valloc(bytes), 4096); }, end);
  pair([] { return sound(::pvalloc(bytes), 4096, 4096); }, end);
  pair(
      [] {
        void* p = nullptr;
        expect(::posix_memalign(&p, alignment, bytes) == 0, "posix_memalign succeeds");
        return sound(p, alignment);
      },
      end);
  pair([] { return sound(std::malloc(bytes)); }, [](void* p) { free_sized(p, bytes); });
  pair([] { return sound(std::aligned_alloc(alignment, bytes), alignment); },
       [](void* p) { free_aligned_sized(p, alignment, bytes); });
  pair([] { return sound(std::malloc(bytes)); },
       [](void* p) { expect(std::realloc(p, 0) == nullptr, "realloc to nothing frees"); });
}

void use_cpp() {
  const std::nothrow_t& no = std::nothrow;
  pair([] { return sound(::operator new(bytes)); }, [](void* p) { ::operator delete(p); });
  pair([] { return sound(::operator new(bytes)); }, [](void* p) { ::operator delete(p, bytes); });
  pair([] { return sound(::operator new[](bytes)); }, [](void* p) { ::operator delete[](p); });
  pair([] { return sound(::operator new[](bytes)); }, [](void* p) { ::operator delete[](p, bytes); });
  pair([&] { return sound(::operator new(bytes, no)); }, [&](void* p) { ::operator delete(p, no); });
  pair([&] { return sound(::operator new[](bytes, no)); }, [&](void* p) { ::operator delete[](p, no); });
  pair([] { return sound(::operator new(bytes, aligned), alignment); }, [](void* p) { ::operator delete(p, aligned); });
  pair([] { return sound(::operator new(bytes, aligned), alignment); },
       [](void* p) { ::operator delete(p, bytes, aligned); });
  pair([] { return sound(::operator new[](bytes, aligned), alignment); },
       [](void* p) { ::operator delete[](p, aligned); });
  pair([] { return sound(::operator new[](bytes, aligned), alignment); },
       [](void* p) { ::operator delete[](p, bytes, aligned); });
  pair([&] { return sound(::operator new(bytes, aligned, no), alignment); },
       [&](void* p) { ::operator delete(p, aligned, no); });
  pair([&] { return sound(::operator new[](bytes, aligned, no), alignment); },
       [&](void* p) { ::operator delete[](p, aligned, no); });
}

}  // namespace

int main() {
  expect_replaced();
  use_c();
  use_cpp();
  errno = 4711;
  std::free(std::malloc(20000000));
  expect(errno == 4711, "free keeps errno");
  volatile std::size_t too_many = std::size_t{1} << 62;
  expect(std::malloc(too_many) == nullptr && errno == ENOMEM, "too much is ENOMEM");
  expect(std::calloc(too_many, 4) == nullptr, "a product that overflows is refused");
  static_cast<void>(::malloc_trim(0));
  expect(::malloc_trim(0) == 0, "nothing is left to trim");
}
