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
  static constexpr std::uint32_t lanes = Lanes;

  [[nodiscard, gnu::always_inline]] active_slab& of(std::uint32_t lane, std::uint32_t c) noexcept {
    return slabs_[lane % Lanes][c];
  }

  /// That of the size class and lane of a slab, which may be another one.
  [[nodiscard]] const active_slab& of(const page_entry& slab) const noexcept {
    return slabs_[slab.lane % Lanes][class_of_slab(slab.kind)];
  }

  /// Of all of them.
  [[nodiscard]] std::uint32_t pages() const noexcept { return pages_; }

  /// Starts to hand out from a slab that is in no bin and has a free slot; it is of this lane from now on.
  void activate(std::uint32_t lane, page_entry& slab, std::byte* memory) noexcept {
    slab.lane = static_cast<std::uint8_t>(lane % Lanes);
    pages_ += slab.pages;
    of(lane, class_of_slab(slab.kind)).activate(slab, memory);
  }

  page_entry& deactivate(active_slab& active) noexcept {
    pages_ -= active.slab()->pages;
    return active.deactivate();
  }

  /// Calls `visit(active_slab&, size class)` for each.
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

  void clear() noexcept { *this = {}; }

  [[nodiscard]] check_result check() const noexcept {
    std::uint32_t pages = 0;
    check_result result;
    for_each([&](const active_slab& active, std::uint32_t c) {
      if (const char* broken = active.check(c)) result = {broken, active.slab()};
      if (active.slab() == nullptr) return;
      pages += active.slab()->pages;
      if (&of(*active.slab()) != &active) result = {"an active slab knows its lane", active.slab()};
    });
    return result && pages != pages_ ? check_result{"the pages of active slabs are counted", this} : result;
  }

 private:
  std::array<std::array<active_slab, size_classes>, Lanes> slabs_{};
  std::uint32_t pages_ = 0;
};

}  // namespace miniheap::detail
