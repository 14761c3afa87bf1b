// SPDX-License-Identifier: BSL-1.0
// Boost's pools of nodes.

#include "../harness.hpp"
#include "concept.hpp"

#include <boost/container/adaptive_pool.hpp>
#include <boost/container/node_allocator.hpp>
#include <boost/pool/pool_alloc.hpp>

#include <cstddef>

namespace bench {

// Boost.Container's allocators use their pools only in allocate_one; allocate(1) goes to dlmalloc. This makes a
// standard container use the pool for its nodes.
template <template <class> class Pool, class T>
struct one_at_a_time {
  using value_type = T;

  template <class U>
  struct rebind {
    using other = one_at_a_time<Pool, U>;
  };

  one_at_a_time() = default;

  template <class U>
  one_at_a_time(const one_at_a_time<Pool, U>&) noexcept {}

  T* allocate(std::size_t count) { return count == 1 ? Pool<T>{}.allocate_one() : Pool<T>{}.allocate(count); }

  void deallocate(T* p, std::size_t count) noexcept {
    if (count == 1) {
      Pool<T>{}.deallocate_one(p);
    } else {
      Pool<T>{}.deallocate(p, count);
    }
  }

  friend bool operator==(one_at_a_time, one_at_a_time) noexcept { return true; }
};

template <class T>
using adaptive_pool_of = boost::container::adaptive_pool<T>;
template <class T>
using node_allocator_of = boost::container::node_allocator<T>;

// Gives memory back when enough of it is free; shared by the whole program, under a lock that cannot be turned off.
struct boost_adaptive_pool : ordinary {
  static constexpr const char* name = "boost_adaptive_pool";

  explicit boost_adaptive_pool(std::size_t) noexcept {}

  template <class T>
  one_at_a_time<adaptive_pool_of, T> make() noexcept {
    return {};
  }
};

// Gives memory back only when asked to; shared and locked likewise.
struct boost_node_allocator : ordinary {
  static constexpr const char* name = "boost_node_allocator";

  explicit boost_node_allocator(std::size_t) noexcept {}

  template <class T>
  one_at_a_time<node_allocator_of, T> make() noexcept {
    return {};
  }
};

// Never gives memory back. It can serve arrays, at a price that grows with the pool, and advises against it.
struct boost_fast_pool {
  static constexpr const char* name = "boost_fast_pool";
  static constexpr bool serves_arrays = false;
  static constexpr bool reuses = true;

  explicit boost_fast_pool(std::size_t) noexcept {}

  template <class T>
  boost::fast_pool_allocator<T, boost::default_user_allocator_new_delete, boost::details::pool::null_mutex> make() {
    return {};
  }

  void rest() noexcept {}
};

static_assert(contender<boost_adaptive_pool> && contender<boost_node_allocator> && contender<boost_fast_pool>);

}  // namespace bench

int main(int argc, char** argv) {
  return bench::run<bench::boost_adaptive_pool, bench::boost_node_allocator, bench::boost_fast_pool>(argc, argv);
}
