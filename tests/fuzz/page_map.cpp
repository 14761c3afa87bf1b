// SPDX-License-Identifier: BSL-1.0
// The operations on the pages of one miniheap: spans, slabs and the unused pages of their bins, dirty and old pages.
#include "detail/miniheap_memory.hpp"
#include "fuzz/bodies.hpp"
#include "fuzz/page_model.hpp"

#include <miniheap/policy/fit.hpp>

#include <algorithm>
#include <iterator>
#include <type_traits>

namespace fuzz {
namespace {

using namespace miniheap;

template <class Shape, class Fit>
class page_stream {
 public:
  explicit page_stream(bool is_zeroed) : m_{fresh_memory(is_zeroed), 1, is_zeroed} { settle(); }

  void step(input& in) {
    const std::size_t operation = in.below(16);
    if (operation < 4 || spans_.empty()) {
      take_span(in);
    } else if (operation < 6) {
      make_slab(in);
    } else if (operation < 13) {
      change(spans_[in.below(spans_.size())], operation, in);
    } else if (operation == 13) {
      soil(in);
    } else {
      clean(in);
    }
    settle();
  }

  /// Everything is given back, and one free span is left.
  void end() {
    while (!spans_.empty()) {
      give(spans_.back());
      settle();
    }
    expect(m_.is_empty() && m_.key().level == 0, "a miniheap without used spans is empty");
    expect(m_.spans().at_or_after(0) == free_span{Shape::head_pages, Shape::usable_pages},
           "an empty miniheap is one free span");
  }

 private:
  using miniheap_type = engine::miniheap_descriptor<Shape, Fit>;
  using page_set = engine::slab_page_set;

  /// The same for all, as only the head is ever read or written here.
  static std::byte* fresh_memory(bool is_zeroed) {
    static const miniheap_memory<Shape::miniheap_bytes> memory;
    std::memset(memory.at(0), is_zeroed ? 0 : 0xa5, Shape::head_pages * engine::page_bytes);
    return memory.at(0);
  }

  void settle() {
    m_.set_level(m_.wanted_level());
    model_.compare(m_);
    std::size_t seen = 0;
    m_.for_each_span([&](const engine::page_entry& first, bool is_free) {
      const std::uint32_t n = Shape::page_of(&first);
      expect(is_free == model_.is_free(n), "a walk visits free spans as free");
      if (is_free) return;
      const auto it = std::find_if(spans_.begin(), spans_.end(), [&](const used_span& s) { return s.page == n; });
      expect(it != spans_.end() && it->pages == first.pages, "a walk visits used spans as they are");
      ++seen;
    });
    expect(seen == spans_.size(), "a walk visits all used spans");
  }

  engine::page_entry* take(std::uint32_t pages, std::uint32_t align_pages, page::use kind) {
    const std::vector<free_span> before = model_.free_spans();
    const std::uint32_t wanted = pages + align_pages - 1;
    engine::page_entry* const first = m_.take_span(pages, align_pages);
    const auto fits = [&](free_span s) { return s.pages >= wanted; };
    const auto lowest = std::find_if(before.begin(), before.end(), fits);
    expect((first != nullptr) == (lowest != before.end()), "a span is taken where one fits");
    if (first == nullptr) return nullptr;
    const std::uint32_t n = Shape::page_of(first);
    expect(n % align_pages == 0 && first->pages == pages, "a span is as it was asked for");
    const auto from = std::prev(
        std::upper_bound(before.begin(), before.end(), n, [](std::uint32_t p, free_span s) { return p < s.first; }));
    expect(n - from->first < align_pages, "a span is at the start of a free one");
    if constexpr (std::is_same_v<Fit, first_fit>) expect(from == lowest, "first_fit takes the lowest that fits");
    if constexpr (std::is_same_v<Fit, best_fit>) {
      for (const free_span s : before) expect(!fits(s) || s.pages >= from->pages, "best_fit takes the shortest");
    }
    model_.use(n, pages, kind);
    return first;
  }

  void take_span(input& in) {
    const auto pages = static_cast<std::uint32_t>(in.between(1, in.one_in(8) ? Shape::pages : 12));
    const std::uint32_t align_pages = in.one_in(4) ? 1u << in.below(4) : 1;
    engine::page_entry* const first = take(pages, align_pages, page::use::medium);
    if (first == nullptr) return;
    first->kind = engine::page_kind::medium;
    spans_.push_back({first, Shape::page_of(first), pages, false, 0, {}});
  }

