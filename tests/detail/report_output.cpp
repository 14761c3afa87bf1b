// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/report_output.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "../catch.hpp"

using namespace miniheap::detail;

namespace {

/// A file of a name that nobody else has, removed at the end.
class temporary_file {
 public:
  temporary_file() {
    const char* const folder = std::getenv("TMPDIR");
    name_ = std::string{folder != nullptr ? folder : P_tmpdir} + "/miniheap-report-XXXXXX";
    file_ = ::mkstemp(name_.data());
    REQUIRE(file_ >= 0);
  }
  ~temporary_file() {
    ::close(file_);
    ::unlink(name_.c_str());
  }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;

  [[nodiscard]] int file() const { return file_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string text() const {
    std::string text;
    char piece[4096];
    off_t at = 0;
    for (ssize_t got = 0; (got = ::pread(file_, piece, sizeof piece, at)) > 0; at += got) {
      text.append(piece, static_cast<std::size_t>(got));
    }
    return text;
  }

 private:
  std::string name_;
  int file_ = -1;
};

}  // namespace

TEST_CASE("report output: all pieces arrive in order, short ones and long ones", "[report]") {
  const temporary_file file;
  std::string expected;
  {
    report_writer write{file.file()};
    for (std::size_t n = 0; n < 5000; n += 7) {
      const std::string piece(n, static_cast<char>('a' + n % 26));
      write(piece);
      expected += piece;
      if (n == 70) CHECK(file.text().empty());  // pieces are collected
    }
  }
  CHECK(file.text() == expected);
}

TEST_CASE("report output: what cannot be written is lost", "[report]") {
  report_writer write{-1};
  write(std::string(10000, 'x'));
  write("y");
  SUCCEED();
}

TEST_CASE("report output: a report is added to what is in its file", "[report]") {
  const temporary_file file;
  report_path path;
  REQUIRE(path.set(file.name().c_str()));
  for (const char* const text : {"one ", "two "}) {
    const int opened = open_report(path);
    REQUIRE(opened >= 0);
    report_writer{opened}(text);
    ::close(opened);
  }
  CHECK(file.text() == "one two ");
  REQUIRE(path.set((file.name() + "/none").c_str()));
  CHECK(open_report(path) == -1);
}

TEST_CASE("report output: the copy of stderr outlives stderr, and is not mistaken for another file", "[report]") {
  const temporary_file file;
  const temporary_file other;
  const int before = ::dup(STDERR_FILENO);
  ::dup2(file.file(), STDERR_FILENO);
  kept_stderr kept;
  CHECK(kept.file() == STDERR_FILENO);  // no copy yet
  kept.keep();
  const int copy = kept.file();
  ::close(STDERR_FILENO);
  const int still = kept.file();
  report_writer{still}("late");
  ::dup2(other.file(), copy);  // the program has a file of its own there now
  const int replaced = kept.file();
  ::dup2(before, STDERR_FILENO);
  ::close(before);
  ::close(copy);
  CHECK(copy != STDERR_FILENO);
  CHECK(still == copy);
  CHECK(replaced == STDERR_FILENO);
  CHECK(file.text() == "late");
}
