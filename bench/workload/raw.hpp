// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "common.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bench {

template <std::size_t Bytes>
struct object {
  std::array<std::uint64_t, Bytes / sizeof(std::uint64_t)> words;
};

// One allocated, the same freed; nothing else is live.
template <contender Contender, std::size_t Bytes>
void raw_pair(benchmark::State& state) {
  constexpr std::size_t pairs = 1000;
  Contender contender{Bytes};
  auto allocator = contender.template make<object<Bytes>>();
  for (auto _ : state) {
    for (std::size_t i = 0; i < pairs; ++i) {
      object<Bytes>* const p = allocator.allocate(1);
      keep(p);
      allocator.deallocate(p, 1);
      clobber();
    }
    contender.rest();
  }
  count_operations(state, pairs);
}

// 1000 allocated and written to, then freed in the order of their allocation.
template <contender Contender, std::size_t Bytes>
void raw_burst(benchmark::State& state) {
  constexpr std::size_t burst = 1000;
  Contender contender{Bytes};
  auto allocator = contender.template make<object<Bytes>>();
  std::vector<object<Bytes>*> live(burst);
  for (auto _ : state) {
    for (object<Bytes>*& p : live) {
      p = allocator.allocate(1);
      p->words[0] = 1;
      keep(p);
    }
    for (object<Bytes>* const p : live) {
      allocator.deallocate(p, 1);
    }
    contender.rest();
  }
  count_operations(state, burst);
}

// 100,000 live; a random one is freed, and one allocated and written to in its place.
template <contender Contender, std::size_t Bytes>
void raw_random(benchmark::State& state) {
  constexpr std::size_t objects = 100'000;
  constexpr std::size_t replacements = 10'000;
  Contender contender{Bytes};
  auto allocator = contender.template make<object<Bytes>>();
  std::vector<object<Bytes>*> live(objects);
  for (object<Bytes>*& p : live) {
    p = allocator.allocate(1);
    p->words[0] = 1;
  }
  numbers random;
  const auto replace = [&] {
    object<Bytes>*& p = live[random.below(objects)];
    allocator.deallocate(p, 1);
    clobber();
    p = allocator.allocate(1);
    p->words[0] = 1;
    keep(p);
  };
  for (std::size_t i = 0; i < 3 * objects; ++i) {  // away from the order in which they were allocated
    replace();
  }
  for (auto _ : state) {
    for (std::size_t i = 0; i < replacements; ++i) {
      replace();
    }
  }
  count_operations(state, replacements);
  for (object<Bytes>* const p : live) {
    allocator.deallocate(p, 1);
  }
}

// 100,000 allocated and written to, then freed in random order: the next round gets what order that left behind.
template <contender Contender, std::size_t Bytes>
void raw_shuffled(benchmark::State& state) {
  constexpr std::size_t objects = 100'000;
  Contender contender{Bytes};
  auto allocator = contender.template make<object<Bytes>>();
  const std::vector<std::size_t> random = random_order(objects);
  std::vector<object<Bytes>*> live(objects);
  for (auto _ : state) {
    for (object<Bytes>*& p : live) {
      p = allocator.allocate(1);
      p->words[0] = 1;
      keep(p);
    }
    for (const std::size_t i : random) {
      allocator.deallocate(live[i], 1);
    }
    contender.rest();
  }
  count_operations(state, objects);
}

template <contender Contender, std::size_t Bytes>
void register_raw_size() {
  const std::string bytes = std::to_string(Bytes);
  add("raw_pair/" + bytes, Contender::name, raw_pair<Contender, Bytes>);
  add("raw_burst/" + bytes, Contender::name, raw_burst<Contender, Bytes>);
  add("raw_shuffled/" + bytes, Contender::name, raw_shuffled<Contender, Bytes>);
  if constexpr (Contender::reuses) {
    add("raw_random/" + bytes, Contender::name, raw_random<Contender, Bytes>);
  }
}

template <contender Contender>
void register_raw() {
  register_raw_size<Contender, 16>();
  register_raw_size<Contender, 32>();
  register_raw_size<Contender, 64>();
}

}  // namespace bench