  /// One that has at least a used slot: slabs without are active, or free spans.
  void make_slab(input& in) {
    const auto c = static_cast<std::uint32_t>(in.one_in(2) ? in.below(engine::size_classes)
                                                           : engine::size_classes - 1 - in.below(12));
    const engine::slab_shape& shape = engine::shapes[c];
    engine::page_entry* const first = take(shape.pages, 1, page::use::slab);
    if (first == nullptr) return;
    engine::make_slab(first, c);
    spans_.push_back({first, Shape::page_of(first), shape.pages, true, c, std::vector<bool>(shape.slots)});
    used_span& s = spans_.back();
    for (std::size_t n = in.below(shape.slots) + 1; n != 0; --n) take_slot(s);
    if (!engine::is_full(*first)) enter_bin(s);
  }

  void change(used_span& s, std::size_t operation, input& in) {
    if (!s.is_slab) return operation < 9 ? extend(s, in) : shrink(s, in);
    switch (operation) {
      case 6:
      case 7:
        return take_slots(s, in);
      case 12:
        return give(s);
      default:
        give_slot(s, in);
    }
  }

  void extend(used_span& s, input& in) {
    const auto more = static_cast<std::uint32_t>(in.between(1, 6));
    std::uint32_t room = 0;
    while (model_.is_free(s.page + s.pages + room)) ++room;
    expect(m_.extend_span(s.first, s.pages + more) == (room >= more), "a span grows where there is room behind it");
    if (room < more) return;
    model_.use(s.page + s.pages, more, page::use::medium);
    s.pages += more;
  }

  void shrink(used_span& s, input& in) {
    const auto left = static_cast<std::uint32_t>(in.below(s.pages));
    if (left == 0 || in.one_in(2)) return give(s);
    m_.give_span(s.first, left);
    model_.give(s.page + left, s.pages - left);
    s.pages = left;
  }

  void forget(used_span& s) {
    s = spans_.back();
    spans_.pop_back();
  }

  /// All of a span; the slots of a slab one by one.
  void give(used_span& s) {
    if (s.is_slab) {
      for (std::uint32_t left = s.used(); left != 0; --left) give_slot(s, first_used(s));
      return;
    }
    m_.give_span(s.first, 0);
    model_.give(s.page, s.pages);
    forget(s);
  }

  static std::uint32_t first_used(const used_span& s) {
    return static_cast<std::uint32_t>(std::find(s.slots.begin(), s.slots.end(), true) - s.slots.begin());
  }

  void take_slot(used_span& s) {
    const std::uint32_t w = engine::word_with_free_slot(*s.first);
    const auto slot = 64 * w + static_cast<std::uint32_t>(std::countr_zero(s.first->free[w]));
    expect(slot < s.slots.size() && !s.slots[slot], "a slot that is free was not used");
    s.first->free[w] &= s.first->free[w] - 1;
    ++s.first->used;
    s.slots[slot] = true;
  }

  /// The slab leaves its bin, as one does that becomes active, and comes back if it is not full.
  void take_slots(used_span& s, input& in) {
    if (engine::is_full(*s.first)) return;
    leave_bin(s);
    for (std::size_t n = in.between(1, 20); n != 0 && !engine::is_full(*s.first); --n) take_slot(s);
    if (!engine::is_full(*s.first)) enter_bin(s);
  }

  void give_slot(used_span& s, input& in) {
    std::size_t slot = in.below(s.slots.size());
    while (!s.slots[slot]) slot = (slot + 1) % s.slots.size();
    give_slot(s, static_cast<std::uint32_t>(slot));
  }

  void give_slot(used_span& s, std::uint32_t slot) {
    const bool was_full = engine::is_full(*s.first);
    engine::put_back(*s.first, slot);
    s.slots[slot] = false;
    if (was_full) {
      enter_bin(s);
    } else if (engine::is_counted(*s.first)) {
      count(s, engine::unused_pages_of_slot(*s.first, slot));
    }
    if (s.used() == 0) give_slab(s);
  }

  void give_slab(used_span& s) {
    const bool was_counted = engine::is_counted(*s.first);
    m_.bin_of(s.size_class).slabs.erase(m_.bin_of(s.size_class).slabs.iterator_to(*s.first));
    engine::unmake_slab(s.first);
    if (was_counted) {
      m_.give_unused_slab(s.first);
    } else {
      m_.give_span(s.first, 0);
    }
    for (std::uint32_t n = s.page; n < s.page + s.pages; ++n) {
      page& p = model_.pages[n];
      expect(!was_counted || p.is_unused, "all pages of an empty slab are unused");
      p = {page::use::free, !was_counted || p.is_dirty, was_counted && p.is_old, false};
    }
    forget(s);
  }

  void enter_bin(used_span& s) {
    m_.bin_of(s.size_class).slabs.push_front(*s.first);
    if (s.pages == 1) return;
    s.first->used |= engine::counted_mark;
    count(s, engine::unused_pages(*s.first));
  }

