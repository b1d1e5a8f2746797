#pragma once

#include <string>
#include <vector>

#include "plan/check.h"

/// Between the files and the findings: devices whose configurations come to the same. Used by
/// plan's own sources alone.
namespace umbra::plan {

struct Device {
  const Source* source = nullptr;
  const config::Trustpoint* trustpoint = nullptr;
};

struct Fleet {
  Pairing::Pair pair;
  std::vector<Device> devices;  ///< never empty; the first one speaks for all
  [[nodiscard]] const Device& first() const { return devices.front(); }
};

/// Collects findings: places and fixes from blocks and keys.
class Findings {
 public:
  explicit Findings(const Options& options) : options_(options) {}

  Finding& of_server(const ServerAt& server, Grade grade, const std::string& rule,
                     const std::string& key, std::string text);
  Finding& of_fleet(const Fleet& fleet, Grade grade, const std::string& rule,
                    const std::string& key, std::string text);
  Finding& add(Finding finding);

  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] std::string day(Offset at) const { return options_.calendar.day(at); }
  [[nodiscard]] std::vector<Finding> take() { return std::move(findings_); }

 private:
  const Options& options_;
  std::vector<Finding> findings_;
};

/// `line` in the server's block, in place of the setting `key` if it is there.
[[nodiscard]] Fix server_fix(const ServerAt& server, const std::string& key,
                             const std::string& line);
[[nodiscard]] Fix fleet_fix(const Fleet& fleet, const std::string& key, const std::string& line);
[[nodiscard]] Fix global_fix(const Source& source, const std::string& key, const std::string& line);

/// How many devices a fleet stands for: those read, or its share of `--clients`.
[[nodiscard]] std::string devices(std::size_t n);

// rules_*.cc
void check_server(const ServerAt& server, const std::vector<const Fleet*>& fleets,
                  const Pairing& pairing, Findings& findings);
void check_hierarchy(const Pairing& pairing, Findings& findings);
void check_ra(const ServerAt& ra, const Pairing& pairing, Findings& findings);
void check_fleet(const Fleet& fleet, const Pairing& pairing, std::size_t clients,
                 Findings& findings);
void check_device_settings(const Fleet& fleet, Findings& findings);
void check_storm(const ServerAt& server, const std::vector<const Fleet*>& fleets,
                 const Pairing& pairing, std::size_t clients, Findings& findings);
void check_clocks(const std::vector<Source>& sources, Findings& findings);

}  // namespace umbra::plan
