// SPDX-License-Identifier: BSL-1.0
/// \file
/// `free` leaves errno as it was, as POSIX wants it (Issue 8), though the system calls that it makes may fail.
#pragma once

#include <cerrno>

namespace miniheap::detail {

/// Puts errno back to what it was.
class errno_guard {
 public:
  errno_guard() noexcept : before_{errno} {}
  ~errno_guard() { errno = before_; }
  errno_guard(const errno_guard&) = delete;
  errno_guard& operator=(const errno_guard&) = delete;

 private:
  int before_;
};

}  // namespace miniheap::detail
