// SPDX-License-Identifier: BSL-1.0
/// \file
/// Writes text where nothing may allocate: into a line of bounded length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace miniheap::detail {

/// The first 100 characters. `substr` could throw, and where that is not inlined a library needs the C++ runtime.
constexpr std::string_view shortened(std::string_view text) noexcept {
  return {text.data(), text.size() < 100 ? text.size() : 100};
}

/// A line of at most 255 bytes; what does not fit is dropped.
class text_line {
 public:
  text_line& operator<<(std::string_view text) noexcept {
    for (const char c : text) put(c);
    return *this;
  }

  text_line& operator<<(const char* text) noexcept { return *this << std::string_view{text}; }

  text_line& operator<<(std::size_t n) noexcept { return digits(n, 10, 0); }

  text_line& operator<<(const void* p) noexcept {
    *this << "0x";
    return digits(reinterpret_cast<std::uintptr_t>(p), 16, 0);
  }

  /// A number in a column of `width` characters, to the right.
  text_line& right(std::size_t n, std::size_t width) noexcept { return digits(n, 10, width); }

  /// Text in a column of `width` characters, to the left.
  text_line& left(std::string_view text, std::size_t width) noexcept {
    *this << text;
    for (std::size_t n = text.size(); n < width; ++n) put(' ');
    return *this;
  }

  text_line& fill(char c, std::size_t count) noexcept {
    while (count-- != 0) put(c);
    return *this;
  }

  [[nodiscard]] std::string_view view() const noexcept { return {text_, size_}; }

 private:
  void put(char c) noexcept {
    if (size_ < sizeof text_) text_[size_++] = c;
  }

  text_line& digits(std::size_t n, std::size_t base, std::size_t width) noexcept {
    char reversed[20];
    std::size_t count = 0;
    do reversed[count++] = "0123456789abcdef"[n % base];
    while ((n /= base) != 0);
    for (std::size_t pad = count; pad < width; ++pad) put(' ');
    while (count != 0) put(reversed[--count]);
    return *this;
  }

  char text_[255];
  std::size_t size_ = 0;
};

}  // namespace miniheap::detail
