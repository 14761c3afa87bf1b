// SPDX-License-Identifier: BSL-1.0
// What the user sees: aligned, with units, in colour only where a terminal shows it.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace word_index {

inline double mebibytes(std::size_t bytes) noexcept { return static_cast<double>(bytes) / (1024.0 * 1024.0); }

/// 1234567 as "1,234,567".
inline std::string grouped(std::size_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (std::size_t at = 0; at < digits.size(); ++at) {
    if (at != 0 && (digits.size() - at) % 3 == 0) text += ',';
    text += digits[at];
  }
  return text;
}

class report {
 public:
  report() noexcept : colour_(::isatty(STDOUT_FILENO) == 1 && colour_wanted()) {}

  void title(const char* text) const { std::printf("\n%s%s%s\n", code("\033[1m"), text, code("\033[0m")); }

  void table_head(const char* trim_call) const {
    std::printf("%s  %-10s %12s %12s %12s %11s%s   (trim: %s)\n", code("\033[4m"), "stage", "live", "mapped", "RSS",
                "CPU time", code("\033[0m"), trim_call);
  }

  void row(const char* stage, std::size_t live, std::size_t mapped, std::size_t resident, double milliseconds) const {
    std::printf("  %-10s %8.2f MiB %8.2f MiB %s%8.2f MiB%s %8.0f ms\n", stage, mebibytes(live), mebibytes(mapped),
                code("\033[1m"), mebibytes(resident), code("\033[0m"), milliseconds);
  }

  void map(std::string_view lines) const {
    if (lines.empty()) return;
    std::printf("%s%.*s%s", code("\033[2m"), static_cast<int>(lines.size()), lines.data(), code("\033[0m"));
  }

 private:
  static bool colour_wanted() noexcept {
    const char* terminal = std::getenv("TERM");
    return std::getenv("NO_COLOR") == nullptr && terminal != nullptr && std::string_view(terminal) != "dumb";
  }

  const char* code(const char* escape) const noexcept { return colour_ ? escape : ""; }

  bool colour_;
};

}  // namespace word_index
