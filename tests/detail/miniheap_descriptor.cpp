// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/miniheap_descriptor.hpp>

#include "catch.hpp"
#include "detail/miniheap_memory.hpp"
#include "random.hpp"

#include <miniheap/policy/fit.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

using tiny = geometry<64 * KiB>;

template <class Fit, class Shape = tiny>
struct made_miniheap {
  explicit made_miniheap(int filling = 0x77) : memory{1, filling}, m{memory.at(0), 7, filling == 0} {}
  miniheap_memory<Shape::miniheap_bytes> memory;
  miniheap_descriptor<Shape, Fit> m;
};

template <class Miniheap>
void require_valid(const Miniheap& m) {
  const char* const broken = m.check();
  INFO((broken == nullptr ? "" : broken));
  REQUIRE(broken == nullptr);
}

}  // namespace

TEST_CASE("miniheap_descriptor: a new miniheap is one free span, in zeros or in rubbish", "[miniheap]") {
  for (const int filling : {0, 0x77}) {
    made_miniheap<first_fit> made{filling};
    require_valid(made.m);
    CHECK(made.m.is_empty());
    CHECK(made.m.key() == occupancy{0, address_of(made.memory.at(0)), 7});
    CHECK(made.m.spans().at_or_after(0) == free_span{tiny::head_pages, tiny::usable_pages});
    CHECK(&miniheap_descriptor<tiny, first_fit>::of(address_of(made.memory.at(0) + 40000)) == &made.m);
  }
}

TEMPLATE_TEST_CASE("miniheap_descriptor: spans are taken, extended, shrunk and given", "[miniheap]", first_fit,
                   best_fit, good_fit, next_fit) {
  using shape = geometry<256 * KiB>;
  made_miniheap<TestType, shape> made;
  random_numbers random{11};
  std::map<page_entry*, std::uint32_t> used;
  std::uint32_t used_pages = 0;
  std::set<std::uint32_t> dirty;
  std::set<std::uint32_t> old;
  const auto use = [&](std::uint32_t first, std::uint32_t pages) {
    dirty.erase(dirty.lower_bound(first), dirty.lower_bound(first + pages));
    old.erase(old.lower_bound(first), old.lower_bound(first + pages));
  };
  const auto soil = [&](std::uint32_t first, std::uint32_t pages) {
    for (std::uint32_t page = first; page < first + pages; ++page) dirty.insert(page);
  };
  const auto any = [&] { return std::next(used.begin(), static_cast<std::ptrdiff_t>(random.below(used.size()))); };
  for (int n = 0; n < 6000; ++n) {
    const unsigned dice = random.below(n / 200 % 2 == 0 ? 10u : 25u);
    if (dice < 7) {
      const std::uint32_t pages = random.between(1u, 12u);
      const std::uint32_t align_pages = 1u << random.below(4u);
      page_entry* const first = made.m.take_span(pages, align_pages);
      if (first == nullptr) {
        REQUIRE(made.m.spans().longest_pages() < pages + align_pages - 1);
        continue;
      }
      REQUIRE(shape::page_of(first) % align_pages == 0);
      first->kind = page_kind::medium;
      REQUIRE(used.emplace(first, pages).second);
      used_pages += pages;
      use(shape::page_of(first), pages);
    } else if (used.empty()) {
      continue;
    } else if (dice < 9) {
      const auto it = any();
      const std::uint32_t pages = it->second + random.between(1u, 5u);
      const free_span behind = made.m.spans().starting_at(shape::page_of(it->first) + it->second);
      const bool fits = behind.pages >= pages - it->second;
      REQUIRE(made.m.extend_span(it->first, pages) == fits);
      if (fits) use(behind.first, pages - it->second), used_pages += pages - it->second, it->second = pages;
    } else if (dice == 9 && random.one_in(2)) {
      const std::uint32_t page = random.between(shape::head_pages, shape::pages);
      const std::uint32_t clean = made.m.clean_pages_at(page, 5);
      REQUIRE(clean <= 5);
      for (std::uint32_t i = 0; i < clean; ++i)
        REQUIRE((made.m.spans().is_free(page + i) && dirty.count(page + i) == 0));
      const std::uint32_t next = page + clean;
      if (clean < 5 && next < shape::pages) REQUIRE((!made.m.spans().is_free(next) || dirty.count(next) == 1));
      if (clean != 0) made.m.soil({page, clean}), soil(page, clean);
    } else if (dice == 9) {
      const bool fails = random.one_in(3);
      const bool only_old = random.one_in(2);
      const std::set<std::uint32_t> expected = only_old ? old : dirty;
      std::set<std::uint32_t> purged;
      const auto purge = [&](std::uint32_t page, std::uint32_t pages) {
        for (std::uint32_t i = 0; i < pages; ++i) purged.insert(page + i);
        if (!fails) use(page, pages);
        return !fails;
      };
      const bool is_clean = only_old ? made.m.clean_old(purge) : made.m.clean(purge);
      REQUIRE(is_clean == (!fails || expected.empty()));
      if (!fails) REQUIRE(purged == expected);
      if (random.one_in(2)) made.m.make_dirty_pages_old(), old = dirty;
    } else {
      const auto it = any();
      const std::uint32_t left = random.one_in(4) ? random.below(it->second) : 0;
      made.m.give_span(it->first, left);
      used_pages -= it->second - left;
      soil(shape::page_of(it->first) + left, it->second - left);
      if (left == 0)
        used.erase(it);
      else
        it->second = left;
    }
    made.m.set_level(made.m.wanted_level());
    require_valid(made.m);
    REQUIRE(made.m.used_pages() == used_pages);
    REQUIRE(made.m.dirty_pages() == dirty.size());
    REQUIRE(made.m.old_pages() == old.size());
    std::map<page_entry*, std::uint32_t> seen;
    made.m.for_each_span([&](const page_entry& first, bool is_free) {
      if (!is_free) seen.emplace(const_cast<page_entry*>(&first), first.pages);
    });
    REQUIRE(seen == used);
  }
}

