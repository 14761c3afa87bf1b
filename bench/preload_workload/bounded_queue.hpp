// SPDX-License-Identifier: BSL-1.0
// A bounded queue between one writer and one reader that allocates nothing, so that a workload measures its allocator.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace workload {

/// Who finds the queue full (empty) sleeps until it is half empty (half full): a wake-up for each item would cost more
/// than all allocations. `close` ends it for the reader once all is read.
template <class T, std::size_t Capacity>
class bounded_queue {
  static_assert(Capacity % 2 == 0);
  static constexpr std::size_t half = Capacity / 2;

 public:
  void push(T item) noexcept {
    if (written_.count - read_.published.load(std::memory_order_acquire) == Capacity) {
      wait_for(read_.halves, static_cast<std::uint32_t>((written_.count - half) / half));
    }
    items_[written_.count % Capacity] = std::move(item);
    publish(written_);
  }

  /// False when the queue is closed and nothing is left in it.
  bool pop(T& item) noexcept {
    if (read_.count == written_.published.load(std::memory_order_acquire)) {
      wait_for(written_.halves, static_cast<std::uint32_t>(read_.count / half + 1));
      if (read_.count == written_.published.load(std::memory_order_acquire)) return false;
    }
    item = std::move(items_[read_.count % Capacity]);
    publish(read_);
    return true;
  }

  void close() noexcept {
    written_.halves.store(closed);
    written_.halves.notify_one();
  }

 private:
  static constexpr std::uint32_t closed = 0xffffffffu;

  // `count` is its owner's; `published` follows at once, `halves` when half a queue more is done. The two sides have
  // their lines of the cache to themselves.
  struct alignas(128) side {
    std::size_t count = 0;
    std::atomic<std::size_t> published = 0;
    std::atomic<std::uint32_t> halves = 0;
  };

  static void publish(side& s) noexcept {
    s.published.store(++s.count, std::memory_order_release);
    if (s.count % half == 0) {
      s.halves.store(static_cast<std::uint32_t>(s.count / half));
      s.halves.notify_one();
    }
  }

  static void wait_for(const std::atomic<std::uint32_t>& halves, std::uint32_t wanted) noexcept {
    for (std::uint32_t seen = halves.load(); seen < wanted; seen = halves.load()) halves.wait(seen);
  }

  side written_;
  side read_;
  std::array<T, Capacity> items_{};
};

}  // namespace workload
