// SPDX-License-Identifier: BSL-1.0
/// \file
/// What an arena tells of itself: counters by value, and what a walk visits.
#pragma once

#include <cstddef>

namespace miniheap {

/// Where an arena's memory is. The byte counts below `mapped_bytes` add up to it. Requests are rounded up to slots and
/// pages, so `live_bytes` is what the program may use, not what it asked for.
struct arena_stats {
  std::size_t miniheaps = 0;            ///< mapped now
  std::size_t empty_miniheaps = 0;      ///< of them, those without a used page
  std::size_t mappings = 0;             ///< large allocations
  std::size_t allocations = 0;          ///< live allocations of any size
  std::size_t reserve_bytes = 0;        ///< kept for reuse: empty miniheaps as a whole, dirty pages, idle ranges
  std::size_t reserve_limit_bytes = 0;  ///< what may be kept now, see `arena_config::reserve_floor_bytes`
  std::size_t peak_mapped_bytes = 0;    ///< most that `mapped_bytes` ever was
  std::size_t mapped_bytes = 0;         ///< from the page source, now
  std::size_t live_bytes = 0;           ///< usable bytes of live allocations
  std::size_t free_slot_bytes = 0;      ///< free slots in slabs, but for whole pages of them, which are free pages
  std::size_t slab_waste_bytes = 0;     ///< tails of slabs that hold no slot
  std::size_t dirty_page_bytes = 0;  ///< free pages that were used, and idle ranges: resident mostly, to be used again
  std::size_t clean_page_bytes = 0;  ///< free pages that were purged or never used: addresses without memory
  std::size_t head_bytes = 0;        ///< page maps, and the guards of a hardened arena
  std::size_t cache_bytes = 0;       ///< free slots in stocks of threads, or in quarantine
  std::size_t metadata_bytes = 0;    ///< descriptors, the index of miniheaps, thread caches

  /// What the arena has of the system's memory, as far as it can know: all but clean pages. Less is resident where the
  /// program does not touch what it allocated, more where the system keeps huge pages together.
  [[nodiscard]] std::size_t resident_estimate() const noexcept { return mapped_bytes - clean_page_bytes; }
};

/// One miniheap, as a walk visits it.
struct miniheap_info {
  const void* address = nullptr;
  std::size_t bytes = 0;
  std::size_t used_pages = 0;
  std::size_t free_pages = 0;
  std::size_t longest_free_pages = 0;
  unsigned level = 0;  ///< quantised occupancy, see `occupancy`
};

/// One span of the miniheap that was visited before it, in address order.
struct span_info {
  enum class use { free, slab, medium };

  const void* address = nullptr;
  std::size_t bytes = 0;
  use kind = use::free;
  std::size_t slot_bytes = 0;  ///< 0 unless a slab
  std::size_t slots = 0;       ///< 0 unless a slab
  std::size_t free_slots = 0;  ///< 0 unless a slab
  std::size_t free_bytes = 0;  ///< 0 unless a slab: whole pages of free slots that count as free pages
};

/// One live allocation of the span that was visited before it.
struct allocation_info {
  const void* address = nullptr;
  std::size_t bytes = 0;  ///< usable
};

/// One large allocation.
struct mapping_info {
  const void* address = nullptr;
  std::size_t bytes = 0;  ///< usable
};

/// True, or the first invariant that was found broken and the address of what breaks it.
struct check_result {
  const char* broken = nullptr;
  const void* where = nullptr;

  explicit operator bool() const noexcept { return broken == nullptr; }
};

/// An allocation and what the caller may use of it.
struct sized_pointer {
  void* ptr = nullptr;
  std::size_t bytes = 0;
};

}  // namespace miniheap
