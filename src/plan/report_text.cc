#include <fmt/format.h>

#include "plan/check.h"

namespace umbra::plan {
namespace {

constexpr std::size_t columns = 100;
constexpr std::size_t alike_shown = 3;

/// Words of `text` in lines, each indented by `indent`.
std::string wrapped(const std::string& text, std::size_t indent) {
  std::string out;
  std::size_t used = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    at = end + 1;
    if (word.empty()) continue;
    if (used != 0 && used + 1 + word.size() > columns) {
      out += "\n";
      used = 0;
    }
    out += used == 0 ? std::string(indent, ' ') : " ";
    used = used == 0 ? indent + word.size() : used + 1 + word.size();
    out += word;
  }
  return out + "\n";
}

std::string alike(const Finding& finding) {
  if (finding.alike.empty()) return "";
  std::string text = fmt::format("The same in {} more: ", count(finding.alike.size()));
  for (std::size_t i = 0; i < finding.alike.size() && i < alike_shown; ++i) {
    if (i > 0) text += ", ";
    text += fmt::format("{}:{}", finding.alike[i].file, finding.alike[i].line);
  }
  if (finding.alike.size() > alike_shown) text += " ...";
  return wrapped(text, 2);
}

std::string counted(std::size_t n, const char* what) {
  return fmt::format("{} {}{}", count(n), what, n == 1 ? "" : "s");
}

}  // namespace

std::string to_text(const Report& report) {
  std::string out;
  for (const Finding& finding : report.findings) {
    out += fmt::format("{}:{}: {}: {} [{}]\n", finding.at.file, finding.at.line,
                       to_string(finding.grade), finding.at.who, finding.rule);
    out += wrapped(finding.text, 2);
    out += alike(finding);
    bool first = true;
    for (const Fix& fix : finding.fixes) {
      const std::string where = fix.line == 0 ? "at the top of " + fix.file
                                              : fmt::format("in {}:{} {}", fix.file, fix.line,
                                                            fix.replaces ? "instead" : "below it");
      out += fmt::format("  {} {}:\n    {}\n", first ? "write" : "or", where, fix.text);
      first = false;
    }
    out += "\n";
  }
  out += fmt::format("{}, {} of {}: {}, {}, {}\n", counted(report.servers, "certificate server"),
                     counted(report.trustpoints, "trustpoint"), counted(report.kinds, "kind"),
                     counted(report.count(Grade::error), "error"),
                     counted(report.count(Grade::warning), "warning"),
                     counted(report.count(Grade::note), "note"));
  return out;
}

}  // namespace umbra::plan
