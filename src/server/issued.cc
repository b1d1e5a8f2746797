#include "server/impl.h"

/// What a server has issued, and the keys it issues with, for the screens.
namespace umbra::server {
namespace {

constexpr std::size_t rows_at_once = 1000;

}  // namespace

Result<void> CertificateServer::each_certificate(
    const std::function<bool(const CertificateLine&)>& take) const {
  const Impl& inside = *impl_;
  for (x509::Serial after;;) {
    UMBRA_TRY(const auto rows, inside.environment.store.certificates(inside.configuration.name,
                                                                     after, rows_at_once));
    for (const auto& row : rows) {
      if (!take({row.serial, row.not_before, row.not_after, row.subject, row.revoked_at}))
        return {};
      after = row.serial;
    }
    if (rows.size() < rows_at_once) return {};
  }
}

Result<std::vector<x509::KeyLine>> CertificateServer::keys() const {
  const Impl& inside = *impl_;
  UMBRA_TRY(const auto rows, inside.environment.store.generations(inside.configuration.name));
  const GenerationsPtr all = inside.generations();
  std::vector<x509::KeyLine> out;
  const auto add = [&](const std::optional<ca::Authority>& authority, const char* suffix) {
    if (!authority || !authority->key) return;
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& one) {
      return one.number == authority->generation;
    });
    const auto made = row == rows.end() ? std::nullopt : std::optional<Time>(row->created_at);
    out.push_back({inside.configuration.name + suffix, authority->key->public_key(), made});
    if (authority->exchange) {
      out.push_back({inside.configuration.name + ".exchange" + suffix,
                     authority->exchange->key.public_key(), made});
    }
  };
  add(all->active, "");
  add(all->rollover, "#");
  return out;
}

std::vector<CertificateServer::SigningKey> CertificateServer::signing_keys(bool before) const {
  const GenerationsPtr all = impl_->generations();
  std::vector<SigningKey> out;
  // The older one first: what it signs names the one that took over.
  if (before && !all->retired.empty() && all->retired.front().key)
    out.push_back({all->retired.front().generation, *all->retired.front().key});
  if (all->active && all->active->key) out.push_back({all->active->generation, *all->active->key});
  return out;
}

std::optional<CrlAboveView> CertificateServer::crl_above() const {
  const std::lock_guard lock(impl_->crl_above_mutex);
  const auto& held = impl_->crl_above;
  if (!held) return std::nullopt;
  return CrlAboveView{held->facts.issuer.joined(), held->facts.this_update, held->facts.next_update,
                      held->der.size(), held->asked};
}

}  // namespace umbra::server
