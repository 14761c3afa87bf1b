// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/stock.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <memory>
#include <set>
#include <vector>

using namespace miniheap::detail;

namespace {

/// Gives addresses that it never reads; knows which are out.
struct counting_arena {
  std::set<void*> out;
  std::uintptr_t next = 16;
  std::size_t left = SIZE_MAX;
  bool is_sparse = false;

  [[nodiscard]] bool was_sparse() const { return is_sparse; }
  std::set<std::uint32_t> lanes;  // that were asked for

  std::uint32_t allocate_batch(std::uint32_t, void** batch, std::uint32_t want, std::uint32_t lane) {
    lanes.insert(lane);
    std::uint32_t count = 0;
    for (; count < want && left != 0; ++count, --left) {
      batch[count] = reinterpret_cast<void*>(next += 16);
      out.insert(batch[count]);
    }
    return count;
  }
  std::uint32_t given = 0;  // in the last batch

  void deallocate_batch(std::uint32_t, void* const* batch, std::uint32_t count) {
    given = count;
    for (std::uint32_t n = 0; n < count; ++n) REQUIRE(out.erase(batch[n]) == 1);
  }
};

struct stocked {
  explicit stocked(std::uint32_t lane = 0) : s{arrays.get(), lane} {}

  std::unique_ptr<void* []> arrays { new void*[stock_array_bytes / sizeof(void*)] };
  stock s;
  counting_arena arena;
  std::size_t budget_bytes = 1024 * 1024;

  void* allocate(std::uint32_t c) {
    void* const p = s.try_take(c);
    return p != nullptr ? p : s.refill(arena, c, budget_bytes);
  }
  void deallocate(std::uint32_t c, void* p) {
    if (!s.try_put(c, p)) s.overflow(arena, c, p, budget_bytes);
  }
};

}  // namespace

TEST_CASE("stock: what goes in and out is accounted for, within the budget", "[stock]") {
  for (const std::size_t budget_bytes : {0u, 10000u, 300000u, 4000000u}) {
    stocked one;
    one.budget_bytes = budget_bytes;
    random_numbers random{budget_bytes};
    std::vector<std::pair<std::uint32_t, void*>> live;
    std::uint32_t favourite = 0;
    for (int n = 0; n < 100000; ++n) {
      if (random.one_in(1000)) favourite = random.below(stock_classes);
      const bool grows = n / 2000 % 2 == 0;
      if (live.empty() || random.below(10u) < (grows ? 7u : 3u)) {
        const std::uint32_t c = random.one_in(4) ? random.below(stock_classes) : favourite;
        live.emplace_back(c, one.allocate(c));
        REQUIRE(live.back().second != nullptr);
      } else {
        const std::size_t i = random.below(live.size());
        one.deallocate(live[i].first, live[i].second);
        live[i] = live.back();
        live.pop_back();
      }
      if (n % 64 == 0) {
        const char* const broken = one.s.check();
        if (broken != nullptr) FAIL(broken);
      }
      REQUIRE(one.s.slots() + live.size() == one.arena.out.size());
      if (random.one_in(500)) REQUIRE(one.s.bytes() <= budget_bytes);
    }
    one.s.flush(one.arena);
    CHECK(one.s.slots() == 0);
    CHECK(one.s.bytes() == 0);
    CHECK(one.arena.out.size() == live.size());
  }
}

TEST_CASE("stock: slots are taken in the order in which the arena gave them", "[stock]") {
  stocked one;
  void* last = one.allocate(3);
  for (int n = 0; n < 1000; ++n) {
    void* const next = one.allocate(3);
    REQUIRE(address_of(next) == address_of(last) + 16);
    last = next;
  }
}

TEST_CASE("stock: a bin grows with use, up to its capacity", "[stock]") {
  stocked one;
  for (std::uint32_t c = 0; c < stock_classes; ++c) {
    one.budget_bytes = SIZE_MAX;
    std::size_t most = 0;
    for (int round = 0; round < 30; ++round) {
      std::vector<void*> live;
      for (std::uint32_t n = 0; n < stock_capacity(c); ++n) live.push_back(one.allocate(c));
      for (void* const p : live) one.deallocate(c, p);
      most = std::max(most, one.s.bytes() / bytes_of_stock_class(c));
    }
    INFO("stock class " << c);
    CHECK(most >= stock_capacity(c) / 2);
    CHECK(most <= stock_capacity(c));
    REQUIRE(one.s.check() == nullptr);
    one.s.flush(one.arena);
  }
}

TEST_CASE("stock: all that it takes is for its lane", "[stock]") {
  stocked one{3};
  std::vector<void*> live;
  for (std::uint32_t c = 0; c < stock_classes; ++c) {
    for (std::uint32_t n = 0; n < 100; ++n) live.push_back(one.allocate(c));
  }
  CHECK(one.arena.lanes == std::set<std::uint32_t>{3});
}

