// SPDX-License-Identifier: BSL-1.0
// mimalloc, three ways. Its shared library also replaces malloc, so std::allocator here means std::allocator over
// mimalloc; hence a program of its own, apart from those that measure glibc.

#include "../harness.hpp"
#include "std_allocator.hpp"

#include <mimalloc.h>

#include <cstddef>

namespace bench {

struct mimalloc : ordinary {
  static constexpr const char* name = "mimalloc";

  explicit mimalloc(std::size_t) noexcept {}

  template <class T>
  mi_stl_allocator<T> make() noexcept {
    return {};
  }
};

struct mimalloc_heap : ordinary {
  static constexpr const char* name = "mimalloc_heap";

  explicit mimalloc_heap(std::size_t) {}

  template <class T>
  mi_heap_stl_allocator<T> make() {
    return mi_heap_stl_allocator<T>{first_};
  }

 private:
  mi_heap_stl_allocator<std::byte>
      first_;  // it makes the mimalloc heap, and shares it with those that are made from it
};

static_assert(contender<mimalloc> && contender<mimalloc_heap>);

}  // namespace bench

int main(int argc, char** argv) {
  return bench::run<bench::std_allocator, bench::mimalloc, bench::mimalloc_heap>(argc, argv);
}
