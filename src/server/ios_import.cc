#include "server/ios_import.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "ca/authority.h"
#include "config/config.h"
#include "policy/decide.h"
#include "scep/message.h"
#include "server/impl.h"
#include "server/ios_configuration.h"
#include "server/ios_files.h"
#include "x509/crl.h"
#include "x509/pkcs12.h"

namespace umbra::server {
namespace {

// Numbers below the last one that no file tells of: more than these are not listed one by one.
constexpr std::uint64_t unknown_serials_max = 1'000'000;
// The most that `serial-number` takes as a start.
constexpr std::uint64_t counted_max = (std::uint64_t{1} << 62U) - 1;
// No end is known: kept on the CRL for ever.
constexpr Time no_known_end{Seconds{253402300799}};  // 9999-12-31T23:59:59Z

tl::unexpected<Error> in_file(const std::string& name, const Error& error) {
  return fail(error.code, fmt::format("{}: {}", name, error.detail));
}

std::string count(std::size_t number, std::string_view what) {
  return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

bool is_rsa(const x509::Certificate& certificate) {
  return certificate.public_key().algorithm() == x509::KeyAlgorithm::rsa;
}

/// One CA of the server: its archive, opened.
struct FoundCa {
  std::uint32_t number = 1;
  std::string file;
  x509::Archive archive;
  store::GenerationStatus status = store::GenerationStatus::retired;
};

/// One server's import, step by step; the first that fails ends it.
class OneServer {
 public:
  OneServer(std::string name, bool alone, const std::vector<PublishedFile>& files,
            const ImportOptions& options)
      : alone_(alone), files_(files), options_(options) {
    out_.name = std::move(name);
  }

  Result<ImportedServer> run(std::set<std::string>& used) {
    UMBRA_CHECK(open_archives());
    UMBRA_CHECK(tell_generations_apart());
    read_certificates();
    read_names();
    UMBRA_CHECK(read_crl());
    UMBRA_CHECK(read_serial());
    UMBRA_CHECK(make_rows());
    suggest_configuration();
    used.insert(used_.begin(), used_.end());
    return std::move(out_);
  }

 private:
  const PublishedFile* file(const std::string& name) {
    for (const auto& one : files_) {
      if (one.name == name) {
        used_.insert(name);
        return &one;
      }
    }
    return nullptr;
  }

  Result<void> open_archives() {
    for (const auto& one : files_) {
      const FileName name = split(one.name);
      const auto [server, number] = archive_of(name.stem);
      if (!is_archive(name) || server != out_.name) continue;
      auto opened = name.suffix == "pem"
                        ? x509::from_pem_archive(as_text(one.content), options_.passphrase)
                        : x509::from_pkcs12(one.content, options_.passphrase);
      if (!opened) return in_file(one.name, opened.error());
      const x509::Certificate& certificate = opened->certificate;
      if (!certificate.is_ca()) return fail(Errc::conflict, one.name + ": no CA certificate");
      if (!certificate.self_issued()) {
        return fail(Errc::unsupported,
                    one.name + ": the certificate of a subordinate CA; only a root CA is imported");
      }
      if (const auto proof = certificate.verify_signed_by(certificate.public_key()); !proof)
        return in_file(one.name, proof.error());
      for (const FoundCa& other : generations_) {
        if (other.number == number) {
          return fail(Errc::conflict, fmt::format("{} and {} are archives of the same CA; leave "
                                                  "one of them in the directory",
                                                  other.file, one.name));
        }
      }
      used_.insert(one.name);
      generations_.push_back({number, one.name, *std::move(opened)});
    }
    if (generations_.empty()) {
      return fail(
          Errc::not_found,
          fmt::format("no {0}.p12 and no {0}.pem: without the CA's key nothing can be issued or "
                      "revoked. On IOS: `crypto pki export {0} pkcs12 URL passphrase P`",
                      out_.name));
    }
    std::sort(generations_.begin(), generations_.end(),
              [](const FoundCa& a, const FoundCa& b) { return a.number < b.number; });
    return {};
  }

  Result<void> tell_generations_apart() {
    FoundCa* active = nullptr;
    FoundCa* rollover = nullptr;
    FoundCa* ended = nullptr;
    std::set<x509::Serial> serials;
    for (FoundCa& one : generations_) {
      const x509::Certificate& certificate = one.archive.certificate;
      if (!(certificate.subject() == generations_.front().archive.certificate.subject()))
        return fail(Errc::conflict,
                    one.file + ": another CA's name than " + generations_.front().file);
      if (!serials.insert(certificate.serial()).second)
        return fail(Errc::conflict, one.file + ": a serial number that another CA certificate has");
      if (certificate.not_before() > options_.now) {
        rollover = &one;  // of several, the newest: the others were cancelled
      } else if (certificate.not_after() > options_.now) {
        active = &one;
      } else {
        ended = &one;
      }
    }
    if (active == nullptr && ended != nullptr) {
      active = ended;
      out_.warnings.push_back(fmt::format(
          "the CA certificate of {} ended at {}: it issues nothing{}", active->file,
          to_rfc3339(active->archive.certificate.not_after()),
          rollover != nullptr ? ""
                              : ", and no rollover CA is here; devices must be enrolled anew"));
    }
    if (active == nullptr) {
      return fail(Errc::conflict,
                  fmt::format("{}: not valid before {}; is this machine's clock right, and is "
                              "{}.p12 of the active CA missing?",
                              rollover->file,
                              to_rfc3339(rollover->archive.certificate.not_before()), out_.name));
    }
    active->status = store::GenerationStatus::active;
    if (rollover != nullptr) rollover->status = store::GenerationStatus::rollover;
    active_ = active;
    for (FoundCa& one : generations_) {
      const bool cancelled =
          one.archive.certificate.not_before() > options_.now && &one != rollover;
      out_.found.push_back(fmt::format(
          "{}: CA certificate 0x{}, {} {} bits, {} to {}: {}", one.file,
          one.archive.certificate.serial().to_hex(), is_rsa(one.archive.certificate) ? "RSA" : "EC",
          one.archive.certificate.public_key().bits(),
          to_rfc3339(one.archive.certificate.not_before()),
          to_rfc3339(one.archive.certificate.not_after()),
          cancelled                                         ? "left out, a later one replaces it"
          : one.status == store::GenerationStatus::active   ? "the active CA"
          : one.status == store::GenerationStatus::rollover ? "the rollover CA"
                                                            : "a CA of the past"));
      warn_of_weakness(one);
    }
    std::erase_if(generations_, [&](const FoundCa& one) {
      return one.archive.certificate.not_before() > options_.now &&
             one.status != store::GenerationStatus::rollover;
    });
    for (FoundCa& one : generations_) {
      if (one.status == store::GenerationStatus::active) active_ = &one;
    }
    return {};
  }

  void warn_of_weakness(const FoundCa& one) {
    const auto& algorithm = one.archive.certificate.signature_algorithm();
    const int bits = one.archive.certificate.public_key().bits();
    if (algorithm && algorithm->digest == x509::Digest::md5) {
      md5_ = true;
      out_.warnings.push_back(
          one.file +
          ": the CA certificate is signed with MD5, as IOS did by default; it is taken "
          "as it is. For devices that send MD5 too: `allow legacy md5`");
    }
    if (is_rsa(one.archive.certificate) && bits < 2048) {
      rsa_1024_ = true;
      out_.warnings.push_back(fmt::format(
          "{}: the CA's key has {} bits, which can be broken with effort; the rollover CA gets as "
          "many. For devices with such keys: `allow legacy rsa-1024`. Plan a new CA",
          one.file, bits));
    }
  }

  /// The CA that signed it; nothing if none of them did.
  const FoundCa* issuer_of(const x509::Certificate& certificate) const {
    for (const FoundCa& one : generations_) {
      const x509::Certificate& ca = one.archive.certificate;
      if (certificate.issuer() == ca.subject() &&
          certificate.verify_signed_by(ca.public_key()).has_value())
        return &one;
    }
    return nullptr;
  }

  void read_certificates() {
    std::size_t read = 0;
    for (const FoundCa& one : generations_) {
      auto row =
          ca::row_of(out_.name, one.number, one.archive.certificate, "", {},
                     one.archive.certificate.not_before(), store::RequestClass::subordinate_ca);
      rows_.emplace(row.serial, std::move(row));
    }
    for (const auto& one : files_) {
      if (!is_certificate(split(one.name))) continue;
      const auto certificate = certificate_in(one.content);
      if (!certificate) continue;  // told by who knows that no server took it
      const FoundCa* const issuer = issuer_of(*certificate);
      if (issuer == nullptr) continue;
      used_.insert(one.name);
      ++read;
      if (rows_.contains(certificate->serial())) continue;
      // What it was granted as stands nowhere, but what it makes its holder: a subordinate CA's
      // rollover, and an RA's, go on here.
      const policy::Class is = policy::class_of(*certificate);
      // What IOS's clients call their transactions: the requests of one key stand together.
      rows_.emplace(certificate->serial(),
                    ca::row_of(out_.name, issuer->number, *certificate,
                               scep::transaction_id(certificate->public_key()), {},
                               certificate->not_before(), class_in_store(is)));
      if (is != policy::Class::router) {
        above_devices_.push_back(
            fmt::format("{}: certificate 0x{} makes {} {}", one.name,
                        certificate->serial().to_hex(), certificate->subject().joined(),
                        is == policy::Class::ra ? "a registration authority" : "a subordinate CA"));
      }
      newest_ =
          newest_ && newest_->not_before() > certificate->not_before() ? newest_ : *certificate;
    }
    if (read != 0) out_.found.push_back(count(read, "certificate file"));
    out_.found.insert(out_.found.end(), above_devices_.begin(), above_devices_.end());
    complete_ = read > generations_.size();
  }

  void read_names() {
    std::size_t read = 0;
    for (const auto& one : files_) {
      const FileName name = split(one.name);
      if (name.suffix != "cnm") continue;
      const auto serial = serial_named(name.stem);
      const auto facts = parse_cnm(as_text(one.content));
      if (!serial || !facts || !alone_) continue;
      used_.insert(one.name);
      ++read;
      if (rows_.contains(*serial)) continue;
      auto row = stub(*serial, active_->number);
      row.subject = x509::printable(facts->subject);
      // As of somebody who has asked: a client, which the screens of a rollover name.
      if (row.subject != active_->archive.certificate.subject().joined())
        row.transaction_id = "imported-" + serial->to_hex();
      if (facts->not_after) {
        row.not_after = *facts->not_after;
        // Only a shadow certificate outlives the active CA.
        for (const FoundCa& ca : generations_) {
          if (ca.status == store::GenerationStatus::rollover &&
              row.not_after > active_->archive.certificate.not_after())
            row.generation = ca.number;
        }
      } else {
        out_.warnings.push_back(one.name +
                                ": its expiration cannot be read; should it be revoked, "
                                "it stays on the CRL for ever");
      }
      rows_.emplace(*serial, std::move(row));
    }
    names_ = read != 0;
    if (read != 0) out_.found.push_back(count(read, "name file"));
  }

  store::IssuedCertificate stub(const x509::Serial& serial, std::uint32_t generation) const {
    store::IssuedCertificate row;
    row.server = out_.name;
    row.serial = serial;
    row.generation = generation;
    row.not_before = active_->archive.certificate.not_before();
    row.not_after = no_known_end;
    row.issued_at = row.not_before;
    return row;
  }

  Result<void> read_crl() {
    const std::string name = crl_name(out_.name);
    const PublishedFile* const found = file(name);
    if (found == nullptr) {
      if (!options_.without_crl) {
        return fail(Errc::not_found,
                    fmt::format("no {}: who is revoked is not known, and would be let in again. "
                                "Fetch it (http://ROUTER/cgi-bin/pkiclient.exe?operation=GetCRL "
                                "answers SCEP clients), or say --without-crl",
                                name));
      }
      out_.warnings.push_back(fmt::format(
          "no {}: nobody is revoked in the new store, whoever was before. Revoke them again",
          name));
      return {};
    }
    const FoundCa* signer = nullptr;
    for (const FoundCa& one : generations_) {
      if (x509::verify_crl(found->content, one.archive.certificate)) signer = &one;
    }
    const auto facts = x509::parse_crl(found->content);
    if (!facts) return in_file(name, facts.error());
    if (signer == nullptr) {
      return fail(Errc::crypto,
                  name + ": none of this server's CAs has signed it; nothing it says can be taken");
    }
    for (const auto& entry : facts->revoked) {
      const auto row = rows_.try_emplace(entry.serial, stub(entry.serial, signer->number)).first;
      // What a name file says of its end is nobody's signature: no revocation ends by it.
      if (row->second.certificate.empty()) row->second.not_after = no_known_end;
      row->second.revoked_at = entry.revoked_at;
      row->second.reason = entry.reason;
      if (row->second.certificate.empty()) ++revoked_unknown_;
    }
    out_.found.push_back(fmt::format("{}: of {}, {}", name, to_rfc3339(facts->this_update),
                                     count(facts->revoked.size(), "revoked certificate")));
    if (revoked_unknown_ != 0) {
      out_.warnings.push_back(
          fmt::format("{} without the certificate here: when it ends is not known, it stays on the "
                      "CRL for ever",
                      count(revoked_unknown_, "revoked serial number")));
    }
    if (facts->next_update && *facts->next_update <= options_.now) {
      out_.warnings.push_back(
          fmt::format("{}: a newer one was due at {}; who was revoked since is not known here",
                      name, to_rfc3339(*facts->next_update)));
    }
    crl_ = store::CrlRow{out_.name,
                         signer->number,
                         facts->number.value_or(0),
                         facts->this_update,
                         facts->next_update.value_or(facts->this_update),
                         found->content};
    return {};
  }

  Result<void> read_serial() {
    for (const auto& [serial, row] : rows_) {
      if (const auto number = serial.to_uint64()) {
        last_ = std::max(last_, *number);
      } else {
        by_chance_ = true;
      }
    }
    const std::uint64_t seen = last_;
    const std::string name = ser_name(out_.name);
    const PublishedFile* const found = file(name);
    std::optional<x509::Serial> told = options_.last_serial;
    if (found != nullptr) {
      auto parsed = parse_ser(as_text(found->content));
      if (!parsed) return in_file(name, parsed.error());
      told = told ? std::max(*told, *parsed) : *parsed;
    }
    if (!told) {
      return fail(Errc::not_found,
                  fmt::format("no {}: which serial numbers are used up is not known, and none must "
                              "be used twice. The highest seen is 0x{:X}; say --last-serial with "
                              "what `show crypto pki server` shows on the router",
                              name, seen));
    }
    UMBRA_TRY(const std::uint64_t number, told->to_uint64());
    last_ = std::max(last_, number);
    if (last_ > counted_max) {
      return fail(Errc::malformed,
                  fmt::format("{}: serial numbers go up to 0x{:X} in these files, and none is left "
                              "to issue; is a file damaged, or called after what is no serial "
                              "number?",
                              number > counted_max && found != nullptr ? name : out_.name, last_));
    }
    out_.found.push_back(fmt::format("{}: last serial number 0x{:X}",
                                     found != nullptr ? name : "--last-serial", number));
    if (number < seen) {
      out_.warnings.push_back(fmt::format(
          "{}: older than the other files, which go up to 0x{:X}; the higher number is taken", name,
          seen));
    }
    add_unknown_serials();
    return {};
  }

  /// At level minimum IOS writes nothing of a certificate. Its number is enough to revoke it by,
  /// and for its owner to renew.
  void add_unknown_serials() {
    std::uint64_t added = 0;
    // A CA's own certificate is the first it makes (`serial-number` says where that is).
    const FoundCa& oldest = generations_.front();
    const auto first = oldest.archive.certificate.serial().to_uint64();
    const std::uint64_t from = oldest.number == 1 && first ? *first : 1;
    for (std::uint64_t number = from; number <= last_ && added < unknown_serials_max; ++number) {
      const x509::Serial serial(number);
      if (rows_.contains(serial)) continue;
      rows_.emplace(serial, stub(serial, active_->number));
      ++added;
    }
    if (added == 0) return;
    out_.warnings.push_back(fmt::format(
        "of {} nothing but the serial number is known: these can be renewed by who holds them, and "
        "revoked, and are listed without a name (`database level complete` keeps all)",
        count(added, "certificate")));
    if (added == unknown_serials_max)
      out_.warnings.push_back("there are more; those can neither be renewed nor revoked");
  }

  Result<void> make_rows() {
    store::ServerRow server;
    server.server = out_.name;
    server.last_serial = last_;
    server.serial_lease = last_;
    server.crl_number = crl_ ? crl_->number : 0;
    for (const FoundCa& one : generations_) {
      UMBRA_TRY(const Bytes sealed, one.archive.key.seal(options_.seal));
      out_.rows.emplace_back(
          store::PutGeneration{{out_.name, one.number, one.status,
                                to_bytes(one.archive.certificate.der()), sealed, options_.now}});
      server.last_generation = std::max(server.last_generation, one.number);
    }
    for (auto& [serial, row] : rows_) out_.rows.emplace_back(store::InsertCertificate{row});
    if (crl_) out_.rows.emplace_back(store::PutCrl{*crl_});
    out_.rows.emplace_back(store::PutServer{server});
    return {};
  }

  void suggest_configuration() {
    const x509::Certificate& ca = active_->archive.certificate;
    out_.configuration = suggested_configuration(
        {.name = out_.name,
         .ca = ca,
         .level = complete_ ? config::DatabaseLevel::complete
                  : names_  ? config::DatabaseLevel::names
                            : config::DatabaseLevel::minimum,
         .archive = active_->file.ends_with(".pem") ? config::ArchiveFormat::pem
                                                    : config::ArchiveFormat::pkcs12,
         .crl_lifetime = crl_ ? crl_->next_update - crl_->this_update : Seconds{0},
         .newest = newest_,
         .serials_by_chance = by_chance_,
         .allow_md5 = md5_,
         .allow_rsa_1024 = rsa_1024_});
  }

  const bool alone_;
  const std::vector<PublishedFile>& files_;
  const ImportOptions& options_;
  ImportedServer out_;
  std::set<std::string> used_;
  std::vector<FoundCa> generations_;
  FoundCa* active_ = nullptr;
  std::map<x509::Serial, store::IssuedCertificate> rows_;
  std::vector<std::string> above_devices_;
  std::optional<x509::Certificate> newest_;
  std::optional<store::CrlRow> crl_;
  std::size_t revoked_unknown_ = 0;
  std::uint64_t last_ = 0;
  bool complete_ = false;
  bool names_ = false;
  bool md5_ = false;
  bool by_chance_ = false;  ///< serials that nobody counted: an Umbra server's
  bool rsa_1024_ = false;
};

}  // namespace

Result<Import> import_ios(const std::vector<PublishedFile>& files, const ImportOptions& options) {
  std::set<std::string> names(options.names.begin(), options.names.end());
  const std::set<std::string> present = servers_in(files);
  if (names.empty()) names = present;
  if (names.empty()) {
    return fail(Errc::not_found,
                "no NAME.ser, NAME.crl, NAME.p12 or NAME.pem: these are no files of a certificate "
                "server");
  }
  Import import;
  std::set<std::string> used;
  for (const std::string& name : names) {
    if (!present.contains(name))
      return fail(Errc::not_found, fmt::format("no {0}.ser, {0}.crl, {0}.p12 or {0}.pem", name));
    auto one = OneServer(name, names.size() == 1, files, options).run(used);
    if (!one) return in_file(name, one.error());
    import.servers.push_back(*std::move(one));
  }
  for (const auto& one : files) {
    if (used.contains(one.name)) continue;
    import.ignored.push_back(
        fmt::format("{}: {}", x509::printable(one.name), why_ignored(one, names.size() > 1)));
  }
  return import;
}

}  // namespace umbra::server
