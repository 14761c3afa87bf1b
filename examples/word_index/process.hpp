// SPDX-License-Identifier: BSL-1.0
// What the operating system is asked: how much of this process is resident, how long it has worked, and to do a job in
// a process of its own.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <type_traits>

namespace word_index {

/// Bytes of this process that are in memory (RSS), 0 where /proc does not tell. Allocates nothing, so that measuring
/// does not change what is measured. (statm would be cheaper; the kernel keeps it a few hundred KiB inexact.)
inline std::size_t resident_bytes() noexcept {
  const int file = ::open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[1024];
  const ssize_t got = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (got <= 0) return 0;
  text[got] = '\0';
  const char* at = std::strstr(text, "Rss:");
  return at == nullptr ? 0 : static_cast<std::size_t>(std::strtoull(at + 4, nullptr, 10)) * 1024;
}

/// Processor time that this process has used. On a busy machine it says more than the time on the wall.
inline double processor_milliseconds() noexcept {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) / 1e6;
}

/// Does job() in a child process and returns its result. Each child starts from the same process image, so neither
/// inherits the memory that the other one left behind. Throws std::runtime_error if the child does not finish.
template <class Job>
auto in_child_process(Job&& job) {
  using result_type = std::invoke_result_t<Job>;
  static_assert(std::is_trivially_copyable_v<result_type> && sizeof(result_type) < 4096, "goes through a pipe whole");

  int ends[2];
  if (::pipe(ends) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  std::fflush(nullptr);  // or the child would print it again
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");

  if (child == 0) {
    ::close(ends[0]);
    int status = EXIT_FAILURE;
    try {
      const result_type result = job();
      if (::write(ends[1], &result, sizeof result) == static_cast<ssize_t>(sizeof result)) status = EXIT_SUCCESS;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "word_index: %s\n", error.what());
    }
    std::fflush(nullptr);
    ::_exit(status);
  }

  ::close(ends[1]);
  result_type result{};
  const bool whole = ::read(ends[0], &result, sizeof result) == static_cast<ssize_t>(sizeof result);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!whole || !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS) {
    throw std::runtime_error("the measured process did not finish");
  }
  return result;
}

}  // namespace word_index
