// SPDX-License-Identifier: BSL-1.0
// The random operations. They come in phases: which sizes, how they are freed, whether the arena grows.
#include "model/driver.hpp"
#include "model/shadow.hpp"

#include <algorithm>
#include <new>

namespace model {
namespace {

class drunkard {
 public:
  drunkard(tested_arena& arena, std::uint64_t seed) : arena_{arena}, random_{seed}, shadow_{arena} {
    const miniheap::arena_config config = arena_.config();
    threshold_bytes_ = std::min(config.large_threshold_bytes, config.miniheap_bytes / 2);
    is_tiny_ = config.miniheap_bytes == 64 * miniheap::KiB;
    // What is of no bytes to a hardened arena lies where nobody can look: tests/misuse/hardened.cpp.
    least_bytes_ = config.checks == miniheap::check_level::hardened ? 1 : 0;
  }

  void walk(std::uint64_t operations) {
    for (done_ = 0; done_ < operations; ++done_) {
      if (phase_.left-- == 0) begin_phase();
      step();
      look();
    }
    drain();
  }

  [[nodiscard]] std::uint64_t done() const noexcept { return done_; }

 private:
  enum class sizes { equal, tiny, small, medium, large, any, pages };
  enum class order { random, oldest, newest };

  struct phase {
    std::uint64_t left = 0;
    sizes kind = sizes::tiny;
    order freed = order::random;
    unsigned grow_percent = 50;
    std::size_t equal_bytes = 16;
    bool is_aligned = false;
  };

  void begin_phase() {
    phase_.left = random_.between(50u, is_tiny_ ? 1500u : 5000u);
    phase_.kind = static_cast<sizes>(random_.below(7u));
    phase_.freed = static_cast<order>(random_.below(3u));
    phase_.grow_percent = random_.between(25u, 75u);
    phase_.equal_bytes = random_.between(std::size_t{1}, random_.one_in(2) ? std::size_t{128} : std::size_t{4096});
    phase_.is_aligned = random_.one_in(3);
  }

  std::size_t about(std::size_t most) {  // each order of magnitude as likely as any other
    std::size_t limit = 2;
    while (limit < most && !random_.one_in(8)) limit *= 2;
    return random_.below(limit < most ? limit : most + 1);
  }

  std::size_t choose_bytes() { return std::max(choose_any_bytes(), least_bytes_); }

  std::size_t choose_any_bytes() {
    switch (random_.one_in(10) ? sizes::any : phase_.kind) {
      case sizes::equal:
        return phase_.equal_bytes;
      case sizes::tiny:
        return random_.below(std::size_t{257});
      case sizes::small:
        return random_.below(std::size_t{8193});
      case sizes::medium:
        return random_.between(std::size_t{8192}, threshold_bytes_);
      case sizes::large:
        return random_.between(threshold_bytes_, 3 * threshold_bytes_);
      case sizes::any:
        return about(2 * threshold_bytes_);
      case sizes::pages:
        break;
    }
    return random_.between(std::size_t{1}, threshold_bytes_ / 4096 + 2) * 4096 + random_.below(std::size_t{3}) - 1;
  }

  std::size_t choose_alignment() {
    if (!phase_.is_aligned || random_.one_in(2)) return 16;
    if (random_.one_in(50)) return arena_.config().miniheap_bytes << random_.below(2u);
    return std::size_t{1} << random_.below(random_.one_in(8) ? 16u : 8u);
  }

  std::byte* choose() {
    const std::size_t n = shadow_.size();
    const std::size_t near = random_.below(n < 8 ? n : std::size_t{8});
    switch (phase_.freed) {
      case order::random:
        break;
      case order::oldest:
        return shadow_.at(near);
      case order::newest:
        return shadow_.at(n - 1 - near);
    }
    return shadow_.at(random_.below(n));
  }

  void step() {
    const unsigned dice = random_.below(100u);
    if (shadow_.size() == 0 || (dice >= 20 && random_.below(100u) < phase_.grow_percent)) {
      shadow_.live_bytes() < most_live_bytes() ? allocate() : deallocate();
    } else if (dice >= 20) {
      deallocate();
    } else if (dice >= 6) {
      reallocate();
    } else {
      query();
    }
    if (random_.one_in(700)) trim();
    if (random_.one_in(2500)) drain();
    if (random_.one_in(15000)) release();
    if (random_.one_in(300)) refuse();
  }

