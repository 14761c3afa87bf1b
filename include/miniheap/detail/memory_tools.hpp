// SPDX-License-Identifier: BSL-1.0
/// \file
/// Tells the tools that look for memory errors what an arena's memory is used for: AddressSanitizer and MemorySanitizer
/// where the program is built with them, Valgrind where its header is there, the program runs under it, and NDEBUG is
/// not defined: a look whether it does is too much for the fastest calls. Nothing is done, and nothing costs anything,
/// where there is none of them.
///
/// A hardened arena tells them nothing: it looks after the contents of its memory itself.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MINIHEAP_HAS_ASAN
#endif
#if __has_feature(memory_sanitizer)
#define MINIHEAP_HAS_MSAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define MINIHEAP_HAS_ASAN
#endif

// ThreadSanitizer reports what is read on purpose while others may write.
#if defined(__SANITIZE_THREAD__)
#define MINIHEAP_WITHOUT_THREAD_SANITIZER __attribute__((noinline, no_sanitize("thread")))
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MINIHEAP_WITHOUT_THREAD_SANITIZER __attribute__((noinline, no_sanitize("thread")))
#endif
#endif
#if !defined(MINIHEAP_WITHOUT_THREAD_SANITIZER)
#define MINIHEAP_WITHOUT_THREAD_SANITIZER [[gnu::always_inline]]
#endif

#if defined(MINIHEAP_HAS_ASAN)
#include <sanitizer/asan_interface.h>
#elif defined(MINIHEAP_HAS_MSAN)
#include <sanitizer/msan_interface.h>
#elif __has_include(<valgrind/memcheck.h>) && !defined(NDEBUG)
#include <valgrind/memcheck.h>
#define MINIHEAP_HAS_VALGRIND
#endif

