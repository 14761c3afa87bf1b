// SPDX-License-Identifier: BSL-1.0
/// \file
/// Lock policies, and the mutex that an arena uses when it is told of no other.
#pragma once

#include <miniheap/policy/concepts.hpp>

#include <linux/futex.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace miniheap {

/// A mutex of 4 bytes that never allocates, is constant-initialised, and sleeps in the kernel when it is contended.
/// While the process has one thread, it costs a plain load and store (glibc's `__libc_single_threaded`).
/// The three states are those of U. Drepper, "Futexes Are Tricky" (2011), section 5.
class futex_mutex {
 public:
  void lock() noexcept {
    if (__libc_single_threaded != 0 && __atomic_load_n(&state_, __ATOMIC_RELAXED) == unlocked) {
      __atomic_store_n(&state_, locked, __ATOMIC_RELAXED);
      return;
    }
    std::uint32_t seen = unlocked;
    if (!__atomic_compare_exchange_n(&state_, &seen, locked, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) wait(seen);
  }

  bool try_lock() noexcept {
    std::uint32_t seen = unlocked;
    return __atomic_compare_exchange_n(&state_, &seen, locked, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
  }

  void unlock() noexcept {
    if (__libc_single_threaded != 0) {
      __atomic_store_n(&state_, unlocked, __ATOMIC_RELAXED);
      return;
    }
    if (__atomic_exchange_n(&state_, unlocked, __ATOMIC_RELEASE) == contended) {
      ::syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    }
  }

 private:
  enum : std::uint32_t { unlocked, locked, contended };

  [[gnu::noinline, gnu::cold]] void wait(std::uint32_t seen) noexcept {
    for (int spins = 0; seen != contended && spins < 100; ++spins) {
      __builtin_ia32_pause();
      if (try_lock()) return;
    }
    while (__atomic_exchange_n(&state_, contended, __ATOMIC_ACQUIRE) != unlocked) {
      ::syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, contended, nullptr, nullptr, 0);
    }
  }

  std::uint32_t state_ = unlocked;
};

/// For an arena that one thread at a time uses: costs nothing, holds nothing.
struct no_lock {
  struct null_mutex {
    void lock() noexcept {}
    void unlock() noexcept {}
    void lock_shared() noexcept {}
    void unlock_shared() noexcept {}
    bool try_lock() noexcept { return true; }
  };
  using set_lock = null_mutex;
  using miniheap_lock = null_mutex;
};

/// One lock for the whole arena, of any type with `lock` and `unlock` (`std::mutex` as it is).
template <basic_lockable Mutex = futex_mutex>
struct coarse_lock {
  class set_lock {
   public:
    void lock() { mutex_.lock(); }
    void unlock() { mutex_.unlock(); }
    bool try_lock() requires requires(Mutex& m) { m.try_lock(); }
    { return mutex_.try_lock(); }
    void lock_shared() { mutex_.lock(); }
    void unlock_shared() { mutex_.unlock(); }

   private:
    Mutex mutex_;
  };
  using miniheap_lock = no_lock::null_mutex;
};

static_assert(lock_policy<no_lock>);
static_assert(lock_policy<coarse_lock<>>);

}  // namespace miniheap
