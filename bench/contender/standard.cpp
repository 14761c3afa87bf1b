// SPDX-License-Identifier: BSL-1.0
// What the standard library offers, over glibc's malloc.

#include "../harness.hpp"
#include "std_allocator.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <memory_resource>

namespace bench {

struct pmr_pool : ordinary {
  static constexpr const char* name = "pmr_pool";

  explicit pmr_pool(std::size_t) {}

  template <class T>
  std::pmr::polymorphic_allocator<T> make() noexcept {
    return &resource_;
  }

 private:
  std::pmr::unsynchronized_pool_resource resource_;
};

// The floor: it frees nothing, so nothing can be faster. Between rounds it starts again on memory it already touched.
struct pmr_monotonic {
  static constexpr const char* name = "pmr_monotonic";
  static constexpr bool serves_arrays = true;
  static constexpr bool reuses = false;

  explicit pmr_monotonic(std::size_t) {}

  template <class T>
  std::pmr::polymorphic_allocator<T> make() noexcept {
    return &resource_;
  }

  void rest() { resource_.release(); }

 private:
  static constexpr std::size_t first_bytes = std::size_t{64} << 20;  // more than any round allocates

  std::unique_ptr<std::byte[]> memory_ = std::make_unique_for_overwrite<std::byte[]>(first_bytes);
  std::pmr::monotonic_buffer_resource resource_{memory_.get(), first_bytes};
};

static_assert(contender<pmr_pool> && contender<pmr_monotonic>);

}  // namespace bench

int main(int argc, char** argv) {
  return bench::run<bench::std_allocator, bench::pmr_pool, bench::pmr_monotonic>(argc, argv);
}
