// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "common.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <string>
#include <vector>

namespace bench {

enum class order { fifo, lifo, random };

template <class Allocator>
using list_of = std::list<std::uint64_t, Allocator>;

// A list is filled at its end, then emptied: from its front, from its end, or in random order.
template <contender Contender, order Order, std::size_t Nodes>
void list_fill_empty(benchmark::State& state) {
  Contender contender{node_bytes<list_of<probe<std::uint64_t>>>([](auto& l) { l.push_back(0); })};
  auto allocator = contender.template make<std::uint64_t>();
  const std::vector<std::size_t> random = random_order(Nodes);
  list_of<decltype(allocator)> list(allocator);
  std::vector<decltype(list.begin())> nodes(Nodes);
  for (auto _ : state) {
    for (std::size_t i = 0; i < Nodes; ++i) {
      list.push_back(i);
      if constexpr (Order == order::random) {
        nodes[i] = std::prev(list.end());
      }
    }
    keep(&list);
    for (std::size_t i = 0; i < Nodes; ++i) {
      if constexpr (Order == order::fifo) {
        list.pop_front();
      } else if constexpr (Order == order::lifo) {
        list.pop_back();
      } else {
        list.erase(nodes[random[i]]);
      }
    }
    contender.rest();
  }
  count_operations(state, Nodes);
}

template <contender Contender, std::size_t Nodes>
void register_list_size() {
  const std::string nodes = std::to_string(Nodes);
  add("list_fifo/" + nodes, Contender::name, list_fill_empty<Contender, order::fifo, Nodes>);
  add("list_lifo/" + nodes, Contender::name, list_fill_empty<Contender, order::lifo, Nodes>);
  add("list_random/" + nodes, Contender::name, list_fill_empty<Contender, order::random, Nodes>);
}

template <contender Contender>
void register_list() {
  register_list_size<Contender, 1'000>();
  register_list_size<Contender, 100'000>();
}

}  // namespace bench
