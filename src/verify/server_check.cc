#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <thread>

#include "ca/authority.h"
#include "verify/finder.h"
#include "x509/crl.h"
#include "x509/request.h"

namespace umbra::verify {
namespace {

constexpr std::size_t batch_of_a_thread = 512;
constexpr const char* remedy_serials =
    "start no umbrad on it: it could use a serial number twice. Restore it from the newest backup, "
    "which skips beyond every number that may be used";
constexpr const char* remedy_crl =
    "`crypto pki server NAME revoke` or `unrevoke` of any certificate makes a new CRL; if this one "
    "was tampered with, restore the newest backup that verifies";

/// A CRL as it is looked up: sorted, and what was found of it.
struct Revoked {
  store::CrlRow row;
  std::vector<x509::RevokedEntry> entries;
  std::vector<char> seen;

  /// Whether it names this serial, which counts as seen then.
  bool has(const x509::Serial& serial) {
    const auto at =
        std::lower_bound(entries.begin(), entries.end(), serial,
                         [](const x509::RevokedEntry& entry, const x509::Serial& wanted) {
                           return entry.serial < wanted;
                         });
    if (at == entries.end() || at->serial != serial) return false;
    seen[static_cast<std::size_t>(at - entries.begin())] = 1;
    return true;
  }
};

struct Generation {
  store::CaGeneration row;
  std::optional<x509::Certificate> certificate;
};

class OneServer {
 public:
  OneServer(store::Examiner& store, std::string name, const std::vector<x509::Certificate>& upper,
            const Options& options, Finder& finder, Report& report)
      : store_(store),
        name_(std::move(name)),
        upper_(upper),
        options_(options),
        finder_(finder),
        report_(report) {}

  void run() {
    const auto row = store_.server(name_);
    if (!row) finder_.damaged("counters of " + name_, row.error().detail);
    if (row && *row) {
      counters_ = **row;
    } else if (row) {
      finder_.error("counters", name_, "there is no row with its serial numbers", remedy_serials);
    }
    check_generations();
    check_crls();
    check_certificates();
    check_unseen();
    check_requests();
    check_outbox();
  }

 private:
  [[nodiscard]] Generation* find(std::uint32_t number) {
    for (Generation& one : generations_) {
      if (one.row.number == number) return &one;
    }
    return nullptr;
  }
  [[nodiscard]] std::string named(const x509::Serial& serial) const {
    return fmt::format("certificate 0x{} of {}", serial.to_hex(), name_);
  }

  /// A process that starts goes on above the lease: what is above it would come again.
  void check_serial(const std::string& where, const x509::Serial& serial) {
    const auto counted = serial.to_uint64();
    if (!counted || !counters_) return;  // drawn by chance
    const std::uint64_t end = std::max(counters_->last_serial, counters_->serial_lease);
    if (*counted > end) {
      finder_.error(
          "serial-lease", where,
          fmt::format("its number is above 0x{:X}, where the numbers that were taken end", end),
          remedy_serials);
    }
  }

  void check_generations() {
    auto rows = store_.generations(name_, finder_.damage());
    if (!rows) return finder_.damaged("generations of " + name_, rows.error().detail);
    std::size_t active = 0, rollover = 0;
    std::uint32_t highest = 0;
    for (store::CaGeneration& row : *rows) {
      active += row.status == store::GenerationStatus::active ? 1 : 0;
      rollover += row.status == store::GenerationStatus::rollover ? 1 : 0;
      highest = std::max(highest, row.number);
      generations_.push_back({std::move(row), std::nullopt});
    }
    for (Generation& one : generations_) check_generation(one);
    if (!generations_.empty() && active != 1) {
      finder_.error("one-active", name_, fmt::format("it has {} active CAs, and not one", active));
    }
    if (rollover > 1) {
      finder_.error("one-rollover", name_,
                    fmt::format("it has {} rollover CAs, and not one at most", rollover));
    }
    if (counters_ && counters_->last_generation < highest) {
      finder_.error(
          "counters", name_,
          fmt::format("it counts {} CAs and has number {}", counters_->last_generation, highest));
    }
  }

