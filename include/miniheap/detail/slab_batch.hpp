// SPDX-License-Identifier: BSL-1.0
/// \file
/// Frees neighbours in a batch that lie in the same slab together: the slab is looked up once, and its used slots are
/// counted once.
#pragma once

#include <miniheap/detail/slab.hpp>
#include <miniheap/fault.hpp>

namespace miniheap::detail {

/// Frees slots from the beginning of `batch` on, while they lie in `slab`, of size class `c`, and a free needs no more
/// than setting a bit; how many. 0: the first one needs more. O(slots).
template <bool Checked, class Geometry>
std::uint32_t free_together(page_entry& slab, std::uint32_t c, void* const* batch, std::uint32_t count,
                            const arena_identity& identity) noexcept {
  if (!is_free_quiet(slab.used, slab.slots)) return 0;
  const slab_shape& slots = shapes[c];
  const std::uintptr_t begin = address_of(Geometry::memory_of(&slab));
  const std::uint32_t most = slab.used - 1u;  // the last one needs a closer look
  if (count > most) count = most;
  std::uint32_t freed = 0;
  for (; freed < count; ++freed) {
    void* const p = batch[freed];
    const std::uintptr_t offset_bytes = address_of(p) - begin;
    if (offset_bytes >= slots.pages * page_bytes) break;
    const std::uint64_t position = slots.position(static_cast<std::uint32_t>(offset_bytes));
    const std::uint32_t slot = slots.slot_of(position);
    std::uint64_t& word = slab.free[slot / 64];
    const std::uint64_t bit = std::uint64_t{1} << (slot % 64);
    if constexpr (Checked) {
      if (!slots.is_start(position)) [[unlikely]]
        identity.stop_in_miniheap(faults::interior, p);
      if ((word & bit) != 0) [[unlikely]]
        identity.stop_in_miniheap(faults::double_free, p, slots.slot_bytes);
    }
    word |= bit;
  }
  slab.used = static_cast<std::uint16_t>(slab.used - freed);
  return freed;
}

}  // namespace miniheap::detail
