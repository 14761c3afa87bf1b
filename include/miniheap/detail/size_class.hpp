// SPDX-License-Identifier: BSL-1.0
/// \file
/// Size classes of small allocations: 16, 32, 48, 64 bytes, then four a doubling, from 128 on up to eight, to 8 KiB.
/// Each is a multiple of 16, and a multiple of every power of two up to 4096 that divides the requests rounded up to
/// it: aligned requests need no class of their own.
#pragma once

#include <miniheap/detail/units.hpp>

#include <array>
#include <bit>

namespace miniheap::detail {

inline constexpr std::size_t max_small_bytes = 8192;
inline constexpr std::uint32_t max_slots = 256;  // 16 bytes each in one page
inline constexpr std::uint32_t max_slab_pages = 8;

/// How many pages a slab has, and how many slots.
struct slab_size {
  std::uint32_t pages;
  std::uint32_t slots;

  [[nodiscard]] constexpr std::uint32_t bytes() const noexcept {
    return pages * static_cast<std::uint32_t>(page_bytes);
  }
  /// Whether a slot takes less of the pages than one of `other` does.
  [[nodiscard]] constexpr bool is_denser_than(const slab_size& other) const noexcept {
    return pages * other.slots < other.pages * slots;
  }
};

/// One page for slots of up to 1 KiB, as small slabs give back most (docs/design.md). Else the fewest pages that hold
/// at least 4 slots and waste at most 1/16 at the tail; where `max_slab_pages` are too few for that, those that waste
/// the least.
constexpr slab_size slab_size_for(std::uint32_t slot_bytes) noexcept {
  if (slot_bytes <= 1024) return {1, static_cast<std::uint32_t>(page_bytes) / slot_bytes};
  slab_size best{1, 0};
  for (std::uint32_t pages = 1; pages <= max_slab_pages; ++pages) {
    const slab_size tried{pages, pages * static_cast<std::uint32_t>(page_bytes) / slot_bytes};
    if (tried.slots < 4 || (best.slots != 0 && !tried.is_denser_than(best))) continue;
    best = tried;
    if ((best.bytes() - best.slots * slot_bytes) * 16 <= best.bytes()) break;
  }
  return best;
}

/// The next step: 16 bytes up to 64, then four a doubling, from 128 on eight.
constexpr std::uint32_t step_above(std::uint32_t slot_bytes) noexcept {
  return slot_bytes < 64 ? slot_bytes + 16 : slot_bytes + std::bit_floor(slot_bytes) / (slot_bytes < 128 ? 4 : 8);
}

/// The slot size of the class above one of slots of `slot_bytes`. Steps are left out whose slots take no less of the
/// pages than those of the next step.
constexpr std::uint32_t slot_bytes_above(std::uint32_t slot_bytes) noexcept {
  std::uint32_t step = step_above(slot_bytes);
  while (step < max_small_bytes && !slab_size_for(step).is_denser_than(slab_size_for(step_above(step)))) {
    step = step_above(step);
  }
  return step;
}

inline constexpr std::uint32_t size_classes = [] {
  std::uint32_t count = 1;
  for (std::uint32_t slot_bytes = 16; slot_bytes < max_small_bytes; slot_bytes = slot_bytes_above(slot_bytes)) ++count;
  return count;
}();

/// Shape of the slabs of one size class.
struct slab_shape {
  std::uint32_t reciprocal;    // ceil(2^32 / slot_bytes)
  std::uint32_t starts_below;  // what the lower half of the position of a slot's start is less than
  std::uint16_t slot_bytes;
  std::uint16_t slots;
  std::uint16_t pages;
  std::uint16_t least_bytes;  // the smallest request that the class serves

  /// Whether the class serves a request of so many bytes.
  [[nodiscard]] constexpr bool serves(std::size_t bytes) const noexcept {
    return bytes - least_bytes <= std::size_t{slot_bytes} - least_bytes;
  }

  /// Where an offset in the slab is, in slots: the whole part above bit 32, the rest below. Exact, as the error of the
  /// reciprocal, below slot_bytes / 2^32, times an offset below 2^15 is less than half a step.
  [[nodiscard]] constexpr std::uint64_t position(std::uint32_t offset_bytes) const noexcept {
    return std::uint64_t{offset_bytes} * reciprocal;
  }
  [[nodiscard]] static constexpr std::uint32_t slot_of(std::uint64_t position) noexcept {
    return static_cast<std::uint32_t>(position >> 32);
  }
  /// Whether a slot starts at a position in the slab: see D. Lemire et al., "Faster remainder by direct computation"
  /// (2019). Where slot n starts, the lower half is n times the reciprocal's error, so the end of the last slot shows
  /// as well, unless that is the slab's end; where none starts, it is not less than the reciprocal.
  [[nodiscard]] constexpr bool is_start(std::uint64_t position) const noexcept {
    return static_cast<std::uint32_t>(position) < starts_below;
  }

