// SPDX-License-Identifier: BSL-1.0
// What should be in an arena: a map from address to allocation, and a pattern in each allocation's bytes.
#pragma once

#include "model/tested_arena.hpp"
#include "random.hpp"

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace model {

struct broken_promise : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Much faster than an assertion of Catch, of which there would be a hundred million.
inline void expect(bool holds, const char* promise) {
  if (!holds) [[unlikely]]
    throw broken_promise{promise};
}

struct allocation {
  std::size_t bytes = 0;  // as requested
  std::size_t alignment = 0;
  std::size_t usable_bytes = 0;
  std::uint64_t pattern = 0;
  std::size_t place = 0;  // in `order_`
};

class shadow {
 public:
  explicit shadow(tested_arena& arena) : arena_{arena} {}

  [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }
  [[nodiscard]] std::size_t live_bytes() const noexcept { return live_bytes_; }
  [[nodiscard]] std::byte* at(std::size_t place) const noexcept { return order_[place]; }
  [[nodiscard]] const allocation& operator[](const std::byte* p) const { return live_.at(address(p)); }

  /// The arena has just allocated `p`. It is aligned, meets no other allocation, and holds what was asked for.
  void add(void* p, std::size_t bytes, std::size_t alignment);

  /// `p` is about to be deallocated; its bytes are as they were left.
  void remove(const std::byte* p);

  /// The arena has reallocated `p` to `q`, which may be the same. The bytes have moved along.
  void move(const std::byte* p, void* q, std::size_t bytes, std::size_t alignment);

  /// The bytes of `p` are as they were left.
  void verify(const std::byte* p) const { verify_bytes(p, (*this)[p], (*this)[p].usable_bytes); }

  /// Everything is gone.
  void clear();

  /// The arena counts what is here, and its bytes add up.
  void compare_stats() const;

  /// The arena's walk visits what is here, in spans and miniheaps that have no holes.
  void compare_walk() const;

  /// Every invariant of the arena.
  void compare_check() const;

 private:
  static std::uintptr_t address(const void* p) noexcept { return reinterpret_cast<std::uintptr_t>(p); }

  static void fill_bytes(std::byte* p, const allocation& a) noexcept;
  static void verify_bytes(const std::byte* p, const allocation& a, std::size_t bytes);

  void forget(const std::byte* p);

  tested_arena& arena_;
  std::map<std::uintptr_t, allocation> live_;
  std::vector<std::byte*> order_;  // for a choice at random; mostly by age
  std::size_t live_bytes_ = 0;
  std::uint64_t patterns_ = 0;
};

/// Runs random operations. Returns what broke, or an empty text.
std::string drive(tested_arena& arena, std::uint64_t seed, std::uint64_t operations);

}  // namespace model
