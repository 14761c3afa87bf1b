// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/page_ranges.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <miniheap/policy/source_wrappers.hpp>

#include <algorithm>
#include <iterator>
#include <map>
#include <vector>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

using supply = page_supply<failing_source<>>;

void require_valid(const page_ranges& ranges) {
  const check_result result = ranges.check();
  INFO((result ? "" : result.broken));
  REQUIRE(result);
}

/// What each page of a few hundred is, one at a time.
class model {
 public:
  enum class state : unsigned char { none, live, dirty, clean };

  void set(std::uintptr_t address, std::size_t bytes, state s) {
    for (std::size_t at = 0; at < bytes; at += page_bytes) pages_[(address + at) / page_bytes] = s;
  }
  [[nodiscard]] std::size_t bytes_of(state s) const {
    return static_cast<std::size_t>(std::count(pages_.begin(), pages_.end(), s)) * page_bytes;
  }
  /// The longest row of pages that are dirty.
  [[nodiscard]] std::size_t longest_dirty_bytes() const {
    std::size_t longest = 0;
    std::size_t row = 0;
    for (const state s : pages_) {
      row = s == state::dirty ? row + page_bytes : 0;
      longest = std::max(longest, row);
    }
    return longest;
  }
  /// A row of `pages` pages that are in no range; 0: not found.
  [[nodiscard]] std::uintptr_t some_place(random_numbers& random, std::size_t pages) const {
    const std::size_t first = random.between(std::size_t{1}, pages_.size() - pages);
    const auto at = pages_.begin() + static_cast<std::ptrdiff_t>(first);
    const bool is_free =
        std::all_of(at, at + static_cast<std::ptrdiff_t>(pages), [](state s) { return s == state::none; });
    return is_free ? first * page_bytes : 0;
  }

 private:
  std::vector<state> pages_ = std::vector<state>(400, state::none);
};

}  // namespace

TEST_CASE("page_ranges: each page is what it was made last, and idle neighbours are one", "[page_ranges]") {
  using state = model::state;
  supply s{failing_source<>{}};
  page_ranges ranges;
  model expected;
  std::map<std::uintptr_t, page_range*> live;
  random_numbers random{1};
  for (int n = 0; n < 20'000; ++n) {
    const std::size_t pages = random.between(std::size_t{1}, std::size_t{12});
    const unsigned dice = random.below(10u);
    if (dice < 3) {
      const std::uintptr_t address = expected.some_place(random, pages);
      if (address != 0) {
        page_range* const added = ranges.add(s, address, pages * page_bytes);
        added->alignment = page_bytes;
        live.emplace(address, added);
        expected.set(address, added->bytes, state::live);
      }
    } else if (dice < 5 && !live.empty()) {
      const auto it = std::next(live.begin(), static_cast<std::ptrdiff_t>(random.below(live.size())));
      expected.set(it->first, it->second->bytes, state::dirty);
      const page_range& whole = ranges.make_idle(*it->second);
      REQUIRE(whole.address <= it->first);
      live.erase(it);
    } else if (dice < 6 && !live.empty()) {
      const auto it = std::next(live.begin(), static_cast<std::ptrdiff_t>(random.below(live.size())));
      const std::uintptr_t address = expected.some_place(random, pages);
      if (address != 0) {
        page_range* const moved = it->second;
        expected.set(moved->address, moved->bytes, state::none);
        ranges.move(*moved, address, pages * page_bytes);
        expected.set(address, moved->bytes, state::live);
        live.erase(it);
        live.emplace(address, moved);
      }
    } else if (dice < 9) {
      if (page_range* const found = ranges.lowest_idle(pages * page_bytes, page_bytes)) {
        REQUIRE(found->bytes >= pages * page_bytes);
        if (!found->is_clean && dice == 8) {
          ranges.make_clean(*found);
          expected.set(found->address, found->bytes, state::clean);
        } else {
          s.source().fail_at(random.below(2u));  // perhaps
          const std::size_t before_bytes = found->bytes;
          if (ranges.cut(s, *found, pages * page_bytes)) {
            ranges.take_idle(*found);
            found->alignment = page_bytes;
            live.emplace(found->address, found);
            expected.set(found->address, found->bytes, state::live);
          } else {
            REQUIRE(found->bytes == before_bytes);
          }
          s.source().never_fail();
        }
      }
    } else if (page_range* const longest = ranges.longest_idle()) {
      expected.set(longest->address, longest->bytes, state::none);
      ranges.take_idle(*longest);
      ranges.erase(*longest);
    }
    require_valid(ranges);
    REQUIRE(ranges.dirty_bytes() == expected.bytes_of(state::dirty));
    REQUIRE(ranges.idle_bytes() == expected.bytes_of(state::dirty) + expected.bytes_of(state::clean));
    const page_range* const longest = ranges.longest_idle();
    REQUIRE((longest == nullptr || longest->is_clean || longest->bytes == expected.longest_dirty_bytes()));
    std::size_t live_bytes = 0;
    for (const page_range& r : ranges) {
      if (r.is_idle()) continue;
      REQUIRE(live.at(r.address) == &r);
      live_bytes += r.bytes;
    }
    REQUIRE(live_bytes == expected.bytes_of(state::live));
  }
}

