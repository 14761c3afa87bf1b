// SPDX-License-Identifier: BSL-1.0
/// \file
/// The order in which free slots are handed out: by chance, so that nobody foresees what lies behind an allocation; or
/// the lowest first.
#pragma once

#include <miniheap/detail/secret.hpp>

#include <bit>

namespace miniheap::detail {

/// Several threads may call at a time; then it is by chance, too, who gets which number.
class random_order {
 public:
  static constexpr bool is_random = true;

  /// The index of a bit that is set in `bits`, which has one.
  [[nodiscard]] std::uint32_t choose(std::uint64_t bits) noexcept {
    const auto turn = static_cast<std::uint32_t>(next() >> 58);
    const std::uint64_t turned = bits >> turn | bits << ((64 - turn) % 64);
    return (static_cast<std::uint32_t>(std::countr_zero(turned)) + turn) % 64;
  }

  /// A number below `n`, which is not 0.
  [[nodiscard]] std::uint32_t below(std::uint32_t n) noexcept {
    return static_cast<std::uint32_t>((next() >> 32) * n >> 32);
  }

  /// Each among its 16 neighbours: what is allocated together stays together, as caches and pages like it.
  void shuffle(void** all, std::uint32_t count) noexcept {
    constexpr std::uint32_t neighbours = 16;
    for (; count > neighbours; all += neighbours, count -= neighbours) shuffle_all(all, neighbours);
    shuffle_all(all, count);
  }

 private:
  [[nodiscard]] std::uint64_t next() noexcept {
    const std::uint64_t n = __atomic_load_n(&state_, __ATOMIC_RELAXED) + 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio
    __atomic_store_n(&state_, n, __ATOMIC_RELAXED);
    return scatter(n);
  }

  [[gnu::noinline]] void shuffle_all(void** all, std::uint32_t count) noexcept {
    for (std::uint32_t n = count; n > 1; --n) {
      const std::uint32_t other = below(n);
      void* const moved = all[n - 1];
      all[n - 1] = all[other];
      all[other] = moved;
    }
  }

  std::uint64_t state_ = process_secret() ^ scatter(address_of(this));
};

struct lowest_first {
  static constexpr bool is_random = false;
  [[nodiscard]] static std::uint32_t choose(std::uint64_t bits) noexcept {
    return static_cast<std::uint32_t>(std::countr_zero(bits));
  }
  [[nodiscard]] static std::uint32_t below(std::uint32_t /*n*/) noexcept { return 0; }
  static void shuffle(void** /*all*/, std::uint32_t /*count*/) noexcept {}
};

}  // namespace miniheap::detail
