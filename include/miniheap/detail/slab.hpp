// SPDX-License-Identifier: BSL-1.0
/// \file
/// A slab: a used span cut into equal slots. All it knows stands in the entry of its first page; slots are never read
/// or written here.
#pragma once

#include <miniheap/detail/page_map.hpp>
#include <miniheap/detail/size_class.hpp>

namespace miniheap::detail {

/// Which of the first 64 * `slot_words` slots a slab has, as word `w` of its bitmap.
constexpr std::uint64_t slot_mask(std::uint32_t slots, std::uint32_t w) noexcept {
  if (slots >= 64 * (w + 1)) return ~std::uint64_t{0};
  return slots <= 64 * w ? 0 : ~std::uint64_t{0} >> (64 - slots % 64);
}

/// Makes the used span of `shape.pages` pages at `first` a slab with all slots free.
inline void make_slab(page_entry* first, std::uint32_t size_class) noexcept {
  const slab_shape& shape = shapes[size_class];
  for (std::uint16_t n = 0; n < shape.pages; ++n) {
    first[n].kind = slab_of_class(size_class);
    first[n].back = n;
  }
  for (std::uint32_t w = 0; w < slot_words; ++w) first->free[w] = slot_mask(shape.slots, w);
  first->used = 0;
  first->unused = 0;
  first->lane = 0;
  first->slots = shape.slots;
}

/// Leaves entries that are not mistaken for a slab's.
inline void unmake_slab(page_entry* first) noexcept {
  for (std::uint32_t n = 0; n < first->pages; ++n) first[n].kind = page_kind::free;
}

/// An active slab, the one that the arena hands slots out from, has this bit in `used`, so that one comparison tells
/// the frees after which nothing else is to be done.
inline constexpr std::uint16_t active_mark = 0x8000;

/// A slab whose unused pages are counted (see counted_bins.hpp) has this bit in `used`, to the same end.
inline constexpr std::uint16_t counted_mark = 0x4000;
inline constexpr std::uint16_t used_mask = counted_mark - 1;

[[nodiscard]] inline bool is_active(const page_entry& slab) noexcept { return (slab.used & active_mark) != 0; }
[[nodiscard]] inline bool is_counted(const page_entry& slab) noexcept { return (slab.used & counted_mark) != 0; }
[[nodiscard]] inline std::uint32_t used_slots(const page_entry& slab) noexcept {
  return slab.used & std::uint32_t{used_mask};
}
[[nodiscard]] inline bool is_full(const page_entry& slab) noexcept { return used_slots(slab) == slab.slots; }

/// Whether freeing a slot needs no more than setting its bit: the slab has no mark, was not full, and keeps a used
/// slot. Every size class has 4 slots or more.
[[nodiscard]] inline bool is_free_quiet(std::uint16_t used, std::uint16_t slots) noexcept {
  return static_cast<std::uint16_t>(used - 2) < static_cast<std::uint16_t>(slots - 2);
}

/// Whether a slab that counts as full has a free bit: it is that of a slot which is parked (parked_slots.hpp).
[[nodiscard]] inline bool has_free_slot_though_full(const page_entry& slab) noexcept {
  std::uint64_t bits = 0;
  for (const std::uint64_t word : slab.free) bits |= word;
  return bits != 0 && slab.used == slab.slots;
}

/// Sets a slot's bit.
inline void put_back(page_entry& slab, std::uint32_t slot) noexcept {
  slab.free[slot / 64] |= std::uint64_t{1} << (slot % 64);
  --slab.used;
}

/// The first word of the bitmap that has a free slot; the slab is not full.
[[nodiscard]] inline std::uint32_t word_with_free_slot(const page_entry& slab) noexcept {
  std::uint32_t w = 0;
  while (slab.free[w] == 0) ++w;
  return w;
}

/// The invariants of a slab that stand in its own entries.
[[nodiscard]] inline const char* check_slab(const page_entry* first) noexcept {
  const slab_shape& shape = shapes[class_of_slab(first->kind)];
  if (first->pages != shape.pages || first->slots != shape.slots) return "a slab has the shape of its size class";
  std::uint32_t free_slots = 0;
  for (std::uint32_t w = 0; w < slot_words; ++w) {
    if ((first->free[w] & ~slot_mask(shape.slots, w)) != 0) return "only slots that exist are free";
    free_slots += static_cast<std::uint32_t>(std::popcount(first->free[w]));
  }
  const std::uint32_t parked_slots = has_free_slot_though_full(*first) ? 1 : 0;
  if (free_slots + used_slots(*first) != shape.slots + parked_slots)
    return "the free bits and the count of used slots agree";
  for (std::uint32_t n = 0; n < shape.pages; ++n) {
    if (first[n].kind != first->kind || first[n].back != n) return "each page of a slab points back to the first";
  }
  return nullptr;
}

}  // namespace miniheap::detail
