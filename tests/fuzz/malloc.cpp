// SPDX-License-Identifier: BSL-1.0
// The functions of C and C++ that allocate: what they return, what they leave in errno, and that those that fail change
// nothing. Sizes go up to what cannot be, and products overflow.
#include "fuzz/arenas.hpp"
#include "fuzz/bodies.hpp"
#include "fuzz/sizes.hpp"

#include <miniheap/malloc_api.hpp>

#include <algorithm>
#include <cerrno>
#include <new>

namespace fuzz {
namespace {

using model::expect;

/// The program's new-handler: it is called as often as the input says, and at the last call it repairs the page source.
struct handled_runtime {
  static inline std::size_t calls_left = 0;
  static inline source_record* record = nullptr;

  static void handle() {
    if (--calls_left == 0) record->never_fail();
  }
  static std::new_handler new_handler() noexcept { return calls_left != 0 ? &handle : nullptr; }
  [[noreturn]] static void throw_bad_alloc(std::size_t /*bytes*/) { throw std::bad_alloc{}; }
};

template <class Arena>
class malloc_stream {
 public:
  malloc_stream(fuzzed<Arena>& arena, source_record& source)
      : arena_{arena}, api_{arena.arena()}, source_{source}, shadow_{arena} {
    handled_runtime::record = &source;
    handled_runtime::calls_left = 0;
  }

  void step(input& in) {
    refusals_before_ = source_.refusals();
    errno = mark;
    const std::size_t operation = in.below(32);
    if (operation < 14 || shadow_.size() == 0) {
      allocate(operation, in);
    } else if (operation < 20) {
      reallocate(operation, in);
    } else if (operation < 26 || shadow_.live_bytes() > arena_.source_limit_bytes() / 2) {
      free(operation, in);
    } else {
      seldom(operation, in);
    }
    shadow_.compare_stats();
    if (!arena_.has_stock()) shadow_.compare_check();
  }

  void end() {
    source_.never_fail();
    handled_runtime::calls_left = 0;
    while (shadow_.size() != 0) api_.free(take(shadow_.at(shadow_.size() - 1)));
    shadow_.compare_stats();
    shadow_.compare_check();
    const struct mallinfo2 info = api_.mallinfo2();
    expect(info.uordblks == 0 && info.hblks == 0, "mallinfo2 counts no bytes where there are none");
    refusals_before_ = source_.refusals();
    api_.malloc_trim(0);
    expect(api_.malloc_trim(0) == 0, "a second malloc_trim has nothing to give back");
    shadow_.compare_check();
  }

 private:
  static constexpr int mark = 4711;
  static constexpr std::size_t most_bytes = PTRDIFF_MAX - 1 * MiB;  // the page source is asked for less

  [[nodiscard]] bool was_refused() const { return source_.refusals() != refusals_before_; }

  /// The call failed as it may, and with this errno.
  void expect_failure(int error, std::size_t bytes, std::size_t alignment = 16) const {
    expect(errno == error, "a call that fails says why in errno");
    if (error != ENOMEM) return;
    const bool is_possible = bytes <= most_bytes && alignment <= most_bytes - bytes;
    expect(was_refused() || !is_possible, "ENOMEM only where there is no memory");
  }

  void add(void* p, std::size_t bytes, std::size_t alignment) {
    expect(bytes <= PTRDIFF_MAX, "nobody has so many bytes");
    shadow_.add(p, bytes, alignment);
  }

  void added(void* p, std::size_t bytes, std::size_t alignment = 16) {
    if (p == nullptr) return expect_failure(ENOMEM, bytes, alignment);
    add(p, bytes, alignment);
  }

  void allocate(std::size_t operation, input& in) {
    switch (operation) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const std::size_t bytes = any_bytes(in);
        return added(api_.malloc(bytes), bytes);
      }
      case 4:
      case 5:
      case 6:
        return calloc(any_product(in));
      case 7: {
        const std::size_t bytes = any_bytes(in);
        return added(api_.realloc(nullptr, bytes), bytes);
      }
      case 8: {
        const product n = any_product(in);
        void* const p = api_.reallocarray(nullptr, n.count, n.bytes);
        return expect_product(p, n), added_product(p, n);
      }
      case 9:
        return aligned_alloc(in);
      case 10:
        return posix_memalign(in);
      case 11:
        return memalign(in);
      case 12:
        return whole_pages(in);
      default:
        return operator_new(in);
    }
  }

