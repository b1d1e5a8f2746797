#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace re2 {
class RE2;
}

namespace umbra::console {

/// What stands behind `|` and chooses lines of a screen: `include`, `exclude`, `begin`, `section`
/// or `count`, each abbreviated as far as one likes, and a regular expression (RE2's syntax,
/// case-sensitive as on IOS): the rest of the line. No expression takes more than linear time.
class Filter {
 public:
  enum class Kind { include, exclude, begin, section, count };
  /// Errors: not_found, if the first word is no filter; malformed: what is wrong, for people.
  [[nodiscard]] static Result<Filter> parse(std::string_view text);
  /// Whole lines in, whole lines out.
  [[nodiscard]] std::string apply(std::string_view output) const;

 private:
  Filter(Kind kind, std::shared_ptr<const re2::RE2> expression)
      : kind_(kind), expression_(std::move(expression)) {}
  Kind kind_;
  std::shared_ptr<const re2::RE2> expression_;
};

/// `?` behind `|`: name and help of each.
struct FilterHelp {
  std::string_view name;
  std::string_view help;
};
inline constexpr FilterHelp filter_help[] = {
    {"begin", "Begins with the first line that matches"},
    {"count", "Counts the lines that match"},
    {"exclude", "Leaves out the lines that match"},
    {"include", "The lines that match"},
    {"json", "The same as JSON, for programs"},
    {"section", "The lines that match, and what is indented below them"},
};

}  // namespace umbra::console
