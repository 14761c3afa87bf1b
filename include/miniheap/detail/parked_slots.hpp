// SPDX-License-Identifier: BSL-1.0
/// \file
/// The parked slots of an arena, one of each size class: freed in a full slab, which stays full until another
/// allocation takes the slot.
#pragma once

#include <miniheap/detail/slab.hpp>
#include <miniheap/stats.hpp>

namespace miniheap::detail {

template <class Shape>
class parked_slots {
 public:
  /// nullptr: there is none.
  [[nodiscard, gnu::always_inline]] void* operator[](std::uint32_t c) const noexcept { return slots_[c]; }
  [[gnu::always_inline]] void park(std::uint32_t c, void* slot) noexcept { slots_[c] = slot; }
  [[gnu::always_inline]] void forget(std::uint32_t c) noexcept { slots_[c] = nullptr; }

  /// The slab that the parked slot of a size class, which there is, lies in.
  [[nodiscard]] page_entry* slab_of(std::uint32_t c) const noexcept {
    const std::uintptr_t address = address_of(slots_[c]);
    page_entry* const entry = Shape::map_of(address) + Shape::page_at(Shape::offset_of(address));
    return entry - entry->back;
  }

  /// Which slot of it that is.
  [[nodiscard]] std::uint32_t slot_of(std::uint32_t c) const noexcept {
    const std::uintptr_t offset_bytes = address_of(slots_[c]) - address_of(Shape::memory_of(slab_of(c)));
    return static_cast<std::uint32_t>(offset_bytes / shapes[c].slot_bytes);
  }

  /// Whether a slot of the slab is parked.
  [[nodiscard]] bool is_in(const page_entry& slab) const noexcept {
    const std::uint32_t c = class_of_slab(slab.kind);
    return slots_[c] != nullptr && slab_of(c) == &slab;
  }

  [[nodiscard]] check_result check() const noexcept {
    for (std::uint32_t c = 0; c < size_classes; ++c) {
      if (slots_[c] == nullptr) continue;
      const page_entry& slab = *slab_of(c);
      const std::uint32_t slot = slot_of(c);
      if (slab.kind != slab_of_class(c) || slab.back != 0)
        return {"a parked slot is of a slab of its size class", slots_[c]};
      if ((slab.free[slot / 64] >> (slot % 64) & 1u) != 0)
        return {"a parked slot counts as used in its slab", slots_[c]};
      if (!is_active(slab) && used_slots(slab) < 2)
        return {"a parked slot is not the last used one of its slab", slots_[c]};
    }
    return {};
  }

 private:
  std::array<void*, size_classes> slots_{};
};

}  // namespace miniheap::detail
