#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "console/lab_test.h"
#include "x509/alt_name.h"
#include "x509/extensions.h"
#include "x509/key.h"
#include "x509/request.h"

/// What routers print, in tests/vectors/ios, against what Umbra prints of the same state.
/// Certificates are made with the names, serial numbers and validities of the routers' screens;
/// fingerprints and keys cannot be the same, and stand as X in both.
namespace umbra::console::ios {

inline const TimeZone ist{"IST", std::chrono::minutes{330}};

inline std::string screen(const std::string& name) { return vectors::text("ios/" + name + ".txt"); }

inline std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return at == std::string::npos ? text : text.replace(at, what.size(), by);
}
inline std::string without(const std::string& text, const std::string& line_expression) {
  const std::regex wanted(line_expression);
  std::string out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (!std::regex_search(line, wanted)) out += line + "\n";
  return out;
}
/// For captures whose author has lost the blanks at the ends of lines, and added empty ones.
inline std::string trimmed(const std::string& text) {
  std::string out = std::regex_replace(text, std::regex("[ \t]+(\n|$)"), "$1");
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}
/// Octets that differ with the keys as X.
inline std::string layout(const std::string& text) {
  return std::regex_replace(text, std::regex("\\b[0-9A-F]{8}(?![0-9A-Z])"), "XXXXXXXX");
}

inline const x509::PrivateKey& key() {
  static const x509::PrivateKey one = *x509::PrivateKey::generate_rsa(2048);
  return one;
}

struct Wanted {
  std::string issuer;
  std::string subject;
  std::string serial = "01";
  std::string from;
  std::string to;
  unsigned usage = 0xA0;  ///< of a CA 0x86
  bool ca = false;        ///< with basicConstraints
  bool ids = true;        ///< with key identifiers
  x509::DeviceAttributes device = {};
  std::string crl_url = {};
  std::vector<x509::AltName> others = {};
  x509::Digest digest = x509::Digest::sha256;
};
inline x509::Certificate certificate(const Wanted& w) {
  x509::CertificateTemplate made{*x509::Serial::from_hex(w.serial),
                                 *x509::Name::from_ios(w.issuer),
                                 *x509::Name::from_ios(w.subject, w.device),
                                 lab::at(w.from),
                                 lab::at(w.to),
                                 to_bytes(key().public_key().spki()),
                                 {}};
  if (!w.crl_url.empty()) made.extensions.push_back(x509::crl_distribution_point(w.crl_url));
  if (w.ca) made.extensions.push_back(x509::basic_constraints_ca());
  made.extensions.push_back(x509::key_usage({static_cast<std::uint8_t>(w.usage), false}));
  if (w.ids) {
    made.extensions.push_back(x509::authority_key_id(key().public_key().key_identifier()));
    made.extensions.push_back(x509::subject_key_id(key().public_key().key_identifier()));
  }
  if (!w.others.empty()) made.extensions.push_back(x509::subject_alt_names(w.others));
  return *x509::sign_certificate(made, key(), w.digest);
}
inline x509::Certificate self_signed(const std::string& number) {
  const std::string name = "CN=IOS-Self-Signed-Certificate-" + number;
  return certificate({.issuer = name,
                      .subject = name,
                      .from = "2018-04-23T21:37:27Z",
                      .to = "2020-01-01T00:00:00Z",
                      .ca = true});
}
inline client::Status trustpoint(const std::string& name, std::optional<x509::Certificate> ca = {},
                                 std::optional<x509::Certificate> identity = {}) {
  client::Status t;
  t.name = name;
  t.ca = std::move(ca);
  t.identity = std::move(identity);
  t.key_label = name;
  t.keys_generated = t.identity.has_value();
  return t;
}

}  // namespace umbra::console::ios