  void check_generation(Generation& one) {
    const std::string where = fmt::format("generation {} of {}", one.row.number, name_);
    auto parsed = x509::Certificate::from_der(one.row.certificate);
    if (!parsed) {
      finder_.error("certificate-unreadable", where,
                    "its certificate is none: " + parsed.error().detail);
      return;
    }
    one.certificate = *std::move(parsed);
    const x509::Certificate& certificate = *one.certificate;
    if (certificate.self_issued()) {
      if (const auto proof = certificate.verify_signed_by(certificate.public_key()); !proof)
        finder_.error("chain", where, "it is not signed by its own key: " + proof.error().detail);
      check_serial(where, certificate.serial());
    } else if (one.row.status != store::GenerationStatus::retired && !upper_.empty() &&
               std::none_of(upper_.begin(), upper_.end(), [&](const auto& ca) {
                 return certificate.issuer() == ca.subject() &&
                        certificate.verify_signed_by(ca.public_key());
               })) {
      finder_.error(
          "chain", where,
          "no CA that its trustpoint knows has signed it: " + certificate.issuer().joined());
    }
    if (one.row.sealed_key.empty() && one.row.status != store::GenerationStatus::retired) {
      finder_.error("key", where, "it has no key: nothing can be issued",
                    "restore a backup that has it, or the archive of `database archive`");
    }
    check_key(finder_, report_, options_, where, one.row.sealed_key, &certificate);
    if (one.row.exchange_certificate.empty()) return;
    const std::string exchange = where + " (exchange)";
    const auto found = x509::Certificate::from_der(one.row.exchange_certificate);
    if (!found) {
      finder_.error("certificate-unreadable", exchange,
                    "its certificate is none: " + found.error().detail);
      return;
    }
    if (const auto proof = found->verify_signed_by(certificate.public_key()); !proof)
      finder_.error("chain", exchange, "its CA has not signed it: " + proof.error().detail);
    check_serial(exchange, found->serial());
    check_key(finder_, report_, options_, exchange, one.row.sealed_exchange_key, &*found);
    if (const auto taken = store_.has_certificate(name_, found->serial()); taken && *taken) {
      finder_.error("serial-twice", exchange, named(found->serial()) + " has the same number",
                    remedy_serials);
    }
  }

  void check_crls() {
    auto rows = store_.crls(name_, finder_.damage());
    if (!rows) return finder_.damaged("CRLs of " + name_, rows.error().detail);
    for (store::CrlRow& row : *rows) check_crl(std::move(row));
    for (const Generation& one : generations_) {
      if (one.row.status != store::GenerationStatus::active || !one.certificate ||
          !one.certificate->is_ca() || crls_.contains(one.row.number))
        continue;
      finder_.warning("crl-missing", fmt::format("generation {} of {}", one.row.number, name_),
                      "the active CA has no CRL", "umbrad makes one when it starts");
    }
  }

  void check_crl(store::CrlRow row) {
    const std::string where =
        fmt::format("CRL {} of generation {} of {}", row.number, row.generation, name_);
    const Generation* const by = find(row.generation);
    const auto facts = x509::parse_crl(row.crl);
    if (!facts) {
      finder_.error("crl-unreadable", where, "it is none: " + facts.error().detail, remedy_crl);
      return;
    }
    // A cancelled rollover CA's has nobody left to check it.
    if (by != nullptr && by->certificate) {
      if (const auto proof = x509::verify_crl(row.crl, *by->certificate); !proof) {
        finder_.error("crl-signature", where, "its CA has not signed it: " + proof.error().detail,
                      remedy_crl);
      }
    }
    const auto told = facts->number.value_or(row.number);
    if (told != row.number || facts->this_update != row.this_update) {
      finder_.error(
          "crl-unreadable", where,
          fmt::format("it is another one: number {} of {}", told, to_rfc3339(facts->this_update)),
          remedy_crl);
    }
    if (counters_ && counters_->crl_number < row.number) {
      finder_.error("counters", where,
                    fmt::format("the count of CRLs stands at {}: the next one would go back",
                                counters_->crl_number));
    }
    const std::uint32_t generation = row.generation;
    Revoked revoked{std::move(row), facts->revoked, {}};
    revoked.row.crl = {};
    std::sort(revoked.entries.begin(), revoked.entries.end(),
              [](const auto& a, const auto& b) { return a.serial < b.serial; });
    revoked.seen.resize(revoked.entries.size());
    crls_.emplace(generation, std::move(revoked));
  }

