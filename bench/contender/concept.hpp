// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <cstddef>
#include <string_view>

namespace bench {

// A contender is one way to get memory, wrapped so that every workload can be written once.
//
//   name           its identity in the output; report.py knows the long name
//   serves_arrays  its allocators can be asked for n > 1 objects at a tolerable price (false: a pool of nodes)
//   reuses         what is freed can be allocated again (false: only the floor, a bump pointer)
//   contender(n)   n = size in bytes of the nodes to come, for pools that have to know; others ignore it
//   make<T>()      an allocator of T over the memory of this contender
//   rest()         called, with nothing live, after each round of a workload; only the floor needs it
//
// A contender lives as long as one benchmark; the containers of all rounds share it, as they would share an arena.
template <class C>
concept contender = requires(C c) {
  requires std::constructible_from<C, std::size_t>;
  { C::name } -> std::convertible_to<std::string_view>;
  { C::serves_arrays } -> std::convertible_to<bool>;
  { C::reuses } -> std::convertible_to<bool>;
  c.template make<int>();
  c.rest();
};

// What most contenders are: arrays too, freed memory comes back, no rest needed.
struct ordinary {
  static constexpr bool serves_arrays = true;
  static constexpr bool reuses = true;

  void rest() noexcept {}
};

}  // namespace bench
