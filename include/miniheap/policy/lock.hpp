// SPDX-License-Identifier: BSL-1.0
/// \file
/// Lock policies, and the mutex and the readers-writer lock that arenas use when they are told of no other.
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
    constexpr int most_spins = 400;  // some microseconds: to sleep and to be woken takes longer
    for (int spins = 0; seen != contended && spins < most_spins; ++spins) {
      __builtin_ia32_pause();
      if (try_lock()) return;
    }
    while (__atomic_exchange_n(&state_, contended, __ATOMIC_ACQUIRE) != unlocked) {
      ::syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, contended, nullptr, nullptr, 0);
    }
  }

  std::uint32_t state_ = unlocked;
};

/// A readers-writer lock of 8 bytes: many threads hold it shared, or one holds it alone. It never allocates, is
/// constant-initialised, and sleeps in the kernel. A writer that waits keeps new readers out, so readers cannot starve
/// it; nobody takes it twice, shared or not. Sleepers leave only marks in it, none of which lets a thread wait for one
/// that is gone: after a fork the child's copy works on.
class futex_shared_mutex {
 public:
  void lock() noexcept {
    writers_.lock();
    if (__libc_single_threaded != 0 && __atomic_load_n(&state_, __ATOMIC_RELAXED) == 0) {
      __atomic_store_n(&state_, writer, __ATOMIC_RELAXED);
      return;
    }
    const std::uint32_t seen = __atomic_fetch_or(&state_, writer, __ATOMIC_ACQUIRE);
    if ((seen & readers) != 0) [[unlikely]]
      wait_for_readers();
  }

  bool try_lock() noexcept {
    if (!writers_.try_lock()) return false;
    std::uint32_t seen = __atomic_load_n(&state_, __ATOMIC_RELAXED);
    if ((seen & readers) == 0 &&
        __atomic_compare_exchange_n(&state_, &seen, seen | writer, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
      return true;
    }
    writers_.unlock();
    return false;
  }

  void unlock() noexcept {
    if (__libc_single_threaded != 0) {
      __atomic_store_n(&state_, 0, __ATOMIC_RELAXED);
    } else if ((__atomic_exchange_n(&state_, 0, __ATOMIC_RELEASE) & sleepers) != 0) {
      wake(INT32_MAX, reader_bit);
    }
    writers_.unlock();
  }

  void lock_shared() noexcept {
    if (__libc_single_threaded != 0) {
      const std::uint32_t seen = __atomic_load_n(&state_, __ATOMIC_RELAXED);
      if ((seen & writer) == 0) return __atomic_store_n(&state_, seen + 1, __ATOMIC_RELAXED);
    }
    if (!try_lock_shared()) wait_for_writer();
  }

  bool try_lock_shared() noexcept {
    std::uint32_t seen = __atomic_load_n(&state_, __ATOMIC_RELAXED);
    while ((seen & writer) == 0) {
      if (__atomic_compare_exchange_n(&state_, &seen, seen + 1, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return true;
    }
    return false;
  }

  void unlock_shared() noexcept {
    if (__libc_single_threaded != 0) {
      __atomic_store_n(&state_, __atomic_load_n(&state_, __ATOMIC_RELAXED) - 1, __ATOMIC_RELAXED);
      return;
    }
    const std::uint32_t seen = __atomic_fetch_sub(&state_, 1, __ATOMIC_RELEASE);
    if ((seen & writer) != 0 && (seen & readers) == 1) wake(1, writer_bit);
  }

 private:
  static constexpr std::uint32_t writer = 1u << 31;    // one holds it, or waits for the last readers to leave
  static constexpr std::uint32_t sleepers = 1u << 30;  // readers sleep; only beside `writer`
  static constexpr std::uint32_t readers = sleepers - 1;

  // Whom a wake is meant for.
  static constexpr std::uint32_t reader_bit = 1;
  static constexpr std::uint32_t writer_bit = 2;

  [[gnu::noinline, gnu::cold]] void wait_for_readers() noexcept {
    for (int spins = 0;; ++spins) {
      const std::uint32_t seen = __atomic_load_n(&state_, __ATOMIC_ACQUIRE);
      if ((seen & readers) == 0) return;
      spins < 100 ? __builtin_ia32_pause() : sleep(seen, writer_bit);
    }
  }

  [[gnu::noinline, gnu::cold]] void wait_for_writer() noexcept {
    for (int spins = 0;; ++spins) {
      if (try_lock_shared()) return;
      std::uint32_t seen = __atomic_load_n(&state_, __ATOMIC_RELAXED);
      if ((seen & writer) == 0) continue;
      if (spins < 100) {
        __builtin_ia32_pause();
      } else if ((seen & sleepers) != 0 || __atomic_compare_exchange_n(&state_, &seen, seen | sleepers, true,
                                                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        sleep(seen | sleepers, reader_bit);
      }
    }
  }

  void sleep(std::uint32_t seen, std::uint32_t whom) noexcept {
    ::syscall(SYS_futex, &state_, FUTEX_WAIT_BITSET_PRIVATE, seen, nullptr, nullptr, whom);
  }
  void wake(int count, std::uint32_t whom) noexcept {
    ::syscall(SYS_futex, &state_, FUTEX_WAKE_BITSET_PRIVATE, count, nullptr, nullptr, whom);
  }

  std::uint32_t state_ = 0;
  futex_mutex writers_;  // whoever sets `writer` holds it
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

/// A lock for the set of miniheaps and one for each miniheap: threads that work in different miniheaps do not wait for
/// each other, as long as no more than slots of slabs change.
struct fine_grained_lock {
  using set_lock = futex_shared_mutex;
  using miniheap_lock = futex_mutex;
};

static_assert(lock_policy<no_lock>);
static_assert(lock_policy<coarse_lock<>>);
static_assert(lock_policy<fine_grained_lock>);
static_assert(sizeof(futex_shared_mutex) == 8);

namespace detail {

/// Whether miniheaps have locks of their own, and so more than one thread at a time is in the engine.
template <lock_policy Policy>
inline constexpr bool locks_miniheaps = !std::same_as<typename Policy::miniheap_lock, no_lock::null_mutex>;

/// Holds a lock that has no place in the order of an arena's locks.
template <class Mutex>
class mutex_guard {
 public:
  explicit mutex_guard(Mutex& mutex) noexcept : mutex_{mutex} { mutex_.lock(); }
  ~mutex_guard() { mutex_.unlock(); }
  mutex_guard(const mutex_guard&) = delete;
  mutex_guard& operator=(const mutex_guard&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace detail

}  // namespace miniheap
