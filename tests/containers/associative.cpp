// SPDX-License-Identifier: BSL-1.0
// map, multimap, set, multiset and their unordered forms, beside the same with std::allocator.
#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "support.hpp"

using namespace containers;

namespace {

using pair = std::pair<const tracked, tracked>;

template <class Environment, class T>
using allocator = typename Environment::template allocator<T>;

template <class Container>
constexpr bool is_map = requires {
  typename Container::mapped_type;
};

template <class Container>
auto element(int n) {
  if constexpr (is_map<Container>) {
    return typename Container::value_type(n, n * 7);
  } else {
    return typename Container::value_type(n);
  }
}

const auto insert = [](auto& container, int n) {
  using container_type = std::remove_reference_t<decltype(container)>;
  for (int i = 0; i < n; ++i) container.insert(element<container_type>((i * 37 + n) % 501));
};

/// The elements in an order that both forms have.
template <class Container>
auto sorted(const Container& container) {
  std::vector<std::pair<int, int>> all;
  for (const auto& e : container) {
    if constexpr (is_map<Container>) {
      all.emplace_back(e.first.value(), e.second.value());
    } else {
      all.emplace_back(e.value(), 0);
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

/// Random insertions and erasures beside a model; then node handles, which carry an allocator of their own.
template <class Container, class Model, class Environment>
void compare_with_model(Environment& env) {
  const auto from = env.template get<typename Container::value_type>();
  {
    Container container(from);
    Model model;
    sequence_of_numbers random;
    for (int step = 0; step < 6000; ++step) {
      const int key = random.below(800);
      if (random.below(step < 3000 ? 4 : 2) != 0) {
        container.insert(element<Container>(key));
        model.insert(element<Model>(key));
      } else {
        require(container.erase(key) == model.erase(key), "erase finds as many");
      }
      if (step % 500 == 0) {
        require(sorted(container) == sorted(model), "the same as std::allocator gives");
        require_valid(env.arena);
      }
    }
    require(sorted(container) == sorted(model), "the same as std::allocator gives");

    Container other(from);
    const auto before = env.arena.stats().allocations;
    const auto size = container.size();
    while (other.size() < size / 2) {
      auto node = container.extract(container.begin());
      require(node.get_allocator() == from, "a node knows its arena");
      other.insert(std::move(node));
    }
    // Nodes went over; at most an array of hash table slots came and went.
    const auto after = env.arena.stats().allocations;
    require(std::max(before, after) - std::min(before, after) <= 1, "nodes go over as they are");
    require(other.size() + container.size() == size, "no node is lost");
    { const auto dropped = other.extract(other.begin()); }
    require_valid(env.arena);
    other.merge(container);
    require(other.size() + container.size() == size - 1, "one node is lost");
  }
  require_empty(env.arena);
}

template <class Container, class Model, class Environment>
void all_of(Environment& env) {
  live_and_die<Container>(env, insert);
  compare_with_model<Container, Model>(env);
}

}  // namespace

TEMPLATE_TEST_CASE("map", "[containers]", over_tiny, over_default, over_static) {
  TestType env;
  all_of<std::map<tracked, tracked, std::less<>, allocator<TestType, pair>>, std::map<tracked, tracked, std::less<>>>(
      env);
}

TEST_CASE("multimap", "[containers]") {
  over_tiny env;
  all_of<std::multimap<tracked, tracked, std::less<>, allocator<over_tiny, pair>>,
         std::multimap<tracked, tracked, std::less<>>>(env);
}

TEST_CASE("set", "[containers]") {
  over_tiny env;
  all_of<std::set<tracked, std::less<>, allocator<over_tiny, tracked>>, std::set<tracked, std::less<>>>(env);
}

TEST_CASE("multiset", "[containers]") {
  over_tiny env;
  all_of<std::multiset<tracked, std::less<>, allocator<over_tiny, tracked>>, std::multiset<tracked, std::less<>>>(env);
}

TEMPLATE_TEST_CASE("unordered_map", "[containers]", over_tiny, over_default, over_static) {
  TestType env;
  using equal = std::equal_to<tracked>;
  all_of<std::unordered_map<tracked, tracked, tracked_hash, equal, allocator<TestType, pair>>,
         std::unordered_map<tracked, tracked, tracked_hash>>(env);

  SECTION("rehash: the array of slots passes through all sizes, to a mapping of its own") {
    std::unordered_map<int, int, std::hash<int>, std::equal_to<>, allocator<TestType, std::pair<const int, int>>> map(
        env.template get<std::pair<const int, int>>());
    for (int i = 0; i < 20'000; ++i) map.emplace(i, i * 3);
    for (int i = 0; i < 20'000; ++i) REQUIRE(map.at(i) == i * 3);
    map.rehash(1'000'000);
    REQUIRE(env.arena.stats().mappings == 1);
    REQUIRE(map.at(19'999) == 19'999 * 3);
    map.clear();
    map.rehash(1);
    REQUIRE(env.arena.stats().mappings == 0);
    require_valid(env.arena);
  }
  require_empty(env.arena);
}

TEST_CASE("unordered_multimap", "[containers]") {
  over_tiny env;
  using equal = std::equal_to<tracked>;
  all_of<std::unordered_multimap<tracked, tracked, tracked_hash, equal, allocator<over_tiny, pair>>,
         std::unordered_multimap<tracked, tracked, tracked_hash>>(env);
}

TEST_CASE("unordered_set", "[containers]") {
  over_tiny env;
  all_of<std::unordered_set<tracked, tracked_hash, std::equal_to<tracked>, allocator<over_tiny, tracked>>,
         std::unordered_set<tracked, tracked_hash>>(env);
}

TEST_CASE("unordered_multiset", "[containers]") {
  over_tiny env;
  all_of<std::unordered_multiset<tracked, tracked_hash, std::equal_to<tracked>, allocator<over_tiny, tracked>>,
         std::unordered_multiset<tracked, tracked_hash>>(env);
}
