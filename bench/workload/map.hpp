// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "common.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bench {

using map_entry = std::pair<const std::uint64_t, std::uint64_t>;

template <class Allocator>
using map_of = std::map<std::uint64_t, std::uint64_t, std::less<>, Allocator>;

// A map keeps its size: a random entry is erased, and one with a new random key inserted.
// insert, not emplace: libstdc++'s emplace looks before it allocates for std::allocator, and after for all others.
template <contender Contender, std::size_t Entries>
void map_churn(benchmark::State& state) {
  constexpr std::size_t replacements = 1000;
  Contender contender{node_bytes<map_of<probe<map_entry>>>([](auto& m) { m[0] = 0; })};
  auto allocator = contender.template make<map_entry>();
  map_of<decltype(allocator)> map(allocator);
  std::vector<std::uint64_t> keys(Entries);
  numbers random;
  for (std::uint64_t& key : keys) {
    key = random.next64();
    map.insert({key, key});
  }
  const auto replace = [&] {
    std::uint64_t& key = keys[random.below(Entries)];
    map.erase(map.find(key));
    key = random.next64();
    map.insert({key, key});
  };
  for (std::size_t i = 0; i < 3 * Entries; ++i) {  // away from the order of the first insertions
    replace();
  }
  for (auto _ : state) {
    for (std::size_t i = 0; i < replacements; ++i) {
      replace();
    }
  }
  count_operations(state, replacements);
}

template <contender Contender>
void register_map() {
  if constexpr (Contender::reuses) {
    add("map_churn/1000", Contender::name, map_churn<Contender, 1'000>);
    add("map_churn/100000", Contender::name, map_churn<Contender, 100'000>);
  }
}

}  // namespace bench
