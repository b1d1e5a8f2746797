#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "verify/verify.h"

namespace umbra::verify {
namespace {

std::string count(std::size_t number, std::string_view what) {
  return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

const char* word(Grade grade) { return grade == Grade::error ? "error" : "warning"; }

/// A name of the store on a screen: what a peer sent is no command to a terminal.
std::string shown(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return text;
}

}  // namespace

std::string to_text(const Report& report, const std::string& store) {
  std::string out;
  for (const Finding& one : report.findings) {
    out += fmt::format("{}: {} [{}]: {}\n     {}\n", word(one.grade), shown(one.where), one.rule,
                       shown(one.what), shown(one.remedy));
  }
  if (report.left_out != 0) out += fmt::format("and {} more of the same kinds\n", report.left_out);
  out += fmt::format("{}: {}, {}, {}, {}", store, count(report.servers, "certificate server"),
                     count(report.certificates, "certificate"), count(report.requests, "request"),
                     count(report.trustpoints, "trustpoint"));
  out += report.keys_checked ? fmt::format(", {} opened", count(report.keys, "key"))
                             : ", keys not opened (no passphrase)";
  out += report.errors + report.warnings == 0
             ? "; sound\n"
             : fmt::format("; {}, {}\n", count(report.errors, "error"),
                           count(report.warnings, "warning"));
  return out;
}

std::string to_json(const Report& report, const std::string& store) {
  nlohmann::ordered_json out;
  out["store"] = store;
  out["sound"] = report.errors == 0;
  out["errors"] = report.errors;
  out["warnings"] = report.warnings;
  out["left_out"] = report.left_out;
  out["servers"] = report.servers;
  out["certificates"] = report.certificates;
  out["certificates_known_by_number_alone"] = report.unknown;
  out["requests"] = report.requests;
  out["trustpoints"] = report.trustpoints;
  out["keys_opened"] = report.keys_checked ? nlohmann::ordered_json(report.keys) : nullptr;
  out["findings"] = nlohmann::ordered_json::array();
  for (const Finding& one : report.findings) {
    out["findings"].push_back({{"grade", word(one.grade)},
                               {"rule", one.rule},
                               {"where", one.where},
                               {"what", one.what},
                               {"remedy", one.remedy}});
  }
  // What a damaged row holds need not be UTF-8.
  return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace umbra::verify
