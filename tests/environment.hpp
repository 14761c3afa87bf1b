// SPDX-License-Identifier: BSL-1.0
// What the environment asks of the tests.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <optional>

inline std::optional<std::uint64_t> number_from_environment(const char* name) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

/// How many random operations all tests of the model do together. What others do is in proportion: with ten times as
/// many they take ten times as long, and a tenth where each takes longer, as with a sanitizer.
inline std::uint64_t wanted_operations() {
  return number_from_environment("MINIHEAP_TEST_OPERATIONS").value_or(10'000'000);
}

#if defined(__SANITIZE_THREAD__)
inline constexpr bool is_thread_sanitized = true;
#elif defined(__has_feature)
inline constexpr bool is_thread_sanitized = __has_feature(thread_sanitizer);
#else
inline constexpr bool is_thread_sanitized = false;
#endif
