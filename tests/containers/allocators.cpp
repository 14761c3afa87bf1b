// SPDX-License-Identifier: BSL-1.0
// The allocators themselves: what the standard asks of them, sizes, alignment, allocate_at_least.
#include <concepts>
#include <cstdint>
#include <forward_list>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "support.hpp"

using namespace containers;

namespace {

template <class T>
using stateful = over_tiny::allocator<T>;
template <class T>
using stateless = over_static::allocator<T>;

struct incomplete;

// [allocator.requirements], for A = the allocator of T and B = the one of U
template <class A, class B>
concept meets_allocator_requirements = std::is_nothrow_copy_constructible_v<A> &&
    std::is_nothrow_move_constructible_v<A> && std::is_nothrow_copy_assignable_v<A> &&
    std::is_nothrow_move_assignable_v<A> && std::is_nothrow_constructible_v<A, const B&> &&
    std::is_nothrow_constructible_v<B, const A&> && std::is_convertible_v<const B&, A> &&
    std::same_as<typename std::allocator_traits<A>::template rebind_alloc<typename B::value_type>, B>&&
        std::same_as<typename std::allocator_traits<B>::template rebind_alloc<typename A::value_type>, A>&&
            std::same_as<typename std::allocator_traits<A>::pointer, typename A::value_type*>&& requires(
                A a, const A& ca, const B& cb, std::size_t n, typename A::value_type* p) {
  { a.allocate(n) } -> std::same_as<typename A::value_type*>;
  { a.deallocate(p, n) }
  noexcept;
  { ca == ca }
  noexcept->std::same_as<bool>;
  { ca != ca }
  noexcept->std::same_as<bool>;
  { ca == cb }
  noexcept->std::same_as<bool>;
  { ca != cb }
  noexcept->std::same_as<bool>;
  { a.allocate_at_least(n).ptr } -> std::convertible_to<typename A::value_type*>;
  { a.allocate_at_least(n).count } -> std::convertible_to<std::size_t>;
};

static_assert(meets_allocator_requirements<stateful<int>, stateful<std::string>>);
static_assert(meets_allocator_requirements<stateless<int>, stateless<std::string>>);
static_assert(meets_allocator_requirements<miniheap::miniheap_allocator<int>, miniheap::miniheap_allocator<double>>);

using stateful_traits = std::allocator_traits<stateful<int>>;
static_assert(stateful_traits::propagate_on_container_copy_assignment::value);
static_assert(stateful_traits::propagate_on_container_move_assignment::value);
static_assert(stateful_traits::propagate_on_container_swap::value);
static_assert(!stateful_traits::is_always_equal::value);
static_assert(!std::is_default_constructible_v<stateful<int>>, "an arena must be named");
static_assert(std::is_convertible_v<tiny_arena&, stateful<int>>, "so that a container can be made from an arena");
static_assert(!std::is_constructible_v<stateful<int>, tiny_arena>, "and not from one that is about to die");
static_assert(!std::is_constructible_v<stateful<int>, const tiny_arena&>);
static_assert(!std::is_constructible_v<stateful<int>, default_arena&>);
static_assert(sizeof(stateful<int>) == sizeof(void*));
static_assert(std::is_trivially_copyable_v<stateful<int>>);

using stateless_traits = std::allocator_traits<stateless<int>>;
static_assert(stateless_traits::is_always_equal::value);
static_assert(std::is_default_constructible_v<stateless<int>>);
static_assert(std::is_empty_v<stateless<int>>);

// The stateless form takes no room in a container.
template <class T>
using plain = std::allocator<T>;
using pair = std::pair<const int, int>;
static_assert(sizeof(std::vector<int, stateless<int>>) == sizeof(std::vector<int>));
static_assert(sizeof(std::list<int, stateless<int>>) == sizeof(std::list<int>));
static_assert(sizeof(std::forward_list<int, stateless<int>>) == sizeof(std::forward_list<int>));
static_assert(sizeof(std::set<int, std::less<>, stateless<int>>) == sizeof(std::set<int, std::less<>>));
static_assert(sizeof(std::map<int, int, std::less<>, stateless<pair>>) == sizeof(std::map<int, int, std::less<>>));
static_assert(sizeof(std::unordered_map<int, int, std::hash<int>, std::equal_to<>, stateless<pair>>) ==
              sizeof(std::unordered_map<int, int, std::hash<int>, std::equal_to<>, plain<pair>>));
static_assert(sizeof(std::basic_string<char, std::char_traits<char>, stateless<char>>) == sizeof(std::string));

// Members of incomplete type, as the standard allows for vector, list and forward_list.
struct tree {
  std::vector<tree, stateful<tree>> children;
  std::list<incomplete, stateful<incomplete>>* others = nullptr;
};

template <std::size_t Alignment>
struct alignas(Alignment) aligned {
  int value;
};

bool is_aligned(const void* p, std::size_t alignment) { return reinterpret_cast<std::uintptr_t>(p) % alignment == 0; }

template <std::size_t Alignment, class Environment>
void over_aligned(Environment& env) {
  using element = aligned<Alignment>;
  using allocator = typename Environment::template allocator<element>;
  INFO("alignment " << Alignment);
  {
    std::vector<element, allocator> vector(env.template get<element>());
    std::list<element, allocator> list(env.template get<element>());
    for (int i = 0; i < 40; ++i) {
      vector.push_back({i});
      list.push_back({i});
      require(is_aligned(vector.data(), Alignment) && is_aligned(&list.back(), Alignment), "aligned elements");
    }
    require_valid(env.arena);
    int i = 0;
    for (const auto& e : list) {
      require(e.value == i && vector[static_cast<std::size_t>(i)].value == i, "the elements that were added");
      ++i;
    }
  }
  require_empty(env.arena);
}

}  // namespace

