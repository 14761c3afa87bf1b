// SPDX-License-Identifier: BSL-1.0
/// \file
/// The one arena that serves a whole process: there from the first call on, whoever makes it, and never destroyed.
#pragma once

#include <miniheap/fault.hpp>
#include <miniheap/policy/lock.hpp>
#include <miniheap/stats.hpp>

#include <pthread.h>
#include <concepts>
#include <cstddef>
#include <new>

namespace miniheap::detail {

/// Whether an arena has a quick path: `try_allocate_quickly(bytes)` and `try_deallocate_quickly(p)` or `(p, bytes)` do
/// what `try_allocate` and `deallocate` do with the default alignment, or nothing at all (nullptr, false) where that
/// takes more than a few instructions or a call. nullptr and what is no allocation they leave alone. They are also
/// asked before the arena is constructed, in memory that is all zero, and while another thread constructs it, and do
/// nothing then: so nobody has to look first.
template <class Arena>
concept has_quick_path = requires(Arena& arena, void* p, std::size_t bytes) {
  { arena.try_allocate_quickly(bytes) }
  noexcept->std::same_as<void*>;
  { arena.try_deallocate_quickly(p) }
  noexcept->std::same_as<bool>;
  { arena.try_deallocate_quickly(p, bytes) }
  noexcept->std::same_as<bool>;
};

/// Lies in raw static storage, as the first call comes before any constructor, and the last one after all destructors.
/// A function's static variable would do, were its guard not a call to the C++ runtime, which may not be there.
/// Everything is hidden: a program has one of these because one library has it, and that one reaches it without a
/// table.
template <class Arena>
class [[gnu::visibility("hidden")]] process_arena {
 public:
  /// The arena. O(1), one load when it is there.
  [[nodiscard, gnu::always_inline]] static Arena& instance() noexcept {
    if (!is_ready()) [[unlikely]]
      construct();
    return *object();
  }

  /// The same, but nullptr as long as nobody has asked for it.
  [[nodiscard, gnu::always_inline]] static Arena* find() noexcept { return is_ready() ? object() : nullptr; }

  /// \name The arena's quick path, where it has one: a function that tries it first makes no call and saves no
  /// register. nullptr or false: nothing was done.
  ///@{
  [[nodiscard, gnu::always_inline]] static void* allocate_quickly([[maybe_unused]] std::size_t bytes) noexcept {
    if constexpr (has_quick_path<Arena>) {
      return object()->try_allocate_quickly(bytes);
    } else {
      return nullptr;
    }
  }

  template <class... Size>
  [[nodiscard, gnu::always_inline]] static bool deallocate_quickly([[maybe_unused]] void* p,
                                                                   [[maybe_unused]] Size... bytes) noexcept {
    if constexpr (has_quick_path<Arena>) {
      return object()->try_deallocate_quickly(p, bytes...);
    } else {
      return false;
    }
  }
  ///@}

  /// Stops the program where the arena's `check()` finds something. Nobody else is in a call.
  static void verify() noexcept {
    if (const check_result result = instance().check(); !result) instance().stop(result.broken, result.where, 0);
  }

 private:
  static Arena* object() noexcept { return std::launder(reinterpret_cast<Arena*>(memory_)); }

  [[gnu::always_inline]] static bool is_ready() noexcept { return __atomic_load_n(&is_ready_, __ATOMIC_ACQUIRE); }

  [[gnu::cold, gnu::noinline]] static void construct() noexcept {
    if (!construct_once()) return;
    // Handlers that run before a fork do so in the reverse order of their registration: what others allocate there
    // comes before the arena is locked, as long as they registered later. It may allocate, so the arena is ready.
    if (::pthread_atfork(lock, unlock, unlock_in_child) == 0) return;
    text_line line;
    line << "miniheap: no memory for fork handlers: a fork while other threads allocate may leave the child stuck";
    write_line(line);
  }

  /// False: another thread did it.
  static bool construct_once() noexcept {
    constructing_.lock();
    const bool is_first = !is_ready();
    if (is_first) {
      ::new (static_cast<void*>(memory_)) Arena{"malloc"};
      __atomic_store_n(&is_ready_, true, __ATOMIC_RELEASE);
    }
    constructing_.unlock();
    return is_first;
  }

  /// \name Around a fork, in the thread that forks: a child gets the arena as it is, so nobody may be inside.
  ///@{
  static void lock() noexcept { instance().lock(); }
  static void unlock() noexcept { instance().unlock(); }
  static void unlock_in_child() noexcept {
    if constexpr (requires(Arena & arena) { arena.after_fork_in_child(); }) instance().after_fork_in_child();
    unlock();
  }
  ///@}

  alignas(Arena) static inline constinit std::byte memory_[sizeof(Arena)]{};
  static inline constinit bool is_ready_ = false;
  static inline constinit futex_mutex constructing_;
};

}  // namespace miniheap::detail
