// SPDX-License-Identifier: BSL-1.0
/// \file
/// The reports of the arena that serves a process: at exit and on a signal, as the environment asks for.
#pragma once

#include <miniheap/arena.hpp>
#include <miniheap/detail/errno_guard.hpp>
#include <miniheap/detail/process_arena.hpp>
#include <miniheap/detail/report_output.hpp>

#include <sys/auxv.h>

#pragma GCC visibility push(hidden)

namespace miniheap::detail {

template <class Arena>
class process_report {
 public:
  /// Reads the environment, unless the program has more rights than its user. Once, before main; it may be the first
  /// code of the process, so the C library's own functions for that do not know the environment yet.
  static void start(const char* const* environment) noexcept {
    if (environment == nullptr || ::getauxval(AT_SECURE) != 0) return;
    read_report_settings(
        settings_, [&](const char* name) { return value_in(environment, name); },
        [](text_line& line) { write_line(line); });
    if (!settings_.is_wanted()) return;
    if (!settings_.output.is_set()) stderr_.keep();
    if (settings_.signal != 0) handle_signal();
  }

  /// When the program's own exit functions and destructors are done.
  static void at_exit() noexcept {
    if (settings_.at_exit == report_kind::none) return;
    const output out;
    report_writer write{out.file()};
    put_title(write);
    if (settings_.at_exit == report_kind::statistics) return put_statistics(write);
    process_arena<Arena>::instance().dump(write, format());
  }

 private:
  static const char* value_in(const char* const* environment, std::string_view name) noexcept {
    for (; *environment != nullptr; ++environment) {
      const char* const rest = *environment + name.size();
      if (std::strncmp(*environment, name.data(), name.size()) == 0 && *rest == '=') return rest + 1;
    }
    return nullptr;
  }

  /// Holds the file of a report open.
  class output {
   public:
    output() noexcept {
      if (settings_.output.is_set()) opened_ = open_report(settings_.output);
    }
    ~output() {
      if (opened_ >= 0) ::close(opened_);
    }
    output(const output&) = delete;
    output& operator=(const output&) = delete;

    [[nodiscard]] int file() const noexcept { return opened_ >= 0 ? opened_ : stderr_.file(); }

   private:
    int opened_ = -1;
  };

  static dump_format format() noexcept {
    return settings_.at_exit == report_kind::json ? dump_format::json : dump_format::text;
  }

  static text_line about_process() noexcept {
    text_line line;
    line << "miniheap: " << shortened(::program_invocation_short_name) << " (process "
         << static_cast<std::size_t>(::getpid()) << ")";
    return line;
  }

  /// JSON is for programs to read: nothing else is written.
  static void put_title(report_writer& write) noexcept {
    if (format() == dump_format::json) return;
    text_line line = about_process();
    write((line << "\n").view());
  }

  static void put_statistics(report_writer& write) noexcept {
    for_each_statistic(process_arena<Arena>::instance().stats(), [&](std::string_view name, std::size_t n) {
      text_line line;
      write(((line << "  ").left(name, 20).right(n, 16) << "\n").view());
    });
  }

  static void handle_signal() noexcept {
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    ::sigfillset(&action.sa_mask);
    if (::sigaction(settings_.signal, &action, nullptr) == 0) return;
    text_line line;
    line << "miniheap: signal " << static_cast<std::size_t>(settings_.signal) << " of MINIHEAP_SIGNAL cannot be caught";
    write_line(line);
  }

  /// The signal may have interrupted the arena itself, so it does not wait for it.
  static void on_signal(int /*signal*/) noexcept {
    const errno_guard guard;
    const output out;
    report_writer write{out.file()};
    if (try_put(write)) return;
    text_line line = about_process();
    write((line << ": the arena was in use when the signal came; send it again\n").view());
  }

  static bool try_put(report_writer& write) noexcept {
    const Arena* const arena = process_arena<Arena>::find();
    bool is_first = true;
    return arena != nullptr && arena->try_dump(
                                   [&](std::string_view text) {
                                     if (is_first) put_title(write);
                                     is_first = false;
                                     write(text);
                                   },
                                   format());
  }

  static inline constinit report_settings settings_{};
  static inline constinit kept_stderr stderr_{};
};

}  // namespace miniheap::detail

#pragma GCC visibility pop