TEST_CASE("stock: a thread that frees all it has keeps little", "[stock]") {
  stocked one;
  one.budget_bytes = SIZE_MAX;
  std::vector<std::pair<std::uint32_t, void*>> live;
  for (std::uint32_t c = 0; c < size_classes; ++c) {
    for (int n = 0; n < 20000; ++n) live.emplace_back(c, one.allocate(c));
  }
  for (const auto& [c, p] : live) one.deallocate(c, p);
  CHECK(one.s.bytes() <= size_classes * 16 * 1024);
  REQUIRE(one.s.check() == nullptr);
  CHECK(one.arena.out.size() == one.s.slots());
}

TEST_CASE("stock: a bin that is only freed into shrinks to what makes a batch", "[stock]") {
  for (const std::uint32_t c : {0u, 10u, 30u, size_classes - 1, stock_classes - 1}) {
    stocked one;  // nothing else is used, so nothing is swept
    one.budget_bytes = SIZE_MAX;
    std::vector<void*> live;
    for (int n = 0; n < 20001; ++n) live.push_back(one.allocate(c));
    for (void* const p : live) one.deallocate(c, p);
    INFO("stock class " << c);
    CHECK(one.s.bytes() <= std::max(16 * miniheap::KiB, 4 * bytes_of_stock_class(c)));
  }
}

TEST_CASE("stock: while memory is sparse what is freed after a refill goes back at once", "[stock]") {
  stocked one;
  std::vector<void*> live;
  for (int n = 0; n < 100; ++n) live.push_back(one.allocate(3));
  one.arena.is_sparse = true;
  while (one.s.try_take(3) != nullptr) {
  }
  void* const p = one.allocate(3);
  const auto is_out = [&](void* slot) { return one.arena.out.contains(slot); };
  for (void* const slot : {p, live[0], live[1]}) {
    REQUIRE(is_out(slot));
    one.deallocate(3, slot);
    CHECK_FALSE(is_out(slot));
  }
}

TEST_CASE("stock: while memory is sparse a bin hands little on, and what overflows goes back whole", "[stock]") {
  stocked one;
  one.budget_bytes = SIZE_MAX;
  const auto churn = [&] {
    std::vector<void*> live;
    for (int n = 0; n < 5000; ++n) live.push_back(one.allocate(3));
    for (void* const p : live) one.deallocate(3, p);
  };
  churn();
  REQUIRE(one.s.slots() > 8);
  one.arena.is_sparse = true;
  churn();
  CHECK(one.s.slots() <= 8);
  CHECK(one.arena.given == 8);
  REQUIRE(one.s.check() == nullptr);
  one.arena.is_sparse = false;
  churn();
  CHECK(one.s.slots() > 8);
}

TEST_CASE("stock: bins that nobody uses are emptied", "[stock]") {
  stocked one;
  std::vector<void*> live;
  for (int n = 0; n < 100; ++n) live.push_back(one.allocate(3));
  for (void* const p : live) one.deallocate(3, p);
  REQUIRE(one.s.bytes() >= 32 * 64);
  for (int n = 0; n < 20000; ++n) one.deallocate(7, one.arena.allocate_batch(7, live.data(), 1, 0) ? live[0] : nullptr);
  CHECK(one.s.try_take(3) == nullptr);
  CHECK(one.s.bytes() <= 128 * std::size_t{stock_capacity(7)});
}

TEST_CASE("stock: without memory nothing is taken and nothing lost", "[stock]") {
  stocked one;
  one.arena.left = 3;
  CHECK(one.allocate(5) != nullptr);
  CHECK(one.allocate(5) != nullptr);
  CHECK(one.allocate(5) != nullptr);
  CHECK(one.allocate(5) == nullptr);
  CHECK(one.s.slots() == 0);
  REQUIRE(one.s.check() == nullptr);
}

TEST_CASE("stock: a bin that was closed while it was full loses nothing when it opens again", "[stock]") {
  stocked one;
  const std::uint32_t c = size_class(48);
  std::vector<void*> live(2000);
  one.arena.allocate_batch(c, live.data(), 2000, 0);  // another thread had them
  for (int n = 0; n < 400; ++n) live.push_back(one.allocate(c));
  const auto deallocate_one = [&] {
    one.deallocate(c, live.back());
    live.pop_back();
    REQUIRE(one.arena.out.size() == live.size() + one.s.slots());
  };
  one.arena.is_sparse = true;
  std::size_t slots = 0;
  do {
    slots = one.s.slots();
    deallocate_one();
  } while (one.s.slots() != slots);  // one went back to the arena
  REQUIRE(slots > 64);
  one.arena.is_sparse = false;
  while (live.size() > 500) deallocate_one();
  CHECK(one.s.check() == nullptr);
}
