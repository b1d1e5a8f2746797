#pragma once

#include <functional>
#include <optional>
#include <unordered_set>

#include "audit/chain.h"
#include "x509/certificate.h"

namespace umbra::audit {

struct Fault {
  std::string rule;  ///< changed, missing, order, unreadable, cut-off, signature, unrecorded, gap
  std::uint64_t row = 0;  ///< of the file, from 1; 0 = none of them
  std::string what;
};

struct Report {
  std::vector<Fault> faults;  ///< the first `faults_max`
  std::size_t count = 0;      ///< of all
  std::vector<std::string> notes;
  std::uint64_t lines = 0;
  std::uint64_t signatures = 0;  ///< that are good
  std::uint64_t signed_to = 0;   ///< the last line that one of them covers
  std::string signed_at;
};
inline constexpr std::size_t faults_max = 50;

/// Goes through a log, line after line.
class Checker {
 public:
  /// The certificate of a CA generation; nothing if it is not known.
  using Authority =
      std::function<const x509::Certificate*(const std::string& server, std::uint32_t generation)>;
  /// In: `anchor` = how far the database knows the log to reach.
  Checker(Authority authority, std::optional<Head> anchor)
      : authority_(std::move(authority)), anchor_(std::move(anchor)) {}
  /// One line, without its end. `whole`: it had one.
  void take(std::string_view line, bool whole);
  /// Behind the last line.
  void finish();
  /// A certificate that the store has. After finish().
  void stored(const std::string& server, const x509::Serial& serial, Time issued_at);
  [[nodiscard]] Report& report() { return report_; }

 private:
  void fault(const char* rule, std::string what);
  void check_signature(const Line& line);

  Authority authority_;
  std::optional<Head> anchor_;
  Report report_;
  std::uint64_t row_ = 0;
  Head head_;
  bool anchored_ = false;
  /// Signatures that are none of the CAs in the database: of one that was destroyed later, or
  /// forged.
  std::vector<std::pair<std::string, Fault>> unproved_;
  std::optional<Time> first_at_;
  std::unordered_set<std::string> issued_;  ///< server and serial
};

[[nodiscard]] std::string to_text(const Report& report, const std::string& file);
[[nodiscard]] std::string to_json(const Report& report, const std::string& file);

}  // namespace umbra::audit
