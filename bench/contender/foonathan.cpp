// SPDX-License-Identifier: BSL-1.0
// foonathan's memory_pool: nodes of one size, never given back before the pool ends, no lock.

#include "../harness.hpp"
#include "concept.hpp"

// Debian keeps the headers one directory lower than their own include path; they include each other relatively.
#if __has_include(<foonathan/memory/memory_pool.hpp>)
#include <foonathan/memory/memory_pool.hpp>
#include <foonathan/memory/std_allocator.hpp>
#else
#include <foonathan_memory/foonathan/memory/memory_pool.hpp>
#include <foonathan_memory/foonathan/memory/std_allocator.hpp>
#endif

#include <cstddef>

namespace bench {

struct foonathan_pool {
  static constexpr const char* name = "foonathan_pool";
  static constexpr bool serves_arrays = false;
  static constexpr bool reuses = true;

  using pool = foonathan::memory::memory_pool<>;

  explicit foonathan_pool(std::size_t node_bytes) : pool_{node_bytes, pool::min_block_size(node_bytes, first_nodes)} {}

  template <class T>
  foonathan::memory::std_allocator<T, pool> make() noexcept {
    return pool_;
  }

  void rest() noexcept {}

 private:
  static constexpr std::size_t first_nodes = 1024;  // it doubles from there

  pool pool_;
};

static_assert(contender<foonathan_pool>);

}  // namespace bench

int main(int argc, char** argv) { return bench::run<bench::foonathan_pool>(argc, argv); }
