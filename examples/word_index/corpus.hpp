// SPDX-License-Identifier: BSL-1.0
// The text files to index, read once, before anything is measured.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace word_index {

struct corpus {
  std::vector<std::string> texts;
  std::size_t bytes = 0;
};

inline std::runtime_error unreadable(const std::string& path, int error) {
  return std::runtime_error("cannot read '" + path + "': " + std::generic_category().message(error));
}

/// The whole of one regular file. Throws a std::runtime_error that names the file and the reason.
inline std::string read_text(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw unreadable(path, errno);
  struct closer {
    int file;
    ~closer() { ::close(file); }
  } const close_at_exit{file};

  struct stat facts {};
  if (::fstat(file, &facts) != 0) throw unreadable(path, errno);
  if (S_ISDIR(facts.st_mode)) throw unreadable(path, EISDIR);
  if (!S_ISREG(facts.st_mode)) throw std::runtime_error("cannot read '" + path + "': not a regular file");

  std::string text(static_cast<std::size_t>(facts.st_size), '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t got = ::read(file, text.data() + filled, text.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw unreadable(path, errno);
    if (got == 0) break;  // it shrank since fstat
    filled += static_cast<std::size_t>(got);
  }
  text.resize(filled);
  return text;
}

/// Regular, readable files of one directory, sorted; symbolic links would only repeat another file's words.
inline std::vector<std::string> readable_files(const char* directory) {
  std::vector<std::string> paths;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    if (entry.is_symlink(ignored) || !entry.is_regular_file(ignored)) continue;
    if (::access(entry.path().c_str(), R_OK) == 0) paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

inline corpus read_corpus(const std::vector<std::string>& paths) {
  corpus all;
  for (const auto& path : paths) {
    all.texts.push_back(read_text(path));
    all.bytes += all.texts.back().size();
  }
  return all;
}

/// Calls use(word, line) for each word of the text, in lower case; lines count from 1.
/// Bytes above 127 belong to words, so that UTF-8 stays whole.
template <class Use>
void for_each_word(std::string_view text, Use&& use) {
  const auto in_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c & '\x80') != 0;
  };
  std::string word;  // reused: its memory is not part of what is compared
  std::size_t line = 1;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\n') ++line;
    if (!in_word(text[at])) continue;
    word.clear();
    for (; at < text.size() && in_word(text[at]); ++at) {
      const char c = text[at];
      word += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    use(std::string_view(word), line);
    --at;  // the outer loop looks at the delimiter, which may be a new line
  }
}

}  // namespace word_index
