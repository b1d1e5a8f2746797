#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/config.h"
#include "scep/ca_messages.h"
#include "sim/world.h"

/// The guide's lab in virtual time: one certificate server, spokes, a calendar that jumps.
namespace umbra::lab {

/// Day 0 of the guide: its CA certificate 01 begins here.
inline const Time day_zero = *from_rfc3339("2015-10-09T12:14:16Z");
[[nodiscard]] inline Time day(int number) { return day_zero + Days{number}; }
[[nodiscard]] inline double day_of(Time at) {
  return static_cast<double>((at - day_zero).count()) / 86400.0;
}

/// The guide's server block with an archive password and a database this lab can have.
[[nodiscard]] std::string server_text(const std::string& auto_rollover = "90",
                                      const std::string& grant = "grant auto");
/// The guide's trustpoint block; `more` adds lines.
[[nodiscard]] std::string spoke_text(const std::string& name = "Root-CA",
                                     const std::string& auto_enroll = "auto-enroll 80",
                                     const std::string& more = "");
/// Fails the test and shows every fault if the text does not parse.
[[nodiscard]] config::Configuration configure(const std::string& text);

/// A directory that is gone when the test is.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

/// `crypto pki authenticate`, answered yes.
void authenticate(sim::World& world, const std::string& trustpoint);

/// What the trustpoints sent: GetCACert, GetCACaps, GetNextCACert, and PKIOperation by its
/// messageType.
struct Exchange {
  Time at;
  std::string what;              ///< "GetCACert", "PKCSReq", "CertPoll" ...
  std::string recipient_serial;  ///< PKIOperation: whom it was enveloped for
  bool signer_self_signed = false;
};
[[nodiscard]] std::vector<Exchange> exchanges(const sim::World& world);
[[nodiscard]] std::vector<Time> times_of(const std::vector<Exchange>& all, const std::string& what);
/// When a line with this text was logged.
[[nodiscard]] std::vector<Time> logged(const sim::World& world, const std::string& text);

}  // namespace umbra::lab
