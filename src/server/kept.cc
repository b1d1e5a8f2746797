#include <fmt/format.h>

#include "server/impl.h"

/// Answers that are the same for everybody. A fleet asks for them as one, whenever its CA changes,
/// and they cost next to nothing: octets that are kept, handed out where they are asked for.
namespace umbra::server {
namespace {

/// GetNextCACert has the time of its signature in it, which nobody compares with a clock; one
/// signature a minute is enough.
constexpr std::chrono::seconds next_ca_kept{60};

enum class Asked { nothing_kept, ca_caps, ca_cert, next_ca, crl };

/// As clients write it; whoever writes the same otherwise is answered by `handle`.
Asked asked_for(std::string_view path, std::string_view query) {
  if (path.starts_with("/crl/")) return query.empty() ? Asked::crl : Asked::nothing_kept;
  constexpr std::string_view operation = "operation=";
  if (!query.starts_with(operation)) return Asked::nothing_kept;
  query.remove_prefix(operation.size());
  const std::size_t end = std::min(query.find('&'), query.size());
  const std::string_view word = query.substr(0, end);
  // `message` says nothing here; anything behind it may (`ra`).
  constexpr std::string_view message = "&message=";
  const std::string_view rest = query.substr(end);
  const bool plain = rest.empty() || (rest.starts_with(message) &&
                                      rest.find_first_of("&%", 1) == std::string_view::npos);
  if (!plain) return Asked::nothing_kept;
  if (word == "GetCACert") return Asked::ca_cert;
  if (word == "GetCACaps") return Asked::ca_caps;
  if (word == "GetNextCACert") return Asked::next_ca;
  if (word == "GetCRL" && rest.empty()) return Asked::crl;
  return Asked::nothing_kept;
}

std::string type_of_ca_cert(const Generations& all) {
  return std::string(all.active->exchange ? scep::type_ca_ra_cert : scep::type_ca_cert);
}

}  // namespace

std::optional<HttpReply> CertificateServer::Impl::at_hand(std::string_view path,
                                                          std::string_view query,
                                                          const std::string& address) const {
  const Asked asked = asked_for(path, query);
  if (asked == Asked::nothing_kept || is_ra()) return std::nullopt;
  const auto all = generations();
  if (!serving || !all->active || !publisher->accessible()) return std::nullopt;
  switch (asked) {
    case Asked::ca_caps:
      return ca_caps();
    case Asked::ca_cert:
      return kept_ca_cert(all);
    case Asked::next_ca:
      // Who has not asked before is noted, in the database.
      if (!all->rollover || !has_fetched(address)) return std::nullopt;
      debug_scep("CS received SCEP GetNextCACert request");
      return kept_next_ca(all, to_time(environment.clock.now()));
    case Asked::crl: {
      const std::string own = "/crl/" + configuration.name + ".crl";
      if (path.starts_with("/crl/") && path != own) return std::nullopt;
      const std::lock_guard lock(state_mutex);
      if (!kept_crl || kept_crl_generation != all->active->generation) return std::nullopt;
      return HttpReply{200, "application/pkix-crl", {}, kept_crl};
    }
    case Asked::nothing_kept:
      break;
  }
  return std::nullopt;
}

HttpReply CertificateServer::Impl::ca_caps() const {
  debug_scep("CS received SCEP GetCACaps request");
  scep::Capabilities capabilities = announced();
  capabilities.sha1 = configuration.allow_sha1;
  return {200, "text/plain", to_bytes(as_bytes(scep::to_text(capabilities)))};
}

std::optional<HttpReply> CertificateServer::Impl::kept_ca_cert(const GenerationsPtr& all) const {
  std::shared_ptr<const Bytes> body;
  {
    const std::lock_guard lock(state_mutex);
    if (kept.of != all || !kept.ca_cert) return std::nullopt;
    body = kept.ca_cert;
  }
  debug("received a SCEP GetCACert request");
  debug("CA certificate sent");
  return HttpReply{200, type_of_ca_cert(*all), {}, std::move(body)};
}

HttpReply CertificateServer::Impl::ca_cert(const GenerationsPtr& all) const {
  if (auto reply = kept_ca_cert(all)) return *std::move(reply);
  const ca::Authority& active = *all->active;
  auto body = std::make_shared<const Bytes>(
      active.exchange ? scep::certs_only({active.certificate, active.exchange->certificate})
                      : to_bytes(active.certificate.der()));
  {
    const std::lock_guard lock(state_mutex);
    if (kept.of != all) kept = {.of = all, .ca_cert = {}, .next_ca = {}};
    kept.ca_cert = body;
  }
  debug("received a SCEP GetCACert request");
  debug("CA certificate sent");
  return {200, type_of_ca_cert(*all), {}, std::move(body)};
}

std::optional<HttpReply> CertificateServer::Impl::kept_next_ca(const GenerationsPtr& all,
                                                               Time now) const {
  const std::lock_guard lock(state_mutex);
  const bool fresh = now >= kept.next_ca_signed && now < kept.next_ca_signed + next_ca_kept;
  if (kept.of != all || !kept.next_ca || !fresh) return std::nullopt;
  return HttpReply{200, std::string(scep::type_next_ca_cert), {}, kept.next_ca};
}

void CertificateServer::Impl::keep_next_ca(const GenerationsPtr& all,
                                           std::shared_ptr<const Bytes> body, Time now) const {
  const std::lock_guard lock(state_mutex);
  if (kept.of != all) kept = {.of = all, .ca_cert = {}, .next_ca = {}};
  kept.next_ca = std::move(body);
  kept.next_ca_signed = now;
}

bool CertificateServer::Impl::has_fetched(const std::string& address) const {
  const std::lock_guard lock(state_mutex);
  return address.empty() || fetchers.contains(address);
}

/// /crl/NAME.crl is the active CA's; /crl/NAME_00001.crl the second CA's, for ever: numbered as the
/// archives are.
HttpReply CertificateServer::Impl::crl_file(std::string_view path, const Generations& all) const {
  std::uint32_t generation = all.active->generation;
  const std::string plain = "/crl/" + configuration.name;
  if (!path.empty() && path != plain + ".crl") {
    generation = 0;
    for (std::uint32_t one = 1; one < all.next_number(); ++one) {
      if (path == fmt::format("{}_{:05}.crl", plain, one - 1)) generation = one;
    }
  }
  // The active CA's is asked for by everybody, and may have a million entries.
  const bool kept_here = generation == all.active->generation;
  std::shared_ptr<const Bytes> body;
  std::uint64_t epoch = 0;
  {
    const std::lock_guard lock(state_mutex);
    epoch = crl_epoch;
    if (kept_here && kept_crl_generation == generation) body = kept_crl;
  }
  if (body) return {200, "application/pkix-crl", {}, std::move(body)};
  auto row = environment.store.crl(configuration.name, generation);
  if (!row || !*row) return text_reply(404, "no such CRL");
  body = std::make_shared<const Bytes>(std::move((*row)->crl));
  if (kept_here) {
    const std::lock_guard lock(state_mutex);
    if (epoch == crl_epoch) {  // else another one was committed meanwhile
      kept_crl = body;
      kept_crl_generation = generation;
    }
  }
  return {200, "application/pkix-crl", {}, std::move(body)};
}

}  // namespace umbra::server
