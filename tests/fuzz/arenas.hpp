// SPDX-License-Identifier: BSL-1.0
// The arenas that are fuzzed. One more is one more line at the end of the list.
#pragma once

#include "fuzz/fuzzed_arena.hpp"
#include "model/combinations.hpp"

#include <array>
#include <memory>
#include <tuple>
#include <utility>

namespace fuzz {

using namespace miniheap;

inline constexpr std::size_t most_limit_bytes = 4 * MiB;

/// The first three of the model test have miniheaps of 64 KiB: without a reserve; with one, early large allocations
/// and much floating; with a small one and without checks.
inline constexpr arena_config bare = model::configurations[0];
inline constexpr arena_config floating = model::configurations[1];
inline constexpr arena_config unchecked = model::configurations[2];
/// The bound of the reserve is learned, and every object floats that can.
inline constexpr arena_config adapting{.miniheap_bytes = 64 * KiB,
                                       .reserve_floor_bytes = 8 * KiB,
                                       .reserve_ceiling_bytes = 512 * KiB,
                                       .float_limit_bytes = 8 * KiB,
                                       .float_gain_levels = 1,
                                       .thread_cache_bytes = 64 * KiB};
inline constexpr arena_config hardened{.miniheap_bytes = 64 * KiB,
                                       .reserve_floor_bytes = 64 * KiB,
                                       .reserve_ceiling_bytes = 64 * KiB,
                                       .thread_cache_bytes = 64 * KiB,
                                       .checks = check_level::hardened,
                                       .quarantine_bytes = 8 * KiB,
                                       .guard_every_pages = 16};
static_assert(bare.miniheap_bytes == 64 * KiB && floating.miniheap_bytes == 64 * KiB &&
              unchecked.miniheap_bytes == 64 * KiB && unchecked.checks == check_level::none);

template <class Source, class Lock, class Fit, class Selection, arena_config Config>
using arena_of = miniheap_arena<counting_source<checked_source<Source>>, Lock, Fit, Selection, Config>;

/// All of them.
using arenas =
    std::tuple<arena_of<mmap_source, no_lock, first_fit, fullest_first, bare>,                                    //
               arena_of<buffer_source, no_lock, best_fit, lowest_address_first, floating>,                        //
               arena_of<buffer_source, coarse_lock<>, good_fit, emptiest_first, unchecked>,                       //
               arena_of<mmap_source, coarse_lock<>, next_fit, newest_first, adapting>,                            //
               arena_of<mmap_source, coarse_lock<>, first_fit, fullest_first, unchecked>,                         //
               arena_of<buffer_source, no_lock, next_fit, fullest_first, adapting>,                               //
               arena_of<mmap_source, fine_grained_lock, first_fit, fullest_first, floating>,                      //
               arena_of<buffer_source, fine_grained_lock, best_fit, newest_first, bare>,                          //
               arena_of<buffer_source, fine_grained_lock, good_fit, lowest_address_first, unchecked>,             //
               thread_cached<arena_of<mmap_source, coarse_lock<>, first_fit, fullest_first, adapting>>,           //
               thread_cached<arena_of<buffer_source, no_lock, first_fit, fullest_first, bare>>,                   //
               thread_cached<arena_of<buffer_source, coarse_lock<>, best_fit, lowest_address_first, unchecked>>,  //
               thread_cached<arena_of<mmap_source, fine_grained_lock, good_fit, emptiest_first, floating>>,       //
               arena_of<mmap_source, no_lock, first_fit, fullest_first, hardened>,                                //
               arena_of<buffer_source, fine_grained_lock, good_fit, emptiest_first, hardened>,                    //
               thread_cached<arena_of<mmap_source, coarse_lock<>, best_fit, fullest_first, hardened>>>;

template <class Source>
checked_source<Source> make_source(source_record& record) {
  if constexpr (std::is_same_v<Source, buffer_source>) {
    return {Source{model::buffer_of(most_limit_bytes), most_limit_bytes}, record};
  } else {
    return {Source{}, record};
  }
}

template <class Arena>
std::unique_ptr<fuzzed_arena> make_arena(source_record& record, std::size_t limit_bytes) {
  using counting = typename Arena::source_type;
  using wrapped = std::remove_cvref_t<decltype(std::declval<counting&>().inner().inner())>;
  return std::make_unique<fuzzed<Arena>>(counting{make_source<wrapped>(record)}, limit_bytes);
}

/// The one of this number. Numbers keep their meaning when the list grows, up to 32.
inline std::unique_ptr<fuzzed_arena> make_arena(std::size_t number, source_record& record, std::size_t limit_bytes) {
  constexpr auto makers = []<class... Arenas>(std::tuple<Arenas...>*) {
    return std::array{&make_arena<Arenas>...};
  }(static_cast<arenas*>(nullptr));
  static_assert(makers.size() <= 32);
  return makers[number % 32 % makers.size()](record, limit_bytes);
}

}  // namespace fuzz
