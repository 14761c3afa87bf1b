// SPDX-License-Identifier: BSL-1.0
/// \file
/// Version, byte units, and the numbers and switches of an arena.
#pragma once

#include <cstddef>

namespace miniheap {

inline constexpr int version_major = 0;
inline constexpr int version_minor = 1;

inline constexpr std::size_t KiB = 1024;
inline constexpr std::size_t MiB = 1024 * KiB;

/// The alignment of every allocation that asks for none, bytes.
inline constexpr std::size_t default_alignment = 16;

/// What an arena verifies while it works.
enum class check_level : unsigned char {
  none,   ///< nothing: a wrong pointer is undefined behaviour
  basic,  ///< foreign and interior pointers, double frees and wrong sizes stop the program with a message
  /// Writes behind an allocation and after its end do so, too, and what is freed or not yet used reads as zero
  /// (docs/hardening.md).
  hardened,
};

/// The numbers and switches of an arena, its last template argument. Name the ones that differ:
/// `miniheap_arena<mmap_source, no_lock, first_fit, fullest_first, arena_config{.miniheap_bytes = 64 * KiB}>`.
struct arena_config {
  /// Size and alignment of a miniheap: a power of two from 64 KiB to 64 MiB.
  std::size_t miniheap_bytes = 4 * MiB;
  /// Requests of more bytes than this are no part of a miniheap; at least 8 KiB, and where it is more than half a
  /// miniheap, that counts.
  std::size_t large_threshold_bytes = 256 * KiB;
  /// Free memory that is kept for reuse (empty miniheaps, free pages that were used, freed ranges) is bounded. The
  /// bound follows what the program does, between this floor ...
  std::size_t reserve_floor_bytes = 512 * KiB;
  /// ... and this ceiling. A ceiling that is not above the floor is the bound. 0: all goes back at once.
  std::size_t reserve_ceiling_bytes = 32 * MiB;
  /// ... or one part in so many of what is in use, where that is more and the bound adapts; 0: it does not count.
  unsigned reserve_ceiling_share = 8;
  /// `reallocate` floats allocations of up to this many bytes to fuller miniheaps; 0 switches floating off.
  std::size_t float_limit_bytes = 4 * KiB;
  /// ... where the other miniheap is fuller by at least this many of `occupancy_levels`; at least 1.
  unsigned float_gain_levels = 2;
  /// ... or where its slab has at least so many more used slots. 0: as many are enough, and one more then.
  unsigned float_gain_slots = 0;
  /// A new miniheap asks for huge pages once the arena has this many bytes mapped, as does a new large allocation; one
  /// of 2 MiB or more always does. 0 switches that off.
  std::size_t huge_pages_from_bytes = 256 * MiB;
  /// What a `thread_cached` keeps for one thread, at most; 0: nothing.
  std::size_t thread_cache_bytes = 1 * MiB;
  /// ... or one part in so many of what the arena has in use, where that is more; 0: it does not count.
  unsigned thread_cache_share = 64;
  /// What is verified on each call.
  check_level checks = check_level::basic;
  /// Where the level is `hardened`: what was freed waits for reuse until so many bytes were freed after it.
  std::size_t quarantine_bytes = 64 * KiB;
  /// ... and one page in so many of a miniheap cannot be accessed, which stops what runs over slabs; 0: none.
  unsigned guard_every_pages = 128;
  /// The destructor writes a line to stderr when allocations are alive.
  bool report_leaks = false;
};

/// Occupancy is quantised to this many levels above "empty", which is level 0.
inline constexpr unsigned occupancy_levels = 16;

namespace detail {

/// What an arena verifies that a hardened one is built on: pointers as `basic` does; contents are the layer's.
inline constexpr auto beneath_hardened = static_cast<check_level>(static_cast<unsigned>(check_level::hardened) + 1);

/// The same arena without the layer.
constexpr arena_config beneath(arena_config config) noexcept {
  config.checks = beneath_hardened;
  return config;
}

}  // namespace detail

}  // namespace miniheap
