// SPDX-License-Identifier: BSL-1.0
// The trees choose the same miniheap as a look at all of them.
#include <miniheap/detail/miniheap_set.hpp>

#include "catch.hpp"
#include "detail/miniheap_memory.hpp"
#include "random.hpp"

#include <miniheap/policy/fit.hpp>
#include <miniheap/policy/selection.hpp>

#include <algorithm>
#include <memory>
#include <vector>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

template <class Selection, std::size_t MiniheapBytes>
class population {
 public:
  using shape = geometry<MiniheapBytes>;
  using set_type = miniheap_set<shape, first_fit, Selection>;
  using descriptor = typename set_type::descriptor;

  explicit population(std::size_t places, std::uint64_t seed)
      : random_{seed}, memory_{places}, miniheaps_(places), used_(places) {}

  ~population() {
    for (auto& m : miniheaps_) {
      if (m != nullptr) empty(*m);
    }
  }
  population(const population&) = delete;
  population& operator=(const population&) = delete;

  void step() {
    const std::size_t i = random_.below(miniheaps_.size());
    if (miniheaps_[i] == nullptr) {
      miniheaps_[i] = std::make_unique<descriptor>(memory_.at(i), sequence_++, false);
      set_.insert(*miniheaps_[i]);
      return;
    }
    descriptor& m = *miniheaps_[i];
    switch (random_.below(12u)) {
      case 0:
        return m.is_empty() && random_.one_in(4) ? erase(i) : give(i);
      case 1:
      case 2:
      case 3:
        return give(i);
      case 4:
      case 5:
        return add_slab(i);
      case 6:
        return toggle_slab(i);
      default:
        return take(i);
    }
  }

  void verify() {
    const check_result result = set_.check();
    INFO((result ? "" : result.broken));
    REQUIRE(result);
    REQUIRE(set_.size() == static_cast<std::size_t>(std::count_if(miniheaps_.begin(), miniheaps_.end(),
                                                                  [](const auto& m) { return m != nullptr; })));
    REQUIRE(set_.empty_count() ==
            static_cast<std::size_t>(std::count_if(miniheaps_.begin(), miniheaps_.end(),
                                                   [](const auto& m) { return m != nullptr && m->is_empty(); })));
    for (const std::uint32_t c : {0u, 5u, 31u}) {
      const auto has_slot = [&](const descriptor& m) { return !m.bin_of(c).slabs.empty(); };
      REQUIRE(set_.first_with_slot(c) == first_in_order(has_slot));
    }
    for (std::uint32_t pages = 1; pages <= shape::usable_pages; pages += 1 + pages / 12) verify_span(pages);
  }

 private:
  template <class Is>
  descriptor* first_in_order(Is is) const {
    descriptor* first = nullptr;
    for (const auto& m : miniheaps_) {
      if (m == nullptr || !is(*m)) continue;
      if (first == nullptr || Selection::before(m->key(), first->key())) first = m.get();
    }
    return first;
  }

  /// In the order of selection among those that surely fit, by their length class; others only when there are none.
  void verify_span(std::uint32_t pages) {
    descriptor* const chosen = set_.first_with_span(pages);
    const auto surely_fits = [&](const descriptor& m) {
      return m.spans().free_pages() != 0 && length_class(m.spans().longest_pages()) >= length_class_at_least(pages);
    };
    const auto fits = [&](const descriptor& m) { return m.spans().longest_pages() >= pages; };
    if (descriptor* const first = first_in_order(surely_fits)) {
      REQUIRE(chosen == first);
    } else {
      REQUIRE((chosen == nullptr || fits(*chosen)));
    }
    descriptor* const any = set_.any_with_span(pages);
    REQUIRE((any != nullptr) == (first_in_order(fits) != nullptr));
    REQUIRE((any == nullptr || fits(*any)));
  }

  void take(std::size_t i) {
    const std::uint32_t pages = random_.between(1u, random_.one_in(3) ? shape::usable_pages : 4u);
    page_entry* const first = set_.take_span(*miniheaps_[i], pages, 1u << random_.below(3u));
    if (first == nullptr) return;
    first->kind = page_kind::medium;
    used_[i].push_back(first);
  }

  void add_slab(std::size_t i) {
    const std::uint32_t c = random_.one_in(2) ? 0 : random_.one_in(2) ? 5 : 31;
    page_entry* const slab = set_.take_span(*miniheaps_[i], shapes[c].pages);
    if (slab == nullptr) return;
    make_slab(slab, c);
    slab->free[0] ^= 1;  // an empty slab is in no bin
    slab->used = 1;
    set_.add_to_bin(*miniheaps_[i], *slab);
    used_[i].push_back(slab);
  }