  void leave_bin(used_span& s) {
    m_.bin_of(s.size_class).slabs.erase(m_.bin_of(s.size_class).slabs.iterator_to(*s.first));
    s.first->used &= engine::used_mask;
    std::uint32_t unused = 0;
    std::uint32_t clean = 0;
    for (std::uint32_t n = s.page; n < s.page + s.pages; ++n) {
      page& p = model_.pages[n];
      unused += p.is_unused;
      clean += p.is_unused && !p.is_dirty;
      p.is_unused = p.is_dirty = p.is_old = false;
    }
    const auto taken = m_.take_slab_pages(*s.first);
    expect(taken.pages == unused && taken.clean_pages == clean, "a slab tells which of its unused pages were clean");
  }

  /// Pages of a slab have become unused: those that no used slot lies on and that were not unused before.
  void count(used_span& s, page_set pages) {
    const std::vector<bool> unused = page_model<Shape>::unused_pages(s);
    std::uint32_t more = 0;
    for (std::uint32_t n = 0; n < s.pages; ++n) {
      page& p = model_.pages[s.page + n];
      const bool becomes = unused[n] && !p.is_unused;
      expect(becomes == ((std::uint32_t{pages} >> n & 1u) != 0), "a page becomes unused with the last slot on it");
      if (becomes) p.is_unused = p.is_dirty = true;
      more += becomes;
    }
    expect(pages == 0 || m_.give_slab_pages(*s.first, pages) == more, "the pages that become unused are counted");
  }

  /// Clean free pages were populated.
  void soil(input& in) {
    if (in.one_in(8)) {
      m_.soil_all();
      for (page& p : model_.pages) p.is_dirty = p.is_dirty || p.is_unused || p.kind == page::use::free;
      return;
    }
    const auto n = static_cast<std::uint32_t>(in.between(Shape::head_pages, Shape::pages - 1));
    const auto most = static_cast<std::uint32_t>(in.between(1, 8));
    std::uint32_t expected = 0;
    while (expected < most && model_.is_free(n + expected) && !model_.pages[n + expected].is_dirty) ++expected;
    const std::uint32_t clean = m_.clean_pages_at(n, most);
    expect(clean == expected, "clean pages are counted up to the first that is none");
    if (clean != 0) m_.soil({n, clean});
    for (std::uint32_t i = 0; i < clean; ++i) model_.pages[n + i].is_dirty = true;
  }

  /// Rows of pages are purged until one is refused.
  void clean(input& in) {
    if (in.one_in(3)) {
      m_.make_dirty_pages_old();
      for (page& p : model_.pages) p.is_old = p.is_dirty;
      return;
    }
    const bool only_old = in.one_in(2);
    std::size_t left = in.one_in(2) ? in.below(4) : Shape::pages;
    std::uint32_t next = 0;
    const auto is_chosen = [&](std::uint32_t n) {
      return n < Shape::pages && (only_old ? model_.pages[n].is_old : model_.pages[n].is_dirty);
    };
    const auto purge = [&](std::uint32_t first, std::uint32_t count) {
      while (next < Shape::pages && !is_chosen(next)) ++next;
      expect(first == next, "rows are purged in turn, and none is left out");
      while (is_chosen(next)) ++next;
      expect(first + count == next, "a row is as long as it can be");
      if (left-- == 0) return false;
      for (std::uint32_t n = first; n < next; ++n) model_.pages[n].is_dirty = model_.pages[n].is_old = false;
      return true;
    };
    const bool is_clean = only_old ? m_.clean_old(purge) : m_.clean(purge);
    bool is_left = false;
    for (std::uint32_t n = 0; n < Shape::pages; ++n) is_left = is_left || is_chosen(n);
    expect(is_clean == !is_left, "cleaning tells whether all is clean");
  }

  miniheap_type m_;
  page_model<Shape> model_;
  std::vector<used_span> spans_;
};

template <class Shape>
void play_shape(std::size_t fit, bool is_zeroed, input& in) {
  const auto play_fit = [&]<class Fit>(Fit) {
    page_stream<Shape, Fit> stream{is_zeroed};
    play(stream, in);
  };
  switch (fit) {
    case 0:
      return play_fit(first_fit{});
    case 1:
      return play_fit(best_fit{});
    case 2:
      return play_fit(good_fit{});
    default:
      return play_fit(next_fit{});
  }
}

}  // namespace

void page_map(std::span<const std::uint8_t> bytes) {
  input in{bytes};
  const std::size_t choice = in.byte();
  const std::size_t fit = choice % 4;
  const bool is_zeroed = choice / 4 % 2 == 0;
  switch (choice / 8 % 4) {
    case 0:
    case 1:
      return play_shape<engine::geometry<64 * KiB>>(fit, is_zeroed, in);
    case 2:
      return play_shape<engine::geometry<256 * KiB>>(fit, is_zeroed, in);
    default:
      return play_shape<engine::geometry<1 * MiB>>(fit, is_zeroed, in);
  }
}

}  // namespace fuzz
