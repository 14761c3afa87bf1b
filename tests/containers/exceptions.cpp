// SPDX-License-Identifier: BSL-1.0
// Exceptions from elements, from a source that has reached its limit and from one that fails now and then: containers
// keep their guarantees and the arena stays valid.
#include <algorithm>
#include <deque>
#include <list>
#include <map>
#include <new>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "support.hpp"

using namespace containers;

namespace {

struct refusal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An element whose constructors throw when a countdown reaches 0.
class fragile {
 public:
  fragile(int value) : value_(checked(value)) { ++alive; }
  fragile(const fragile& other) : value_(checked(other.value_)) { ++alive; }
  fragile& operator=(const fragile&) = default;
  ~fragile() { --alive; }

  friend bool operator==(const fragile&, const fragile&) = default;
  int value() const noexcept { return value_; }

  static inline long alive = 0;
  static inline long countdown = 0;  // 0: never

 private:
  static int checked(int value) {
    if (countdown > 0 && --countdown == 0) throw refusal("no more elements");
    return value;
  }

  int value_;
};

struct limited_arena : miniheap::miniheap_arena<miniheap::limited_source<>, miniheap::no_lock, miniheap::first_fit,
                                                miniheap::fullest_first, tiny> {
  using miniheap_arena::miniheap_arena;
};
struct failing_arena : miniheap::miniheap_arena<miniheap::failing_source<>, miniheap::no_lock, miniheap::first_fit,
                                                miniheap::fullest_first, tiny> {
  using miniheap_arena::miniheap_arena;
};

template <class T, class Arena = tiny_arena>
using vector = std::vector<T, miniheap::miniheap_allocator<T, Arena>>;
template <class T, class Arena = tiny_arena>
using list = std::list<T, miniheap::miniheap_allocator<T, Arena>>;
template <class T, class Arena = tiny_arena>
using deque = std::deque<T, miniheap::miniheap_allocator<T, Arena>>;
template <class T, class Arena = tiny_arena>
using map = std::map<int, T, std::less<>, miniheap::miniheap_allocator<std::pair<const int, T>, Arena>>;
template <class T, class Arena = tiny_arena>
using hash_map = std::unordered_map<int, T, std::hash<int>, std::equal_to<>,
                                    miniheap::miniheap_allocator<std::pair<const int, T>, Arena>>;

template <class Container>
void add(Container& container, int value) {
  if constexpr (requires { typename Container::key_type; }) {
    container.emplace(value, value);
  } else {
    container.emplace_back(value);
  }
}

/// Adds until an exception of the type comes; the container must be as it was before the last attempt.
template <class Exception, class Container>
int add_until_refused(Container& container) {
  for (int value = 0;; ++value) {
    const auto size = container.size();
    try {
      add(container, value);
    } catch (const Exception&) {
      require(container.size() == size, "the size before");
      return value;
    }
    if (value == 10'000'000) FAIL("nobody refused");
  }
}

}  // namespace

TEMPLATE_TEST_CASE("an element's constructor throws", "[containers][exceptions]", vector<fragile>, list<fragile>,
                   deque<fragile>, map<fragile>, hash_map<fragile>) {
  tiny_arena arena{"fragile"};
  {
    TestType container(arena);
    for (int i = 0; i < 300; ++i) add(container, i);
    const TestType before(container);
    const auto stats_before = arena.stats();

    SECTION("while one is added") {
      fragile::countdown = 1;
      REQUIRE_THROWS_AS(add(container, 1000), refusal);
      require(container == before, "as it was before");
    }
    SECTION("in the middle of a copy") {
      fragile::countdown = 150;
      REQUIRE_THROWS_AS(TestType(container), refusal);
      require(arena.stats().allocations == stats_before.allocations, "as many allocations as before");
      require(arena.stats().live_bytes == stats_before.live_bytes, "as many bytes as before");
    }
    SECTION("while it is built from a range") {
      std::vector<std::pair<const int, fragile>> pairs;
      std::vector<fragile> values;
      for (int i = 0; i < 100; ++i) pairs.emplace_back(i, i), values.emplace_back(i);
      fragile::countdown = 60;
      if constexpr (requires { typename TestType::key_type; }) {
        REQUIRE_THROWS_AS(TestType(pairs.begin(), pairs.end(), {}, arena), refusal);
      } else {
        REQUIRE_THROWS_AS(TestType(values.begin(), values.end(), arena), refusal);
      }
      require(arena.stats().allocations == stats_before.allocations, "as many allocations as before");
    }
    fragile::countdown = 0;
    require_valid(arena);
    add(container, 2000);
    require(container.size() == 301, "it serves on");
  }
  REQUIRE(fragile::alive == 0);
  require_empty(arena);
}

