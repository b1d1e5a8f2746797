#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace umbra::store {
class Examiner;
}

/// Whether what a store holds is what its owner believes: the proof behind `umbra verify`. Reads
/// alone; changes nothing.
namespace umbra::verify {

enum class Grade {
  warning,  ///< nothing is lost, and somebody should know
  error,    ///< a promise is broken
};

struct Finding {
  Grade grade = Grade::error;
  std::string rule;   ///< of a fixed list: docs/OPERATING.md
  std::string where;  ///< which row of which server
  std::string what;
  std::string remedy;
};

struct Options {
  std::optional<std::string> passphrase{};  ///< what seals the keys; without it they stay closed
  unsigned threads = 1;
};

struct Report {
  std::vector<Finding> findings;  ///< at most `of_a_rule_max` of a rule, `left_out` the rest
  std::size_t left_out = 0;
  std::size_t errors = 0;  ///< left-out ones too
  std::size_t warnings = 0;
  std::size_t servers = 0;
  std::size_t certificates = 0;
  std::size_t unknown = 0;  ///< certificates that an import knows by their numbers alone
  std::size_t keys = 0;     ///< opened, and found to be their certificates'
  std::size_t requests = 0;
  std::size_t trustpoints = 0;
  bool keys_checked = false;
};
inline constexpr std::size_t of_a_rule_max = 20;

/// Never fails: what cannot be read is a finding. Cost: the signature of every certificate, on all
/// the threads, and a few octets of memory for each one that is revoked.
[[nodiscard]] Report verify(store::Examiner& store, const Options& options);

/// In: `store` = what was looked at, for its last line.
[[nodiscard]] std::string to_text(const Report& report, const std::string& store);
[[nodiscard]] std::string to_json(const Report& report, const std::string& store);

}  // namespace umbra::verify
