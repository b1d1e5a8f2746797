#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "console/exec.h"

/// How commands answer; shared by the files that carry them out.
namespace umbra::console {

inline ExecResult failed(std::string text) { return {false, std::move(text)}; }
inline ExecResult failed(const Error& error) { return failed(fmt::format("% {}\n", error.detail)); }

inline ExecResult not_allowed() {
  return failed(
      "% This session may look, not change: root, umbrad's own user and the group umbra may\n");
}

inline ExecResult unknown_server(std::string_view name) {
  return failed(fmt::format("% There is no certificate server {}\n", name));
}

inline ExecResult unknown_trustpoint(std::string_view name) {
  return failed(fmt::format("% There is no trustpoint {}\n", name));
}

inline ExecResult unknown_key(std::string_view label) {
  return failed(fmt::format("% There is no key named {}\n", label));
}

enum class Answer : std::uint8_t { yes, no, unclear };
/// As IOS reads what stands behind `[yes/no]: `: yes and no in either case, as short as one likes.
/// Where the input has ended, or was interrupted, nothing stands there, not even the line's end:
/// that is a no.
inline Answer answer_of(std::string_view input) {
  if (input.empty()) return Answer::no;
  const auto words = config::tokenize(input.substr(0, input.find_first_of("\r\n")));
  if (words.size() != 1) return Answer::unclear;
  const std::string word = config::lower(words.front().text);
  if (std::string_view("yes").starts_with(word)) return Answer::yes;
  return std::string_view("no").starts_with(word) ? Answer::no : Answer::unclear;
}
/// For an answer that is not unclear.
inline bool says_yes(const std::string& input) { return answer_of(input) == Answer::yes; }

/// What is still to be asked; nothing once the input says yes or no. `above`: said in front of the
/// question the first time.
inline std::optional<ExecResult> to_ask(const std::optional<std::string>& input,
                                        std::string_view above, std::string_view question) {
  if (input && answer_of(*input) != Answer::unclear) return std::nullopt;
  return ExecResult{
      true,
      fmt::format("{}{} [yes/no]: ", input ? "% Please answer 'yes' or 'no'.\n" : above, question),
      Ask::line};
}

}  // namespace umbra::console
