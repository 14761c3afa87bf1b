// SPDX-License-Identifier: BSL-1.0
// The operations on an arena of any policies and layers, over tiny miniheaps and a page source that fails now and then.
#include "fuzz/arenas.hpp"
#include "fuzz/bodies.hpp"
#include "fuzz/sizes.hpp"

#include <algorithm>
#include <new>

namespace fuzz {
namespace {

using model::expect;

class arena_stream {
 public:
  arena_stream(fuzzed_arena& arena, source_record& source, bool looks_often)
      : arena_{arena}, source_{source}, looks_often_{looks_often && !arena.has_stock()} {}

  void step(input& in) {
    refusals_before_ = source_.refusals();
    const std::size_t operation = in.below(64);
    if (operation < 24 || shadow_.size() == 0) {
      shadow_.live_bytes() < arena_.source_limit_bytes() / 2 ? allocate(in) : deallocate_some(in);
    } else if (operation < 36) {
      deallocate(in);
    } else if (operation < 42) {
      reallocate(in);
    } else {
      seldom(operation, in);
    }
    if (!looks_often_) return;
    shadow_.compare_check();
    shadow_.compare_stats();
  }

  /// Everything is given back; where nothing fails, nothing stays.
  void end() {
    source_.never_fail();
    look();
    while (shadow_.size() != 0) deallocate(shadow_.at(shadow_.size() - 1));
    look();
    const miniheap::arena_stats s = arena_.stats();
    expect(s.mappings == 0 && s.live_bytes == 0, "an arena without allocations has no mappings");
    arena_.trim();
    look();
    expect(arena_.stats().miniheaps == 0, "trim gives the reserve back");
    release();
    look();
  }

 private:
  void seldom(std::size_t operation, input& in) {
    switch (operation) {
      case 42:
      case 43:
        return resize(in);
      case 44:
      case 45:
        return allocate_batch(in);
      case 46:
      case 47:
        return deallocate_batch(in);
      case 48:
      case 49:
      case 50:
        return deallocate_some(in);
      case 51:
      case 52:
        return trim(in);
      case 53:
        return query(in);
      case 54:
        return refuse(in);
      case 55:
        return look();
      case 56:
        return in.one_in(4) ? release() : look();
      case 57:
      case 58:
        return source_.fail(std::uint32_t{1} << in.below(32), false);
      case 59:
        return source_.fail(static_cast<std::uint32_t>(in.below(1u << 16) << 8 | in.byte()), in.one_in(4));
      case 60:
        return source_.never_fail();
      default:
        return allocate_some(in);
    }
  }

  std::size_t choose_size(input& in) const { return std::max(choose_bytes(in), least_bytes_); }
  std::size_t near_size(input& in, std::size_t bytes) const { return std::max(in.below(2 * bytes + 2), least_bytes_); }

  /// In this operation.
  [[nodiscard]] bool was_refused() const { return source_.refusals() != refusals_before_; }

  void allocate(input& in) {
    const std::size_t how = in.below(6);
    const std::size_t bytes = choose_size(in);
    allocate(how, bytes, how < 2 ? miniheap::default_alignment : choose_alignment(in));
  }

  void allocate(std::size_t how, std::size_t bytes, std::size_t alignment) {
    refusals_before_ = source_.refusals();
    void* p = nullptr;
    try {
      switch (how) {
        case 0:
          p = arena_.try_allocate_quickly(bytes);
          if (p == nullptr) p = arena_.try_allocate(bytes, alignment);
          break;
        case 1:
        case 2:
          p = arena_.allocate(bytes, alignment);
          break;
        case 3: {
          const miniheap::sized_pointer room = arena_.allocate_at_least(bytes, alignment);
          p = room.ptr;
          expect(room.bytes == arena_.usable_size(p), "allocate_at_least tells the usable size");
          break;
        }
        case 4:
          p = arena_.try_allocate_zeroed(bytes, alignment);
          if (p != nullptr) expect_zeros(static_cast<const std::byte*>(p), bytes);
          break;
        default:
          p = arena_.try_allocate(bytes, alignment);
      }
    } catch (const std::bad_alloc&) {
    }
    if (p == nullptr) return expect(was_refused(), "an allocation fails only where the page source does");
    shadow_.add(p, bytes, alignment);
  }

