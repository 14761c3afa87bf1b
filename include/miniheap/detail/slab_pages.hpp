// SPDX-License-Identifier: BSL-1.0
/// \file
/// The **unused** pages of a slab: those that no used slot lies on. Slots of more than 1 KiB lie in slabs of several
/// pages, where one used slot would pin all of them; but nothing stands in free slots, so their pages can be purged
/// while the slab lives.
#pragma once

#include <miniheap/detail/slab.hpp>

namespace miniheap::detail {

/// Pages of one slab: bit n is page n.
using slab_page_set = std::uint8_t;

/// Of the slabs of one size class, of several pages: where slots lie.
struct slab_layout {
  static constexpr std::uint32_t most_slots = 16;

  std::array<std::uint16_t, max_slab_pages> slots_on_page{};  // bit n: slot n
  std::array<slab_page_set, most_slots> pages_of_slot{};
  std::uint32_t least_slots = most_slots;  // that lie on one page
};

inline constexpr std::array<slab_layout, size_classes> slab_layouts = [] {
  std::array<slab_layout, size_classes> table{};
  for (std::uint32_t c = 0; c < size_classes; ++c) {
    const slab_shape& shape = shapes[c];
    slab_layout& layout = table[c];
    for (std::uint32_t slot = 0; slot < shape.slots && shape.pages > 1; ++slot) {
      const std::uint32_t begin_bytes = slot * shape.slot_bytes;
      const std::uint32_t last_bytes = begin_bytes + shape.slot_bytes - 1;
      for (std::uint32_t page = begin_bytes / page_bytes; page <= last_bytes / page_bytes; ++page) {
        layout.slots_on_page[page] = static_cast<std::uint16_t>(layout.slots_on_page[page] | 1u << slot);
        layout.pages_of_slot[slot] = static_cast<slab_page_set>(layout.pages_of_slot[slot] | 1u << page);
      }
    }
    for (std::uint32_t page = 0; page < shape.pages; ++page) {
      const auto slots = static_cast<std::uint32_t>(std::popcount(layout.slots_on_page[page]));
      layout.least_slots = smaller(layout.least_slots, slots);
    }
  }
  return table;
}();

static_assert(
    [] {
      for (std::uint32_t c = 0; c < size_classes; ++c) {
        if (shapes[c].pages > 1 && (shapes[c].slots > slab_layout::most_slots || slab_layouts[c].least_slots == 0))
          return false;
      }
      return true;
    }(),
    "the table has room for all slots, and there is one on each page");

/// Which of some pages of a slab, which has several, are unused.
[[nodiscard]] inline slab_page_set unused_pages(const page_entry& slab, slab_page_set pages) noexcept {
  const slab_layout& layout = slab_layouts[class_of_slab(slab.kind)];
  if (slab.slots - used_slots(slab) < layout.least_slots) return 0;
  std::uint32_t unused = 0;
  for (std::uint32_t rest = pages; rest != 0; rest &= rest - 1) {
    const std::uint64_t slots = layout.slots_on_page[static_cast<std::uint32_t>(std::countr_zero(rest))];
    if ((slab.free[0] & slots) == slots) unused |= rest & ~(rest - 1);
  }
  return static_cast<slab_page_set>(unused);
}

/// Which of all its pages.
[[nodiscard]] inline slab_page_set unused_pages(const page_entry& slab) noexcept {
  return unused_pages(slab, static_cast<slab_page_set>((1u << slab.pages) - 1));
}

/// Which pages became unused when a slot was freed.
[[nodiscard]] inline slab_page_set unused_pages_of_slot(const page_entry& slab, std::uint32_t slot) noexcept {
  return unused_pages(slab, slab_layouts[class_of_slab(slab.kind)].pages_of_slot[slot]);
}

/// Calls `visit(page)` for each page of the set, where `first` stands for the slab's first page.
template <class Visit>
[[gnu::always_inline]] inline void for_each_page(std::uint32_t pages, std::uint32_t first, Visit visit) {
  for (; pages != 0; pages &= pages - 1) visit(first + static_cast<std::uint32_t>(std::countr_zero(pages)));
}

}  // namespace miniheap::detail