  [[nodiscard]] std::size_t most_live_bytes() const {
    return is_tiny_ ? 40 * arena_.config().miniheap_bytes : 16 * arena_.config().miniheap_bytes;
  }

  void allocate() {
    const std::size_t bytes = choose_bytes();
    const std::size_t alignment = choose_alignment();
    void* p = nullptr;
    try {
      switch (random_.below(4u)) {
        case 0:
          p = arena_.allocate(bytes, alignment);
          break;
        case 1: {
          const miniheap::sized_pointer room = arena_.allocate_at_least(bytes, alignment);
          p = room.ptr;
          expect(room.bytes == arena_.usable_size(p), "allocate_at_least tells the usable size");
          break;
        }
        case 2:
          p = arena_.try_allocate_zeroed(bytes, alignment);
          if (p != nullptr) expect_zeros(static_cast<const std::byte*>(p), bytes);
          break;
        default:
          p = arena_.try_allocate(bytes, alignment);
      }
    } catch (const std::bad_alloc&) {
    }
    if (p == nullptr) return failed(bytes + alignment);
    shadow_.add(p, bytes, alignment);
  }

  /// All of what is short; of more, both ends and a byte of each page.
  static void expect_zeros(const std::byte* p, std::size_t bytes) {
    constexpr std::size_t end_bytes = 512;
    bool is_zero = true;
    const std::size_t first_end = std::min(bytes, end_bytes);
    for (std::size_t i = 0; i < first_end; ++i) is_zero = is_zero && p[i] == p[bytes - 1 - i] && p[i] == std::byte{0};
    for (std::size_t i = end_bytes; i < bytes; i += 4096) is_zero = is_zero && p[i] == std::byte{0};
    expect(is_zero, "what is to be zero is");
  }

  /// A source that has no limit does not fail, another only when little is left. Each mapping takes an aligned place.
  void failed(std::size_t bytes) {
    const miniheap::arena_stats s = arena_.stats();
    const std::size_t places_bytes = (s.mappings + s.miniheaps + 2) * arena_.config().miniheap_bytes;
    expect(s.mapped_bytes + places_bytes + bytes > arena_.source_limit_bytes() / 2,
           "an allocation fails only for want of memory");
    shadow_.compare_check();
    shadow_.compare_stats();
  }

  void deallocate() {
    std::byte* const p = choose();
    const allocation a = shadow_[p];
    shadow_.remove(p);
    if (random_.one_in(2)) return arena_.deallocate(p);
    arena_.deallocate(p, random_.between(a.bytes, a.usable_bytes), a.alignment);
  }

  void reallocate() {
    std::byte* const p = choose();
    const allocation a = shadow_[p];
    const std::size_t near_bytes = std::max(random_.below(2 * a.bytes + 2), least_bytes_);
    const std::size_t bytes = random_.one_in(3) ? a.bytes : random_.one_in(2) ? near_bytes : choose_bytes();
    const std::size_t alignment = random_.one_in(6) ? choose_alignment() : a.alignment;
    void* q = nullptr;
    try {
      q = random_.one_in(2) ? arena_.reallocate(p, bytes, alignment) : arena_.try_reallocate(p, bytes, alignment);
    } catch (const std::bad_alloc&) {
    }
    if (q != nullptr) return shadow_.move(p, q, bytes, alignment);
    shadow_.verify(p);
    failed(bytes + alignment);
  }

  void query() {
    std::byte* const p = choose();
    const allocation a = shadow_[p];
    shadow_.verify(p);
    expect(arena_.usable_size(p) == a.usable_bytes, "the usable size stays");
    expect(arena_.owns(p) && arena_.owns(p + random_.below(a.usable_bytes)), "an arena owns what it gave");
    expect(!arena_.owns(&a) && !arena_.owns(nullptr) && !arena_.owns(this), "an arena owns no memory of others");
  }

