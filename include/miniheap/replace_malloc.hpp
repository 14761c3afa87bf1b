// SPDX-License-Identifier: BSL-1.0
/// \file
/// Replaces malloc and new of a whole program. For exactly one .cpp of a program or of a shared library to preload:
///
///     #define MINIHEAP_REPLACE_MALLOC
///     #include <miniheap/replace_malloc.hpp>
///
/// The macro may stand for the type of an arena, with an arena's interface and a constructor from a name; empty, it
/// stands for `miniheap_server_arena`. One that has a quick path (detail/process_arena.hpp) sees to its rules. What the
/// environment can ask for is in detail/report_settings.hpp.
#pragma once

#ifndef MINIHEAP_REPLACE_MALLOC
#error "one .cpp of the program defines MINIHEAP_REPLACE_MALLOC and includes this header; no other file does"
#endif

#include <miniheap/detail/process_arena.hpp>
#include <miniheap/detail/process_report.hpp>
#include <miniheap/detail/process_runtime.hpp>
#include <miniheap/thread_cache.hpp>

#include <sys/single_threaded.h>

// NOLINTBEGIN(misc-definitions-in-headers)

namespace miniheap::detail {

template <class Arena = miniheap_server_arena>
using arena_or_default = Arena;
using malloc_arena = arena_or_default<MINIHEAP_REPLACE_MALLOC>;

using process_malloc_api = malloc_api<malloc_arena, process_runtime>;

inline process_malloc_api process_malloc() noexcept {
  return process_malloc_api{process_arena<malloc_arena>::instance()};
}

/// \name For what the quick path leaves undone, and kept out of it.
///@{
[[gnu::noinline]] static void* malloc_slowly(std::size_t bytes) noexcept { return process_malloc().malloc(bytes); }
[[gnu::noinline]] static void free_slowly(void* p) noexcept { process_malloc().free(p); }
[[gnu::noinline]] static void free_slowly(void* p, std::size_t bytes) noexcept {
  process_malloc().free_sized(p, bytes);
}
[[gnu::noinline]] static void* new_slowly(std::size_t bytes) { return process_malloc().operator_new(bytes); }
///@}

[[gnu::always_inline]] inline void* replaced_malloc(std::size_t bytes) noexcept {
  void* const p = process_arena<malloc_arena>::allocate_quickly(bytes);
  return p != nullptr ? p : malloc_slowly(bytes);
}

[[gnu::always_inline]] inline void* replaced_new(std::size_t bytes) {
  void* const p = process_arena<malloc_arena>::allocate_quickly(bytes);
  return p != nullptr ? p : new_slowly(bytes);
}

template <class... Size>
[[gnu::always_inline]] inline void replaced_free(void* p, Size... bytes) noexcept {
  if (!process_arena<malloc_arena>::deallocate_quickly(p, bytes...)) free_slowly(p, bytes...);
}

/// The alignment of `new` for a type that asks for one.
constexpr std::size_t bytes_of(std::align_val_t alignment) noexcept { return static_cast<std::size_t>(alignment); }

// As early as can be (the first priority that is not reserved), so that our fork handlers come first: what other
// libraries do in theirs, they do with the arena unlocked. A shared library is linked with -z initfirst for that.
[[gnu::constructor(101)]] static void start_malloc(int /*count*/, char** /*arguments*/, char** environment) noexcept {
  static_cast<void>(process_arena<malloc_arena>::instance());
  process_report<malloc_arena>::start(environment);
}

[[gnu::destructor(101)]] static void end_malloc() noexcept {
  process_report<malloc_arena>::at_exit();
  // What was written where it should not be, and nobody met yet. Threads that still work would be in the middle of it.
  if constexpr (malloc_arena::config.checks == check_level::hardened) {
    if (__libc_single_threaded != 0) process_arena<malloc_arena>::verify();
  }
}

}  // namespace miniheap::detail

#pragma GCC visibility push(default)

