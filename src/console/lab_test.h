#pragma once

#include <string>
#include <vector>

#include "client/status.h"
#include "server/status.h"
#include "vectors.h"

/// The guide's lab as values, for the console's tests.
namespace umbra::console::lab {

class FixedClock final : public Clock {
 public:
  FixedClock(Time at, int milliseconds)
      : at_(Instant(at) + std::chrono::milliseconds{milliseconds}) {}
  [[nodiscard]] Instant now() const override { return at_; }
  [[nodiscard]] bool authoritative() const override { return authoritative_now; }
  [[nodiscard]] std::string source() const override { return "NTP"; }
  [[nodiscard]] std::chrono::nanoseconds real_time_until(Instant at) const override {
    return at - at_;
  }
  bool authoritative_now = true;

 private:
  Instant at_;
};

inline const TimeZone cet{"CET", std::chrono::minutes{60}};

inline Time at(std::string_view text) { return from_rfc3339(text).value(); }
inline x509::Certificate certificate(const std::string& name) {
  return x509::Certificate::from_der(vectors::hex(name)).value();
}
inline x509::Request request() {
  return x509::Request::from_der(vectors::hex("lab/xe-pkcs10-request.hex")).value();
}

/// The guide's CA on day 0.
inline server::Status root_ca() {
  server::Status s;
  s.name = "ROOTCA";
  s.status = s.state = "enabled";
  s.issuer_name = "CN=RootCA,OU=TAC,O=Cisco";
  s.granting = "auto";
  s.last_serial = x509::Serial(1);
  s.database_url = "ftp://10.1.1.1/DB/ROOTCA/";
  s.database_level = "complete";
  s.ca = certificate("guide/ca-01.hex");
  s.crl_next_update = at("2015-10-09T18:14:16Z");
  s.auto_rollover_text = "90";
  s.autorollover_at = at("2017-07-10T12:14:16Z");
  s.deadlines = {{at("2015-10-09T18:14:16Z"), lifecycle::Timer::cs_crl_update, ""},
                 {at("2017-07-10T12:14:16Z"), lifecycle::Timer::cs_shadow_cert_generation, ""},
                 {at("2017-10-08T12:14:16Z"), lifecycle::Timer::cs_cert_expire, ""}};
  return s;
}

/// A client with a router's real certificate.
inline client::Status spoke() {
  client::Status t;
  t.name = "Root-CA";
  t.ca = certificate("lab/lab-ca-01.hex");
  t.identity = certificate("lab/lab-client-02.hex");
  t.renew_at =
      t.identity->not_before() + (t.identity->not_after() - t.identity->not_before()) / 5 * 4;
  t.fqdn = "spoke-1.cisco.com";
  t.keys_generated = true;
  t.key_label = "spoke-1-RSA";
  t.last_enrollment_status = "Granted";
  t.enrollment_url = "http://172.16.1.1:80/cgi-bin";
  t.deadlines = {{at("2016-07-27T12:14:16Z"), lifecycle::Timer::renew, "Root-CA"}};
  return t;
}

inline std::vector<server::RequestLine> requests() {
  return {{1, 3, "granted", "9370C6491708685B731927DBD60606D4",
           "serialNumber=67109104+hostname=spoke-1.cisco.com,cn=spoke-1.cisco.com,ou=CVO"},
          {2, 1, "rejected", "744566E755B84AEE18A86DF715D8EE33", "cn=sub-ca"},
          {12, 3, "pending", "DCA83FF8BB8BF209C8CF0A933B4D7BAD", "hostname=spoke-2.cisco.com"}};
}

inline server::CrlView crl() {
  return {"cn=RootCA,ou=TAC,o=Cisco",
          at("2015-10-09T12:14:16Z"),
          at("2015-10-09T18:14:16Z"),
          375,
          {{x509::Serial(2), at("2015-10-09T12:14:16Z"), x509::RevocationReason::none},
           {x509::Serial(0x10F), at("2015-10-09T12:20:00Z"), x509::RevocationReason::superseded}}};
}

/// The guide's overlap: one spoke is ready, one is not.
inline server::OverlapReport overlap() {
  server::OverlapReport report;
  report.name = "ROOTCA";
  report.active = certificate("guide/ca-01.hex");
  report.rollover = certificate("guide/ca-rollover-03.hex");
  report.fetches = {{"192.0.2.7", at("2017-07-28T10:00:00Z")}};
  report.holders = {{"cn=spoke-2.cisco.com", at("2017-10-08T12:14:16Z"), std::nullopt},
                    {"cn=spoke-1.cisco.com", at("2018-10-08T12:14:16Z"), x509::Serial(5)}};
  return report;
}

}  // namespace umbra::console::lab
