// SPDX-License-Identifier: BSL-1.0
// Runs a command and prints its peak of resident memory in KiB. A process's peak is never less than that of the one
// that started it, so this one is small.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>

int main(int count, char** arguments) {
  if (count < 3 || (*arguments[1] != '\0' && ::setenv("LD_PRELOAD", arguments[1], 1) != 0)) return 1;
  const pid_t child = ::vfork();
  if (child == 0) {
    ::execvp(arguments[2], arguments + 2);
    ::_exit(127);
  }
  int status = 0;
  rusage usage{};
  if (child < 0 || ::wait4(child, &status, 0, &usage) != child || status != 0) return 1;
  return std::printf("%ld\n", usage.ru_maxrss) < 0 ? 1 : 0;
}