TEST_CASE("page_ranges: of eight that are long enough the lowest, not the shortest", "[page_ranges]") {
  supply s{failing_source<>{}};
  page_ranges ranges;
  const auto add_idle = [&](std::size_t first_page, std::size_t pages) {
    ranges.make_idle(*ranges.add(s, first_page * page_bytes, pages * page_bytes));
  };
  const auto lowest = [&](std::size_t pages, std::size_t alignment_pages = 1) {
    const page_range* const found = ranges.lowest_idle(pages * page_bytes, alignment_pages * page_bytes);
    return found == nullptr ? 0 : found->address / page_bytes;
  };
  REQUIRE(lowest(1) == 0);
  add_idle(10, 2);
  add_idle(20, 7);
  add_idle(40, 4);
  REQUIRE(lowest(1) == 10);
  REQUIRE(lowest(3) == 20);
  REQUIRE(lowest(8) == 0);
  REQUIRE(lowest(3, 16) == 0);  // no multiple of 16 lies in any
  add_idle(64, 5);
  REQUIRE(lowest(4, 16) == 64);
  REQUIRE(lowest(3, 8) == 20);  // behind page 24 are as many
  REQUIRE(lowest(6, 8) == 0);
  REQUIRE(lowest(2) == 10);
  for (std::size_t n = 0; n < 7; ++n) add_idle(80 + 10 * n, 3);
  REQUIRE(lowest(3) == 40);  // the eighth in the order of lengths
  require_valid(ranges);
}

TEST_CASE("page_ranges: one more than twice as long as the shortest that will do is left alone", "[page_ranges]") {
  supply s{failing_source<>{}};
  page_ranges ranges;
  ranges.make_idle(*ranges.add(s, 10 * page_bytes, 9 * page_bytes));
  ranges.make_idle(*ranges.add(s, 40 * page_bytes, 4 * page_bytes));
  CHECK(ranges.lowest_idle(4 * page_bytes, page_bytes)->address == 40 * page_bytes);
  CHECK(ranges.lowest_idle(5 * page_bytes, page_bytes)->address == 10 * page_bytes);
}

TEST_CASE("page_ranges: found by any address", "[page_ranges]") {
  supply s{failing_source<>{}};
  page_ranges ranges;
  CHECK(ranges.last_at_or_below(UINTPTR_MAX) == nullptr);
  CHECK(ranges.first() == nullptr);
  page_range* const high = ranges.add(s, 20 * page_bytes, page_bytes);
  page_range* const low = ranges.add(s, 10 * page_bytes, 2 * page_bytes);
  CHECK(ranges.last_at_or_below(10 * page_bytes - 1) == nullptr);
  CHECK(ranges.last_at_or_below(10 * page_bytes) == low);
  CHECK(ranges.last_at_or_below(20 * page_bytes - 1) == low);
  CHECK(ranges.last_at_or_below(UINTPTR_MAX) == high);
  CHECK(ranges.first() == low);
  CHECK(ranges.next(*low) == high);
  CHECK(ranges.next(*high) == nullptr);
}

TEST_CASE("page_ranges: the least that was dirty since it was asked for", "[page_ranges]") {
  supply s{failing_source<>{}};
  page_ranges ranges;
  page_range* const one = ranges.add(s, 10 * page_bytes, 3 * page_bytes);
  page_range* const other = ranges.add(s, 20 * page_bytes, 4 * page_bytes);
  ranges.make_idle(*one);
  ranges.make_idle(*other);
  CHECK(ranges.take_least_dirty_bytes() == 0);
  ranges.take_idle(*one);
  ranges.make_idle(*one);
  ranges.note_least_dirty();
  CHECK(ranges.take_least_dirty_bytes() == 7 * page_bytes);
  ranges.take_idle(*one);
  ranges.note_least_dirty();
  ranges.make_idle(*one);
  CHECK(ranges.take_least_dirty_bytes() == 4 * page_bytes);
  ranges.make_clean(*other);
  ranges.note_least_dirty();
  CHECK(ranges.take_least_dirty_bytes() == 3 * page_bytes);
}

TEST_CASE("page_ranges: the records go back when there are no ranges", "[page_ranges]") {
  supply s{failing_source<>{}};
  page_ranges ranges;
  page_range* const only = ranges.add(s, page_bytes, page_bytes);
  CHECK(ranges.metadata_bytes() == s.mapped_bytes());
  ranges.release(s);
  CHECK(s.mapped_bytes() != 0);
  ranges.erase(*only);
  ranges.release(s);
  CHECK(s.mapped_bytes() == 0);
  s.source().fail_at(1);
  CHECK(ranges.add(s, page_bytes, page_bytes) == nullptr);
  CHECK(ranges.empty());
}

TEST_CASE("page_ranges: check notices what changed behind its back", "[page_ranges][check]") {
  supply s{failing_source<>{}};
  page_ranges ranges;
  const auto add = [&](std::uintptr_t page, std::size_t pages) {
    page_range* const added = ranges.add(s, page * page_bytes, pages * page_bytes);
    REQUIRE(added != nullptr);
    added->alignment = page_bytes;
    return added;
  };
  page_range& live = *add(10, 2);
  page_range& next = *add(12, 2);
  page_range& short_one = ranges.make_idle(*add(20, 2));
  page_range& long_one = ranges.make_idle(*add(30, 4));
  require_valid(ranges);
  SECTION("a range without pages") { live.bytes = 0; }
  SECTION("a part of a page") { live.bytes += 16; }
  SECTION("ranges that overlap") { live.bytes += page_bytes; }
  SECTION("a purged range that is not idle") { next.is_clean = true; }
  SECTION("an idle range that is in no order of lengths") { live.alignment = 0; }
  SECTION("two that would be one") { live.alignment = next.alignment = 0; }
  SECTION("one that is idle no more") { long_one.alignment = page_bytes; }
  SECTION("a longer one before a shorter one") { short_one.bytes += 4 * page_bytes; }
  SECTION("a wrong sum of all") { long_one.bytes += page_bytes; }
  SECTION("a wrong sum of what is purged") { long_one.is_clean = true; }
  CHECK(!ranges.check());
}
