// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "../contender/concept.hpp"
#include "../numbers.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace bench {

// Makes the compiler believe that somebody reads *p and may change any memory, at no instruction: allocations cannot be
// elided, nor an allocator's state be kept in registers. (benchmark::DoNotOptimize may spill its operand.)
template <class T>
inline void keep(T* p) noexcept {
  asm volatile("" : : "r"(p) : "memory");
}

// Likewise between a free and the next allocation: what the one stored, the other has to load again, as it would if the
// program did something in between.
inline void clobber() noexcept { asm volatile("" : : : "memory"); }

using workload::numbers;

inline std::vector<std::size_t> random_order(std::size_t count) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  numbers random;
  for (std::size_t i = count; i > 1; --i) {
    std::swap(order[i - 1], order[random.below(i)]);
  }
  return order;
}

// The largest object that containers have asked a probe for.
inline std::size_t probed_bytes = 0;

template <class T>
struct probe : std::allocator<T> {
  template <class U>
  struct rebind {
    using other = probe<U>;
  };

  probe() = default;

  template <class U>
  probe(const probe<U>&) noexcept {}

  T* allocate(std::size_t count) {
    probed_bytes = std::max(probed_bytes, sizeof(T));
    return std::allocator<T>::allocate(count);
  }
};

// Size of the nodes of a container, found by inserting into one that allocates through a probe.
template <class Container, class Insert>
std::size_t node_bytes(Insert insert) {
  probed_bytes = 0;
  Container container;
  insert(container);
  return probed_bytes;
}

inline void add(const std::string& workload, const char* contender, void (*body)(benchmark::State&)) {
  benchmark::RegisterBenchmark((workload + ":" + contender).c_str(), body);
}

// Operations are what report.py divides the time by.
inline void count_operations(benchmark::State& state, std::size_t each_round) {
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(each_round));
}

}  // namespace bench
