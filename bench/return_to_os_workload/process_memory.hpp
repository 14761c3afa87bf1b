// SPDX-License-Identifier: BSL-1.0
// What the kernel says of this process's memory and of the time that it took, asked without a call of malloc.
#pragma once

#include "../preload_workload/common.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace return_to_os {

/// From /proc/self/smaps_rollup, bytes.
struct process_memory {
  std::size_t rss = 0;
  std::size_t pss = 0;
  std::size_t anonymous = 0;
  std::size_t lazy_free =
      0;                   ///< of the anonymous pages: given back by MADV_FREE; the kernel takes them when it needs any
  std::size_t shared = 0;  ///< pages of memfd and of shared mappings
  std::size_t swapped = 0;

  /// What the process keeps from others. Lazily freed pages are as good as given back; pages in the swap are not.
  std::size_t held() const noexcept { return anonymous - lazy_free + shared + swapped; }
};

class process_memory_reader {
 public:
  process_memory_reader() noexcept : file_{open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC)} {
    if (file_ < 0) workload::die("no /proc/self/smaps_rollup");
  }

  process_memory_reader(const process_memory_reader&) = delete;
  process_memory_reader& operator=(const process_memory_reader&) = delete;
  ~process_memory_reader() { close(file_); }

  process_memory read() noexcept {
    const ssize_t length = pread(file_, text_.data(), text_.size() - 1, 0);
    if (length <= 0) workload::die("cannot read /proc/self/smaps_rollup");
    text_[static_cast<std::size_t>(length)] = '\0';
    return {value("\nRss:"),      value("\nPss:"),       value("\nAnonymous:"),
            value("\nLazyFree:"), value("\nPss_Shmem:"), value("\nSwap:")};
  }

 private:
  std::size_t value(const char* name) const noexcept {
    const char* const found = std::strstr(text_.data(), name);
    if (found == nullptr) workload::die("a field is missing in /proc/self/smaps_rollup: it needs Linux 5.4");
    return std::strtoul(found + std::strlen(name), nullptr, 10) * workload::KiB;
  }

  int file_;
  std::array<char, 4096> text_{};
};

inline double seconds(clockid_t clock) noexcept {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

}  // namespace return_to_os