  static void expect_zeros(const std::byte* p, std::size_t bytes) {
    expect(std::all_of(p, p + bytes, [](std::byte b) { return b == std::byte{0}; }), "zeroed memory is zero");
  }

  /// Many of one size, so that slabs and miniheaps fill.
  void allocate_some(input& in) {
    const std::size_t bytes = choose_size(in);
    for (std::size_t n = in.byte(); n != 0 && shadow_.live_bytes() < arena_.source_limit_bytes() / 2; --n) {
      allocate(5, bytes, miniheap::default_alignment);
    }
  }

  std::byte* choose(input& in) { return shadow_.at(in.below(shadow_.size())); }

  void deallocate(std::byte* p) {
    const std::size_t bytes = shadow_[p].usable_bytes;
    shadow_.remove(p);
    arena_.deallocate(p);
    freed(bytes);
  }

  /// Where nothing was ever refused, and pages were freed for sure, no more is kept than may be.
  void freed(std::size_t bytes) {
    if (!looks_often_ || source_.refusals() != 0 || bytes <= miniheap::detail::max_small_bytes) return;
    const miniheap::arena_stats s = arena_.stats();
    expect(s.reserve_bytes <= s.reserve_limit_bytes, "the reserve is bounded");
  }

  void deallocate(input& in) {
    std::byte* const p = choose(in);
    const model::allocation a = shadow_[p];
    const std::size_t how = in.below(3);
    if (how == 0) return deallocate(p);
    shadow_.remove(p);
    if (how == 1) {
      arena_.deallocate(p, a.bytes + in.below(a.usable_bytes - a.bytes + 1), a.alignment);
    } else if (!arena_.try_deallocate_quickly(p)) {
      arena_.deallocate(p);
    }
    freed(a.usable_bytes);
  }

  /// Every so many of them, from some place on.
  void deallocate_some(input& in) {
    const std::size_t step = in.between(1, 9);
    for (std::size_t place = in.below(shadow_.size()), n = in.byte(); place < shadow_.size() && n != 0; --n) {
      deallocate(shadow_.at(place));
      place += step - 1;  // the last one came into its place
    }
  }

  void reallocate(input& in) {
    std::byte* const p = choose(in);
    const model::allocation a = shadow_[p];
    const std::size_t how = in.below(8);
    const std::size_t bytes = how < 3 ? a.bytes : how < 5 ? near_size(in, a.bytes) : choose_size(in);
    const std::size_t alignment = how == 7 ? choose_alignment(in) : a.alignment;
    void* q = nullptr;
    try {
      q = how % 2 == 0 ? arena_.reallocate(p, bytes, alignment) : arena_.try_reallocate(p, bytes, alignment);
    } catch (const std::bad_alloc&) {
    }
    if (q != nullptr) return shadow_.move(p, q, bytes, alignment);
    shadow_.verify(p);
    expect(was_refused(), "a reallocation fails only where the page source does");
  }

  void resize(input& in) {
    std::byte* const p = choose(in);
    const std::size_t bytes = in.one_in(2) ? choose_size(in) : near_size(in, shadow_[p].bytes);
    const std::size_t alignment = shadow_[p].alignment;
    const bool is_small = miniheap::detail::is_small(shadow_[p].usable_bytes, alignment);
    if (void* const q = arena_.try_resize(p, bytes, alignment)) {
      expect(!is_small || q == p, "a small allocation does not move in a resize");
      return shadow_.move(p, q, bytes, alignment);
    }
    shadow_.verify(p);
  }

  void allocate_batch(input& in) {
    if (arena_.has_stock()) return;
    const auto c = static_cast<std::uint32_t>(in.below(miniheap::detail::stock_classes));
    const auto lane = static_cast<std::uint32_t>(in.below(miniheap::detail::thread_lanes));
    const auto want = static_cast<std::uint32_t>(in.between(1, most_batch));
    void* batch[most_batch];
    const std::uint32_t count = arena_.allocate_batch(c, batch, want, lane);
    expect(count <= want, "a batch is not longer than asked for");
    expect(count != 0 || was_refused(), "a batch is empty only where the page source fails");
    for (std::uint32_t n = 0; n < count; ++n) {
      expect(arena_.stock_class_of(batch[n]) == c || arena_.stock_class_of(batch[n]) == miniheap::detail::stock_classes,
             "what is in a batch has its class");
      shadow_.add(batch[n], miniheap::detail::bytes_of_stock_class(c), miniheap::default_alignment);
    }
  }

