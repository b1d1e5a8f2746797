#include "ca/restored.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "x509/certificate.h"

namespace umbra::ca {
namespace {

constexpr std::uint64_t skip_least = std::uint64_t{1} << 40U;
constexpr std::uint64_t counted_max = (std::uint64_t{1} << 62U) - 1;  // as `serial-number`
constexpr std::uint64_t crls_in_a_second = 1024;
// No end is known: kept on the CRL for ever.
constexpr Time no_known_end{Seconds{253402300799}};  // 9999-12-31T23:59:59Z

std::uint64_t drawn_below(Random& random, std::uint64_t end) {
  std::array<std::uint8_t, 8> octets{};
  random.fill(octets);
  std::uint64_t number = 0;
  for (const std::uint8_t octet : octets) number = number << 8U | octet;
  return number % end;  // of 2^64, the bias is nothing
}

/// The CA that has signed it, and its certificate.
struct Signer {
  store::CaGeneration row;
  x509::Certificate certificate;
};
Result<Signer> signer_of(store::Store& store, ByteView crl) {
  UMBRA_TRY(const auto servers, store.servers());
  for (const std::string& server : servers) {
    UMBRA_TRY(auto rows, store.generations(server));
    for (store::CaGeneration& row : rows) {
      auto certificate = x509::Certificate::from_der(row.certificate);
      if (certificate && x509::verify_crl(crl, *certificate))
        return Signer{std::move(row), *std::move(certificate)};
    }
  }
  return fail(Errc::crypto, "no CA of this backup has signed it");
}

}  // namespace

Result<std::vector<Skipped>> skip_used_numbers(store::Store& store, Random& random, Time now) {
  std::vector<Skipped> out;
  UMBRA_TRY(const auto servers, store.servers());
  for (const std::string& server : servers) {
    UMBRA_TRY(auto row, store.server(server));
    UMBRA_TRY(const auto generations, store.generations(server));
    if (!row || generations.empty()) continue;  // nobody has a certificate of it
    const std::uint64_t known = std::max(row->last_serial, row->serial_lease);
    if (known > counted_max - 16 * skip_least) {
      return fail(Errc::conflict,
                  fmt::format("{}: no serial numbers are left to go on with; `serial-number "
                              "random` has more",
                              server));
    }
    // An eighth of what is left: room for this to be done again.
    const std::uint64_t chance = (counted_max - known) / 8 - skip_least;
    row->serial_lease = known + skip_least + drawn_below(random, chance);
    const auto seconds = static_cast<std::uint64_t>(now.time_since_epoch().count());
    row->crl_number = std::max(row->crl_number + 1, seconds * crls_in_a_second);
    store::Batch batch{store::PutServer{*row}};
    for (const auto& generation : generations) {
      if (generation.status != store::GenerationStatus::active) continue;
      UMBRA_TRY(auto crl, store.crl(server, generation.number));
      if (!crl) continue;
      crl->next_update = now;  // as if it were over: the next one follows at once
      batch.emplace_back(store::PutCrl{*std::move(crl)});
    }
    out.push_back({server, row->serial_lease + 1, row->crl_number + 1});
    UMBRA_CHECK(store.commit(std::move(batch)));
  }
  return out;
}

Result<TakenCrl> take_newer_crl(store::Store& store, ByteView crl, Time now) {
  UMBRA_TRY(const auto facts, x509::parse_crl(crl));
  if (facts.partial)
    return fail(Errc::unsupported, "it is a part of a CRL; the whole one is needed");
  UMBRA_TRY(const Signer signer, signer_of(store, crl));
  const std::string& server = signer.row.server;
  const std::uint32_t generation = signer.row.number;
  UMBRA_TRY(const auto stored, store.crl(server, generation));
  TakenCrl out{server, generation, facts.number.value_or(0)};
  if (stored && (out.number <= stored->number || facts.this_update < stored->this_update)) {
    out.older = true;
    return out;
  }
  store::Batch batch;
  std::set<x509::Serial> listed;
  for (const auto& entry : facts.revoked) {
    listed.insert(entry.serial);
    UMBRA_TRY(const auto known, store.certificate(server, entry.serial));
    if (!known) {
      ++out.unknown;
      store::IssuedCertificate row;
      row.server = server;
      row.serial = entry.serial;
      row.generation = generation;
      row.not_before = signer.certificate.not_before();
      row.not_after = no_known_end;
      row.issued_at = row.not_before;
      row.revoked_at = entry.revoked_at;
      row.reason = entry.reason;
      batch.emplace_back(store::InsertCertificate{std::move(row)});
    } else if (!known->revoked_at) {
      ++out.revoked;
      batch.emplace_back(
          store::RevokeCertificate{server, entry.serial, entry.revoked_at, entry.reason});
    }
  }
  // What it does not list and has not ended is good again: the CA has signed that.
  UMBRA_TRY(const auto before, store.revoked(server, generation, facts.this_update));
  for (const auto& entry : before) {
    if (listed.contains(entry.serial)) continue;
    ++out.restored;
    batch.emplace_back(store::RestoreCertificate{server, entry.serial});
  }
  batch.emplace_back(
      store::PutCrl{{server, generation, out.number, facts.this_update, now, to_bytes(crl)}});
  UMBRA_TRY(auto row, store.server(server));
  if (row) {
    row->crl_number = std::max(row->crl_number, out.number);
    batch.emplace_back(store::PutServer{*std::move(row)});
  }
  UMBRA_CHECK(store.commit(std::move(batch)));
  return out;
}

}  // namespace umbra::ca