  void check_certificates() {
    const auto repeated = store_.repeated_serials(name_);
    if (!repeated) finder_.damaged("certificates of " + name_, repeated.error().detail);
    for (const std::string& one : repeated.value_or(std::vector<std::string>{})) {
      finder_.error("serial-twice", fmt::format("certificate {} of {}", one, name_),
                    "two certificates have this number",
                    "revoke both, which a new CRL tells everybody, and restore the newest backup "
                    "that verifies");
    }
    const std::size_t threads = std::max(1U, options_.threads);
    std::vector<store::IssuedCertificate> batch;
    batch.reserve(batch_of_a_thread * threads);
    finder_.read("certificates of " + name_, store_.each_certificate(
                                                 name_,
                                                 [&](store::IssuedCertificate&& row) {
                                                   check_revocation(row);
                                                   batch.push_back(std::move(row));
                                                   if (batch.size() < batch_of_a_thread * threads)
                                                     return;
                                                   check_batch(batch, threads);
                                                   batch.clear();
                                                 },
                                                 finder_.damage()));
    check_batch(batch, threads);
  }

  /// On the CRL, if a commit should have put it there: with the revocation for the active CA, with
  /// its switch-over for a CA that was the next one then.
  void check_revocation(const store::IssuedCertificate& row) {
    const Generation* const by = find(row.generation);
    const auto crl = crls_.find(row.generation);
    if (crl == crls_.end()) return;
    const bool listed = crl->second.has(row.serial);
    if (by == nullptr) return;
    const bool active = by->row.status == store::GenerationStatus::active;
    const Time since = crl->second.row.this_update;
    if (row.revoked_at && !listed && row.not_after >= since &&
        (active || *row.revoked_at <= since)) {
      finder_.error("not-on-crl", named(row.serial),
                    fmt::format("it was revoked at {}, and CRL {} does not say so",
                                to_rfc3339(*row.revoked_at), crl->second.row.number),
                    remedy_crl);
    }
    if (!row.revoked_at && listed && active) {
      finder_.error(
          "not-revoked", named(row.serial),
          fmt::format("CRL {} revokes it, and the database does not", crl->second.row.number),
          "revoke it: `crypto pki server NAME revoke SERIAL`; if nobody took the "
          "revocation back, somebody has changed the database");
    }
  }

  void check_batch(const std::vector<store::IssuedCertificate>& batch, std::size_t threads) {
    report_.certificates += batch.size();
    report_.unknown += static_cast<std::size_t>(std::count_if(
        batch.begin(), batch.end(), [](const auto& row) { return row.certificate.empty(); }));
    std::vector<std::jthread> pool;
    for (std::size_t thread = 0; thread < threads; ++thread) {
      pool.emplace_back([this, &batch, thread, threads] {
        for (std::size_t i = thread; i < batch.size(); i += threads) check_certificate(batch[i]);
      });
    }
  }

  /// From several threads.
  void check_certificate(const store::IssuedCertificate& row) {
    const std::string where = named(row.serial);
    check_serial(where, row.serial);
    if (row.certificate.empty()) return;  // an import knows it by its number alone
    const auto certificate = x509::Certificate::from_der(row.certificate);
    if (!certificate) {
      finder_.error("certificate-unreadable", where,
                    "what is stored is no certificate: " + certificate.error().detail);
      return;
    }
    const auto should =
        ca::row_of(name_, row.generation, *certificate, "", {}, row.issued_at, row.granted_as);
    if (should.serial != row.serial || should.not_before != row.not_before ||
        should.not_after != row.not_after || should.subject != row.subject) {
      finder_.error("row", where,
                    fmt::format("its row tells of another certificate: 0x{} of {}, {} to {}",
                                should.serial.to_hex(), should.subject,
                                to_rfc3339(should.not_before), to_rfc3339(should.not_after)));
    }
    const Generation* const by = find(row.generation);
    if (by == nullptr) {
      // Of a rollover CA that was taken back, every certificate is revoked.
      if (row.revoked_at) return;
      finder_.error("chain", where,
                    fmt::format("it is of CA generation {}, which is not there", row.generation));
      return;
    }
    if (!by->certificate || *by->certificate == *certificate) return;  // told, or checked, there
    const bool names = certificate->issuer() == by->certificate->subject();
    const auto proof = certificate->verify_signed_by(by->certificate->public_key());
    if (!names || !proof) {
      finder_.error("chain", where,
                    fmt::format("CA generation {} has not signed it: {}", row.generation,
                                names ? proof.error().detail : certificate->issuer().joined()));
    }
  }

