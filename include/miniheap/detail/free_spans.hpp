// SPDX-License-Identifier: BSL-1.0
/// \file
/// The free spans of one miniheap: a bitmap of its free pages, and how many spans each length class has. Free pages
/// that lie side by side are one span, so joining and splitting take no more than bits. Nothing stands in the page map,
/// whose entries would have to be fetched.
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

  /// Adds used pages; what is free beside them becomes one span with them. O(words of the bitmap), most often of one.
  void add(free_span span) noexcept {
    const std::uint32_t span_end = span.first + span.pages;
    const std::uint32_t first = bits_.find_clear_below(span.first) + 1;  // page 0 is the head's and never free
    const std::uint32_t end = bits_.find_clear_from(span_end);
    if (first != span.first) forget(span.first - first);
    if (end != span_end) forget(end - span_end);
    bits_.set(span.first, span.pages);
    note(end - first);
  }

  /// Takes pages out of the free span `from` that contains them; what is left of it on either side stays free. O(words
  /// of the bitmap that `taken` touches).
  void take(free_span from, free_span taken) noexcept {
    const std::uint32_t taken_end = taken.first + taken.pages;
    const std::uint32_t from_end = from.first + from.pages;
    forget(from.pages);
    bits_.clear(taken.first, taken.pages);
    if (taken.first != from.first) note(taken.first - from.first);
    if (taken_end != from_end) note(from_end - taken_end);
  }

  /// The free span that starts at a page, or none; the page before is not free. O(words), most often of one.
  [[nodiscard]] free_span starting_at(std::uint32_t page) const noexcept {
    if (page >= Geometry::pages || !bits_.test(page)) return {};
    return {page, bits_.find_clear_from(page) - page};
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

  /// The length of the longest span, pages. O(words), and O(spans of its length class).
  [[nodiscard]] std::uint32_t longest_pages() const noexcept {
    std::uint32_t longest = 0;
    if (mask_ == 0) return 0;
    for (free_span span = in_class(longest_class()); span; span = next_in_class(span)) {
      longest = span.pages > longest ? span.pages : longest;
    }
    return longest;
  }

  /// \name What `free_span_view` asks for; the argument of the first may be any page.
  ///@{
  [[nodiscard]] free_span at_or_after(std::uint32_t page) const noexcept {
    const bool is_inside = page > 0 && page < Geometry::pages && bits_.test(page) && bits_.test(page - 1);
    return starting_at(bits_.find_from(is_inside ? bits_.find_clear_from(page) : page));
  }

  [[nodiscard]] free_span lowest_of(std::uint32_t pages) const noexcept { return lowest_from(0, pages); }

  [[nodiscard]] free_span in_class(std::uint32_t k) const noexcept { return lowest_of_class_from(0, k); }

  [[nodiscard]] free_span next_in_class(free_span span) const noexcept {
    return lowest_of_class_from(span.first + span.pages, length_class(span.pages));
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

  /// The counts are those of the spans in the bitmap. O(pages).
  [[nodiscard]] const char* check() const noexcept {
    std::array<std::uint16_t, classes> counted{};
    if (bits_.find_from(0) < Geometry::head_pages) return "free spans lie behind the head";
    for (free_span span = at_or_after(0); span; span = at_or_after(span.first + span.pages)) {
      ++counted[length_class(span.pages)];
    }
    if (counted != counts_) return "the free spans of each length class are counted";
    for (std::uint32_t k = 0; k < classes; ++k) {
      if ((counts_[k] == 0) != ((mask_ >> k & 1u) == 0)) return "the mask tells which length classes have a free span";
    }
    return nullptr;
  }

 private:
  /// The lowest span of at least `pages` pages that starts at `page` or above, which is no page inside a free span.
  [[nodiscard]] free_span lowest_from(std::uint32_t page, std::uint32_t pages) const noexcept {
    if (pages <= 64) return starting_at(bits_.find_row(pages, page));  // the lowest row begins where its span does
    free_span span = at_or_after(page);
    while (span && span.pages < pages) span = at_or_after(span.first + span.pages);
    return span;
  }

  [[nodiscard]] free_span lowest_of_class_from(std::uint32_t page, std::uint32_t k) const noexcept {
    const std::uint32_t shortest = shortest_of_class(k);
    free_span span = lowest_from(page, shortest);
    while (span && length_class(span.pages) != k) span = lowest_from(span.first + span.pages, shortest);
    return span;
  }

  void note(std::uint32_t pages) noexcept {
    const std::uint32_t k = length_class(pages);
    ++counts_[k];
    mask_ |= std::uint64_t{1} << k;
  }

  void forget(std::uint32_t pages) noexcept {
    const std::uint32_t k = length_class(pages);
    if (--counts_[k] == 0) mask_ &= ~(std::uint64_t{1} << k);
  }

  std::uint64_t mask_ = 0;  // bit k: there is a span of length class k
  bitmap<Geometry::pages> bits_;
  std::array<std::uint16_t, classes> counts_{};  // spans of each length class
};

}  // namespace miniheap::detail
