#include "simulation/oracle.h"

#include <fmt/format.h>

#include <algorithm>

#include "x509/crl.h"

namespace umbra::simulation {
namespace {

std::string name_of(const x509::Certificate& certificate) {
  return fmt::format("0x{} \"{}\"", certificate.serial().to_hex(), certificate.subject().joined());
}

}  // namespace

void Oracle::violated(const std::string& where, const std::string& what) {
  violations_.push_back(fmt::format("{} {}: {}", to_rfc3339(to_time(world_.now())), where, what));
  world_.tell(where, "VIOLATED: " + what);
  world_.give_up();
}

/// A number is used once for all its CAs, which count on from each other, whether anybody ever sees
/// the certificate or not. What clients sign for themselves is none of it.
void Oracle::saw_signature(const x509::Certificate& certificate) {
  if (!certificate.issuer().joined().starts_with("cn=CA,")) return;
  const std::string serial = certificate.serial().to_hex();
  const auto [known, fresh] = signed_.emplace(serial, to_bytes(certificate.der()));
  if (!fresh && !equal(known->second, certificate.der()))
    violated("ca", "signs a second certificate of serial number 0x" + serial);
}

void Oracle::saw_crl_signed(ByteView crl) {
  crls_signed_.emplace(x509::hash(x509::Digest::sha256, crl), ++moments_);
}

void Oracle::made_answer(const x509::Certificate& certificate, const Bytes& reply) {
  const auto known = signed_.find(certificate.serial().to_hex());
  if (known == signed_.end() || !equal(known->second, certificate.der()))
    violated("ca", "grants what it was not seen to sign: " + name_of(certificate));
  answers_.emplace(x509::hash(x509::Digest::sha256, reply), certificate);
}

void Oracle::left_server(const Bytes& reply) {
  const auto found = answers_.find(x509::hash(x509::Digest::sha256, reply));
  if (found == answers_.end()) return;
  told_.emplace(to_bytes(found->second.der()), found->second);
}

std::optional<std::uint32_t> Oracle::number_of(const x509::Certificate& ca) const {
  for (const auto& [number, known] : cas_) {
    if (known == ca) return number;
  }
  return std::nullopt;
}

bool Oracle::follows(const x509::Certificate& one, const x509::Certificate& other) const {
  const auto number = number_of(one), before = number_of(other);
  return number && before && *number > *before && !may_be_cancelled(*number);
}

void Oracle::saw_ca(const x509::Certificate& ca) {
  const auto number = number_of(ca);
  if (!number) return violated("ca", "hands out a CA that its store has not: " + name_of(ca));
  if (*number < active_)
    violated("ca", fmt::format("hands out CA {} after CA {}", *number, active_));
}

void Oracle::saw_next_ca(const x509::Certificate& ca) {
  if (std::find(next_cas_.begin(), next_cas_.end(), ca) == next_cas_.end()) next_cas_.push_back(ca);
}

void Oracle::note_ca_number(std::uint32_t number, const x509::Certificate& ca) {
  const auto [known, fresh] = cas_.emplace(number, ca);
  if (!fresh && !(known->second == ca))
    violated("ca", fmt::format("CA {} has become another one", number));
}

void Oracle::saw_status(const server::Status& status) {
  // What is in memory is in the store: numbers are told by it alone, so each new one goes on.
  const auto note = [this](const std::optional<x509::Certificate>& ca) {
    if (ca && !number_of(*ca)) cas_.emplace(cas_.empty() ? 1 : cas_.rbegin()->first + 1, *ca);
  };
  note(status.ca);
  note(status.rollover);
  if (!status.ca) return;
  const std::uint32_t number = *number_of(*status.ca);
  if (number < active_) violated("ca", fmt::format("CA {} is active after CA {}", number, active_));
  active_ = std::max(active_, number);
}

void Oracle::note_generations(const std::vector<store::CaGeneration>& rows) {
  std::map<std::uint32_t, store::GenerationStatus> found;
  std::size_t active = 0, rollover = 0;
  for (const auto& row : rows) {
    const auto certificate = x509::Certificate::from_der(row.certificate);
    if (!certificate) {
      violated("store", fmt::format("CA {} does not parse", row.number));
      continue;
    }
    note_ca_number(row.number, *certificate);
    found[row.number] = row.status;
    if (row.status == store::GenerationStatus::rollover) ++rollover;
    if (row.status != store::GenerationStatus::active) continue;
    ++active;
    if (row.number < active_)
      violated("store", fmt::format("CA {} is active again after CA {}", row.number, active_));
    active_ = std::max(active_, row.number);
  }
  if (active > 1 || rollover > 1)
    violated("store", fmt::format("{} active and {} rollover CAs", active, rollover));
  for (const auto& [number, status] : statuses_) {
    const auto now = found.find(number);
    if (now == found.end()) {
      if (status != store::GenerationStatus::rollover || !may_be_cancelled(number))
        violated("store", fmt::format("CA {} is gone", number));
    } else if (now->second < status) {  // rollover, active, retired
      violated("store", fmt::format("CA {} is what it was before", number));
    }
  }
  // Each CA had one successor, unless an administrator took one back.
  if (!found.empty() && found.rbegin()->first > found.size() + cancelled_.size()) {
    violated("store", fmt::format("{} CAs were generated, and {} are left", found.rbegin()->first,
                                  found.size()));
  }
  statuses_ = std::move(found);
}

void Oracle::saw_crl(ByteView der, const std::string& where) {
  const auto facts = x509::parse_crl(der);
  if (!facts || !facts->number) return violated(where, "a CRL that does not parse");
  std::optional<std::uint32_t> generation;
  for (const auto& [number, all] : crls_) {
    const auto same = all.find(*facts->number);
    if (same != all.end() && equal(same->second.der, der)) generation = number;
  }
  for (auto ca = cas_.rbegin(); ca != cas_.rend() && !generation; ++ca) {
    if (x509::verify_crl(der, ca->second)) generation = ca->first;
  }
  if (!generation) return violated(where, "a CRL that none of the CAs has signed");
  const auto signed_at = crls_signed_.find(x509::hash(x509::Digest::sha256, der));
  if (signed_at == crls_signed_.end())
    return violated(where, "a CRL that was not seen to be signed");
  Crl crl{to_bytes(der), {}, facts->this_update};
  for (const auto& entry : facts->revoked) crl.serials.insert(entry.serial);
  auto& known = crls_[*generation];
  const auto expired = [this, &crl](const x509::Serial& serial) {
    return std::any_of(told_.begin(), told_.end(), [&](const auto& one) {
      return one.second.serial() == serial && one.second.not_after() <= crl.this_update;
    });
  };
  if (const auto same = known.find(*facts->number); same != known.end()) {
    if (!equal(same->second.der, der))
      violated(where, fmt::format("two CRLs of number {} of CA {}", *facts->number, *generation));
  } else {
    auto before = known.lower_bound(*facts->number);
    if (before != known.begin()) {
      --before;
      for (const auto& serial : before->second.serials) {
        if (crl.serials.contains(serial) || restored_.contains(serial) || expired(serial)) continue;
        violated(where, fmt::format("0x{} was on CRL {} and is not on CRL {}", serial.to_hex(),
                                    before->first, *facts->number));
      }
    }
    known.emplace(*facts->number, crl);
  }
  // What an administrator was told is on it, and on all after it.
  for (const auto& [serial, at] : revoked_) {
    if (at > signed_at->second || crl.serials.contains(serial) || restored_.contains(serial))
      continue;
    const auto certificate = std::find_if(
        told_.begin(), told_.end(), [&](const auto& one) { return one.second.serial() == serial; });
    if (certificate == told_.end() || expired(serial)) continue;
    const auto ca = cas_.find(*generation);
    if (!certificate->second.verify_signed_by(ca->second.public_key())) continue;
    violated(where, fmt::format("0x{} was revoked before CRL {} and is not on it", serial.to_hex(),
                                *facts->number));
  }
}

void Oracle::saw_pem(const std::string& where, const client::PemSet& set) {
  if (set.cert.empty() && set.key.empty()) return;
  if (!pem_.insert(set.cert + set.key).second) return;  // seen
  const auto certificate = x509::Certificate::from_pem(set.cert);
  const auto key = x509::PrivateKey::from_pem(set.key);
  if (!certificate || !key || !(certificate->public_key() == key->public_key()))
    violated(where, "certificate and key in its files do not match");
}

void Oracle::saw_client(const std::string& where, const client::Status& status, Time now) {
  for (const auto& one : {status.identity, status.rollover_identity}) {
    if (one && !told_.contains(to_bytes(one->der())))
      violated(where, "has a certificate that nobody gave it: " + name_of(*one));
  }
  if (!status.ca) return;
  const auto number = number_of(*status.ca);
  if (!number) return violated(where, "has a CA that never was: " + name_of(*status.ca));
  std::uint32_t& newest = client_cas_[where + " " + status.name];
  // One that a clock which was ahead has switched to is left again until it begins.
  const auto later = cas_.find(newest);
  const bool too_early = later != cas_.end() && now < later->second.not_before();
  const bool may_go_back = may_be_cancelled(newest) || too_early;
  if (*number < newest && !may_go_back)
    violated(where, fmt::format("is back at CA {} after CA {}", *number, newest));
  newest = may_go_back ? *number : std::max(newest, *number);
}

void Oracle::revoked(const x509::Serial& serial) { revoked_[serial] = ++moments_; }

void Oracle::tries_to_restore(const x509::Serial& serial) {
  restored_.insert(serial);
  revoked_.erase(serial);
}

void Oracle::tries_to_cancel(const x509::Certificate& rollover) {
  if (const auto number = number_of(rollover)) cancelled_.insert(*number);
}

void Oracle::check_server(store::Store& store, const std::string& name) {
  const auto generations = store.generations(name);
  if (!generations) return;  // the disk does not let us: another time
  note_generations(*generations);
  for (const auto& [der, certificate] : told_) {
    const auto row = store.certificate(name, certificate.serial());
    if (!row) return;
    if (!*row || !equal((*row)->certificate, der)) {
      violated("store",
               fmt::format("{} has left the server, and is not there", name_of(certificate)));
    } else if (revoked_.contains(certificate.serial()) && !(*row)->revoked_at) {
      violated("store", name_of(certificate) + " was revoked, and is not");
    }
  }
  for (const auto& generation : *generations) {
    const auto crl = store.crl(name, generation.number);
    if (crl && *crl) saw_crl((*crl)->crl, "store");
  }
  const auto requests = store.requests(name);
  if (!requests) return;
  for (const auto& request : *requests) {
    if (granted_.contains(request.id) && request.state != store::RequestState::granted)
      violated("store", fmt::format("request {} was granted, and waits again", request.id));
  }
  for (const auto& next : next_cas_) {
    if (!number_of(next))
      violated("store", "a next CA was handed out that is not there: " + name_of(next));
  }
}

std::vector<x509::Certificate> Oracle::told() const {
  std::vector<x509::Certificate> all;
  for (const auto& [der, certificate] : told_) all.push_back(certificate);
  // In an order that does not hang on signatures.
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.serial() < b.serial(); });
  return all;
}

std::optional<x509::Certificate> Oracle::newest_ca() const {
  const auto found = cas_.find(active_);
  if (found == cas_.end()) return std::nullopt;
  return found->second;
}

}  // namespace umbra::simulation
