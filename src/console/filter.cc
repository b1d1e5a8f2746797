#include "console/filter.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>

#include "config/grammar.h"

namespace umbra::console {
namespace {

struct Named {
  std::string_view name;
  Filter::Kind kind;
};
constexpr Named kinds[] = {{"include", Filter::Kind::include},
                           {"exclude", Filter::Kind::exclude},
                           {"begin", Filter::Kind::begin},
                           {"section", Filter::Kind::section},
                           {"count", Filter::Kind::count}};
// Far more than a line of 1,024 characters that somebody means; its states are bounded by it.
constexpr int expression_octets_max = 1 << 20;

std::size_t indentation(std::string_view line) {
  return std::min(line.find_first_not_of(' '), line.size());
}

}  // namespace

Result<Filter> Filter::parse(std::string_view text) {
  const std::vector<config::Token> words = config::tokenize(text);
  const std::string typed = words.empty() ? "" : config::lower(words.front().text);
  const auto* const named = std::find_if(std::begin(kinds), std::end(kinds), [&](const Named& one) {
    return !typed.empty() && one.name.starts_with(typed);
  });
  if (named == std::end(kinds)) return fail(Errc::not_found, "no such filter");
  if (words.size() < 2) return fail(Errc::malformed, "% Incomplete command.\n");
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(expression_octets_max);
  const std::string_view wanted = text.substr(words[1].offset);
  auto expression =
      std::make_shared<const re2::RE2>(re2::StringPiece(wanted.data(), wanted.size()), options);
  if (!expression->ok()) {
    return fail(Errc::malformed,
                fmt::format("% Failed to compile regular expression: {}\n", expression->error()));
  }
  return Filter(named->kind, std::move(expression));
}

std::string Filter::apply(std::string_view output) const {
  std::string out;
  std::size_t found_count = 0;
  bool on = false;
  std::size_t head = 0;  // of the section that is on: how far it is indented
  while (!output.empty()) {
    const std::size_t end = std::min(output.find('\n'), output.size());
    const std::string_view line = output.substr(0, end);
    output.remove_prefix(std::min(end + 1, output.size()));
    const bool found =
        re2::RE2::PartialMatch(re2::StringPiece(line.data(), line.size()), *expression_);
    switch (kind_) {
      case Kind::include:
        on = found;
        break;
      case Kind::exclude:
        on = !found;
        break;
      case Kind::begin:
        on = on || found;
        break;
      case Kind::section:
        if (!on || indentation(line) <= head) {
          on = found;
          head = indentation(line);
        }
        break;
      case Kind::count:
        if (found) ++found_count;
        break;
    }
    if (on) out.append(line).push_back('\n');
  }
  if (kind_ == Kind::count)
    return fmt::format("Number of lines which match regexp = {}\n", found_count);
  return out;
}

}  // namespace umbra::console