TEST_CASE("next_level: only an empty miniheap has level 0, only a used one another", "[miniheap][level]") {
  for (const std::uint32_t total : {15u, 63u, 252u, 1008u, 16128u}) {
    for (unsigned level = 0; level <= occupancy_levels; ++level) {
      for (std::uint32_t used = 0; used <= total; used += 1 + used / 200) {
        const unsigned next = next_level(level, used, total);
        if ((next == 0) != (used == 0) || next > occupancy_levels) FAIL(level << ": " << used << " of " << total);
        if (next_level(next, used, total) != next) FAIL(level << " does not settle: " << used << " of " << total);
        if (used == total && next != occupancy_levels) FAIL("full");
      }
    }
  }
}

TEST_CASE("next_level: is right to one and a half steps, whatever it was before", "[miniheap][level]") {
  for (const std::uint32_t total : {15u, 63u, 252u, 1008u}) {
    for (unsigned level = 0; level <= occupancy_levels; ++level) {
      for (std::uint32_t used = 1; used <= total; ++used) {
        const double exact = static_cast<double>(used) * occupancy_levels / total;  // level L is for L - 1 < exact <= L
        const double wrong = exact - next_level(level, used, total);
        if (wrong > 0.5 + 1e-9 || wrong <= -1.5 - 1e-9) FAIL(level << ": " << used << " of " << total << ", " << wrong);
      }
    }
  }
}

TEST_CASE("next_level: stays while occupancy swings by half a step around a border", "[miniheap][level]") {
  const std::uint32_t total = 1008;
  const std::uint32_t step = total / occupancy_levels;
  for (unsigned border = 1; border < occupancy_levels; ++border) {
    for (unsigned level : {border, border + 1}) {
      const std::uint32_t middle = border * step;
      for (std::uint32_t used = middle - step / 2 + 1; used < middle + step / 2; ++used) {
        if (next_level(level, used, total) != level) FAIL("level " << level << ", " << used << " pages");
      }
    }
  }
}

