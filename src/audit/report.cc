#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "audit/check.h"

namespace umbra::audit {

std::string to_text(const Report& report, const std::string& file) {
  std::string out;
  for (const Fault& one : report.faults) {
    out += one.row == 0 ? fmt::format("error: [{}] {}\n", one.rule, one.what)
                        : fmt::format("error: row {} [{}]: {}\n", one.row, one.rule, one.what);
  }
  if (report.count > report.faults.size())
    out += fmt::format("and {} more\n", report.count - report.faults.size());
  for (const std::string& note : report.notes) out += fmt::format("note: {}\n", note);
  out += fmt::format("{}: {} lines, {} signatures", file, report.lines, report.signatures);
  if (report.signed_to != 0)
    out += fmt::format(", the last at {} up to line {}", report.signed_at, report.signed_to);
  out += report.count == 0 ? "; unbroken\n" : fmt::format("; {} errors\n", report.count);
  return out;
}

std::string to_json(const Report& report, const std::string& file) {
  nlohmann::ordered_json out;
  out["file"] = file;
  out["unbroken"] = report.count == 0;
  out["errors"] = report.count;
  out["lines"] = report.lines;
  out["signatures"] = report.signatures;
  out["signed_to_line"] = report.signed_to;
  out["signed_at"] = report.signed_at;
  out["notes"] = report.notes;
  out["faults"] = nlohmann::ordered_json::array();
  for (const Fault& one : report.faults)
    out["faults"].push_back({{"rule", one.rule}, {"row", one.row}, {"what", one.what}});
  return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace umbra::audit
