// SPDX-License-Identifier: BSL-1.0
// Does a misdeed in a child process, and tells how that ended and what it wrote to stderr.
#pragma once

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <new>
#include <string>

#include "catch.hpp"

namespace misuse {

/// What the message must name; the child notes it before the misdeed, in memory that both processes see.
struct culprit {
  const void* arena = nullptr;
  const void* pointer = nullptr;
};

struct ending {
  int signal = 0;  // that ended the child; 0: it came to its end
  int exit_code = 0;
  std::string text;  // on stderr
  culprit named;
};

/// Runs scene(culprit&) in a child process. A scene that returns ends the child with exit code 0.
template <class Scene>
ending in_child(Scene&& scene) {
  void* const shared = ::mmap(nullptr, sizeof(culprit), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(shared != MAP_FAILED);
  auto* const named = ::new (shared) culprit;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  std::fflush(nullptr);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);

  if (child == 0) {
    for (const int deadly : {SIGABRT, SIGSEGV}) std::signal(deadly, SIG_DFL);  // Catch would report the test case
    constexpr rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    scene(*named);
    ::_exit(EXIT_SUCCESS);
  }

  ::close(ends[1]);
  ending result;
  char text[512];
  for (;;) {
    const ssize_t got = ::read(ends[0], text, sizeof text);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    result.text.append(text, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  result.named = *named;
  ::munmap(shared, sizeof(culprit));
  return result;
}

inline std::string hexadecimal(const void* p) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(p)));
  return text;
}

/// "miniheap: arena 'NAME' (0xARENA): " for the arena that the child noted.
inline std::string about(const ending& how, const char* name) {
  return "miniheap: arena '" + std::string(name) + "' (" + hexadecimal(how.named.arena) + "): ";
}

/// The child stopped with SIGABRT and exactly this one line, but for the number of bytes, which may follow.
inline void require_fault(const ending& how, const char* name, const char* fault) {
  INFO("stderr of the child: " << how.text);
  INFO("exit code " << how.exit_code);
  REQUIRE(how.signal == SIGABRT);
  const std::string line = about(how, name) + fault + ": " + hexadecimal(how.named.pointer);
  INFO("expected: " << line);
  REQUIRE(how.text.substr(0, line.size()) == line);
  const std::string rest = how.text.substr(line.size());
  const bool has_detail = rest.size() > 3 && rest.substr(0, 2) == " (" && rest.substr(rest.size() - 2) == ")\n" &&
                          rest.find('\n') == rest.size() - 1;
  REQUIRE((rest == "\n" || has_detail));
}

namespace faults {
inline constexpr const char* double_free = "double free";
inline constexpr const char* foreign = "invalid free: not a pointer of this arena";
inline constexpr const char* interior = "invalid free: not the start of an allocation";
inline constexpr const char* wrong_size = "sized free: wrong size";
inline constexpr const char* wrong_alignment = "sized free: wrong alignment";
inline constexpr const char* overflow = "overflow: written behind the end of an allocation";
inline constexpr const char* write_after_free = "write after free: free memory was changed";
inline constexpr const char* reentrant = "reentrant call from a page source or a walk visitor";
}  // namespace faults

}  // namespace misuse
