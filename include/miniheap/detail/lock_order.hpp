// SPDX-License-Identifier: BSL-1.0
/// \file
/// The order in which a thread may wait for the locks of one arena, and guards that keep to it. Where assertions are on
/// (`NDEBUG` is not defined), a thread that asks for a lock against the order is stopped with a message; else nothing
/// of this is left.
#pragma once

#include <miniheap/fault.hpp>
#include <miniheap/policy/lock.hpp>

#include <type_traits>

namespace miniheap::detail {

/// A thread waits only for a lock of a higher rank than all that it holds of the same arena.
enum class lock_rank : unsigned char { set, miniheap };

#ifdef NDEBUG
inline constexpr bool checks_lock_order = false;
#else
inline constexpr bool checks_lock_order = true;
#endif

/// The locks that a thread holds. It may hold those of several arenas: a visitor of one may use another.
class held_locks {
 public:
  /// The thread is about to wait for a lock.
  void add(const arena_identity& arena, lock_rank rank) noexcept {
    for (std::uint32_t i = 0; i < count_; ++i) {
      if (held_[i].arena == arena.address && held_[i].rank >= rank) stop(arena, rank, held_[i].rank);
    }
    if (count_ == most) return;  // what is beyond is not looked at
    held_[count_++] = {arena.address, rank};
  }

  void remove(const arena_identity& arena, lock_rank rank) noexcept {
    for (std::uint32_t i = count_; i-- != 0;) {
      if (held_[i].arena != arena.address || held_[i].rank != rank) continue;
      held_[i] = held_[--count_];
      return;
    }
  }

 private:
  struct held {
    const void* arena;
    lock_rank rank;
  };
  static constexpr std::uint32_t most = 16;

  static const char* name_of(lock_rank rank) noexcept { return rank == lock_rank::set ? "the set" : "a miniheap"; }

  [[noreturn, gnu::cold, gnu::noinline]] static void stop(const arena_identity& arena, lock_rank wanted,
                                                          lock_rank has) noexcept {
    text_line line = about_arena(arena.name, arena.address);
    line << "lock order: a thread waits for the lock of " << name_of(wanted) << " and holds the lock of "
         << name_of(has);
    write_line(line);
    std::abort();
  }

  held held_[most] = {};
  std::uint32_t count_ = 0;
};

inline constinit thread_local held_locks locks_of_this_thread;

/// Whether a lock of this type can be waited for.
template <class Lock>
inline constexpr bool is_watched = checks_lock_order && !std::is_same_v<Lock, no_lock::null_mutex>;

/// \name To be called before a lock is waited for, and when it is let go.
///@{
template <class Lock>
[[gnu::always_inline]] inline void note_wanted(const arena_identity& arena, lock_rank rank) noexcept {
  if constexpr (is_watched<Lock>) locks_of_this_thread.add(arena, rank);
}
template <class Lock>
[[gnu::always_inline]] inline void note_released(const arena_identity& arena, lock_rank rank) noexcept {
  if constexpr (is_watched<Lock>) locks_of_this_thread.remove(arena, rank);
}
///@}

/// Holds a lock exclusively.
template <class Lock>
class lock_guard {
 public:
  [[gnu::always_inline]] lock_guard(Lock& lock, const arena_identity& arena, lock_rank rank) noexcept
      : lock_{lock}, arena_{arena}, rank_{rank} {
    note_wanted<Lock>(arena, rank);
    lock_.lock();
  }
  [[gnu::always_inline]] ~lock_guard() {
    lock_.unlock();
    note_released<Lock>(arena_, rank_);
  }
  lock_guard(const lock_guard&) = delete;
  lock_guard& operator=(const lock_guard&) = delete;

 private:
  Lock& lock_;
  const arena_identity& arena_;
  lock_rank rank_;
};

/// Holds the lock of the set shared.
template <class Lock>
class shared_guard {
 public:
  [[gnu::always_inline]] shared_guard(Lock& lock, const arena_identity& arena) noexcept : lock_{lock}, arena_{arena} {
    note_wanted<Lock>(arena, lock_rank::set);
    lock_.lock_shared();
  }
  [[gnu::always_inline]] ~shared_guard() {
    lock_.unlock_shared();
    note_released<Lock>(arena_, lock_rank::set);
  }
  shared_guard(const shared_guard&) = delete;
  shared_guard& operator=(const shared_guard&) = delete;

 private:
  Lock& lock_;
  const arena_identity& arena_;
};

}  // namespace miniheap::detail