namespace miniheap::detail {

class memory_tools {
 public:
#if defined(MINIHEAP_HAS_ASAN)
  /// What reads or writes memory that is not the program's is compiled without the checks.
#define MINIHEAP_UNWATCHED [[gnu::noinline, gnu::no_sanitize_address]]
  static constexpr bool are_built_in = true;
  static bool are_watching() noexcept { return true; }
  /// The program may use the first `bytes` bytes of `usable_bytes`.
  static void allocated(const void* p, std::size_t bytes, std::size_t usable_bytes) noexcept {
    // allow-word: region
    if (usable_bytes > bytes) __asan_poison_memory_region(static_cast<const char*>(p) + bytes, usable_bytes - bytes);
    __asan_unpoison_memory_region(p, bytes);  // allow-word: region
  }
  /// The same of one that keeps its contents.
  static void resized(const void* p, std::size_t bytes, std::size_t usable_bytes) noexcept {
    allocated(p, bytes, usable_bytes);
  }
  /// One of `old_bytes` usable bytes at `p` lies at `q` now, perhaps where it was, with its contents.
  static void moved(const void* /*p*/, std::size_t /*old_bytes*/, const void* q, std::size_t bytes,
                    std::size_t usable_bytes) noexcept {
    allocated(q, bytes, usable_bytes);
  }
  /// It is filled with zeros.
  static void zeroed(const void* /*p*/, std::size_t /*bytes*/) noexcept {}
  /// An allocation is about to be freed: nobody may use it. `bytes` is what could be used.
  // allow-word: region
  static void freed(const void* p, std::size_t bytes) noexcept { __asan_poison_memory_region(p, bytes); }
  /// Mapped, and not allocated.
  // allow-word: region
  static void unused(const void* p, std::size_t bytes) noexcept { __asan_poison_memory_region(p, bytes); }
  /// About to be unmapped: it may become anybody's.
  // allow-word: region
  static void gone(const void* p, std::size_t bytes) noexcept { __asan_unpoison_memory_region(p, bytes); }
#elif defined(MINIHEAP_HAS_MSAN)
#define MINIHEAP_UNWATCHED [[gnu::noinline, clang::no_sanitize("memory")]]
  static constexpr bool are_built_in = true;
  static bool are_watching() noexcept { return true; }
  static void allocated(const void* p, std::size_t bytes, std::size_t /*usable_bytes*/) noexcept {
    __msan_allocated_memory(p, bytes);
  }
  static void resized(const void* /*p*/, std::size_t /*bytes*/, std::size_t /*usable_bytes*/) noexcept {}
  static void moved(const void* /*p*/, std::size_t /*old_bytes*/, const void* /*q*/, std::size_t /*bytes*/,
                    std::size_t /*usable_bytes*/) noexcept {}
  static void zeroed(const void* p, std::size_t bytes) noexcept { __msan_unpoison(p, bytes); }
  static void freed(const void* p, std::size_t bytes) noexcept { __msan_allocated_memory(p, bytes); }
  static void unused(const void* /*p*/, std::size_t /*bytes*/) noexcept {}
  static void gone(const void* p, std::size_t bytes) noexcept { __msan_unpoison(p, bytes); }
#elif defined(MINIHEAP_HAS_VALGRIND)
#define MINIHEAP_UNWATCHED [[gnu::always_inline]]
  static constexpr bool are_built_in = false;
  [[gnu::always_inline]] static bool are_watching() noexcept { return __builtin_expect(is_under_valgrind, 0) != 0; }
  /// All that is usable, which the program may ask for later.
  [[gnu::always_inline]] static void allocated(const void* p, std::size_t, std::size_t usable_bytes) noexcept {
    if (are_watching()) VALGRIND_MALLOCLIKE_BLOCK(p, usable_bytes, 0, false);  // allow-word: block
  }
  static void resized(const void*, std::size_t, std::size_t) noexcept {}
  static void moved(const void* p, std::size_t old_bytes, const void* q, std::size_t,
                    std::size_t usable_bytes) noexcept {
    if (!are_watching()) return;
    if (p == q) {
      VALGRIND_RESIZEINPLACE_BLOCK(p, old_bytes, usable_bytes, 0);  // allow-word: block
    } else {
      VALGRIND_FREELIKE_BLOCK(p, 0);                         // allow-word: block
      VALGRIND_MALLOCLIKE_BLOCK(q, usable_bytes, 0, false);  // allow-word: block
      VALGRIND_MAKE_MEM_DEFINED(q, old_bytes < usable_bytes ? old_bytes : usable_bytes);
    }
  }
  static void zeroed(const void* p, std::size_t bytes) noexcept {
    if (are_watching()) VALGRIND_MAKE_MEM_DEFINED(p, bytes);
  }
  [[gnu::always_inline]] static void freed(const void* p, std::size_t) noexcept {
    if (are_watching()) VALGRIND_FREELIKE_BLOCK(p, 0);  // allow-word: block
  }
  static void unused(const void* p, std::size_t bytes) noexcept {
    if (are_watching()) VALGRIND_MAKE_MEM_NOACCESS(p, bytes);
  }
  static void gone(const void* p, std::size_t bytes) noexcept {
    if (are_watching()) VALGRIND_MAKE_MEM_DEFINED(p, bytes);
  }

 private:
  static bool ask() noexcept { return RUNNING_ON_VALGRIND != 0; }
  static inline const bool is_under_valgrind = ask();
#else
#define MINIHEAP_UNWATCHED [[gnu::always_inline]]
  static constexpr bool are_built_in = false;
  static constexpr bool are_watching() noexcept { return false; }
  static void allocated(const void* /*p*/, std::size_t /*bytes*/, std::size_t /*usable_bytes*/) noexcept {}
  static void resized(const void* /*p*/, std::size_t /*bytes*/, std::size_t /*usable_bytes*/) noexcept {}
  static void moved(const void* /*p*/, std::size_t /*old_bytes*/, const void* /*q*/, std::size_t /*bytes*/,
                    std::size_t /*usable_bytes*/) noexcept {}
  static void zeroed(const void* /*p*/, std::size_t /*bytes*/) noexcept {}
  static void freed(const void* /*p*/, std::size_t /*bytes*/) noexcept {}
  static void unused(const void* /*p*/, std::size_t /*bytes*/) noexcept {}
  static void gone(const void* /*p*/, std::size_t /*bytes*/) noexcept {}
#endif
};

}  // namespace miniheap::detail
