// SPDX-License-Identifier: BSL-1.0
// What threads allocate and hand to each other: memory that is filled by who allocates it and verified by who frees it,
// and a table of who owns what.
#pragma once

#include "random.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <unordered_map>

namespace threads {

/// The first bytes of each piece tell what the others must be.
struct piece {
  std::size_t bytes;
  std::uint64_t seed;

  static piece* make(void* p, std::size_t bytes, std::uint64_t seed) noexcept {
    auto* const made = new (p) piece{bytes, seed};
    fill(made->body(), bytes - sizeof(piece), seed);
    return made;
  }

  [[nodiscard]] bool is_intact() noexcept { return is_filled(body(), bytes - sizeof(piece), seed); }

 private:
  [[nodiscard]] unsigned char* body() noexcept { return reinterpret_cast<unsigned char*>(this + 1); }

  // Only the first and the last 256 bytes, so that large pieces take no longer than others.
  static void fill(unsigned char* p, std::size_t n, std::uint64_t seed) noexcept {
    const std::size_t end = n < 256 ? n : 256;
    std::memset(p, static_cast<int>(seed & 0xff), end);
    std::memset(p + n - end, static_cast<int>(seed & 0xff), end);
  }
  static bool is_filled(const unsigned char* p, std::size_t n, std::uint64_t seed) noexcept {
    const std::size_t end = n < 256 ? n : 256;
    for (std::size_t i = 0; i < end; ++i) {
      if (p[i] != (seed & 0xff) || p[n - 1 - i] != (seed & 0xff)) return false;
    }
    return true;
  }
};

/// Which addresses are in somebody's hands. An address enters after `allocate` returned it, and leaves before
/// `deallocate` is called: so whatever the order in which the threads' calls took effect, one that is handed out twice
/// is seen here.
class ownership {
 public:
  /// False: somebody has it.
  bool take(const void* p, std::size_t bytes) {
    part& where = part_of(p);
    const std::lock_guard guard{where.mutex};
    return where.owned.emplace(p, bytes).second;
  }

  /// False: nobody had it, or it was of another size.
  bool give(const void* p, std::size_t bytes) {
    part& where = part_of(p);
    const std::lock_guard guard{where.mutex};
    const auto found = where.owned.find(p);
    if (found == where.owned.end() || found->second != bytes) return false;
    where.owned.erase(found);
    return true;
  }

 private:
  struct part {
    std::mutex mutex;
    std::unordered_map<const void*, std::size_t> owned;
  };

  part& part_of(const void* p) { return parts_[reinterpret_cast<std::uintptr_t>(p) / 16 % parts_.size()]; }

  std::array<part, 61> parts_;
};

/// Where threads leave pieces for others.
class exchange {
 public:
  /// Leaves `mine` and takes what was there, or nullptr.
  piece* swap(std::size_t where, piece* mine) noexcept {
    return places_[where % places_.size()].exchange(mine, std::memory_order_acq_rel);
  }
  [[nodiscard]] std::size_t size() const noexcept { return places_.size(); }

 private:
  std::array<std::atomic<piece*>, 512> places_{};
};

}  // namespace threads