extern "C" {

void* malloc(std::size_t bytes) noexcept { return miniheap::detail::replaced_malloc(bytes); }

void free(void* p) noexcept { miniheap::detail::replaced_free(p); }

void* calloc(std::size_t count, std::size_t bytes) noexcept {
  return miniheap::detail::process_malloc().calloc(count, bytes);
}

void* realloc(void* p, std::size_t bytes) noexcept { return miniheap::detail::process_malloc().realloc(p, bytes); }

void* reallocarray(void* p, std::size_t count, std::size_t bytes) noexcept {
  return miniheap::detail::process_malloc().reallocarray(p, count, bytes);
}

void free_sized(void* p, std::size_t bytes) noexcept { miniheap::detail::replaced_free(p, bytes); }

void free_aligned_sized(void* p, std::size_t alignment, std::size_t bytes) noexcept {
  miniheap::detail::process_malloc().free_aligned_sized(p, alignment, bytes);
}

void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  return miniheap::detail::process_malloc().aligned_alloc(alignment, bytes);
}

int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) noexcept {
  return miniheap::detail::process_malloc().posix_memalign(out, alignment, bytes);
}

void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  return miniheap::detail::process_malloc().memalign(alignment, bytes);
}

void* valloc(std::size_t bytes) noexcept { return miniheap::detail::process_malloc().valloc(bytes); }

void* pvalloc(std::size_t bytes) noexcept { return miniheap::detail::process_malloc().pvalloc(bytes); }

std::size_t malloc_usable_size(void* p) noexcept { return miniheap::detail::process_malloc().malloc_usable_size(p); }

int malloc_trim(std::size_t pad_bytes) noexcept { return miniheap::detail::process_malloc().malloc_trim(pad_bytes); }

struct mallinfo2 mallinfo2() noexcept {
  return miniheap::detail::process_malloc().mallinfo2();
}

}  // extern "C"

void* operator new(std::size_t bytes) { return miniheap::detail::replaced_new(bytes); }

void* operator new[](std::size_t bytes) { return miniheap::detail::replaced_new(bytes); }

void* operator new(std::size_t bytes, const std::nothrow_t& /*tag*/) noexcept {
  return miniheap::detail::process_malloc().operator_new_nothrow(bytes);
}

void* operator new[](std::size_t bytes, const std::nothrow_t& /*tag*/) noexcept {
  return miniheap::detail::process_malloc().operator_new_nothrow(bytes);
}

void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return miniheap::detail::process_malloc().operator_new(bytes, miniheap::detail::bytes_of(alignment));
}

void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return miniheap::detail::process_malloc().operator_new(bytes, miniheap::detail::bytes_of(alignment));
}

void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t& /*tag*/) noexcept {
  return miniheap::detail::process_malloc().operator_new_nothrow(bytes, miniheap::detail::bytes_of(alignment));
}

void* operator new[](std::size_t bytes, std::align_val_t alignment, const std::nothrow_t& /*tag*/) noexcept {
  return miniheap::detail::process_malloc().operator_new_nothrow(bytes, miniheap::detail::bytes_of(alignment));
}

void operator delete(void* p) noexcept { miniheap::detail::replaced_free(p); }

void operator delete[](void* p) noexcept { miniheap::detail::replaced_free(p); }

void operator delete(void* p, const std::nothrow_t& /*tag*/) noexcept { miniheap::detail::replaced_free(p); }

void operator delete[](void* p, const std::nothrow_t& /*tag*/) noexcept { miniheap::detail::replaced_free(p); }

void operator delete(void* p, std::align_val_t /*alignment*/) noexcept { miniheap::detail::replaced_free(p); }

void operator delete[](void* p, std::align_val_t /*alignment*/) noexcept { miniheap::detail::replaced_free(p); }

void operator delete(void* p, std::align_val_t /*alignment*/, const std::nothrow_t& /*tag*/) noexcept {
  miniheap::detail::replaced_free(p);
}

void operator delete[](void* p, std::align_val_t /*alignment*/, const std::nothrow_t& /*tag*/) noexcept {
  miniheap::detail::replaced_free(p);
}

void operator delete(void* p, std::size_t bytes) noexcept { miniheap::detail::replaced_free(p, bytes); }

void operator delete[](void* p, std::size_t bytes) noexcept { miniheap::detail::replaced_free(p, bytes); }

void operator delete(void* p, std::size_t bytes, std::align_val_t alignment) noexcept {
  miniheap::detail::process_malloc().operator_delete(p, bytes, miniheap::detail::bytes_of(alignment));
}

void operator delete[](void* p, std::size_t bytes, std::align_val_t alignment) noexcept {
  miniheap::detail::process_malloc().operator_delete(p, bytes, miniheap::detail::bytes_of(alignment));
}

#pragma GCC visibility pop

// NOLINTEND(misc-definitions-in-headers)