  /// The active CA revokes what it has issued, and nothing else.
  void check_unseen() {
    for (const auto& [number, crl] : crls_) {
      const Generation* const by = find(number);
      if (by == nullptr || by->row.status != store::GenerationStatus::active) continue;
      for (std::size_t i = 0; i < crl.entries.size(); ++i) {
        if (crl.seen[i] != 0) continue;
        finder_.error(
            "certificate-missing", named(crl.entries[i].serial),
            fmt::format("CRL {} revokes it, and it is not in the database", crl.row.number));
      }
    }
  }

  void check_requests() {
    finder_.read("requests of " + name_,
                 store_.each_request(
                     name_, [this](const store::EnrollmentRequest& row) { check_request(row); },
                     finder_.damage()));
  }

  void check_request(const store::EnrollmentRequest& row) {
    ++report_.requests;
    const std::string where = fmt::format("request {} of {}", row.id, name_);
    const std::string remedy =
        fmt::format("`crypto pki server {} remove {}`; the device asks again", name_, row.id);
    if (const auto request = x509::Request::from_der(row.request); !request) {
      finder_.error("request-unreadable", where, "it is no PKCS #10: " + request.error().detail,
                    remedy);
    }
    if (!row.signer.empty()) {
      if (const auto signer = x509::Certificate::from_der(row.signer); !signer) {
        finder_.error("request-unreadable", where,
                      "who signed it cannot be read: " + signer.error().detail, remedy);
      }
    }
    const bool waits = row.state == store::RequestState::pending;
    if (waits && !generations_.empty() && find(row.generation) == nullptr) {
      finder_.error("request-unreadable", where,
                    fmt::format("it is for CA generation {}, which is not there", row.generation),
                    remedy);
    }
    if (counters_ && row.id >= counters_->next_request_id) {
      finder_.error("counters", where,
                    fmt::format("the count of requests stands at {}", counters_->next_request_id));
    }
    // At an RA the certificate is the CA's above, and in the request's own row.
    if (row.state != store::RequestState::granted || !row.granted_serial ||
        !row.certificate.empty())
      return;
    const auto there = store_.has_certificate(name_, *row.granted_serial);
    if (!there) {
      finder_.damaged(where, there.error().detail);
    } else if (!*there) {
      finder_.error("certificate-missing", where,
                    fmt::format("it was granted certificate 0x{}, which is not in the database",
                                row.granted_serial->to_hex()));
    }
  }

  void check_outbox() {
    const auto check = [this](const store::OutboxRow& row) {
      const auto there = store_.has_certificate(name_, row.serial);
      const std::string where = fmt::format("file {} in the outbox of {}", row.sequence, name_);
      if (!there) {
        finder_.damaged(where, there.error().detail);
      } else if (!*there) {
        finder_.error("certificate-missing", where,
                      fmt::format("it is of certificate 0x{}, which is not in the database",
                                  row.serial.to_hex()));
      }
    };
    finder_.read("outbox of " + name_, store_.each_outbox(name_, check, finder_.damage()));
  }

  store::Examiner& store_;
  const std::string name_;
  const std::vector<x509::Certificate>& upper_;
  const Options& options_;
  Finder& finder_;
  Report& report_;
  std::optional<store::ServerRow> counters_;
  std::vector<Generation> generations_;
  std::map<std::uint32_t, Revoked> crls_;
};

}  // namespace

void check_server(store::Examiner& store, const std::string& name,
                  const std::vector<x509::Certificate>& upper, const Options& options,
                  Finder& finder, Report& report) {
  OneServer(store, name, upper, options, finder, report).run();
}

}  // namespace umbra::verify
