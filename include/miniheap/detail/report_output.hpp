// SPDX-License-Identifier: BSL-1.0
/// \file
/// Where reports go: a file or stderr, by system calls alone.
#pragma once

#include <miniheap/detail/report_settings.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <cerrno>

namespace miniheap::detail {

/// Collects pieces of text and writes them to a file descriptor. What cannot be written is lost: there is nobody to
/// tell.
class report_writer {
 public:
  explicit report_writer(int file) noexcept : file_{file} {}
  ~report_writer() { flush(); }
  report_writer(const report_writer&) = delete;
  report_writer& operator=(const report_writer&) = delete;

  void operator()(std::string_view text) noexcept {
    if (size_ + text.size() > sizeof text_) flush();
    if (text.size() > sizeof text_) return write_all(text);
    std::memcpy(text_ + size_, text.data(), text.size());
    size_ += text.size();
  }

  void flush() noexcept {
    write_all({text_, size_});
    size_ = 0;
  }

 private:
  void write_all(std::string_view text) const noexcept {
    while (!text.empty()) {
      const ssize_t written = ::write(file_, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(written));
    }
  }

  int file_;
  std::size_t size_ = 0;
  char text_[2048];
};

/// A copy of stderr that is still there when the program has closed its own, as many do before the last report.
class kept_stderr {
 public:
  /// Takes the copy, at a number that no program counts on. O(1), three system calls.
  void keep() noexcept {
    file_ = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 200);
    if (file_ < 0) file_ = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (!identify(file_, kept_)) file_ = -1;
  }

  /// The copy, or stderr itself where there is none. A program that closes whatever is open may have a file of its own
  /// under the copy's number.
  [[nodiscard]] int file() const noexcept {
    struct stat now {};
    const bool is_same = file_ >= 0 && identify(file_, now) && now.st_dev == kept_.st_dev && now.st_ino == kept_.st_ino;
    return is_same ? file_ : STDERR_FILENO;
  }

 private:
  static bool identify(int file, struct stat& out) noexcept { return ::fstat(file, &out) == 0; }

  int file_ = -1;
  struct stat kept_ {};
};

/// Opens the file of a report for appending. -1: it cannot be.
inline int open_report(const report_path& path) noexcept {
  char name[report_path::most_bytes];
  if (!path.expand(name)) return -1;
  return ::open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
}

}  // namespace miniheap::detail
