// SPDX-License-Identifier: BSL-1.0
// What should be in one miniheap: a plain array of pages, and a list of used spans.
#pragma once

#include "model/shadow.hpp"

#include <miniheap/detail/miniheap_descriptor.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace fuzz {

using miniheap::free_span;
using model::expect;
namespace engine = miniheap::detail;

struct page {
  enum class use { head, free, medium, slab };
  use kind = use::head;
  bool is_dirty = false;
  bool is_old = false;
  bool is_unused = false;  // of a slab that is counted
};

/// A used span.
struct used_span {
  engine::page_entry* first = nullptr;
  std::uint32_t page = 0;
  std::uint32_t pages = 0;
  bool is_slab = false;
  std::uint32_t size_class = 0;
  std::vector<bool> slots;  // which are used
  [[nodiscard]] std::uint32_t used() const {
    return static_cast<std::uint32_t>(std::count(slots.begin(), slots.end(), true));
  }
};

template <class Shape>
class page_model {
 public:
  page_model() : pages(Shape::pages) {
    for (std::uint32_t n = Shape::head_pages; n < Shape::pages; ++n) pages[n].kind = page::use::free;
  }

  [[nodiscard]] bool is_free(std::uint32_t n) const { return n < Shape::pages && pages[n].kind == page::use::free; }

  /// In address order.
  [[nodiscard]] std::vector<free_span> free_spans() const {
    std::vector<free_span> found;
    for (std::uint32_t n = 0; n < Shape::pages; ++n) {
      if (!is_free(n)) continue;
      if (!is_free(n - 1)) found.push_back({n, 0});
      ++found.back().pages;
    }
    return found;
  }

  void use(std::uint32_t first, std::uint32_t count, page::use kind) {
    for (std::uint32_t n = first; n < first + count; ++n) {
      expect(is_free(n), "what is taken was free");
      pages[n] = {kind, false, false, false};
    }
  }

  /// Used pages become free ones, and dirty.
  void give(std::uint32_t first, std::uint32_t count) {
    for (std::uint32_t n = first; n < first + count; ++n) pages[n] = {page::use::free, true, false, false};
  }

  /// Which pages of a slab no used slot lies on.
  [[nodiscard]] static std::vector<bool> unused_pages(const used_span& s) {
    const std::uint32_t slot_bytes = engine::shapes[s.size_class].slot_bytes;
    std::vector<bool> unused(s.pages, true);
    for (std::uint32_t slot = 0; slot < s.slots.size(); ++slot) {
      for (std::uint32_t b = slot * slot_bytes; s.slots[slot] && b < (slot + 1) * slot_bytes; ++b) {
        unused[b / engine::page_bytes] = false;
      }
    }
    return unused;
  }

  /// What is free, dirty, old and unused, and where spans start, is as `m` has it; and `m` itself is sound.
  template <class Miniheap>
  void compare(const Miniheap& m) const {
    if (const char* const broken = m.check()) throw model::broken_promise{broken};
    std::uint32_t dirty = 0;
    std::uint32_t old = 0;
    std::uint32_t unused = 0;
    std::uint32_t used = 0;
    for (std::uint32_t n = 0; n < Shape::pages; ++n) {
      const page& p = pages[n];
      expect(m.spans().is_free(n) == is_free(n), "a page is free that should be, and no other");
      if (is_free(n)) expect(m.clean_pages_at(n, 1) == (p.is_dirty ? 0 : 1), "a free page is dirty that should be");
      dirty += p.is_dirty;
      old += p.is_old;
      unused += p.is_unused;
      used += p.kind == page::use::medium || p.kind == page::use::slab;
    }
    expect(m.dirty_pages() == dirty, "the dirty pages are as many as should be");
    expect(m.old_pages() == old, "the old pages are as many as should be");
    expect(m.unused_slab_pages() == unused, "the unused pages of slabs are as many as should be");
    expect(m.used_pages() == used && m.is_empty() == (used == 0), "the used pages are as many as should be");
    compare_spans(m.spans());
  }

  std::vector<page> pages;

 private:
  template <class Spans>
  void compare_spans(const Spans& spans) const {
    const std::vector<free_span> expected = free_spans();
    std::vector<free_span> found;
    for (free_span s = spans.at_or_after(0); s; s = spans.at_or_after(s.first + s.pages)) found.push_back(s);
    expect(found == expected, "free spans are as long as they can be");
    std::uint32_t longest = 0;
    std::size_t in_classes = 0;
    for (const free_span s : expected) {
      longest = std::max(longest, s.pages);
      expect(spans.starting_at(s.first) == s, "a free span is found where it starts");
      expect(spans.end_of_free(s.first) == s.first + s.pages, "a free span ends where used pages start");
    }
    for (std::uint32_t k = spans.class_at_or_after(0); k < Spans::classes; k = spans.class_at_or_after(k + 1)) {
      for (free_span s = spans.in_class(k); s; s = spans.next_in_class(s)) {
        expect(Spans::class_of(s.pages) == k, "a span is in the class of its length");
        expect(std::find(expected.begin(), expected.end(), s) != expected.end(), "each span of a class is a free one");
        ++in_classes;
      }
    }
    expect(in_classes == expected.size(), "each free span is in a class");
    expect(spans.longest_pages() == longest, "the longest span is known");
  }
};

}  // namespace fuzz
