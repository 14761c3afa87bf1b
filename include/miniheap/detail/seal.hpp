// SPDX-License-Identifier: BSL-1.0
/// \file
/// What a hardened arena writes behind each allocation, and verifies when it comes back:
///
///     +---------------------+--------------------+----------+----------------------------------------------+
///     | the program's bytes | up to 16 fence     | zero     | seal: fence byte, 7 bytes of size, alignment |
///     +---------------------+--------------------+----------+----------------------------------------------+
///     0                     bytes                           usable - 8                                usable
///
/// The byte right behind the program's is always a fence byte, which is neither zero nor a character, so that one byte
/// too many is noticed. Size and alignment are spread over all bits of the seal, and mixed with the address and a
/// secret, so that a seal fits nowhere else. Free memory is zero, which is no seal. All this is done without a branch
/// on the size, which nobody could foresee.
#pragma once

#include <miniheap/detail/secret.hpp>

#include <bit>
#include <cstring>

namespace miniheap::detail {

/// Whether `bytes` bytes are zero; a multiple of 16, at least 16.
[[nodiscard]] inline bool is_zero(const void* p, std::size_t bytes) noexcept {
  using words = std::uint64_t __attribute__((vector_size(16)));
  const auto* const memory = static_cast<const std::byte*>(p);
  const auto at = [memory](std::size_t offset_bytes) {
    words found;
    std::memcpy(&found, memory + offset_bytes, sizeof found);
    return found;
  };
  words any = at(0) | at(bytes - 16);
  std::size_t done = 16;
  for (; done + 64 < bytes; done += 64) any |= at(done) | at(done + 16) | at(done + 32) | at(done + 48);
  for (; done + 16 < bytes; done += 16) any |= at(done);
  return (any[0] | any[1]) == 0;
}

/// What a seal says.
struct sealed_size {
  std::size_t bytes = 0;
  std::size_t alignment = 0;  // 0: there is no seal, or it was written over

  explicit operator bool() const noexcept { return alignment != 0; }
};

class sealer {
 public:
  static constexpr std::size_t seal_bytes = sizeof(std::uint64_t);

  explicit constexpr sealer(std::uint64_t secret) noexcept : secret_{secret} {}

  /// Of an allocation of `usable_bytes` bytes at `p`, zero but for the program's, `bytes` are the program's; at most
  /// `usable_bytes - seal_bytes`.
  [[gnu::always_inline]] void close(void* p, std::size_t usable_bytes, std::size_t bytes,
                                    std::size_t alignment) const noexcept {
    const std::uint64_t mask = mask_of(p);
    const std::uint64_t fence = fence_of(mask);
    auto* const memory = static_cast<std::byte*>(p);
    const std::size_t end = usable_bytes - seal_bytes;
    std::memcpy(memory + bytes, &fence, sizeof fence);
    std::memcpy(memory + smaller(bytes + sizeof fence, end), &fence, sizeof fence);
    const std::uint64_t about = std::uint64_t{bytes} << 6 | static_cast<std::uint64_t>(std::countr_zero(alignment));
    const std::uint64_t seal = ((about * spread ^ mask) << 8) | (fence & 0xff);
    std::memcpy(memory + end, &seal, sizeof seal);
  }

  /// What was asked for; nothing where that is no allocation, or was written over behind its end.
  [[nodiscard, gnu::always_inline]] sealed_size open(const void* p, std::size_t usable_bytes) const noexcept {
    const std::uint64_t mask = mask_of(p);
    const std::uint64_t fence = fence_of(mask);
    const auto* const memory = static_cast<const std::byte*>(p);
    const std::size_t end = usable_bytes - seal_bytes;
    const std::uint64_t seal = word_at(memory + end);
    const std::uint64_t about = ((seal >> 8 ^ mask) * gather) & low_56_bits;
    const std::uint64_t bytes = about >> 6;
    if (bytes > end || ((seal ^ fence) & 0xff) != 0) [[unlikely]]
      return {};
    const std::size_t further = smaller(bytes + sizeof fence, end);
    const std::uint64_t broken = unlike_fence(word_at(memory + bytes) ^ fence, end - bytes) |
                                 unlike_fence(word_at(memory + further) ^ fence, end - further);
    if (broken != 0) [[unlikely]]
      return {};
    return {bytes, std::size_t{1} << (about & 63)};
  }

  /// Of what was opened: whether all between the fence and the seal is zero, too. O(usable - bytes).
  [[nodiscard]] static bool is_clean_behind(const void* p, std::size_t usable_bytes, std::size_t bytes) noexcept {
    const auto* const memory = static_cast<const std::byte*>(p);
    for (std::size_t at = bytes + 16; at < usable_bytes - seal_bytes; ++at) {
      if (memory[at] != std::byte{0}) return false;
    }
    return true;
  }

  /// Whether there is nothing where the seal of a live allocation would be.
  [[nodiscard]] static bool is_open(const void* p, std::size_t usable_bytes) noexcept {
    return word_at(static_cast<const std::byte*>(p) + usable_bytes - seal_bytes) == 0;
  }

 private:
  static constexpr std::uint64_t low_56_bits = ~std::uint64_t{0} >> 8;
  static constexpr std::uint64_t spread = 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio: odd, so it has an inverse
  static constexpr std::uint64_t gather = [] {
    std::uint64_t inverse = spread;  // right in the last three bits; each step doubles how many are
    for (int n = 0; n < 5; ++n) inverse *= 2 - spread * inverse;
    return inverse;
  }();
  static_assert(spread * gather == 1);

  static std::uint64_t word_at(const std::byte* memory) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, memory, sizeof word);
    return word;
  }

  /// Of a word that is zero where it is like the fence: what lies in front of the seal, or is its first byte.
  static std::uint64_t unlike_fence(std::uint64_t difference, std::size_t bytes_to_seal) noexcept {
    return difference << (56 - 8 * smaller(bytes_to_seal, std::size_t{7}));
  }

  [[nodiscard]] std::uint64_t mask_of(const void* p) const noexcept {
    return scatter(address_of(p) ^ secret_) & low_56_bits;
  }

  /// A byte from 0x90 to 0xcf, eight times.
  static std::uint64_t fence_of(std::uint64_t mask) noexcept {
    return (0x90 + (mask >> 40 & 0x3f)) * 0x0101010101010101u;
  }

  std::uint64_t secret_;
};

}  // namespace miniheap::detail