  static void expect_product(const void* p, const product& n) {
    expect(p == nullptr || !n.overflows, "a product that overflows is no size");
  }
  void added_product(void* p, const product& n) { added(p, n.at_most()); }

  void calloc(const product& n) {
    void* const p = api_.calloc(n.count, n.bytes);
    expect_product(p, n);
    const auto* const first = static_cast<const std::byte*>(p);
    if (p != nullptr) {
      expect(std::all_of(first, first + n.all_bytes, [](std::byte b) { return b == std::byte{0}; }),
             "calloc's bytes are 0");
    }
    added_product(p, n);
  }

  void aligned_alloc(input& in) {
    const std::size_t alignment = any_alignment(in);
    const std::size_t bytes = any_bytes(in);
    void* const p = api_.aligned_alloc(alignment, bytes);
    if (std::has_single_bit(alignment)) return added(p, bytes, alignment);
    expect(p == nullptr, "aligned_alloc takes powers of two");
    expect_failure(EINVAL, bytes);
  }

  void posix_memalign(input& in) {
    const std::size_t alignment = any_alignment(in);
    const std::size_t bytes = any_bytes(in);
    void* const before = &in;
    void* p = before;
    const int error = api_.posix_memalign(&p, alignment, bytes);
    expect(errno == mark, "posix_memalign keeps errno");
    if (!std::has_single_bit(alignment) || alignment < sizeof(void*)) {
      return expect(error == EINVAL && p == before, "posix_memalign takes powers of two from 8 on");
    }
    if (error == 0) return add(p, bytes, alignment);
    expect(error == ENOMEM && p == before, "posix_memalign that fails changes nothing");
    errno = ENOMEM;
    expect_failure(ENOMEM, bytes, alignment);
  }

  void memalign(input& in) {
    const std::size_t alignment = in.one_in(12) ? choose_much(in) : any_alignment(in);
    const std::size_t bytes = any_bytes(in);
    void* const p = api_.memalign(alignment, bytes);
    if (alignment <= std::size_t{1} << 63) return added(p, bytes, std::bit_ceil(alignment));
    expect(p == nullptr, "memalign takes what has a next power of two");
    expect_failure(EINVAL, bytes);
  }

  void whole_pages(input& in) {
    const std::size_t bytes = any_bytes(in);
    if (in.one_in(2)) return added(api_.valloc(bytes), bytes, 4096);
    const std::size_t whole_bytes =
        bytes > PTRDIFF_MAX ? bytes : std::max<std::size_t>(1, bytes / 4096 + (bytes % 4096 != 0)) * 4096;
    added(api_.pvalloc(bytes), whole_bytes, 4096);
  }

  void operator_new(input& in) {
    handled_runtime::calls_left = in.below(4);
    const std::size_t bytes = any_bytes(in);
    const std::size_t alignment = in.one_in(4) ? any_alignment(in) : 16;
    void* p = nullptr;
    if (in.one_in(2)) {
      p = api_.operator_new_nothrow(bytes, alignment);
    } else {
      try {
        p = api_.operator_new(bytes, alignment);
        expect(p != nullptr, "operator new returns or throws");
      } catch (const std::bad_alloc&) {
      }
    }
    if (p != nullptr) return add(p, bytes, alignment);
    errno = ENOMEM;  // nothing is promised of it
    if (!std::has_single_bit(alignment)) return;
    expect(handled_runtime::calls_left == 0, "operator new fails when there is no handler left to ask");
    expect_failure(ENOMEM, bytes, alignment);
  }

  std::byte* choose(input& in) { return shadow_.at(in.below(shadow_.size())); }

  std::byte* take(std::byte* p) {
    shadow_.remove(p);
    return p;
  }