  /// Fills a slab, or frees a slot of a full one.
  void toggle_slab(std::size_t i) {
    for (page_entry* const slab : used_[i]) {
      if (!is_slab(slab->kind) || random_.one_in(2)) continue;
      const slab_shape& made = shapes[class_of_slab(slab->kind)];
      if (is_full(*slab)) {
        slab->free[0] = 2;
        slab->used = static_cast<std::uint16_t>(made.slots - 1);
        set_.add_to_bin(*miniheaps_[i], *slab);
      } else {
        set_.remove_from_bin(*miniheaps_[i], *slab);
        std::fill_n(slab->free, slot_words, std::uint64_t{0});
        slab->used = made.slots;
      }
      return;
    }
  }

  void give(std::size_t i) {
    if (used_[i].empty()) return;
    std::swap(used_[i][random_.below(used_[i].size())], used_[i].back());
    page_entry* const first = used_[i].back();
    if (is_slab(first->kind)) {
      if (!is_full(*first)) set_.remove_from_bin(*miniheaps_[i], *first);
      unmake_slab(first);
    } else if (first->pages > 1 && random_.one_in(3)) {
      return set_.give_span(*miniheaps_[i], first, random_.between(1u, first->pages - 1));
    } else if (random_.one_in(5)) {
      set_.extend_span(*miniheaps_[i], first, first->pages + 1);
      return;
    }
    used_[i].pop_back();
    set_.give_span(*miniheaps_[i], first);
  }

  void erase(std::size_t i) {
    set_.erase(*miniheaps_[i]);
    miniheaps_[i].reset();
  }

  void empty(descriptor& m) {
    const auto i = static_cast<std::size_t>(address_of(m.map()) - address_of(memory_.at(0))) / MiniheapBytes;
    while (!used_[i].empty()) give(i);
  }

  random_numbers random_;
  miniheap_memory<MiniheapBytes> memory_;
  set_type set_;
  std::vector<std::unique_ptr<descriptor>> miniheaps_;
  std::vector<std::vector<page_entry*>> used_;
  std::uint64_t sequence_ = 0;
};

template <class Selection, std::size_t MiniheapBytes>
void agree(std::size_t places, int steps, std::uint64_t seed) {
  population<Selection, MiniheapBytes> all{places, seed};
  for (int n = 0; n < steps; ++n) {
    all.step();
    if (n % 4 == 0) all.verify();
  }
}

}  // namespace

TEMPLATE_TEST_CASE("miniheap_set: the trees choose as a look at all miniheaps does", "[miniheap_set]", fullest_first,
                   lowest_address_first, emptiest_first, newest_first) {
  agree<TestType, 64 * KiB>(5, 3000, 1);
  agree<TestType, 64 * KiB>(40, 2000, 2);
  agree<TestType, 256 * KiB>(12, 2000, 3);
}

TEST_CASE("miniheap_set: an empty set has nothing", "[miniheap_set]") {
  miniheap_set<geometry<64 * KiB>, first_fit, fullest_first> set;
  CHECK(set.size() == 0);
  CHECK(set.first_with_slot(0) == nullptr);
  CHECK(set.first_with_span(1) == nullptr);
  CHECK(set.any_with_span(1) == nullptr);
  CHECK(set.check());
}

TEST_CASE("miniheap_set: check notices what changed behind its back", "[miniheap_set][check]") {
  using set_type = miniheap_set<geometry<1 * MiB>, first_fit, fullest_first>;
  const miniheap_memory<1 * MiB> memory{2};
  set_type::descriptor used{memory.at(0), 0, true};
  set_type::descriptor empty{memory.at(1), 1, true};
  set_type set;
  set.insert(used);
  set.insert(empty);
  const auto new_slab = [&] {
    page_entry* const slab = set.take_span(used, 1);
    make_slab(slab, 0);
    slab->free[0] &= ~std::uint64_t{1};
    slab->used = 1;
    return slab;
  };
  set.take_span(used, 20)->kind = page_kind::medium;
  page_entry* const slab = new_slab();
  set.add_to_bin(used, *slab);
  REQUIRE(set.check());
  SECTION("a miniheap that waits") { empty.is_waiting = true; }
  SECTION("a page in use") { used.take_span(1, 1)->kind = page_kind::medium; }
  SECTION("a dirty page") { used.soil({100, 1}); }
  SECTION("a slab in a bin") { used.bin_of(0).slabs.push_back(*new_slab()); }
  SECTION("a miniheap that has left the reserve") { empty.is_in_reserve = false; }
  CHECK(!set.check());
  used.bin_of(0).slabs.clear();
}