TEST_CASE("a vector that grows keeps its elements when a copy throws", "[containers][exceptions]") {
  tiny_arena arena{"growing"};
  for (long failing_copy = 1; failing_copy <= 65; ++failing_copy) {
    {
      vector<fragile> v(arena);
      for (int i = 0; i < 64; ++i) v.emplace_back(i);
      v.shrink_to_fit();
      const auto before = arena.stats().live_bytes;
      fragile::countdown = failing_copy;  // of 64 copies and one construction
      REQUIRE_THROWS_AS(v.emplace_back(64), refusal);
      fragile::countdown = 0;
      REQUIRE(arena.stats().live_bytes == before);
      REQUIRE(v.size() == 64);
      for (int i = 0; i < 64; ++i) REQUIRE(v[static_cast<std::size_t>(i)].value() == i);
      require_valid(arena);
    }
    require_empty(arena);
  }
}

TEMPLATE_TEST_CASE("a cap is reached", "[containers][exceptions]", (vector<tracked, limited_arena>),
                   (list<tracked, limited_arena>), (deque<tracked, limited_arena>), (map<tracked, limited_arena>),
                   (hash_map<tracked, limited_arena>)) {
  constexpr std::size_t cap = 1 * MiB;
  limited_arena arena{miniheap::limited_source<>{cap}, "capped"};
  {
    TestType container(arena);
    const int most = add_until_refused<std::bad_alloc>(container);
    REQUIRE(most > 5000);
    REQUIRE(arena.stats().mapped_bytes <= cap);
    require_valid(arena);
    int value = 0;
    for (const auto& e : container) {
      if constexpr (requires { e.second; }) {
        require(container.at(e.first).value() == e.first, "an element is as it was");
      } else {
        require(e.value() == value++, "an element is as it was");
      }
    }

    REQUIRE_THROWS_AS(TestType(container), std::bad_alloc);  // there is no room for a second one
    REQUIRE(container.size() == static_cast<std::size_t>(most));
    require_valid(arena);

    container.clear();  // what goes is there for the next ones
    TestType(arena).swap(container);
    require_valid(arena);
    const int again = add_until_refused<std::bad_alloc>(container);
    REQUIRE(again >= most / 2);
    require_valid(arena);
  }
  REQUIRE(tracked::alive == 0);
  require_empty(arena);
  arena.trim();
  require_valid(arena);
}

TEMPLATE_TEST_CASE("a page source fails at any call", "[containers][exceptions]", (vector<tracked, failing_arena>),
                   (list<tracked, failing_arena>), (deque<tracked, failing_arena>), (map<tracked, failing_arena>),
                   (hash_map<tracked, failing_arena>)) {
  static constexpr int elements = 6000;
  const auto fill_and_clear = [](failing_arena& arena) {
    int refused = 0;
    {
      std::optional<TestType> container;
      try {
        container.emplace(arena);  // a deque allocates already here
      } catch (const std::bad_alloc&) {
        ++refused;
        require_empty(arena);
        container.emplace(arena);  // the failure was the only one
      }
      for (int value = 0; value < elements; ++value) {
        const auto size = container->size();
        try {
          add(*container, value);
        } catch (const std::bad_alloc&) {
          ++refused;
          require(container->size() == size, "the size before");
          require_valid(arena);
          add(*container, value);
        }
      }
      require(container->size() == elements, "all are in");
      require_valid(arena);
    }
    require_empty(arena);
    arena.trim();
    require_empty(arena);
    return refused;
  };

  std::uint64_t calls = 0;
  {
    failing_arena arena{"never fails"};
    REQUIRE(fill_and_clear(arena) == 0);
    calls = arena.source().calls();
  }
  REQUIRE(calls >= 3);
  int refused_in_all = 0;
  for (std::uint64_t n = 1; n <= calls; ++n) {
    INFO("call " << n << " of " << calls << " fails");
    failing_arena arena{"fails once"};
    arena.source().fail_at(n);
    refused_in_all += fill_and_clear(arena);
  }
  REQUIRE(refused_in_all > 0);  // or the failures came to nothing
  REQUIRE(tracked::alive == 0);
}

TEST_CASE("a page source fails at random for a long time", "[containers][exceptions]") {
  failing_arena arena{"random"};
  arena.source().fail_one_in(3, 7);
  {
    map<tracked, failing_arena> container(arena);
    std::map<int, int> model;
    sequence_of_numbers random;
    int refused = 0;
    for (int step = 0; step < 60'000; ++step) {
      const int key = random.below(step / 20'000 % 2 == 0 ? 30'000 : 300);  // it grows, shrinks and grows
      if (step / 20'000 % 2 == 1) {
        for (int k = key; k < 30'000; k += 300) model.erase(k), container.erase(k);
      } else {
        try {
          container.emplace(key, step);
          model.emplace(key, step);
        } catch (const std::bad_alloc&) {
          ++refused;
        }
      }
      if (step % 1000 == 0) require_valid(arena);
    }
    REQUIRE(refused > 0);
    REQUIRE(
        std::equal(container.begin(), container.end(), model.begin(), model.end(),
                   [](const auto& a, const auto& b) { return a.first == b.first && a.second.value() == b.second; }));
  }
  arena.source().never_fail();
  require_empty(arena);
  arena.trim();
  require_empty(arena);
}
