// SPDX-License-Identifier: BSL-1.0
/// \file
/// The page map in the head of a miniheap: one entry of 64 bytes, a cache line, for each page.
///
///     entry of a slab's first page
///     +----------------+----------------------------------+------+-------+------+------+--------+-------+------+---+
///     | next, previous | free: bit i set = slot i is free | used | slots | back | kind | unused | pages | lane |   |
///     | 16 bytes       | 32 bytes                         | 2    | 2     | 2    | 1    | 1      | 4     | 1    | 3 |
///     +----------------+----------------------------------+------+-------+------+------+--------+-------+------+---+
///
/// - free span: nothing is kept in its entries but the kind; see free_spans.hpp.
/// - slab: every entry has the kind, and `back`, the distance to the first, which hangs in its bin's list.
/// - medium: only the first entry counts.
/// - head: the entries of the head's own pages; the very first holds the miniheap's descriptor instead of `free`.
///
/// An entry that is none of these has kind `free`, so a stale pointer into the middle of anything is noticed.
#pragma once

#include <miniheap/detail/size_class.hpp>

#include <boost/intrusive/list.hpp>

namespace miniheap::detail {

/// What a page is. The size class of a slab is part of the kind: `slab + c`.
enum class page_kind : std::uint8_t { free, medium, head, slab };

constexpr page_kind slab_of_class(std::uint32_t c) noexcept {
  return static_cast<page_kind>(static_cast<std::uint32_t>(page_kind::slab) + c);
}
constexpr bool is_slab(page_kind kind) noexcept { return kind >= page_kind::slab; }
constexpr std::uint32_t class_of_slab(page_kind kind) noexcept {
  return static_cast<std::uint32_t>(kind) - static_cast<std::uint32_t>(page_kind::slab);
}

using page_entry_hook = boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>>;

inline constexpr std::uint32_t slot_words = 4;

struct alignas(cache_line_bytes) page_entry : page_entry_hook {
  union {
    std::uint64_t free[slot_words];
    void* descriptor;
  };
  std::uint16_t used;   // slots handed out, and a mark of slab.hpp; of an active slab, slots handed out or claimed
  std::uint16_t slots;  // slots of the slab
  std::uint16_t back;   // pages to the first entry of the slab
  page_kind kind;
  std::uint8_t unused;  // of a slab that is counted: bit n is page n, which no used slot lies on
  std::uint32_t pages;  // length of the used span, in its first entry
  std::uint8_t lane;    // of a slab: see active_slabs.hpp
};
static_assert(sizeof(page_entry) == cache_line_bytes);

using page_entry_list = boost::intrusive::list<page_entry, boost::intrusive::constant_time_size<false>>;

/// What follows from the size of a miniheap. `GuardEvery`: one page in so many is a **guard**, which nobody can access
/// and no span covers, and so are the one right behind the page map and the last one; 0: none is.
template <std::size_t MiniheapBytes, std::uint32_t GuardEvery = 0>
struct geometry {
  static constexpr std::size_t miniheap_bytes = MiniheapBytes;
  static constexpr std::uint32_t pages = static_cast<std::uint32_t>(MiniheapBytes / page_bytes);
  static constexpr std::uint32_t head_pages =
      static_cast<std::uint32_t>(pages_for(pages * sizeof(page_entry))) + (GuardEvery != 0 ? 1 : 0);

  static constexpr bool is_guard(std::uint32_t page) noexcept {
    if constexpr (GuardEvery == 0) {
      return false;
    } else {
      return page + 1 == head_pages || page + 1 == pages || (page >= head_pages && page % GuardEvery == GuardEvery - 1);
    }
  }
  /// The pages from `page`, which is none, up to the next guard.
  static constexpr std::uint32_t pages_to_guard(std::uint32_t page) noexcept {
    if constexpr (GuardEvery == 0) return pages - page;
    std::uint32_t end = page;
    while (end < pages && !is_guard(end)) ++end;
    return end - page;
  }

  static constexpr std::uint32_t usable_pages = [] {
    std::uint32_t count = pages - head_pages;
    for (std::uint32_t page = head_pages; page < pages && GuardEvery != 0; ++page) count -= is_guard(page) ? 1u : 0u;
    return count;
  }();
  static constexpr std::uint32_t longest_span_pages = [] {
    std::uint32_t longest = GuardEvery == 0 ? usable_pages : 0;
    for (std::uint32_t page = head_pages; page < pages && GuardEvery != 0; ++page)
      longest = larger(longest, pages_to_guard(page));
    return longest;
  }();
  static_assert(longest_span_pages >= max_slab_pages, "a slab has room between two guards");

  static constexpr std::size_t offset_of(std::uintptr_t address) noexcept { return address & (miniheap_bytes - 1); }

  static constexpr std::uint32_t page_at(std::size_t offset_bytes) noexcept {
    return static_cast<std::uint32_t>(offset_bytes / page_bytes);
  }

  /// The page map of the miniheap that `address` lies in.
  static page_entry* map_of(std::uintptr_t address) noexcept {
    return reinterpret_cast<page_entry*>(align_down(address, miniheap_bytes));
  }

  /// The index of the page that an entry describes.
  static std::uint32_t page_of(const page_entry* entry) noexcept {
    return static_cast<std::uint32_t>(offset_of(address_of(entry)) / sizeof(page_entry));
  }

  /// The first byte of the page that an entry describes.
  static std::byte* memory_of(const page_entry* entry) noexcept {
    const std::uintptr_t address = address_of(entry);
    return reinterpret_cast<std::byte*>(align_down(address, miniheap_bytes) +
                                        offset_of(address) / sizeof(page_entry) * page_bytes);
  }
};

}  // namespace miniheap::detail
