// SPDX-License-Identifier: BSL-1.0
// Many threads in one arena: allocated here, freed there, with threads that come and go while others look at it all.
#include <string_view>

#include "catch.hpp"
#include "threads/arenas.hpp"
#include "threads/pieces.hpp"

using namespace threads;

namespace {

template <class Arena>
class crowd {
 public:
  /// With `is_watched`, each address is in the table of owners; its locks hide races from ThreadSanitizer.
  crowd(Arena& arena, bool is_watched) : arena_{arena}, is_watched_{is_watched} {}

  /// One thread's life: so many operations, then it leaves what it has to the others.
  void live(std::uint64_t seed, unsigned operations) {
    random_numbers random{seed};
    std::array<piece*, 64> own{};
    for (unsigned n = 0; n < operations; ++n) {
      piece*& mine = own[random.below(own.size())];
      if (mine == nullptr) {
        mine = allocate(random);
      } else if (random.one_in(8)) {
        mine = reallocate(mine, random);
      } else if (random.one_in(2)) {
        mine = places_.swap(random.next(), mine);
      } else {
        deallocate(mine, random);
        mine = nullptr;
      }
      if (random.one_in(16)) batch(random);
      if (random.one_in(300)) look(random);
    }
    for (piece* const mine : own) deallocate(places_.swap(random.next(), mine), random);
  }

  /// Frees all that was left. How many faults there were.
  int finish() {
    random_numbers random{1};
    for (std::size_t n = 0; n < places_.size(); ++n) deallocate(places_.swap(n, nullptr), random);
    return faults_;
  }

 private:
  void expect(bool is_right) noexcept {
    if (!is_right) ++faults_;
  }

  static std::size_t choose_bytes(random_numbers& random) {
    if (random.one_in(200)) return random.between(std::size_t{40'000}, 3 * Arena::config.miniheap_bytes / 2);
    if (random.one_in(30)) return random.between(std::size_t{8'193}, std::size_t{30'000});
    if (random.one_in(4)) return random.between(sizeof(piece), std::size_t{8'192});
    return random.between(sizeof(piece), std::size_t{200});
  }

  piece* taken(void* p, std::size_t bytes, random_numbers& random) {
    if (p == nullptr) {
      ++faults_;
      return nullptr;
    }
    if (is_watched_) expect(owners_.take(p, bytes));
    return piece::make(p, bytes, random.next());
  }

  piece* allocate(random_numbers& random) {
    const std::size_t bytes = choose_bytes(random);
    if (random.one_in(10)) return taken(arena_.try_allocate_zeroed(bytes), bytes, random);
    const std::size_t alignment = random.one_in(20) ? std::size_t{32} << random.below(6u) : 16;
    void* const p = arena_.try_allocate(bytes, alignment);
    expect(detail::address_of(p) % alignment == 0);
    return taken(p, bytes, random);
  }

  void given(piece* p) {
    expect(p->is_intact());
    if (is_watched_) expect(owners_.give(p, p->bytes));
  }

  void deallocate(piece* p, random_numbers& random) {
    if (p == nullptr) return;
    given(p);
    // What was asked for with an alignment may have the size class of a longer request.
    random.one_in(2) ? arena_.deallocate(p) : arena_.deallocate(p, arena_.usable_size(p));
  }

  piece* reallocate(piece* p, random_numbers& random) {
    const std::size_t bytes = choose_bytes(random);
    expect(arena_.usable_size(p) >= p->bytes);
    expect(arena_.owns(p));
    const piece before = *p;
    given(p);
    auto* const moved = static_cast<piece*>(arena_.try_reallocate(p, bytes));
    expect(moved != nullptr && moved->bytes == before.bytes && moved->seed == before.seed);
    return taken(moved, bytes, random);
  }

  /// As a cache takes and gives slots.
  void batch(random_numbers& random) {
    if constexpr (requires(void** slots) { arena_.allocate_batch(0u, slots, 1u); }) {
      std::array<void*, 100> slots{};
      const std::size_t bytes = random.between(sizeof(piece), std::size_t{1'024});
      const std::uint32_t c = Arena::stock_class(bytes, 16);
      const std::uint32_t count = arena_.allocate_batch(c, slots.data(), random.between(1u, 100u));
      expect(count != 0);
      for (std::uint32_t i = 0; i < count; ++i) slots[i] = taken(slots[i], bytes, random);
      for (std::uint32_t i = 0; i < count; ++i) given(static_cast<piece*>(slots[i]));
      arena_.deallocate_batch(c, slots.data(), count);
    }
  }

  void look(random_numbers& random) {
    switch (random.below(6u)) {
      case 0:
        arena_.trim();
        break;
      case 1:
        expect(static_cast<bool>(arena_.check()));
        break;
      case 2: {
        std::size_t bytes = 0;
        arena_.walk([&](const allocation_info& info) { bytes += info.bytes; });
        arena_.walk([&](const mapping_info& info) { bytes += info.bytes; });
        expect(bytes < std::size_t{1} << 40);
        break;
      }
      case 3: {
        const arena_stats s = arena_.stats();
        expect(s.live_bytes <= s.mapped_bytes && s.mapped_bytes <= s.peak_mapped_bytes);
        break;
      }
      case 4:
        arena_.lock();
        arena_.unlock();
        break;
      default: {
        std::size_t length = 0;
        if (arena_.try_dump([&](std::string_view text) { length += text.size(); })) expect(length != 0);
      }
    }
  }

  Arena& arena_;
  const bool is_watched_;
  ownership owners_;
  exchange places_;
  std::atomic<int> faults_ = 0;
};

}  // namespace

TEMPLATE_LIST_TEST_CASE("threads: allocated here, freed there, while others look at it all", "[threads]", arenas) {
  for (const unsigned count : {2u, 4u, 8u}) {
    for (const bool is_watched : {false, true}) {
      TestType arena{"crowd"};
      crowd<TestType> all{arena, is_watched};
      for (unsigned wave = 0; wave < 3; ++wave) {
        in_threads(count, [&](unsigned n) { all.live(100 * wave + n + 1, 6'000 / count * (1 + n % 3)); });
      }
      INFO(count << " threads");
      CHECK(all.finish() == 0);
      if constexpr (requires { arena.flush(); }) arena.flush();
      CHECK(arena.check());
      CHECK(arena.stats().allocations == 0);
      CHECK(arena.stats().miniheaps * TestType::config.miniheap_bytes <= TestType::config.reserve_ceiling_bytes);
      arena.release();
      CHECK(arena.source().counts().mapped_bytes == 0);
    }
  }
}