  [[nodiscard]] constexpr std::uint32_t tail_bytes() const noexcept {
    return static_cast<std::uint32_t>(pages * page_bytes) - slots * slot_bytes;
  }
};

inline constexpr std::array<slab_shape, size_classes> shapes = [] {
  std::array<slab_shape, size_classes> table{};
  std::uint32_t least_bytes = 0;
  std::uint32_t slot_bytes = 16;
  for (slab_shape& shape : table) {
    const slab_size size = slab_size_for(slot_bytes);
    const std::uint32_t reciprocal = 0xffffffffu / slot_bytes + 1;
    const std::uint32_t error = reciprocal * slot_bytes;  // above 2^32, which is where it wraps around
    shape = {reciprocal,
             (size.slots - 1) * error + 1,
             static_cast<std::uint16_t>(slot_bytes),
             static_cast<std::uint16_t>(size.slots),
             static_cast<std::uint16_t>(size.pages),
             static_cast<std::uint16_t>(least_bytes)};
    least_bytes = slot_bytes + 1;
    slot_bytes = slot_bytes_above(slot_bytes);
  }
  return table;
}();

static_assert(
    [] {
      for (const slab_shape& s : shapes) {
        if (s.starts_below == 1 && s.tail_bytes() != 0) return false;
      }
      return true;
    }(),
    "where the reciprocal is exact, slots fill the slab");

/// The class of each multiple of 16 bytes.
inline constexpr std::array<std::uint8_t, max_small_bytes / 16 + 1> classes_by_16_bytes = [] {
  std::array<std::uint8_t, max_small_bytes / 16 + 1> table{};
  std::uint8_t c = 0;
  for (std::uint32_t n = 1; n < table.size(); ++n) {
    if (16 * n > shapes[c].slot_bytes) ++c;
    table[n] = c;
  }
  return table;
}();

/// The class that serves a request; `bytes` <= `max_small_bytes`.
constexpr std::uint32_t size_class(std::size_t bytes) noexcept { return classes_by_16_bytes[(bytes + 15) / 16]; }

/// Requests for more than the default alignment are served by the class of the size rounded up to the alignment.
constexpr std::size_t aligned_request(std::size_t bytes, std::size_t alignment) noexcept {
  if (alignment <= 16) return bytes;
  return align_up(at_least_one(bytes), alignment);
}

/// Whether a slab serves the request. `alignment` is a power of two.
constexpr bool is_small(std::size_t bytes, std::size_t alignment) noexcept {
  return bytes <= max_small_bytes && alignment <= page_bytes && aligned_request(bytes, alignment) <= max_small_bytes;
}

/// How many lanes of threads there are: see active_slabs.hpp.
inline constexpr std::uint32_t thread_lanes = 4;

/// What a thread keeps in stock has a **stock class**: the size classes, and after them medium allocations of 3 to 16
/// pages, by their length.
inline constexpr std::uint32_t min_stock_pages = static_cast<std::uint32_t>(max_small_bytes / page_bytes) + 1;
inline constexpr std::uint32_t max_stock_pages = 16;
inline constexpr std::uint32_t stock_classes = size_classes + max_stock_pages - min_stock_pages + 1;

constexpr bool is_slot_class(std::uint32_t stock_class) noexcept { return stock_class < size_classes; }

/// The stock class of medium allocations of so many pages; `stock_classes` where they are kept by nobody.
constexpr std::uint32_t stock_class_of_pages(std::size_t pages) noexcept {
  const std::size_t above = pages - min_stock_pages;
  return above <= max_stock_pages - min_stock_pages ? static_cast<std::uint32_t>(above) + size_classes : stock_classes;
}

/// The length of medium allocations of a stock class.
constexpr std::uint32_t pages_of_stock_class(std::uint32_t stock_class) noexcept {
  return stock_class - size_classes + min_stock_pages;
}

/// What serves a request, or `stock_classes`. `alignment` is a power of two.
constexpr std::uint32_t stock_class(std::size_t bytes, std::size_t alignment) noexcept {
  if (is_small(bytes, alignment)) return size_class(aligned_request(bytes, alignment));
  if (alignment > page_bytes || bytes > max_stock_pages * page_bytes) return stock_classes;
  return stock_class_of_pages(pages_for(bytes));
}

/// Usable bytes of what has this stock class.
constexpr std::size_t bytes_of_stock_class(std::uint32_t stock_class) noexcept {
  return is_slot_class(stock_class) ? shapes[stock_class].slot_bytes : pages_of_stock_class(stock_class) * page_bytes;
}

static_assert(size_class(0) == 0 && size_class(16) == 0 && size_class(17) == 1 && size_class(64) == 3);
static_assert(size_class(65) == 4 && size_class(128) == 7 && size_class(129) == 8 && size_class(145) == 9);
static_assert(size_class(max_small_bytes) == size_classes - 1);
static_assert(shapes[size_classes - 1].slot_bytes == max_small_bytes);

}  // namespace miniheap::detail