  /// Those from some place on that have the class of the first.
  void deallocate_batch(input& in) {
    const std::size_t first = in.below(shadow_.size());
    const std::uint32_t c = arena_.stock_class_of(shadow_.at(first));
    if (c == miniheap::detail::stock_classes) return;
    void* batch[most_batch];
    std::uint32_t count = 0;
    const std::size_t want = in.between(1, most_batch);
    for (std::size_t place = first; place < shadow_.size() && count < want; ++place) {
      if (arena_.stock_class_of(shadow_.at(place)) == c) batch[count++] = shadow_.at(place);
    }
    for (std::uint32_t n = 0; n < count; ++n) shadow_.remove(static_cast<std::byte*>(batch[n]));
    arena_.deallocate_batch(c, batch, count);
  }

  void query(input& in) {
    std::byte* const p = choose(in);
    const model::allocation a = shadow_[p];
    shadow_.verify(p);
    expect(arena_.usable_size(p) == a.usable_bytes, "the usable size stays");
    expect(arena_.owns(p) && arena_.owns(p + in.below(a.usable_bytes)), "an arena owns what it gave");
    expect(!arena_.owns(&a) && !arena_.owns(nullptr) && !arena_.owns(this), "an arena owns no memory of others");
  }

  /// Requests that cannot be served change nothing.
  void refuse(input& in) {
    const std::size_t much = choose_much(in);
    expect(arena_.try_allocate(much, choose_alignment(in)) == nullptr, "there is no such size");
    expect(arena_.try_allocate_zeroed(much, miniheap::default_alignment) == nullptr, "there is no such size of zeros");
    expect(arena_.try_allocate(choose_bytes(in), std::size_t{1} << (40 + in.below(24))) == nullptr,
           "there is no such alignment");
    const std::size_t odd = 3 * in.below(1000);
    expect(arena_.try_allocate(in.byte(), odd) == nullptr, "an alignment is a power of two");
    if (shadow_.size() != 0) {
      std::byte* const p = choose(in);
      expect(arena_.try_reallocate(p, much, miniheap::default_alignment) == nullptr, "no allocation grows so far");
      expect(arena_.try_reallocate(p, in.byte(), odd) == nullptr, "an alignment is a power of two");
      shadow_.verify(p);
    }
    arena_.deallocate(nullptr);
    arena_.deallocate(nullptr, 10, 16);
  }

  void trim(input& in) {
    const std::size_t before = arena_.source_mapped_bytes();
    const bool all = in.one_in(2);
    const std::size_t given = all ? arena_.trim() : arena_.trim_to(in.below(64) * 4096);
    expect(given >= before - arena_.source_mapped_bytes(), "trim counts what it gave back");
    if (all && !was_refused()) expect(arena_.stats().empty_miniheaps == 0, "trim leaves no empty miniheap");
  }

  void release() {
    refusals_before_ = source_.refusals();
    arena_.release();
    shadow_.clear();
    if (!was_refused()) {
      expect(arena_.source_mapped_bytes() == 0, "release gives everything back");
      expect(source_.is_empty(), "what is mapped is counted");
    }
  }

  void look() const {
    shadow_.compare_stats();
    shadow_.compare_walk();
    shadow_.compare_check();
    shadow_.compare_stats();
  }

  static constexpr std::size_t most_batch = 64;

  fuzzed_arena& arena_;
  source_record& source_;
  model::shadow shadow_{arena_};
  bool looks_often_;
  // What is of no bytes to a hardened arena lies where nobody can look: tests/misuse/hardened.cpp.
  std::size_t least_bytes_ = arena_.config().checks == miniheap::check_level::hardened ? 1 : 0;
  std::size_t refusals_before_ = 0;
};

}  // namespace

void arena(std::span<const std::uint8_t> bytes) {
  input in{bytes};
  const std::size_t number = in.byte();
  const std::size_t choice = in.byte();
  const std::size_t limit_bytes = most_limit_bytes >> choice % 4;
  source_record record{limit_bytes};
  {
    const std::unique_ptr<fuzzed_arena> made = make_arena(number, record, limit_bytes);
    arena_stream stream{*made, record, choice < 192};
    play(stream, in);
  }
  expect(record.is_empty(), "the destructor gives everything back");
}

}  // namespace fuzz
