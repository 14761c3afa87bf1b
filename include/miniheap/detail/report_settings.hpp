// SPDX-License-Identifier: BSL-1.0
/// \file
/// What the environment asks a replaced malloc to tell, read without allocating.
///
/// | variable | |
/// |---|---|
/// | MINIHEAP_STATS=1 | at exit the statistics |
/// | MINIHEAP_MAP=1 | at exit the statistics and a picture of each miniheap |
/// | MINIHEAP_JSON=1 | at exit, and on the signal, the statistics and pictures as JSON |
/// | MINIHEAP_SIGNAL=USR1 | the same as at exit, pictures included, whenever this signal comes: a name or a number |
/// | MINIHEAP_OUTPUT=FILE | appended to this file instead of stderr; %p in its name stands for the process id |
///
/// For a switch, 0 and no text are off.
#pragma once

#include <miniheap/detail/text.hpp>

#include <unistd.h>
#include <climits>
#include <csignal>
#include <cstring>

namespace miniheap::detail {

/// What is written at exit; each kind has more in it than the one before.
enum class report_kind : unsigned char { none, statistics, map, json };

/// The number of a signal by its name, with or without SIG, or its number in text; 0 where it is neither.
inline int signal_number(const char* text) noexcept {
  constexpr int signals = 64;
  int number = 0;
  for (const char* c = text; *c >= '0' && *c <= '9' && number <= signals; ++c) {
    number = number * 10 + (*c - '0');
    if (c[1] == '\0') return number <= signals ? number : 0;
  }
  if (std::strncmp(text, "SIG", 3) == 0) text += 3;
  for (int n = 1; n <= signals; ++n) {
    const char* const name = ::sigabbrev_np(n);
    if (name != nullptr && std::strcmp(name, text) == 0) return n;
  }
  return 0;
}

/// The name of a file that a report goes to.
class report_path {
 public:
  static constexpr std::size_t most_bytes = PATH_MAX;

  [[nodiscard]] bool is_set() const noexcept { return text_[0] != '\0'; }

  /// Keeps a copy, as the program may write over its environment, made absolute, as it may change its folder. False:
  /// too long.
  bool set(const char* path) noexcept {
    const std::size_t bytes = std::strlen(path);
    std::size_t folder_bytes = 0;
    if (path[0] != '/' && ::getcwd(text_, most_bytes) != nullptr) {
      folder_bytes = std::strlen(text_);
      text_[folder_bytes++] = '/';
    }
    const bool fits = folder_bytes + bytes < most_bytes;
    if (fits) {
      std::memcpy(text_ + folder_bytes, path, bytes + 1);
    } else {
      text_[0] = '\0';
    }
    return fits;
  }

  /// The name with the process id for each %p in it. False: too long for `out`.
  bool expand(char (&out)[most_bytes]) const noexcept {
    std::size_t size = 0;
    for (const char* c = text_; *c != '\0'; ++c) {
      text_line piece;
      if (c[0] == '%' && c[1] == 'p') {
        piece << static_cast<std::size_t>(::getpid());
        ++c;
      } else {
        piece.fill(*c, 1);
      }
      const std::string_view text = piece.view();
      if (size + text.size() >= most_bytes) return false;
      std::memcpy(out + size, text.data(), text.size());
      size += text.size();
    }
    out[size] = '\0';
    return true;
  }

 private:
  char text_[most_bytes]{};
};

struct report_settings {
  report_kind at_exit = report_kind::none;
  int signal = 0;  ///< 0: none
  report_path output;

  [[nodiscard]] bool is_wanted() const noexcept { return at_exit != report_kind::none || signal != 0; }
};

/// Fills `settings`, which are as new. `lookup(name)` is the value of a variable or nullptr; `complain(line)` gets a
/// line for each value that says nothing.
template <class Lookup, class Complain>
void read_report_settings(report_settings& settings, Lookup lookup, Complain complain) {
  const auto value_of = [&](const char* name) {
    const char* const value = lookup(name);
    return value != nullptr && value[0] != '\0' ? value : nullptr;
  };
  const auto reject = [&](const char* name, const char* value, const char* expected) {
    text_line line;
    line << "miniheap: " << name << "=" << shortened(value) << " is ignored: " << expected;
    complain(line);
  };
  const auto read_switch = [&](const char* name, report_kind kind) {
    const char* const value = value_of(name);
    if (value == nullptr || std::strcmp(value, "0") == 0) return;
    if (std::strcmp(value, "1") != 0) return reject(name, value, "0 or 1 is meant");
    settings.at_exit = kind;
  };
  read_switch("MINIHEAP_STATS", report_kind::statistics);
  read_switch("MINIHEAP_MAP", report_kind::map);
  read_switch("MINIHEAP_JSON", report_kind::json);
  if (const char* const value = value_of("MINIHEAP_SIGNAL")) {
    settings.signal = signal_number(value);
    if (settings.signal == 0) reject("MINIHEAP_SIGNAL", value, "a signal's name or number is meant, as USR1");
  }
  if (const char* const value = value_of("MINIHEAP_OUTPUT")) {
    if (!settings.output.set(value)) reject("MINIHEAP_OUTPUT", value, "the name of a file is meant");
  }
}

}  // namespace miniheap::detail
