// SPDX-License-Identifier: BSL-1.0
/// \file
/// The free spans of one miniheap: coalesced at once, listed by length class, and as a bitmap in address order.
#pragma once

#include <miniheap/detail/bitmap.hpp>
#include <miniheap/detail/length_class.hpp>
#include <miniheap/detail/page_map.hpp>
#include <miniheap/policy/concepts.hpp>

namespace miniheap::detail {

/// Satisfies `free_span_view`. Between calls no two free spans touch: each is as long as it can be.
template <class Geometry>
class free_spans {
 public:
  static constexpr std::uint32_t classes = length_class(Geometry::usable_pages) + 1;

  explicit free_spans(page_entry* map) noexcept : map_{map} {}

  /// Adds a span that is in no list, joined with the free spans beside it. O(1).
  void add(free_span span) noexcept {
    bits_.set(span.first, span.pages);
    if (bits_.test(span.first - 1)) {  // page 0 is the head's and never free
      const free_span before = ending_at(span.first);
      unlist(before);
      span = {before.first, before.pages + span.pages};
    }
    if (const free_span after = starting_at(span.first + span.pages)) {
      unlist(after);
      span.pages += after.pages;
    }
    list(span);
  }

  /// Takes pages out of the free span `from` that contains them; what is left of it on either side stays free. O(1).
  void take(free_span from, free_span taken) noexcept {
    unlist(from);
    bits_.clear(taken.first, taken.pages);
    const std::uint32_t taken_end = taken.first + taken.pages;
    const std::uint32_t from_end = from.first + from.pages;
    if (taken.first != from.first) list({from.first, taken.first - from.first});
    if (taken_end != from_end) list({taken_end, from_end - taken_end});
  }

  /// The free span that starts at a page, or none. O(1).
  [[nodiscard]] free_span starting_at(std::uint32_t page) const noexcept {
    return page < Geometry::pages && bits_.test(page) ? free_span{page, map_[page].pages} : free_span{};
  }

  [[nodiscard]] bool is_free(std::uint32_t page) const noexcept { return bits_.test(page); }
  /// Where the free pages end that begin at `page`; that page itself, if it is used. O(pages / 64).
  [[nodiscard]] std::uint32_t end_of_free(std::uint32_t page) const noexcept { return bits_.find_clear_from(page); }
  [[nodiscard]] std::uint32_t free_pages() const noexcept { return bits_.count(); }
  [[nodiscard]] const bitmap<Geometry::pages>& pages() const noexcept { return bits_; }

  /// The length class of the longest span; `classes` where there is none. O(1).
  [[nodiscard]] std::uint32_t longest_class() const noexcept {
    return mask_ == 0 ? classes : 63u - static_cast<std::uint32_t>(std::countl_zero(mask_));
  }

  /// The length of the longest span, pages. O(spans of its length class).
  [[nodiscard]] std::uint32_t longest_pages() const noexcept {
    std::uint32_t longest = 0;
    if (mask_ == 0) return 0;
    for (const page_entry& entry : lists_[longest_class()]) longest = entry.pages > longest ? entry.pages : longest;
    return longest;
  }

  /// \name What `free_span_view` asks for; the argument of the first may be any page.
  ///@{
  [[nodiscard]] free_span at_or_after(std::uint32_t page) const noexcept {
    const bool is_inside = page > 0 && page < Geometry::pages && bits_.test(page) && bits_.test(page - 1);
    return starting_at(bits_.find_from(is_inside ? bits_.find_clear_from(page) : page));
  }

  [[nodiscard]] free_span lowest_of(std::uint32_t pages) const noexcept {
    if (pages <= 64) return starting_at(bits_.find_row(pages));  // the lowest row begins where its span does
    free_span span = at_or_after(0);
    while (span && span.pages < pages) span = at_or_after(span.first + span.pages);
    return span;
  }

  [[nodiscard]] free_span in_class(std::uint32_t k) const noexcept {
    return lists_[k].empty() ? free_span{} : span_of(lists_[k].front());
  }

  [[nodiscard]] free_span next_in_class(free_span span) const noexcept {
    const auto& list = lists_[length_class(span.pages)];
    const auto next = ++list.iterator_to(map_[span.first]);
    return next == list.end() ? free_span{} : span_of(*next);
  }

  [[nodiscard]] static std::uint32_t class_of(std::uint32_t pages) noexcept { return length_class(pages); }
  [[nodiscard]] static std::uint32_t class_of_all_at_least(std::uint32_t pages) noexcept {
    return length_class_at_least(pages);
  }

  [[nodiscard]] std::uint32_t class_at_or_after(std::uint32_t k) const noexcept {
    const std::uint64_t mask = k < 64 ? mask_ & (~std::uint64_t{0} << k) : 0;
    return mask == 0 ? classes : static_cast<std::uint32_t>(std::countr_zero(mask));
  }
  ///@}

  /// Boundary tags, lists and bitmap say the same. O(pages).
  [[nodiscard]] const char* check() const noexcept {
    std::uint32_t listed_pages = 0;
    for (std::uint32_t k = 0; k < classes; ++k) {
      if (lists_[k].empty() != ((mask_ >> k & 1u) == 0)) return "the mask tells which length classes have a free span";
      for (const page_entry& entry : lists_[k]) {
        const free_span span = span_of(entry);
        const std::uint32_t end = span.first + span.pages;
        if (length_class(span.pages) != k) return "a free span is in the list of its length class";
        if (span.first < Geometry::head_pages || end > Geometry::pages) return "free spans lie behind the head";
        if (map_[end - 1].pages != span.pages) return "a free span has its length in its first and last entry";
        if (bits_.test(span.first - 1) || (end < Geometry::pages && bits_.test(end)))
          return "free neighbours are joined";
        for (std::uint32_t page = span.first; page < end; ++page) {
          if (!bits_.test(page)) return "the pages of a free span are free in the bitmap";
        }
        listed_pages += span.pages;
      }
    }
    return listed_pages == free_pages() ? nullptr : "each free page is in a listed span";
  }

 private:
  [[nodiscard]] free_span span_of(const page_entry& first) const noexcept {
    return {static_cast<std::uint32_t>(&first - map_), first.pages};
  }

  [[nodiscard]] free_span ending_at(std::uint32_t end) const noexcept {
    const std::uint32_t pages = map_[end - 1].pages;
    return {end - pages, pages};
  }

  void list(free_span span) noexcept {
    page_entry& first = map_[span.first];
    first.pages = span.pages;
    map_[span.first + span.pages - 1].pages = span.pages;
    const std::uint32_t k = length_class(span.pages);
    lists_[k].push_front(first);
    mask_ |= std::uint64_t{1} << k;
  }

  void unlist(free_span span) noexcept {
    const std::uint32_t k = length_class(span.pages);
    lists_[k].erase(lists_[k].iterator_to(map_[span.first]));
    if (lists_[k].empty()) mask_ &= ~(std::uint64_t{1} << k);
  }

  page_entry* map_;
  std::uint64_t mask_ = 0;  // bit k: list k is not empty
  bitmap<Geometry::pages> bits_;
  std::array<page_entry_list, classes> lists_;
};

}  // namespace miniheap::detail
