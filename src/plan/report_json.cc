#include <map>
#include <nlohmann/json.hpp>

#include "plan/check.h"

namespace umbra::plan {
namespace {

using nlohmann::ordered_json;

ordered_json json_of(const Place& place) {
  return {{"file", place.file}, {"line", place.line}, {"who", place.who}};
}

/// File names come from the file system and need not be UTF-8.
std::string printed(const ordered_json& json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

/// A file's name as a URI (RFC 3986): SARIF wants one.
std::string uri_of(const std::string& path) {
  constexpr const char* digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '/' || c == '.' || c == '-' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      const auto octet = static_cast<unsigned char>(c);
      out += '%';
      out += digits[octet >> 4U];
      out += digits[octet & 15U];
    }
  }
  return out.starts_with('/') ? "file://" + out : out;
}

ordered_json location_of(const Place& place) {
  return {{"physicalLocation",
           {{"artifactLocation", {{"uri", uri_of(place.file)}}},
            {"region", {{"startLine", place.line}}}}},
          {"logicalLocations", ordered_json::array({{{"fullyQualifiedName", place.who}}})}};
}

/// Replacing a line leaves its end as it is; a new line goes below another one.
ordered_json fix_of(const Fix& fix) {
  ordered_json region = {{"startLine", fix.line}, {"startColumn", 1}};
  std::string text = fix.text;
  if (fix.replaces) {
    region["endLine"] = fix.line;
  } else {
    region["startLine"] = fix.line + 1;
    region["endLine"] = fix.line + 1;
    region["endColumn"] = 1;
    text += "\n";
  }
  return {
      {"description", {{"text", fix.text}}},
      {"artifactChanges",
       ordered_json::array(
           {{{"artifactLocation", {{"uri", uri_of(fix.file)}}},
             {"replacements", ordered_json::array({{{"deletedRegion", region},
                                                    {"insertedContent", {{"text", text}}}}})}}})}};
}

}  // namespace

std::string to_json(const Report& report) {
  ordered_json findings = ordered_json::array();
  for (const Finding& finding : report.findings) {
    ordered_json one = {{"severity", to_string(finding.grade)}, {"rule", finding.rule}};
    one.update(json_of(finding.at));
    one["text"] = finding.text;
    one["fixes"] = ordered_json::array();
    for (const Fix& fix : finding.fixes) {
      one["fixes"].push_back(
          {{"file", fix.file}, {"line", fix.line}, {"replaces", fix.replaces}, {"text", fix.text}});
    }
    one["alike"] = ordered_json::array();
    for (const Place& place : finding.alike) one["alike"].push_back(json_of(place));
    findings.push_back(std::move(one));
  }
  return printed({{"servers", report.servers},
                  {"trustpoints", report.trustpoints},
                  {"kinds", report.kinds},
                  {"errors", report.count(Grade::error)},
                  {"warnings", report.count(Grade::warning)},
                  {"notes", report.count(Grade::note)},
                  {"findings", std::move(findings)}});
}

std::string to_sarif(const Report& report, const std::string& version) {
  ordered_json rules = ordered_json::array();
  std::map<std::string, std::size_t> index;
  ordered_json results = ordered_json::array();
  for (const Finding& finding : report.findings) {
    const auto [rule, fresh] = index.emplace(finding.rule, rules.size());
    if (fresh) rules.push_back({{"id", finding.rule}});
    ordered_json result = {{"ruleId", finding.rule},
                           {"ruleIndex", rule->second},
                           {"level", to_string(finding.grade)},
                           {"message", {{"text", finding.text}}},
                           {"locations", ordered_json::array({location_of(finding.at)})}};
    if (!finding.alike.empty()) {
      result["relatedLocations"] = ordered_json::array();
      for (const Place& place : finding.alike)
        result["relatedLocations"].push_back(location_of(place));
    }
    if (!finding.fixes.empty()) {
      result["fixes"] = ordered_json::array();
      for (const Fix& fix : finding.fixes) result["fixes"].push_back(fix_of(fix));
    }
    results.push_back(std::move(result));
  }
  return printed(
      {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
       {"version", "2.1.0"},
       {"runs",
        ordered_json::array(
            {{{"tool",
               {{"driver", {{"name", "umbra check"}, {"version", version}, {"rules", rules}}}}},
              {"columnKind", "unicodeCodePoints"},
              {"results", std::move(results)}}})}});
}

}  // namespace umbra::plan
