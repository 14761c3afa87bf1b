// SPDX-License-Identifier: BSL-1.0
// Starts a program, waits for it, and writes what it took to a file: launch FILE PROGRAM [ARGUMENT...]. The line has
// seconds of user time, of system time and of wall time, the peak of resident memory in KiB, and the exit status.
// Linked statically, since the kernel counts what a process had before exec to its peak: a child of a script would
// never take less than the interpreter, and a preloaded library would be loaded into this program too.

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace {

double seconds_of(const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; }

double now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

pid_t child = 0;

// Whoever ends this program means the one that it started, and those that that one started: a compiler is several.
void pass_on(int signal) { kill(-child, signal); }

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: launch FILE PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGTERM);  // when whoever measures is gone, so is what is measured
  const double start = now();
  child = fork();
  if (child < 0) {
    std::perror("launch");
    return 2;
  }
  setpgid(child, child);  // in both, as either may come first
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // nothing stays behind when this program is killed
    execvp(argv[2], argv + 2);
    std::perror(argv[2]);
    _exit(127);
  }
  std::signal(SIGTERM, pass_on);
  std::signal(SIGINT, SIG_IGN);  // from a terminal: whoever measures gets it too, and ends this program

  int status = 0;
  rusage used{};
  while (wait4(child, &status, 0, &used) < 0) {
    if (errno != EINTR) {
      std::perror("launch");
      return 2;
    }
  }
  const double wall = now() - start;
  std::FILE* const file = std::fopen(argv[1], "w");
  if (file == nullptr) {
    std::perror(argv[1]);
    return 2;
  }
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  std::fprintf(file, "%.6f %.6f %.6f %ld %d\n", seconds_of(used.ru_utime), seconds_of(used.ru_stime), wall,
               used.ru_maxrss, code);
  return std::fclose(file) == 0 ? code : 2;
}
