#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace umbra::plan {

enum class Grade {
  error,    ///< a device goes dark, or a promise of the configuration cannot be kept
  warning,  ///< nobody goes dark by it alone, but nobody wants it
  note,     ///< what was proved, and what was taken for granted to prove it
};
[[nodiscard]] const char* to_string(Grade grade);  ///< "error", "warning", "note": SARIF's levels

struct Place {
  std::string file;
  std::size_t line = 0;  ///< from 1
  std::string who;       ///< "trustpoint Root-CA of spoke-1"
};

/// One line to write. Several fixes of one finding are alternatives.
struct Fix {
  std::string file;
  std::size_t line = 0;  ///< the one it takes the place of, or goes below; 0 = the top of the file
  bool replaces = false;
  std::string text;  ///< the line, with its indentation
};

struct Finding {
  Grade grade = Grade::note;
  std::string rule;  ///< stable: "shadow-too-early"
  Place at;
  std::string text;  ///< what happens on which day to whom
  std::vector<Fix> fixes;
  std::vector<Place> alike;  ///< the other places with the same settings, and so the same finding
};

}  // namespace umbra::plan
