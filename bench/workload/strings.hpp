// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "common.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>
#include <vector>

namespace bench {

// A vector of strings is built and destroyed, each string too long to live inside its object: 24 to 151 characters.
template <contender Contender, std::size_t Strings>
void strings_build_destroy(benchmark::State& state) {
  constexpr std::size_t shortest = 24;
  constexpr std::size_t lengths_count = 128;
  Contender contender{shortest};
  auto characters = contender.template make<char>();
  using string = std::basic_string<char, std::char_traits<char>, decltype(characters)>;
  auto allocator = contender.template make<string>();
  const std::vector<char> text(shortest + lengths_count, 'x');
  std::vector<std::size_t> lengths(Strings);
  numbers random;
  for (std::size_t& length : lengths) {
    length = shortest + random.below(lengths_count);
  }
  for (auto _ : state) {
    {
      std::vector<string, decltype(allocator)> strings(allocator);
      for (const std::size_t length : lengths) {
        strings.push_back(string(text.data(), length, characters));
      }
      keep(&strings);
    }
    contender.rest();
  }
  count_operations(state, Strings);
}

template <contender Contender>
void register_strings() {
  if constexpr (Contender::serves_arrays) {
    add("strings/1000", Contender::name, strings_build_destroy<Contender, 1'000>);
    add("strings/10000", Contender::name, strings_build_destroy<Contender, 10'000>);
  }
}

}  // namespace bench
