// SPDX-License-Identifier: BSL-1.0
// Containers over different arenas meet: copy assignment, move assignment and swap take the allocator along, copy and
// move construction take the source's, and what is named explicitly wins.
#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "support.hpp"

using namespace containers;

namespace {

template <class T>
using allocator = over_tiny::allocator<T>;
using pair = std::pair<const tracked, tracked>;

template <class Container>
void insert(Container& container, int n) {
  for (int i = 0; i < n; ++i) {
    if constexpr (requires { typename Container::mapped_type; }) {
      container.emplace(i, i + n);
    } else if constexpr (requires { typename Container::key_type; }) {
      container.emplace(i);
    } else if constexpr (requires { container.push_back(0); }) {
      container.push_back(static_cast<typename Container::value_type>('a' + (i + n) % 26));
    } else {
      container.push_front(i + n);
    }
  }
}

/// Two arenas, which must both be valid at each stage and empty at the end.
struct two_arenas {
  tiny_arena one{"one"};
  tiny_arena two{"two"};

  void require_both_valid() const {
    require_valid(one);
    require_valid(two);
  }
  ~two_arenas() noexcept(false) {
    if (std::uncaught_exceptions() > 0) return;
    require_empty(one);
    require_empty(two);
  }
};

}  // namespace

TEMPLATE_TEST_CASE("containers over two arenas", "[containers][propagation]",
                   (std::vector<tracked, allocator<tracked>>), (std::deque<tracked, allocator<tracked>>),
                   (std::list<tracked, allocator<tracked>>), (std::forward_list<tracked, allocator<tracked>>),
                   (std::map<tracked, tracked, std::less<>, allocator<pair>>),
                   (std::multimap<tracked, tracked, std::less<>, allocator<pair>>),
                   (std::set<tracked, std::less<>, allocator<tracked>>),
                   (std::multiset<tracked, std::less<>, allocator<tracked>>),
                   (std::unordered_map<tracked, tracked, tracked_hash, std::equal_to<tracked>, allocator<pair>>),
                   (std::unordered_multimap<tracked, tracked, tracked_hash, std::equal_to<tracked>, allocator<pair>>),
                   (std::unordered_set<tracked, tracked_hash, std::equal_to<tracked>, allocator<tracked>>),
                   (std::unordered_multiset<tracked, tracked_hash, std::equal_to<tracked>, allocator<tracked>>),
                   (std::basic_string<char, std::char_traits<char>, allocator<char>>)) {
  using container = TestType;
  using allocator_type = typename container::allocator_type;
  two_arenas arenas;
  const allocator_type from_one(arenas.one);
  const allocator_type from_two(arenas.two);
  container a(from_one);
  container b(from_two);
  insert(a, 200);
  insert(b, 70);
  const container a_before(a);
  const container b_before(b);
  arenas.require_both_valid();

  SECTION("copy construction shares the source's arena, or uses the one that is named") {
    const auto live_two = arenas.two.stats().live_bytes;
    const container same(a);
    require(same.get_allocator() == from_one, "the source's arena");
    require(arenas.two.stats().live_bytes == live_two, "nothing from the other arena");
    const container named(a, from_two);
    require(named.get_allocator() == from_two, "the arena that is named");
    require(named == a, "equal elements");
    require(arenas.two.stats().live_bytes > live_two, "memory from the arena that is named");
  }
  SECTION("copy assignment takes the allocator along") {
    b = a;
    require(b.get_allocator() == from_one, "the allocator came along");
    require(b == a, "equal elements");
    insert(b, 10);
    require(a == a_before, "the source is as it was");
  }
  SECTION("move construction takes allocator and elements") {
    const auto live_one = arenas.one.stats().live_bytes;
    const container moved(std::move(a));
    require(moved.get_allocator() == from_one, "the allocator came along");
    require(moved == a_before, "equal elements");
    require(arenas.one.stats().live_bytes <= live_one + 4 * KiB, "no element was copied");
  }
  SECTION("move construction into another arena moves each element") {
    const auto live_two = arenas.two.stats().live_bytes;
    const container moved(std::move(a), from_two);
    require(moved.get_allocator() == from_two, "the arena that is named");
    require(moved == a_before, "equal elements");
    require(arenas.two.stats().live_bytes > live_two, "memory from the arena that is named");
  }
  SECTION("move assignment takes the allocator along and moves no element") {
    const auto live_one = arenas.one.stats().live_bytes;
    b = std::move(a);
    require(b.get_allocator() == from_one, "the allocator came along");
    require(b == a_before, "equal elements");
    require(arenas.one.stats().live_bytes <= live_one + 4 * KiB, "no element was copied");
  }
  SECTION("swap exchanges the allocators too") {
    swap(a, b);
    require(a.get_allocator() == from_two && b.get_allocator() == from_one, "the allocators changed places");
    require(a == b_before && b == a_before, "the elements changed places");
    insert(a, 300);
    insert(b, 300);
  }
  SECTION("each arena dies with the containers of the other in full health") {
    container kept(from_two);
    {
      tiny_arena short_lived{"short-lived"};
      container dies{allocator_type(short_lived)};
      insert(dies, 100);
      kept = container(dies, from_two);
      require_valid(short_lived);
    }
    require(kept.get_allocator() == from_two, "the arena that is named");
    insert(kept, 101);
  }
  arenas.require_both_valid();
}

TEST_CASE("list::merge and splice work within one arena", "[containers][propagation]") {
  two_arenas arenas;
  std::list<int, allocator<int>> a{allocator<int>(arenas.one)};
  std::list<int, allocator<int>> b{allocator<int>(arenas.two)};
  a.assign({1, 3, 5});
  b.assign({2, 4});
  b = std::list<int, allocator<int>>(b, allocator<int>(arenas.one));  // over to the other arena
  REQUIRE(arenas.two.stats().allocations == 0);
  a.merge(b);
  REQUIRE(a.size() == 5);
  REQUIRE(a.back() == 5);
}