  void reallocate(std::size_t operation, input& in) {
    std::byte* const p = choose(in);
    const std::size_t old_bytes = shadow_[p].bytes;
    product n = any_product(in);
    if (operation < 18) {
      const std::size_t bytes =
          in.one_in(2) ? any_bytes(in) : in.below(2 * std::min<std::size_t>(old_bytes, 1 * MiB) + 2);
      n = {1, bytes};
    }
    shadow_.verify(p);
    if (!n.overflows && n.all_bytes == 0) take(p);
    void* const q = operation < 18 ? api_.realloc(p, n.all_bytes) : api_.reallocarray(p, n.count, n.bytes);
    expect_product(q, n);
    if (!n.overflows && n.all_bytes == 0) {
      expect(q == nullptr, "realloc to no bytes frees");
      return expect(errno == mark, "realloc that frees keeps errno");
    }
    if (q != nullptr) return shadow_.move(p, q, n.all_bytes, 16);
    shadow_.verify(p);
    expect_failure(ENOMEM, n.at_most());
  }

  void free(std::size_t operation, input& in) {
    std::byte* const p = choose(in);
    const model::allocation a = shadow_[p];
    expect(api_.malloc_usable_size(p) == a.usable_bytes, "the usable size stays");
    take(p);
    switch (operation) {
      case 20:
        if (a.alignment == 16)
          api_.free_sized(p, a.bytes);
        else
          api_.free_aligned_sized(p, a.alignment, a.bytes);
        break;
      case 21:
        api_.operator_delete(p, a.bytes, a.alignment);
        break;
      case 22:
        api_.operator_delete(p);
        break;
      default:
        api_.free(p);
    }
    expect(errno == mark, "freeing keeps errno");
  }

  void seldom(std::size_t operation, input& in) {
    switch (operation) {
      case 26:
        api_.malloc_trim(in.below(8) * 16384);
        return;
      case 27:
        return compare_mallinfo();
      case 28:
        return source_.fail(std::uint32_t{1} << in.below(32), false);
      case 29:
        return source_.fail(static_cast<std::uint32_t>(in.below(1u << 16)), in.one_in(4));
      case 30:
        return source_.never_fail();
      default:
        api_.free(nullptr);
        api_.free_sized(nullptr, in.byte());
        expect(api_.malloc_usable_size(nullptr) == 0, "nullptr has no bytes");
        expect(errno == mark, "freeing keeps errno");
    }
  }

  void compare_mallinfo() const {
    const struct mallinfo2 info = api_.mallinfo2();
    const miniheap::arena_stats s = arena_.arena().stats();
    expect(info.uordblks == shadow_.live_bytes(), "mallinfo2 counts live bytes");
    expect(info.arena + info.hblkhd + s.metadata_bytes == s.mapped_bytes, "mallinfo2 adds up");
    expect(info.usmblks >= s.mapped_bytes, "mallinfo2 knows the most there was");
  }

  fuzzed<Arena>& arena_;
  malloc_api<Arena, handled_runtime> api_;
  source_record& source_;
  model::shadow shadow_;
  std::size_t refusals_before_ = 0;
};

template <class Arena>
void play_malloc(input& in) {
  using source = typename Arena::source_type;
  source_record record{most_limit_bytes};
  {
    fuzzed<Arena> arena{source{make_source<mmap_source>(record)}, most_limit_bytes};
    malloc_stream<Arena> stream{arena, record};
    play(stream, in);
  }
  expect(record.is_empty(), "the destructor gives everything back");
}

}  // namespace

void malloc(std::span<const std::uint8_t> bytes) {
  input in{bytes};
  switch (in.byte() % 4) {
    case 0:
      return play_malloc<arena_of<mmap_source, no_lock, first_fit, fullest_first, bare>>(in);
    case 1:
      return play_malloc<arena_of<mmap_source, fine_grained_lock, first_fit, fullest_first, floating>>(in);
    case 2:
      return play_malloc<arena_of<mmap_source, coarse_lock<>, first_fit, fullest_first, unchecked>>(in);
    default:
      return play_malloc<thread_cached<arena_of<mmap_source, coarse_lock<>, first_fit, fullest_first, adapting>>>(in);
  }
}

}  // namespace fuzz
