// SPDX-License-Identifier: BSL-1.0
/// \file
/// The active slabs of an arena: one for each size class and **lane**. Threads that keep slots in stock are in a few
/// lanes, and take from slabs of their own lane as long as there are any: what lies side by side is used by one thread
/// then, and no cache line goes to and fro between two of them.
#pragma once

#include <miniheap/detail/active_slab.hpp>
#include <miniheap/stats.hpp>

namespace miniheap::detail {

template <std::uint32_t Lanes>
class active_slabs {
 public:
  [[nodiscard, gnu::always_inline]] active_slab& of(std::uint32_t lane, std::uint32_t c) noexcept {
    return slabs_[lane % Lanes][c];
  }

  /// That of the size class and lane of a slab, which may be another one.
  [[nodiscard]] const active_slab& of(const page_entry& slab) const noexcept {
    return slabs_[slab.lane % Lanes][class_of_slab(slab.kind)];
  }

  /// Calls `visit(active_slab&, size class)` for each, used or not.
  template <class Visit>
  void for_each(Visit visit) {
    for (auto& lane : slabs_) {
      for (std::uint32_t c = 0; c < size_classes; ++c) visit(lane[c], c);
    }
  }
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& lane : slabs_) {
      for (std::uint32_t c = 0; c < size_classes; ++c) visit(lane[c], c);
    }
  }

  /// How many are used.
  [[nodiscard]] std::uint32_t count() const noexcept {
    std::uint32_t used = 0;
    for_each([&](const active_slab& active, std::uint32_t) { used += active.slab() != nullptr ? 1u : 0u; });
    return used;
  }

  void clear() noexcept { slabs_ = {}; }

  [[nodiscard]] check_result check() const noexcept {
    for (std::uint32_t lane = 0; lane < Lanes; ++lane) {
      for (std::uint32_t c = 0; c < size_classes; ++c) {
        const active_slab& active = slabs_[lane][c];
        if (const char* broken = active.check(c)) return {broken, active.slab()};
        if (active.slab() != nullptr && active.slab()->lane != lane)
          return {"an active slab knows its lane", active.slab()};
      }
    }
    return {};
  }

 private:
  std::array<std::array<active_slab, size_classes>, Lanes> slabs_{};
};

}  // namespace miniheap::detail
