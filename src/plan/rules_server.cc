#include <fmt/format.h>

#include <algorithm>

#include "plan/fleet.h"

/// What can be said of a server, of a trustpoint and of a file without asking when anybody enrols.
namespace umbra::plan {
namespace {

using In = config::SettingLine::In;

const char* name_of(config::HashName hash) {
  return hash == config::HashName::md5 ? "MD5" : "SHA-1";
}

bool is_weak(config::HashName hash) {
  return hash == config::HashName::md5 || hash == config::HashName::sha1;
}

/// `database url` of a file type leads away from the machine.
bool leads_away(const std::string& url) {
  for (const char* const scheme : {"ftp:", "sftp:", "scp:", "tftp:", "http:", "https:"}) {
    if (url.starts_with(scheme)) return true;
  }
  return false;
}

class ServerRules {
 public:
  ServerRules(const ServerAt& at, const std::vector<const Fleet*>& fleets, const Pairing& pairing,
              Findings& findings)
      : at_(at), s_(*at.server), fleets_(fleets), pairing_(pairing), findings_(findings) {
    for (const Fleet* const fleet : fleets) devices_ += fleet->devices.size();
    devices_ = findings.options().clients.value_or(devices_);
  }

  void run() {
    serves();
    rollover();
    lifetimes();
    crl();
    archive();
    strength();
  }

 private:
  [[nodiscard]] std::string day(Offset at) const { return findings_.day(at); }
  Finding& say(Grade grade, const char* rule, const char* key, std::string text) {
    return findings_.of_server(at_, grade, rule, key, std::move(text));
  }
  void fix(Finding& finding, const char* key, const std::string& line) const {
    finding.fixes.push_back(server_fix(at_, key, line));
  }

  void serves() {
    if (s_.shutdown) {
      fix(say(Grade::warning, "server-shut", "shutdown",
              "The certificate server is shut down: it answers nobody before `no shutdown`."),
          "shutdown", " no shutdown");
    }
    if (!at_.source->configuration().http_server) {
      Finding& finding = say(Grade::warning, "no-http", "",
                             "`ip http server` is missing: no device can reach this server.");
      finding.fixes.push_back(global_fix(*at_.source, "", "ip http server"));
    }
    if (s_.grant == config::Grant::none) {
      fix(say(Grade::error, "grants-nothing", "grant",
              fmt::format("`grant none` refuses every request, renewals too: {} get nothing, and "
                          "ask no more until a person enrols them again.",
                          devices(devices_))),
          "grant", " grant auto");
    }
  }

  void rollover() {
    if (s_.auto_rollover) return;
    const Offset end = s_.lifetime_ca_certificate.count();
    Seconds needed = std::min(s_.lifetime_certificate, s_.lifetime_ca_certificate) / 5;
    for (const Fleet* const fleet : fleets_) {
      Question q = question_of(at_, *fleet->first().trustpoint, pairing_, findings_.options(),
                               fleet->pair.through);
      q.ca.overlap = Seconds{end} / 2;
      if (q.client.auto_enroll && *q.client.auto_enroll < 100)
        needed = std::max(needed, overlap_needed(q));
    }
    std::string text = fmt::format(
        "auto-rollover is off: nothing follows the CA certificate, which ends on {}. Every "
        "certificate it issued ends on that second at the latest",
        day(end));
    text += devices_ == 0 ? ": all devices go dark, and each must be authenticated and enrolled by "
                            "hand, unless a person types `crypto pki server " +
                                s_.name + " rollover` in time."
                          : fmt::format(
                                ": {} dark, and must be authenticated and enrolled by hand, "
                                "unless a person types `crypto pki server {} rollover` in "
                                "time.",
                                devices(devices_) + (devices_ == 1 ? " goes" : " go"), s_.name);
    Finding& finding = say(Grade::error, "no-rollover", "lifetime ca-certificate", std::move(text));
    const Days overlap = std::chrono::floor<Days>(needed) + Days{1};
    if (overlap < s_.lifetime_ca_certificate) {
      finding.fixes.push_back(
          server_fix(at_, "auto-rollover", fmt::format(" auto-rollover {}", overlap.count())));
    }
  }

  void lifetimes() {
    const auto longer = [&](Seconds lifetime, const char* key, const char* command) {
      if (lifetime <= s_.lifetime_ca_certificate) return;
      fix(say(Grade::warning, "outlives-the-ca", key,
              fmt::format(
                  "{} {} is longer than the CA's own {}: every certificate ends with the CA "
                  "on {}, whenever it was issued, and no device ever renews before.",
                  command, span(lifetime.count()), span(s_.lifetime_ca_certificate.count()),
                  day(s_.lifetime_ca_certificate.count()))),
          key, fmt::format(" {} {}", command, ios_days(s_.lifetime_ca_certificate / 2)));
    };
    longer(s_.lifetime_certificate, "lifetime certificate", "lifetime certificate");
    if (s_.lifetime_subordinate_ca)
      longer(*s_.lifetime_subordinate_ca, "lifetime subordinate-ca", "lifetime subordinate-ca");
  }

  /// Devices that refuse a peer without a fresh CRL.
  [[nodiscard]] std::size_t that_need_a_crl() const {
    std::size_t found = 0;
    for (const Fleet* const fleet : fleets_) {
      const auto& methods = fleet->first().trustpoint->revocation_check;
      const bool lenient = std::find(methods.begin(), methods.end(), "none") != methods.end();
      const bool asks = std::find(methods.begin(), methods.end(), "crl") != methods.end();
      if (asks && !lenient) found += fleet->devices.size();
    }
    return found;
  }

