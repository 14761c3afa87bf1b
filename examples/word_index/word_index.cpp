// SPDX-License-Identifier: BSL-1.0
// Builds word indexes over text files and drops them again, as a long-running service would: once with std::allocator
// and once with a miniheap arena, each in a process of its own. Shows after each stage what each of them still holds.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "corpus.hpp"
#include "memory.hpp"
#include "process.hpp"
#include "report.hpp"
#include "service.hpp"

namespace {

using namespace word_index;

constexpr const char* default_directory = "/usr/share/common-licenses";
constexpr std::size_t text_bytes_a_round = 6 * 1024 * 1024;

constexpr const char* usage_text =
    "Builds word indexes and drops them, with std::allocator and with an arena, and shows what memory each keeps.\n"
    "usage: word_index [--rounds N] [--indexes N] [--history N] [--no-maps] [FILE...]\n"
    "  --rounds N    load and drop the indexes N times (3)\n"
    "  --indexes N   indexes a round, each over all files (as many as make 6 MiB of text)\n"
    "  --history N   records that outlive the indexes (2000)\n"
    "  --no-maps     only the tables, no maps of the miniheaps\n"
    "  FILE...       text files (all under /usr/share/common-licenses)\n";

struct usage_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct command_line {
  settings how;
  std::vector<std::string> files;
  bool help = false;
};

std::size_t number_after(int& at, int count, char** words, std::size_t least) {
  const std::string option = words[at];
  if (++at == count) throw usage_error(option + " wants a number");
  const char* const first = words[at];
  const char* const last = first + std::strlen(first);
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(first, last, number);
  if (error != std::errc() || end != last || number < least || number > 1'000'000) {
    throw usage_error(option + " wants a number from " + std::to_string(least) + " to 1000000, not '" + first + "'");
  }
  return number;
}

command_line parse(int count, char** words) {
  command_line line;
  bool options = true;
  for (int at = 1; at < count; ++at) {
    const std::string_view word = words[at];
    if (!options || word.size() < 2 || word[0] != '-') {
      line.files.emplace_back(word);
    } else if (word == "--") {
      options = false;
    } else if (word == "--help" || word == "-h") {
      line.help = true;
    } else if (word == "--rounds") {
      line.how.rounds = number_after(at, count, words, 1);
    } else if (word == "--indexes") {
      line.how.indexes = number_after(at, count, words, 1);
    } else if (word == "--history") {
      line.how.history = number_after(at, count, words, 0);
    } else if (word == "--no-maps") {
      line.how.maps = false;
    } else {
      throw usage_error("unknown option '" + std::string(word) + "'");
    }
  }
  return line;
}

void work(command_line line) {
  if (line.files.empty()) line.files = readable_files(default_directory);
  if (line.files.empty()) throw usage_error(std::string("no readable files in ") + default_directory + ": name some");
  const corpus texts = read_corpus(line.files);

  std::size_t words = 0;
  for (const auto& text : texts.texts) for_each_word(text, [&](std::string_view, std::size_t) { ++words; });
  if (words == 0) throw std::runtime_error("the files hold no words");
  if (line.how.indexes == 0) {
    line.how.indexes = std::clamp<std::size_t>((text_bytes_a_round + texts.bytes - 1) / texts.bytes, 1, 1000);
  }

  const auto counted = [](std::size_t number, const char* one, const char* many) {
    return grouped(number) + ' ' + (number == 1 ? one : many);
  };
  std::printf("%s, %.1f KiB, %s; %s of %s; a history of %s\n", counted(texts.texts.size(), "file", "files").c_str(),
              static_cast<double>(texts.bytes) / 1024, counted(words, "word", "words").c_str(),
              counted(line.how.rounds, "round", "rounds").c_str(),
              counted(line.how.indexes, "index", "indexes").c_str(),
              counted(line.how.history, "record", "records").c_str());

  const report out;
  const outcome with_malloc = in_child_process([&] { return service<malloc_memory>(texts, line.how, out).work(); });
  const outcome with_arena = in_child_process([&] { return service<arena_memory>(texts, line.how, out).work(); });

  const auto above_start = [](const outcome& of, std::size_t resident) {
    return mebibytes(resident > of.start_resident ? resident - of.start_resident : 0);
  };
  const auto print_outcome = [&](const char* name, const outcome& of) {
    std::printf("  %-15s keeps %5.1f MiB resident for %.1f MiB of history (before trimming %.1f, loaded %.1f)\n", name,
                above_start(of, of.trimmed_resident), mebibytes(of.trimmed_live), above_start(of, of.dropped_resident),
                above_start(of, of.loaded_resident));
  };
  out.title("in the end, above the start");
  print_outcome("std::allocator", with_malloc);
  print_outcome("the arena", with_arena);
}

}  // namespace

int main(int count, char** words) {
  try {
    const command_line line = parse(count, words);
    if (line.help) {
      std::fputs(usage_text, stdout);
    } else {
      work(line);
    }
    return EXIT_SUCCESS;
  } catch (const usage_error& error) {
    std::fprintf(stderr, "word_index: %s\n%s", error.what(), usage_text);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "word_index: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