TEST_CASE("miniheap_descriptor: unused pages of a slab are dirty or clean, until they are used", "[miniheap]") {
  made_miniheap<first_fit> made;
  const std::uint32_t c = size_classes - 1;  // 4 slots of 2 pages each
  page_entry* const slab = made.m.take_span(shapes[c].pages, 1);
  make_slab(slab, c);
  slab->free[0] = 0b1101;
  slab->used = 1 | counted_mark;
  made.m.bin_of(c).slabs.push_back(*slab);
  made.m.set_level(made.m.wanted_level());
  CHECK(made.m.give_slab_pages(*slab, 0b11000011) == 4);
  CHECK(made.m.give_slab_pages(*slab, 0b00110000) == 2);
  require_valid(made.m);
  CHECK(made.m.dirty_pages() == 6);
  CHECK(made.m.unused_slab_pages() == 6);
  SECTION("in rows") {
    std::vector<std::uint32_t> rows;
    made.m.clean([&](std::uint32_t, std::uint32_t pages) {
      rows.push_back(pages);
      return true;
    });
    CHECK(rows == std::vector<std::uint32_t>{2, 4});
    CHECK(made.m.dirty_pages() == 0);
    require_valid(made.m);
    SECTION("used") {
      const auto taken = made.m.take_slab_pages(*slab);
      CHECK(taken.pages == 6);
      CHECK(taken.clean_pages == 6);
      CHECK(made.m.unused_slab_pages() == 0);
      CHECK(slab->unused == 0);
    }
    SECTION("soiled by what is around them") {
      made.m.soil_all();
      CHECK(made.m.dirty_pages() == tiny::usable_pages - 2);
      require_valid(made.m);
    }
    SECTION("given with their slab") {
      CHECK(made.m.give_slab_pages(*slab, 0b00001100) == 2);
      made.m.bin_of(c).slabs.pop_back();
      unmake_slab(slab);
      made.m.give_unused_slab(slab);
      made.m.set_level(made.m.wanted_level());
      require_valid(made.m);
      CHECK(made.m.is_empty());
      CHECK(made.m.dirty_pages() == 2);
    }
  }
  SECTION("used before they are given back") {
    made.m.make_dirty_pages_old();
    CHECK(made.m.take_slab_pages(*slab).clean_pages == 0);
    CHECK(made.m.dirty_pages() == 0);
    CHECK(made.m.old_pages() == 0);
  }
  SECTION("and check notices a wrong count") {
    slab->unused = 0b11100011;
    CHECK(made.m.check() != nullptr);
  }
  SECTION("and check notices a dirty page that is used") {
    slab->unused = 0b11101101;  // as many
    CHECK(made.m.check() != nullptr);
  }
  made.m.bin_of(c).slabs.clear();
}

TEST_CASE("miniheap_descriptor: check notices what is wrong", "[miniheap][check]") {
  made_miniheap<first_fit> made;
  page_entry* const first = made.m.take_span(3, 1);
  first->kind = page_kind::medium;
  made.m.set_level(made.m.wanted_level());
  require_valid(made.m);
  SECTION("a used span of no kind") { first->kind = page_kind::free; }
  SECTION("a page that something stale points into") { first[1].kind = page_kind::medium; }
  SECTION("a free page of a kind") { first[5].kind = page_kind::medium; }
  SECTION("a wrong level") { made.m.set_level(0); }
  SECTION("another descriptor") { made.memory.map()->descriptor = nullptr; }
  SECTION("a slab in no bin") {
    page_entry* const slab = made.m.take_span(shapes[0].pages, 1);
    made.m.set_level(made.m.wanted_level());
    make_slab(slab, 0);
    slab->free[0] &= ~std::uint64_t{1};
    slab->used = 1;
  }
  CHECK(made.m.check() != nullptr);
}
