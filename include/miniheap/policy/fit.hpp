// SPDX-License-Identifier: BSL-1.0
/// \file
/// Fit policies: which free span of a miniheap serves a request. Complexity is in free spans of the one miniheap.
#pragma once

#include <miniheap/policy/concepts.hpp>

namespace miniheap {

/// The lowest address that fits. Keeps the top of a miniheap in one piece. O(1): some instructions for each 64 pages of
/// the miniheap; O(spans) for more than 64 pages.
struct first_fit {
  struct state {};

  template <free_span_view View>
  static constexpr free_span choose(const View& view, std::uint32_t pages, state&) noexcept {
    return view.lowest_of(pages);
  }
};

/// The lowest address that fits from where the last choice was made, round and round. O(spans).
struct next_fit {
  struct state {
    std::uint32_t page = 0;
  };

  template <free_span_view View>
  static constexpr free_span choose(const View& view, std::uint32_t pages, state& from) noexcept {
    free_span span = view.at_or_after(from.page);
    while (span && span.pages < pages) span = view.at_or_after(span.first + span.pages);
    if (!span) span = view.lowest_of(pages);
    from.page = span.first;
    return span;
  }
};

/// The shortest span that fits. O(spans of one length class), and some instructions for each 64 pages.
struct best_fit {
  struct state {};

  template <free_span_view View>
  static constexpr free_span choose(const View& view, std::uint32_t pages, state&) noexcept {
    for (auto k = view.class_at_or_after(view.class_of(pages)); k < View::classes; k = view.class_at_or_after(k + 1)) {
      free_span best;
      for (free_span span = view.in_class(k); span; span = view.next_in_class(span)) {
        if (span.pages >= pages && (!best || span.pages < best.pages)) best = span;
      }
      if (best) return best;
    }
    return {};
  }
};

/// The lowest span of the first length class in which all fit; the shortest that fits where there is none. Some
/// instructions for each 64 pages.
struct good_fit {
  using state = best_fit::state;

  template <free_span_view View>
  static constexpr free_span choose(const View& view, std::uint32_t pages, state& none) noexcept {
    const auto k = view.class_at_or_after(view.class_of_all_at_least(pages));
    return k < View::classes ? view.in_class(k) : best_fit::choose(view, pages, none);
  }
};

static_assert(fit_policy<first_fit>);
static_assert(fit_policy<best_fit>);
static_assert(fit_policy<good_fit>);
static_assert(fit_policy<next_fit>);

}  // namespace miniheap
