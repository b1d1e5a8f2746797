#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/grammar.h"
#include "config/model.h"

namespace umbra::config {

/// One accepted command on its way into the typed configuration: what a command's `apply` sees.
class Setting {
 public:
  Setting(const Match& match, bool on, Configuration& configuration, Server* server,
          Trustpoint* trustpoint)
      : match_(match),
        on_(on),
        configuration_(configuration),
        server_(server),
        trustpoint_(trustpoint) {}

  [[nodiscard]] const Match& match() const { return match_; }
  /// False for the `no` form of a command that is on by default.
  [[nodiscard]] bool on() const { return on_; }
  [[nodiscard]] Configuration& configuration() { return configuration_; }
  [[nodiscard]] Server& server() { return *server_; }
  [[nodiscard]] Trustpoint& trustpoint() { return *trustpoint_; }
  [[nodiscard]] bool in_server() const { return server_ != nullptr; }

  [[nodiscard]] bool has(std::string_view keyword) const { return match_.has(keyword); }
  [[nodiscard]] std::string text(std::string_view argument) const { return match_.text(argument); }
  [[nodiscard]] int number(std::string_view argument, int otherwise = 0) const {
    return match_.number(argument).value_or(otherwise);
  }
  /// DAYS, HOURS and MINUTES together; what was not given counts nothing.
  [[nodiscard]] Seconds span() const;
  /// The argument PASSWORD in the clear; a fault and nothing if it is no type 7 text.
  [[nodiscard]] std::optional<std::string> secret();

  /// The value is not one this command can take. `argument` says where the caret goes.
  void fault(std::string_view argument, std::string what, std::string hint);
  /// The same of one of several arguments with one name.
  void fault(const Capture& at, std::string what, std::string hint);
  /// Kept, but with this value it changes nothing yet.
  void not_effective() { effective_ = false; }

  struct Complaint {
    std::string argument;
    std::string what;
    std::string hint;
    std::optional<std::size_t> offset{};  ///< where in the line, if the argument does not say it
  };
  [[nodiscard]] const std::optional<Complaint>& complaint() const { return complaint_; }
  [[nodiscard]] bool effective() const { return effective_; }

 private:
  const Match& match_;
  bool on_;
  Configuration& configuration_;
  Server* server_;
  Trustpoint* trustpoint_;
  std::optional<Complaint> complaint_;
  bool effective_ = true;
};

/// True if the capture is the `0` or `7` in front of a secret.
[[nodiscard]] bool is_secret_type(const Match& match, std::size_t index);

/// Why `text` cannot be the distinguished name of an `issuer-name` or `subject-name`; nothing if it
/// can.
[[nodiscard]] std::optional<std::string> why_no_name(std::string_view text);

/// What each command of the table sets.
namespace set {
void hostname(Setting&);
void domain_name(Setting&);
void clock_timezone(Setting&);
void calendar_valid(Setting&);
void http_server(Setting&);
void http_port(Setting&);
void http_rate_limit(Setting&);
void http_address(Setting&);
void http_max_wait(Setting&);

void database_level(Setting&);
void database_archive(Setting&);
void database_url(Setting&);
void database_url_of(Setting&);
void database_username(Setting&);
void database_strict(Setting&);
void issuer_name(Setting&);
void grant_auto(Setting&);
void grant_none(Setting&);
void grant_trustpoints(Setting&);
void grant_ra_auto(Setting&);
void grant_rollover(Setting&);
void mode(Setting&);
void hash(Setting&);
void lifetime_crl(Setting&);
void lifetime_certificate(Setting&);
void lifetime_ca_certificate(Setting&);
void lifetime_subordinate_ca(Setting&);
void lifetime_enrollment_request(Setting&);
void renewal_grace(Setting&);
void cdp_url(Setting&);
void eku(Setting&);
void serial_start(Setting&);
void subject_alt_names(Setting&);
void auto_rollover(Setting&);
void modulus(Setting&);
void keytype(Setting&);
void challenge_password(Setting&);
void allow_legacy(Setting&);
void allow_sha1(Setting&);
void shutdown(Setting&);

void enrollment_url(Setting&);
void enrollment_mode(Setting&);
void enrollment_terminal(Setting&);
void enrollment_profile(Setting&);
void enrollment_credential(Setting&);
void authentication_url(Setting&);
void authentication_terminal(Setting&);
void eckeypair(Setting&);
void enrollment_selfsigned(Setting&);
void ocsp_url(Setting&);
void crl_cache(Setting&);
void source_interface(Setting&);
void vrf(Setting&);
void usage(Setting&);
void retry_count(Setting&);
void retry_period(Setting&);
void enrollment_spread(Setting&);
void serial_number(Setting&);
void fqdn(Setting&);
void ip_address(Setting&);
void password(Setting&);
void fingerprint(Setting&);
void subject_name(Setting&);
void revocation_check(Setting&);
void alt_names(Setting&);
void rsakeypair(Setting&);
void auto_enroll(Setting&);
void regenerate(Setting&);
void storage_pem(Setting&);
void storage_pkcs12(Setting&);
void on_change_exec(Setting&);
void on_change_limit(Setting&);
}  // namespace set

}  // namespace umbra::config
