// SPDX-License-Identifier: BSL-1.0
// What the workloads of bench/preload share: sizes as programs ask for them, objects that notice when
// somebody else wrote to them, and the line in which a workload says how fast it was.
#pragma once

#include "../numbers.hpp"

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace workload {

constexpr std::size_t KiB = 1024;
constexpr std::size_t MiB = 1024 * KiB;

/// As many sizes in each doubling from `low` on, `doublings` of them.
inline std::size_t log_size(numbers& random, std::size_t low, std::size_t doublings) noexcept {
  const std::size_t from = low << random.below(doublings);
  return from + random.below(from);
}

/// Mostly nodes and short strings, some records, a few buffers: half a kilobyte in the mean, 80 bytes in the middle.
inline std::size_t usual_size(numbers& random) noexcept {
  const std::size_t part = random.below(100);
  if (part < 45) return random.between(16, 64);
  if (part < 75) return random.between(65, 256);
  if (part < 93) return random.between(257, 1024);
  return part < 99 ? random.between(1025, 4096) : random.between(4097, 32 * KiB);
}

[[noreturn]] inline void die(const char* why) noexcept {
  std::fprintf(stderr, "%s\n", why);
  std::abort();
}

/// What one malloc returned, written to as a program would: the beginning whole, then something on each page.
struct object {
  unsigned char* bytes = nullptr;
  std::size_t size = 0;
};

inline unsigned char mark_of(std::size_t size) noexcept { return static_cast<unsigned char>(size ^ (size >> 8)); }

inline void touch(const object& o) noexcept {
  std::memset(o.bytes, mark_of(o.size), o.size < 256 ? o.size : 256);
  for (std::size_t at = 4096; at < o.size; at += 4096) o.bytes[at] = 1;
}

inline object make(std::size_t size) noexcept {
  const object o{static_cast<unsigned char*>(std::malloc(size)), size};
  if (o.bytes == nullptr) die("out of memory");
  touch(o);
  return o;
}

/// Frees it; nothing happens to an object that holds nothing.
inline void drop(object& o) noexcept {
  if (o.bytes != nullptr && o.bytes[0] != mark_of(o.size)) die("somebody else wrote to an object");
  std::free(o.bytes);
  o = {};
}

/// The first argument of each workload: how much of the full work to do, in percent.
inline std::size_t scaled(std::size_t full, int argc, char** argv) noexcept {
  const std::size_t percent = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 100;
  return full * percent / 100 + 1;
}

/// The arguments after it: numbers that choose a variant.
inline std::size_t argument(int argc, char** argv, int at, std::size_t otherwise) noexcept {
  return argc > at ? std::strtoul(argv[at], nullptr, 10) : otherwise;
}

class stopwatch {
 public:
  double seconds() const noexcept {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// A line that bench/preload reads.
inline void report(const char* what, double value) noexcept { std::printf("%s\t%.6g\n", what, value); }

}  // namespace workload
