// SPDX-License-Identifier: BSL-1.0
// The arenas that the model test drives: every combination of shipped policies, each with one of several
// configurations.
#pragma once

#include "model/driver.hpp"

#include <miniheap/policy/fit.hpp>
#include <miniheap/thread_cache.hpp>

#include <cstdint>
#include <iterator>
#include <memory>
#include <mutex>
#include <type_traits>

namespace model {

using miniheap::KiB;
using miniheap::MiB;

/// Tiny miniheaps, where every state is reached soon; thresholds, reserves and checks of all sorts.
inline constexpr miniheap::arena_config configurations[] = {
    {.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 0},
    {.miniheap_bytes = 64 * KiB,
     .large_threshold_bytes = 8 * KiB,
     .reserve_ceiling_bytes = 128 * KiB,
     .float_limit_bytes = 8 * KiB,
     .float_gain_levels = 1},
    {.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 64 * KiB, .checks = miniheap::check_level::none},
    {.miniheap_bytes = 256 * KiB, .reserve_ceiling_bytes = 256 * KiB, .float_limit_bytes = 0},
    {.miniheap_bytes = 256 * KiB,
     .large_threshold_bytes = 20 * KiB,
     .reserve_ceiling_bytes = 0,
     .checks = miniheap::check_level::none},
    {.miniheap_bytes = 1 * MiB, .large_threshold_bytes = 128 * KiB, .reserve_ceiling_bytes = 2 * MiB},
};

template <class Policy, class... Policies>
constexpr std::size_t index_of() noexcept {
  constexpr bool is_same[] = {std::is_same_v<Policy, Policies>...};
  std::size_t index = 0;
  while (!is_same[index]) ++index;
  return index;
}

template <class Fit>
constexpr std::size_t index_of_fit() noexcept {
  return index_of<Fit, miniheap::first_fit, miniheap::best_fit, miniheap::good_fit, miniheap::next_fit>();
}
template <class Selection>
constexpr std::size_t index_of_selection() noexcept {
  return index_of<Selection, miniheap::fullest_first, miniheap::lowest_address_first, miniheap::emptiest_first,
                  miniheap::newest_first>();
}
template <class Source>
constexpr std::size_t index_of_source() noexcept {
  return index_of<Source, miniheap::mmap_source, miniheap::buffer_source>();
}

/// Each policy meets each configuration in some combination.
template <class Source, class Fit, class Selection>
constexpr miniheap::arena_config configuration_of() noexcept {
  constexpr std::size_t selection = index_of_selection<Selection>();
  return configurations[(index_of_fit<Fit>() + 2 * selection + 3 * index_of_source<Source>() + selection / 3) %
                        std::size(configurations)];
}

/// Memory that a `buffer_source` hands out, aligned as no arena needs it.
inline std::byte* buffer_of(std::size_t bytes) {
  static const std::unique_ptr<std::byte[]> memory{new std::byte[32 * MiB]};
  return bytes <= 32 * MiB ? memory.get() : nullptr;
}

template <class Source, class Lock, class Fit, class Selection>
using arena_of = miniheap::miniheap_arena<miniheap::counting_source<Source>, Lock, Fit, Selection,
                                          configuration_of<Source, Fit, Selection>()>;

/// The same at another level of checks.
constexpr miniheap::arena_config with_checks(miniheap::arena_config config, miniheap::check_level checks) noexcept {
  config.checks = checks;
  return config;
}

template <class Source, class Lock, class Fit, class Selection>
using hardened_arena_of =
    miniheap::miniheap_arena<miniheap::counting_source<Source>, Lock, Fit, Selection,
                             with_checks(configuration_of<Source, Fit, Selection>(), miniheap::check_level::hardened)>;

/// Drives one arena over a counted `Source` for each seed. Without an operating system it has `buffer_bytes` bytes.
template <class Source, class Arena>
void run_arena(std::size_t buffer_bytes) {
  using counting = miniheap::counting_source<Source>;
  constexpr bool is_buffer = std::is_same_v<Source, miniheap::buffer_source>;
  run_seeds(is_buffer ? buffer_shares : system_shares, [&]() -> std::unique_ptr<tested_arena> {
    if constexpr (is_buffer) {
      return std::make_unique<tested<Arena>>(counting{Source{buffer_of(buffer_bytes), buffer_bytes}}, buffer_bytes);
    } else {
      return std::make_unique<tested<Arena>>(counting{}, SIZE_MAX);
    }
  });
}

/// Runs the model test over an arena of these policies: over one source without a lock, over the other with a mutex and
/// little memory. One fit also with a thread cache in front, or with a lock for each miniheap; another one hardened, in
/// one of three ways. So each policy meets each other one, and each way and level.
template <class Source, class Fit, class Selection>
void run() {
  using namespace miniheap;
  using lock = std::conditional_t<std::is_same_v<Fit, next_fit>, coarse_lock<std::mutex>, coarse_lock<>>;
  constexpr std::size_t few_bytes = configuration_of<Source, Fit, Selection>().miniheap_bytes * 24;
  constexpr std::size_t fit = index_of_fit<Fit>();
  constexpr std::size_t selection = index_of_selection<Selection>();
  constexpr std::size_t source = index_of_source<Source>();
  constexpr bool is_even = (fit + selection + source) % 2 == 0;
  if constexpr (is_even) {
    run_arena<Source, arena_of<Source, no_lock, Fit, Selection>>(32 * MiB);
  } else {
    run_arena<Source, arena_of<Source, lock, Fit, Selection>>(few_bytes);
  }
  if constexpr (std::is_same_v<Fit, first_fit>) {
    if constexpr (is_even) {
      run_arena<Source, thread_cached<arena_of<Source, lock, Fit, Selection>>>(few_bytes);
    } else {
      run_arena<Source, arena_of<Source, fine_grained_lock, Fit, Selection>>(few_bytes);
    }
  }
  if constexpr (std::is_same_v<Fit, best_fit>) {
    constexpr std::size_t way = (selection + source) % 3;
    if constexpr (way == 0) run_arena<Source, hardened_arena_of<Source, no_lock, Fit, Selection>>(few_bytes);
    if constexpr (way == 1)
      run_arena<Source, thread_cached<hardened_arena_of<Source, lock, Fit, Selection>>>(few_bytes);
    if constexpr (way == 2) run_arena<Source, hardened_arena_of<Source, fine_grained_lock, Fit, Selection>>(few_bytes);
  }
}

}  // namespace model