  /// Requests that cannot be served change nothing.
  void refuse() {
    const std::size_t much = SIZE_MAX - random_.below(std::size_t{100000});
    expect(arena_.try_allocate(much, 16) == nullptr, "there is no such size");
    expect(arena_.try_allocate(1, SIZE_MAX / 2 + 1) == nullptr, "there is no such alignment");
    expect(arena_.try_allocate(random_.below(std::size_t{64}), random_.one_in(2) ? 0 : 24) == nullptr,
           "an alignment is a power of two");
    if (shadow_.size() != 0) {
      std::byte* const p = choose();
      expect(arena_.try_reallocate(p, much, 16) == nullptr, "no allocation grows so far");
      shadow_.verify(p);
    }
    expect(arena_.usable_size(nullptr) == 0, "nullptr has no bytes");
    arena_.deallocate(nullptr);
    arena_.deallocate(nullptr, 10, 16);
  }

  void trim() {
    const std::size_t before = arena_.source_mapped_bytes();
    expect(arena_.trim() >= before - arena_.source_mapped_bytes(), "trim counts what it gave back");
    shadow_.compare_check();
    shadow_.compare_stats();
    expect(arena_.stats().empty_miniheaps == 0 || arena_.is_source_refusing(), "trim leaves no empty miniheap");
  }

  /// Frees everything. No more than the reserve stays.
  void drain() {
    const std::uint64_t how = random_.below(3u);
    while (shadow_.size() != 0) {
      const std::size_t n = shadow_.size();
      std::byte* const p = shadow_.at(how == 0 ? 0 : how == 1 ? n - 1 : random_.below(n));
      shadow_.remove(p);
      arena_.deallocate(p);
      if (random_.one_in(16)) shadow_.compare_check();
    }
    shadow_.compare_check();
    shadow_.compare_stats();
    if (least_bytes_ != 0) arena_.trim();  // what waits in quarantine is no reserve
    const miniheap::arena_stats s = arena_.stats();
    expect(s.mappings == 0 && s.live_bytes == 0, "an arena without allocations has no mappings");
    if (arena_.is_source_refusing()) return;
    expect(s.miniheaps * arena_.config().miniheap_bytes <= arena_.config().reserve_ceiling_bytes,
           "the reserve is bounded");
    expect(s.mapped_bytes <= 2 * arena_.config().reserve_ceiling_bytes + s.metadata_bytes, "what is mapped is bounded");
    if (!random_.one_in(2)) return;
    trim();
    expect(arena_.stats().miniheaps == 0, "trim gives the reserve back");
  }

  void release() {
    arena_.release();
    shadow_.clear();
    if (arena_.is_source_refusing()) {
      shadow_.compare_check();
      shadow_.compare_stats();
      arena_.let_source_refuse(false);
      arena_.release();
      arena_.let_source_refuse(true);
    }
    expect(arena_.source_mapped_bytes() == 0, "release gives everything back");
    shadow_.compare_check();
    shadow_.compare_stats();
  }

  /// Looks more often where looking is cheap: after each operation while there are few tiny miniheaps.
  void look() {
    const std::size_t pages = shadow_.live_bytes() / 4096 + (is_tiny_ ? 1 : 64);
    if (random_.one_in(pages / 16 + 1)) shadow_.compare_check();
    if (random_.one_in(pages / 8 + 1)) shadow_.compare_stats();
    if (random_.one_in(pages + 64)) shadow_.compare_walk();
  }

  tested_arena& arena_;
  random_numbers random_;
  shadow shadow_;
  phase phase_;
  std::size_t threshold_bytes_ = 0;
  std::size_t least_bytes_ = 0;
  bool is_tiny_ = false;
  std::uint64_t done_ = 0;
};

}  // namespace

std::string drive(tested_arena& arena, std::uint64_t seed, std::uint64_t operations) {
  drunkard one{arena, seed};
  try {
    one.walk(operations);
  } catch (const broken_promise& promise) {
    return std::string{promise.what()} + ", after operation " + std::to_string(one.done());
  }
  return {};
}

}  // namespace model
