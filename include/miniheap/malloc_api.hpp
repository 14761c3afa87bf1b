// SPDX-License-Identifier: BSL-1.0
/// \file
/// What C, POSIX, glibc and C++ promise of malloc, new and their kin, over any arena. Nothing here is global:
/// replace_malloc.hpp gives these functions the names that a whole program calls.
#pragma once

#include <miniheap/arena.hpp>
#include <miniheap/detail/errno_guard.hpp>

#include <malloc.h>

namespace miniheap {

/// What `operator new` does without memory, from the C++ runtime that the program is linked with.
struct linked_runtime {
  static std::new_handler new_handler() noexcept { return std::get_new_handler(); }
  [[noreturn]] static void throw_bad_alloc(std::size_t /*bytes*/) { throw std::bad_alloc{}; }
};

/// The functions of C and C++ that allocate, over an arena that outlives it; holds its address. `Runtime` is as
/// `linked_runtime`. Where C leaves a choice, it is glibc's.
///
/// Those that fail return nullptr with `errno` ENOMEM, and nothing has changed; no size near `PTRDIFF_MAX` or above is
/// ever served. No bytes are an allocation like another, with an address of its own. Pointers to free are nullptr or as
/// `miniheap_arena::deallocate` has them, and freeing keeps `errno` as it was. Complexities are the arena's.
template <class Arena, class Runtime = linked_runtime>
class malloc_api {
 public:
  explicit malloc_api(Arena& arena) noexcept : arena_{arena} {}

  [[nodiscard, gnu::always_inline]] void* malloc(std::size_t bytes) const noexcept {
    void* const p = arena_.try_allocate(bytes);
    if (p == nullptr) [[unlikely]]
      return no_memory();
    return p;
  }

  /// `count` times `bytes` bytes that are zero.
  [[nodiscard]] void* calloc(std::size_t count, std::size_t bytes) const noexcept {
    std::size_t all_bytes = 0;
    if (__builtin_mul_overflow(count, bytes, &all_bytes)) return no_memory();
    void* const p = arena_.try_allocate_zeroed(all_bytes);
    return p != nullptr ? p : no_memory();
  }

  /// No bytes for an allocation: frees it and returns nullptr.
  [[nodiscard]] void* realloc(void* p, std::size_t bytes) const noexcept {
    if (p == nullptr) return malloc(bytes);
    if (bytes == 0) {
      free(p);
      return nullptr;
    }
    void* const q = arena_.try_reallocate(p, bytes);
    return q != nullptr ? q : no_memory();
  }

  [[nodiscard]] void* reallocarray(void* p, std::size_t count, std::size_t bytes) const noexcept {
    std::size_t all_bytes = 0;
    if (__builtin_mul_overflow(count, bytes, &all_bytes)) return no_memory();
    return realloc(p, all_bytes);
  }

  [[gnu::always_inline]] void free(void* p) const noexcept {
    const detail::errno_guard guard;
    arena_.deallocate(p);
  }

  /// C23. `bytes` is what was asked for; a wrong size stops the program.
  [[gnu::always_inline]] void free_sized(void* p, std::size_t bytes) const noexcept {
    free_aligned_sized(p, default_alignment, bytes);
  }

  /// C23: for what `aligned_alloc(alignment, bytes)` gave.
  [[gnu::always_inline]] void free_aligned_sized(void* p, std::size_t alignment, std::size_t bytes) const noexcept {
    const detail::errno_guard guard;
    arena_.deallocate(p, bytes, alignment);
  }

  /// An alignment that is no power of two: nullptr, EINVAL. `bytes` need not be a multiple of it.
  [[nodiscard]] void* aligned_alloc(std::size_t alignment, std::size_t bytes) const noexcept {
    if (!std::has_single_bit(alignment)) return fail(EINVAL);
    void* const p = arena_.try_allocate(bytes, alignment);
    return p != nullptr ? p : no_memory();
  }

  /// Returns 0, or EINVAL (not a power of two times the size of a pointer) or ENOMEM with `*out` and errno as they
  /// were.
  [[nodiscard]] int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) const noexcept {
    if (!std::has_single_bit(alignment) || alignment % sizeof(void*) != 0) return EINVAL;
    const detail::errno_guard guard;
    void* const p = arena_.try_allocate(bytes, alignment);
    if (p == nullptr) return ENOMEM;
    *out = p;
    return 0;
  }

