#include <fmt/format.h>

#include "server/impl.h"

/// What a changed configuration file does not change once there are certificates.
namespace umbra::server {

/// The line stays in the configuration file, so it is right after the start as long as it is what
/// the CA began with.
Result<void> CertificateServer::Impl::start_serials() {
  if (!configuration.serial_start) return {};
  if (generations()->next_number() == 1) {
    ledger->begin_after(*configuration.serial_start);
    return {};
  }
  const store::ServerRow row = ledger->row();
  if (row.serial_start == *configuration.serial_start) return {};
  return fail(
      Errc::conflict,
      fmt::format("serial-number 0x{:X} in crypto pki server {}: the CA certificate exists, "
                  "and serial numbers are counted from there (started behind 0x{:X}, last "
                  "one 0x{:X}); take the line out of the configuration",
                  *configuration.serial_start, configuration.name, row.serial_start,
                  row.last_serial));
}

/// What IOS refuses to change once there is a CA certificate: a changed file changes nothing here
/// either, and that is said.
void CertificateServer::Impl::name_what_is_locked() const {
  const auto all = generations();
  if (!all->active || is_ra()) return;
  const x509::PublicKey& key = all->active->certificate.public_key();
  const bool elliptic = key.algorithm() == x509::KeyAlgorithm::ec;
  if (elliptic ? configuration.ec_bits != key.bits() : configuration.ec_bits.has_value()) {
    log(Severity::error, "CS_LOCKED",
        fmt::format("keytype of {} cannot be changed after CA certificate generation: its key is, "
                    "and its successors' will be, {} of {} bits",
                    configuration.name, elliptic ? "EC" : "RSA", key.bits()));
  }
  const auto name = x509::Name::from_ios(configuration.issuer_name);
  if (name && *name == all->active->certificate.subject()) return;
  log(Severity::error, "CS_LOCKED",
      fmt::format("issuer-name of {} cannot be changed after CA certificate generation: \"{}\" in "
                  "the configuration is left aside, the CA is and stays \"{}\"",
                  configuration.name, configuration.issuer_name,
                  all->active->certificate.subject().joined()));
}

/// A CA's keys are not taken for an RA's, nor the other way round.
Result<void> CertificateServer::Impl::mode_is_kept() const {
  for (const auto* one : generations()->authorities()) {
    if (one->certificate.is_ca() != is_ra()) continue;
    return fail(
        Errc::conflict,
        fmt::format("mode of {} cannot be changed: what is kept of it is {}; `no crypto pki "
                    "server {}` on the console, while it is not configured, deletes that",
                    configuration.name, is_ra() ? "a CA's" : "an RA's", configuration.name));
  }
  return {};
}

}  // namespace umbra::server
