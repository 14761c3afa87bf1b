// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "common.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace bench {

template <class Allocator>
using unordered_map_of =
    std::unordered_map<std::uint64_t, std::uint64_t, std::hash<std::uint64_t>, std::equal_to<>, Allocator>;

// An unordered_map is built from random keys, growing as it does by default, and destroyed.
template <contender Contender, std::size_t Entries>
void unordered_map_build_destroy(benchmark::State& state) {
  using entry = std::pair<const std::uint64_t, std::uint64_t>;
  Contender contender{node_bytes<unordered_map_of<probe<entry>>>([](auto& m) { m[0] = 0; })};
  auto allocator = contender.template make<entry>();
  std::vector<std::uint64_t> keys(Entries);
  numbers random;
  for (std::uint64_t& key : keys) {
    key = random.next64();
  }
  for (auto _ : state) {
    {
      unordered_map_of<decltype(allocator)> map(allocator);
      for (const std::uint64_t key : keys) {
        map.insert({key, key});
      }
      keep(&map);
    }
    contender.rest();
  }
  count_operations(state, Entries);
}

template <contender Contender>
void register_unordered_map() {
  if constexpr (Contender::serves_arrays) {
    add("unordered_map/1000", Contender::name, unordered_map_build_destroy<Contender, 1'000>);
    add("unordered_map/100000", Contender::name, unordered_map_build_destroy<Contender, 100'000>);
  }
}

}  // namespace bench
