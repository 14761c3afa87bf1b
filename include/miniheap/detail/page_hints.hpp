// SPDX-License-Identifier: BSL-1.0
/// \file
/// What an arena tells a page source that takes hints: which pages are about to be touched, and what had better be in
/// huge pages.
#pragma once

#include <miniheap/config.hpp>
#include <miniheap/detail/large.hpp>
#include <miniheap/detail/miniheap_set.hpp>

namespace miniheap::detail {

template <page_source Source, arena_config Config>
struct page_hints {
  /// The guards of a hardened arena would break them.
  static constexpr bool has_huge_pages =
      hinted_page_source<Source> && Config.huge_pages_from_bytes != 0 && Config.checks != beneath_hardened;

  /// How many times as much memory in huge pages could be faulted in at the same cost, at least: zeroing it is most of
  /// that.
  static constexpr std::size_t huge_page_discount = 4;

  /// Whether what is mapped, when so many bytes are, is to be in huge pages: the arena is dense.
  static constexpr bool wants_huge_pages(std::size_t mapped_bytes) noexcept {
    return has_huge_pages && mapped_bytes > Config.huge_pages_from_bytes;
  }

  /// Whether it is for a large allocation of so many bytes in an arena of any size. One that has a huge page is filled
  /// soon.
  static constexpr bool fills_huge_pages(std::size_t bytes) noexcept {
    return has_huge_pages && bytes >= huge_page_bytes;
  }

  /// A used span of a miniheap has clean pages: populates them in one call with some that will follow, in proportion to
  /// what is in use, so that a small arena stays small, and of `most_bytes` at most. Long spans are left to the
  /// program, which may never touch all of them.
  template <class Set, class Supply>
  static void populate(Set& miniheaps, Supply& supply, const page_entry& first, std::uint32_t clean_pages,
                       std::size_t most_bytes) noexcept {
    using descriptor = typename Set::descriptor;
    using shape = typename descriptor::shape;
    constexpr std::uint32_t most_pages = 64;
    descriptor& m = descriptor::of(address_of(&first));
    if (m.has_huge_pages || clean_pages > most_pages / 4) return;
    const std::size_t in_proportion = smaller(miniheaps.used_pages() / 16, std::size_t{most_pages});
    const std::size_t ahead = smaller(in_proportion, most_bytes / page_bytes);
    const std::uint32_t end = shape::page_of(&first) + first.pages;
    const std::uint32_t more_pages = m.clean_pages_at(end, static_cast<std::uint32_t>(ahead));
    if (clean_pages + more_pages == 1) return;
    supply.populate(shape::memory_of(&first), (first.pages + more_pages) * page_bytes);
    if (more_pages != 0) miniheaps.change(m, [&](descriptor& d) { d.soil({end, more_pages}); });
  }
};

}  // namespace miniheap::detail