  /// As `aligned_alloc`, with the next power of two where `alignment` is none; EINVAL where there is no next one.
  [[nodiscard]] void* memalign(std::size_t alignment, std::size_t bytes) const noexcept {
    constexpr std::size_t most = ~(SIZE_MAX >> 1);
    if (alignment > most) return fail(EINVAL);
    return aligned_alloc(std::bit_ceil(alignment), bytes);
  }

  /// Aligned to a page.
  [[nodiscard]] void* valloc(std::size_t bytes) const noexcept { return aligned_alloc(detail::page_bytes, bytes); }

  /// Whole pages, at least one.
  [[nodiscard]] void* pvalloc(std::size_t bytes) const noexcept {
    if (bytes > PTRDIFF_MAX) return no_memory();
    return valloc(detail::align_up(bytes == 0 ? 1 : bytes, detail::page_bytes));
  }

  [[nodiscard]] std::size_t malloc_usable_size(const void* p) const noexcept { return arena_.usable_size(p); }

  /// Keeps up to `pad_bytes` of free memory for reuse. 1 if anything was given back, else 0.
  int malloc_trim(std::size_t pad_bytes) const noexcept { return arena_.trim(pad_bytes) != 0 ? 1 : 0; }

  /// `arena_stats` in glibc's words: `uordblks` is live, `fordblks` free, `keepcost` in empty miniheaps; large
  /// allocations are the `hblks` of `hblkhd` bytes and not in `arena`.
  [[nodiscard]] struct mallinfo2 mallinfo2() const noexcept {
    const arena_stats now = arena_.stats();
    struct mallinfo2 info {};
    info.arena = now.miniheaps * Arena::config.miniheap_bytes;
    info.hblks = now.mappings;
    info.hblkhd = now.mapped_bytes - info.arena - now.metadata_bytes;
    info.usmblks = now.peak_mapped_bytes;
    info.uordblks = now.live_bytes;
    info.fordblks = now.free_slot_bytes + now.dirty_page_bytes + now.clean_page_bytes;
    info.keepcost = now.empty_miniheaps * Arena::config.miniheap_bytes;
    return info;
  }

  /// \name `operator new` and `operator delete`. An alignment that is no power of two is as no memory without a
  /// handler.
  ///@{

  /// Calls the new-handler until there is memory; throws `std::bad_alloc` where there is no handler, and what it
  /// throws.
  [[nodiscard, gnu::always_inline]] void* operator_new(std::size_t bytes,
                                                       std::size_t alignment = default_alignment) const {
    void* const p = arena_.try_allocate(bytes, alignment);
    if (p == nullptr) [[unlikely]]
      return new_or_throw(bytes, alignment);
    return p;
  }

  /// The same, with nullptr instead of any exception.
  [[nodiscard, gnu::always_inline]] void* operator_new_nothrow(
      std::size_t bytes, std::size_t alignment = default_alignment) const noexcept {
    void* const p = arena_.try_allocate(bytes, alignment);
    if (p == nullptr) [[unlikely]]
      return new_or_nullptr(bytes, alignment);
    return p;
  }

  [[gnu::always_inline]] void operator_delete(void* p) const noexcept { free(p); }

  [[gnu::always_inline]] void operator_delete(void* p, std::size_t bytes,
                                              std::size_t alignment = default_alignment) const noexcept {
    free_aligned_sized(p, alignment, bytes);
  }
  ///@}

 private:
  [[gnu::cold, gnu::noinline]] static void* fail(int error) noexcept {
    errno = error;
    return nullptr;
  }

  [[gnu::cold, gnu::noinline]] static void* no_memory() noexcept { return fail(ENOMEM); }

  /// nullptr: no handler is left to ask.
  void* new_with_handler(std::size_t bytes, std::size_t alignment) const {
    if (!std::has_single_bit(alignment)) return nullptr;
    while (const std::new_handler handler = Runtime::new_handler()) {
      handler();
      if (void* const p = arena_.try_allocate(bytes, alignment)) return p;
    }
    return nullptr;
  }

  [[gnu::cold, gnu::noinline]] void* new_or_throw(std::size_t bytes, std::size_t alignment) const {
    void* const p = new_with_handler(bytes, alignment);
    if (p == nullptr) Runtime::throw_bad_alloc(bytes);
    return p;
  }

  [[gnu::cold, gnu::noinline]] void* new_or_nullptr(std::size_t bytes, std::size_t alignment) const noexcept {
    try {
      return new_with_handler(bytes, alignment);
    } catch (...) {
      return nullptr;
    }
  }

  Arena& arena_;
};

}  // namespace miniheap
