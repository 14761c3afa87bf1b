// SPDX-License-Identifier: BSL-1.0
// std::pmr containers over a miniheap_resource.
#include <miniheap/resource.hpp>

#include <cstdint>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <memory_resource>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "support.hpp"

using namespace containers;
using miniheap::miniheap_resource;

static_assert(std::is_base_of_v<std::pmr::memory_resource, miniheap_resource<>>);
static_assert(std::is_constructible_v<miniheap_resource<tiny_arena>, tiny_arena&>);
static_assert(!std::is_default_constructible_v<miniheap_resource<>>, "an arena must be named");

TEST_CASE("resources are equal iff they share an arena", "[containers][resource]") {
  tiny_arena one{"one"};
  tiny_arena two{"two"};
  default_arena other_type{"other"};
  const miniheap_resource<tiny_arena> a(one);
  const miniheap_resource<tiny_arena> a_again(one);
  const miniheap_resource<tiny_arena> b(two);
  const miniheap_resource<default_arena> c(other_type);
  REQUIRE(a.is_equal(a));
  REQUIRE(a == a_again);
  REQUIRE(a != b);
  REQUIRE(!a.is_equal(c));
  REQUIRE(!c.is_equal(a));
  REQUIRE(&a.arena() == &one);
  REQUIRE(!a.is_equal(*std::pmr::new_delete_resource()));
}

TEMPLATE_TEST_CASE("sizes and alignments through a resource", "[containers][resource]", tiny_arena, default_arena) {
  TestType arena{"resource"};
  miniheap_resource<TestType> resource(arena);
  for (std::size_t alignment = 1; alignment <= 8 * MiB; alignment *= 8) {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{24}, 3 * KiB, 100 * KiB, 5 * MiB}) {
      INFO(bytes << " bytes, alignment " << alignment);
      void* const p = resource.allocate(bytes, alignment);
      REQUIRE(reinterpret_cast<std::uintptr_t>(p) % alignment == 0);
      if (bytes > 0) {
        static_cast<char*>(p)[0] = 'a';
        static_cast<char*>(p)[bytes - 1] = 'z';
      }
      require_valid(arena);
      resource.deallocate(p, bytes, alignment);
    }
  }
  const volatile std::size_t most = std::numeric_limits<std::size_t>::max();  // compilers warn where they can see it
  REQUIRE_THROWS_AS(resource.allocate(most, 16), std::bad_alloc);
  const volatile std::size_t impossible = std::size_t{1} << 63;
  REQUIRE_THROWS_AS(resource.allocate(16, impossible), std::bad_alloc);
  require_empty(arena);
}

TEMPLATE_TEST_CASE("pmr containers, nested", "[containers][resource]", tiny_arena, default_arena) {
  TestType arena{"resource"};
  miniheap_resource<TestType> resource(arena);
  // Whoever forgets the resource must not go unnoticed.
  std::pmr::memory_resource* const usual = std::pmr::set_default_resource(std::pmr::null_memory_resource());
  {
    std::pmr::unordered_map<int, std::pmr::vector<std::pmr::string>> table(&resource);
    std::pmr::map<std::pmr::string, int> sorted(&resource);
    for (int i = 0; i < 500; ++i) {
      auto& strings = table[i];
      for (int k = 0; k < i % 7; ++k) strings.emplace_back("a string that is longer than its own buffer is");
      if (!strings.empty()) sorted[strings.front()] = i;
      REQUIRE(strings.get_allocator().resource() == &resource);
    }
    require_valid(arena);
    auto moved = std::move(table);
    REQUIRE(moved.size() == 500);
    for (int i = 0; i < 500; ++i) REQUIRE(moved.at(i).size() == static_cast<std::size_t>(i % 7));
    for (int i = 0; i < 500; i += 2) moved.erase(i);
    require_valid(arena);
    REQUIRE(sorted.size() == 1);
    REQUIRE(arena.stats().allocations > 750);
  }
  std::pmr::set_default_resource(usual);
  require_empty(arena);
}

TEST_CASE("pmr does not propagate: elements move one by one between resources", "[containers][resource]") {
  tiny_arena one{"one"};
  tiny_arena two{"two"};
  miniheap_resource<tiny_arena> r1(one);
  miniheap_resource<tiny_arena> r2(two);
  {
    std::pmr::list<tracked> a(&r1);
    for (int i = 0; i < 100; ++i) a.emplace_back(i);
    std::pmr::list<tracked> b(&r2);
    b = std::move(a);
    REQUIRE(b.get_allocator().resource() == &r2);
    REQUIRE(b.size() == 100);
    REQUIRE(b.back().value() == 99);
    REQUIRE(two.stats().allocations == 100);
    require_valid(one);
    require_valid(two);
  }
  require_empty(one);
  require_empty(two);
}

TEST_CASE("the standard's pools work on top", "[containers][resource]") {
  default_arena arena{"upstream"};
  miniheap_resource<default_arena> resource(arena);
  {
    std::pmr::unsynchronized_pool_resource pool(&resource);
    std::pmr::monotonic_buffer_resource monotonic(&resource);
    std::pmr::map<int, int> pooled(&pool);
    std::pmr::deque<int> bumped(&monotonic);
    for (int i = 0; i < 20'000; ++i) pooled[i] = i, bumped.push_back(i);
    require_valid(arena);
    REQUIRE(pooled.at(19'999) == bumped.back());
  }
  require_empty(arena);
}