  void crl() {
    const Seconds outage = findings_.options().outage;
    if (s_.lifetime_crl > outage) return;
    const std::size_t concerned = that_need_a_crl();
    if (concerned == 0 && !fleets_.empty()) return;
    const std::string who = concerned == 0
                                ? "devices that check revocation (`revocation-check crl`)"
                                : devices(concerned) + " with `revocation-check crl`";
    Finding& finding = say(
        Grade::warning, "crl-too-short", "lifetime crl",
        fmt::format("A CRL holds for {}, and the next one is made when it ends. An outage of {} "
                    "leaves no valid CRL for at least {}, whenever it begins: {} then refuse every "
                    "peer.",
                    span(s_.lifetime_crl.count()), span(outage.count()),
                    span((outage - s_.lifetime_crl).count()), who));
    constexpr Offset hours_max = 336;
    const Offset hours = 2 * outage.count() / 3600;
    if (hours <= hours_max && hours > 0)
      fix(finding, "lifetime crl", fmt::format(" lifetime crl {}", hours));
  }

  void archive() {
    if (!s_.archive_password) {
      fix(say(Grade::warning, "no-archive", "database archive",
              "The CA's key and certificate are archived nowhere: without its data directory this "
              "CA cannot be had back, and every device must be enrolled with another."),
          "database archive", " database archive pkcs12 password PASSPHRASE");
      return;
    }
    const auto type = s_.archive_format == config::ArchiveFormat::pkcs12 ? config::FileType::p12
                                                                         : config::FileType::pem;
    const char* const word = type == config::FileType::p12 ? "p12" : "pem";
    const auto own = s_.database_of.find(type);
    const std::string& url = own == s_.database_of.end() ? s_.database.url : own->second.url;
    if (leads_away(url)) return;
    fix(say(Grade::warning, "archive-stays", "database archive",
            fmt::format("The archive of the CA's key and certificate stays on this machine ({}), "
                        "and is lost with it.",
                        url)),
        "", fmt::format(" database url {} sftp://HOST/DIRECTORY", word));
  }

  void strength() {
    constexpr int good_bits = 2048;
    if (s_.modulus < good_bits) {
      fix(say(Grade::warning, "weak-key", "modulus",
              fmt::format("The CA's key has {} bits: whoever finds it can issue any certificate "
                          "until {}.",
                          s_.modulus, day(s_.lifetime_ca_certificate.count()))),
          "modulus", " modulus 2048");
    }
    if (is_weak(s_.hash)) {
      fix(say(Grade::warning, "weak-hash", "hash",
              fmt::format("Certificates are signed with {}, which can be forged; most software "
                          "refuses them.",
                          name_of(s_.hash))),
          "hash", " hash sha256");
    }
  }

  const ServerAt& at_;
  const config::Server& s_;
  const std::vector<const Fleet*>& fleets_;
  const Pairing& pairing_;
  Findings& findings_;
  std::size_t devices_ = 0;
};

bool has_ntp(const Source& source) {
  return setting(source, In::global, "", "ntp server") != nullptr ||
         setting(source, In::global, "", "ntp master") != nullptr;
}

}  // namespace

void check_server(const ServerAt& server, const std::vector<const Fleet*>& fleets,
                  const Pairing& pairing, Findings& findings) {
  ServerRules(server, fleets, pairing, findings).run();
}

void check_device_settings(const Fleet& fleet, Findings& findings) {
  constexpr int good_bits = 2048;
  constexpr std::size_t md5_digits = 32;
  const config::Trustpoint& t = *fleet.first().trustpoint;
  if (t.modulus < good_bits) {
    Finding& finding = findings.of_fleet(
        fleet, Grade::warning, "weak-key", "rsakeypair",
        fmt::format("A key of {} bits is too weak to prove who has it.", t.modulus));
    finding.fixes.push_back(
        fleet_fix(fleet, "rsakeypair",
                  fmt::format(" rsakeypair {} 2048", t.key_label.empty() ? "LABEL" : t.key_label)));
  }
  if (is_weak(t.hash)) {
    Finding& finding = findings.of_fleet(
        fleet, Grade::warning, "weak-hash", "hash",
        fmt::format("Requests are signed with {}, which can be forged.", name_of(t.hash)));
    finding.fixes.push_back(fleet_fix(fleet, "hash", " hash sha256"));
  }
  if (t.fingerprint.size() == md5_digits) {
    findings.of_fleet(fleet, Grade::warning, "weak-fingerprint", "fingerprint",
                      "The CA is pinned by an MD5 fingerprint, which can be forged; 64 digits pin "
                      "it by SHA-256.");
  }
}

void check_clocks(const std::vector<Source>& sources, Findings& findings) {
  // Said once: thousands of files are made from one template.
  Finding unset{Grade::warning, "no-clock", {}, "", {}, {}};
  for (const Source& source : sources) {
    const config::Configuration& made = source.configuration();
    const bool needs_time = !made.servers.empty() ||
                            std::any_of(made.trustpoints.begin(), made.trustpoints.end(),
                                        [](const auto& t) { return !t.enrollment_url.empty(); });
    if (!needs_time || made.calendar_valid || has_ntp(source)) continue;
    const Place place{source.file, 1, made.hostname};
    if (unset.at.file.empty()) {
      unset.at = place;
      unset.fixes.push_back(global_fix(source, "ntp server", "ntp server ADDRESS"));
    } else {
      unset.alike.push_back(place);
    }
  }
  if (unset.at.file.empty()) return;
  unset.text =
      "Nothing says that the clock is right: neither `ntp server` nor `clock calendar-valid`. "
      "After "
      "a start no certificate is issued and no RENEW or SHADOW runs until the system's clock is "
      "synchronised.";
  findings.add(std::move(unset));
}

}  // namespace umbra::plan