TEST_CASE("allocators are equal iff they share an arena", "[containers][allocator]") {
  tiny_arena one{"one"};
  tiny_arena two{"two"};
  const stateful<int> a(one);
  const stateful<int> b(two);
  const stateful<double> rebound(a);
  REQUIRE(a == stateful<int>(one));
  REQUIRE(a != b);
  REQUIRE(a == rebound);
  REQUIRE(rebound != b);
  REQUIRE(&rebound.arena() == &one);
  REQUIRE(stateful<int>(rebound) == a);
  REQUIRE(stateless<int>() == stateless<double>());
}

TEST_CASE("memory from a rebound copy goes back through any other", "[containers][allocator]") {
  tiny_arena arena{"rebound"};
  stateful<int> a(arena);
  int* const p = a.allocate(100);
  for (int i = 0; i < 100; ++i) p[i] = i;
  REQUIRE(arena.stats().allocations == 1);
  stateful<int>(stateful<double>(a)).deallocate(p, 100);
  require_empty(arena);
}

TEMPLATE_TEST_CASE("allocate_at_least gives what was asked or more, all of it usable", "[containers][allocator]",
                   over_tiny, over_default, over_static) {
  TestType env;
  auto a = env.template get<std::uint32_t>();
  for (std::size_t n = 1; n < 100'000; n = n * 9 / 8 + 1) {
    const auto got = a.allocate_at_least(n);
    REQUIRE(got.count >= n);
    REQUIRE(got.count * sizeof(std::uint32_t) <= env.arena.usable_size(got.ptr));
    for (std::size_t i = 0; i < got.count; ++i) got.ptr[i] = static_cast<std::uint32_t>(i);
    require_valid(env.arena);
    // The standard allows any size from the one asked for to the one given.
    const std::size_t sizes[] = {n, got.count, (n + got.count) / 2};
    a.deallocate(got.ptr, sizes[n % 3]);
  }
  require_empty(env.arena);
}

TEMPLATE_TEST_CASE("arrays whose size no size_t holds", "[containers][allocator]", over_tiny, over_static) {
  TestType env;
  auto a = env.template get<std::uint64_t>();
  const auto before = env.arena.stats().mapped_bytes;
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  for (const std::size_t n : {most / 8 + 1, most / 8 + 2, most / 2, most}) {
    REQUIRE_THROWS_AS(a.allocate(n), std::bad_array_new_length);
    REQUIRE_THROWS_AS(a.allocate_at_least(n), std::bad_array_new_length);
  }
  REQUIRE_THROWS_AS(a.allocate(most / 8), std::bad_alloc);  // a size, but not one that there is
  REQUIRE_THROWS_AS(a.allocate(most / 16), std::bad_alloc);
  REQUIRE(env.arena.stats().mapped_bytes == before);
  require_empty(env.arena);
}

TEMPLATE_TEST_CASE("allocate(0) may be given back", "[containers][allocator]", over_tiny, over_static) {
  TestType env;
  auto a = env.template get<int>();
  int* const p = a.allocate(0);
  a.deallocate(p, 0);
  require_empty(env.arena);
}

TEMPLATE_TEST_CASE("over-aligned elements", "[containers][allocator]", over_tiny, over_static) {
  TestType env;
  over_aligned<32>(env);
  over_aligned<64>(env);
  over_aligned<512>(env);
  over_aligned<4096>(env);
  over_aligned<16384>(env);   // more than a page
  over_aligned<131072>(env);  // more than a tiny miniheap
}

TEST_CASE("a container of its own incomplete type", "[containers][allocator]") {
  tiny_arena arena{"tree"};
  {
    tree root{decltype(tree::children)(arena)};
    for (int i = 0; i < 10; ++i) root.children.push_back(tree{decltype(tree::children)(arena)});
    root.children[3].children.push_back(tree{decltype(tree::children)(arena)});
    REQUIRE(arena.stats().allocations == 2);
    const tree copy = root;
    REQUIRE(copy.children[3].children.size() == 1);
    REQUIRE(arena.stats().allocations == 4);
    require_valid(arena);
  }
  require_empty(arena);
}
