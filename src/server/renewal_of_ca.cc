#include <fmt/format.h>

#include "server/impl.h"

namespace umbra::server {
namespace {

// Every SCEP client can: what the CA's own key is for is strength, this one's is being understood.
constexpr int exchange_bits = 2048;

}  // namespace

lifecycle::CaFacts CertificateServer::Impl::facts(const Generations& all) const {
  lifecycle::CaFacts facts;
  facts.active = {all.active->certificate.not_before(), all.active->certificate.not_after()};
  if (all.rollover)
    facts.rollover = lifecycle::Validity{all.rollover->certificate.not_before(),
                                         all.rollover->certificate.not_after()};
  facts.rollover_cancelled = ledger->row().rollover_cancelled;
  const std::lock_guard lock(state_mutex);
  facts.crl_next_update = crl_next_update;
  return facts;
}

void CertificateServer::Impl::set_state(std::string new_status, std::string new_state) {
  const std::lock_guard lock(state_mutex);
  status = std::move(new_status);
  state = std::move(new_state);
}

Result<void> CertificateServer::Impl::reload() {
  UMBRA_TRY(const auto rows, environment.store.generations(configuration.name));
  UMBRA_TRY(auto all, load_generations(rows, environment.key_passphrase));
  if (is_ra()) {
    UMBRA_TRY(const auto row, environment.store.trustpoint(configuration.name));
    UMBRA_TRY(const auto above, CaAbove::read(row));
    auto with_above = std::make_shared<Generations>(*all);
    with_above->above = above;
    all = std::move(with_above);
  }
  std::optional<Time> next_update;
  if (all->active) {
    UMBRA_TRY(const auto crl, environment.store.crl(configuration.name, all->active->generation));
    if (crl) next_update = crl->next_update;
  }
  {
    const std::lock_guard lock(state_mutex);
    current = std::move(all);
    crl_next_update = next_update;
    ++crl_epoch;
    kept_crl.reset();
  }
  if (publisher) publisher->changed();
  return load_fetchers();
}

Result<void> CertificateServer::Impl::follow_store() {
  behind = true;
  const auto read = [this]() -> Result<void> {
    UMBRA_CHECK(reload());
    return load_queue();
  }();
  if (read) {
    behind = false;
  } else {
    log(Severity::error, "CS_STORAGE",
        fmt::format("what {} has stored could not be read again: {}", configuration.name,
                    read.error().detail));
  }
  return read;
}

Result<void> CertificateServer::Impl::run_due() {
  if (stopped) {
    set_state("disabled", "disabled");
    return {};
  }
  if (!environment.clock.authoritative()) {
    if (!warned_clock) {
      log(Severity::critical, "NON_AUTHORITATIVE_CLOCK",
          "PKI timers have not been initialized due to non-authoritative system clock. Ensure "
          "system clock is "
          "configured/updated.");
      log(Severity::critical, "CS_TIME",
          "Time has not been set. Cannot start the Certificate server. Use NTP, or `clock "
          "calendar-valid` if the hardware "
          "clock can be relied on.");
    }
    warned_clock = true;
    serving = false;
    set_state("disabled, time has not been set", "disabled");
    return {};
  }
  if (warned_clock)
    log(Severity::informational, "AUTHORITATIVE_CLOCK", "The system clock has been set.");
  warned_clock = false;

  if (behind) UMBRA_CHECK(follow_store());
  const Time now = to_time(environment.clock.now());
  if (!is_root()) UMBRA_CHECK(adopt(now));
  if (is_ra()) return run_ra(now);
  if (!generations()->active) {
    if (!is_root()) {
      set_pending();
      return {};
    }
    UMBRA_CHECK(first_enable(now));
  }
  if (!generations()->active->key) {
    serving = false;
    set_state("disabled, CA key is missing", "check failed");
    return {};
  }
  UMBRA_CHECK(complete_exchange());
  while (const auto action = lifecycle::due(settings, facts(*generations()), now)) {
    if (*action == lifecycle::CaAction::stop_expired) {
      if (!expired)
        log(Severity::alert, "CS_EXPIRED",
            "The CA certificate has ended and no rollover exists; server disabled.");
      {
        const std::lock_guard lock(state_mutex);
        expired = true;
      }
      serving = false;
      set_state("disabled, CA certificate has expired", "check failed");
      return {};
    }
    switch (*action) {
      case lifecycle::CaAction::generate_rollover:
        UMBRA_CHECK(generate_rollover(now));
        break;
      case lifecycle::CaAction::switch_over:
        serving = false;  // nobody is answered by a CA that has ended
        UMBRA_CHECK(switch_over(now));
        if (!is_root()) UMBRA_CHECK(adopt(now));  // there is room for the one after it
        break;
      case lifecycle::CaAction::publish_crl:
        UMBRA_CHECK(publish_crl(now));
        break;
      case lifecycle::CaAction::stop_expired:
        break;
    }
    // By what memory had before, the same would be due again.
    if (behind) UMBRA_CHECK(follow_store());
  }
  {
    const std::lock_guard lock(state_mutex);
    expired = false;
  }
  UMBRA_CHECK(expire_queue(now));
  enabled();
  return {};
}

void CertificateServer::Impl::enabled() {
  const bool was_serving = serving.exchange(true);
  if (!http_enabled) {
    set_state("disabled, HTTP Server is disabled", "check failed");
  } else {
    set_state("enabled", "enabled");
    if (!was_serving) log(Severity::informational, "CS_ENABLED", "Certificate server now enabled.");
  }
}

/// Its archive follows from its being stored; only `database strict` wants it written before.
Result<void> CertificateServer::Impl::archive(const ca::Authority& authority) {
  if (!configuration.archive_password) {
    log(Severity::warning, "CS_NO_ARCHIVE",
        "No `database archive ... password` is configured: the CA's key and certificate are "
        "archived nowhere.");
    return {};
  }
  return publisher->archive_first(authority);
}

Result<std::optional<ca::Exchange>> CertificateServer::Impl::make_exchange(
    const x509::Certificate& ca, const x509::PrivateKey& key) {
  if (key.public_key().algorithm() == x509::KeyAlgorithm::rsa) return std::nullopt;
  UMBRA_TRY(auto exchange_key, x509::PrivateKey::generate_rsa(exchange_bits));
  UMBRA_TRY(const auto serial, ledger->take_serial());
  UMBRA_TRY(auto certificate,
            ca::make_exchange(ca, key, exchange_key.public_key(), serial, digest()));
  return ca::Exchange{std::move(certificate), std::move(exchange_key)};
}

Result<store::CaGeneration> CertificateServer::Impl::generation_row(const ca::Authority& authority,
                                                                    store::GenerationStatus as,
                                                                    Time now) const {
  store::CaGeneration row{
      configuration.name, authority.generation, as, to_bytes(authority.certificate.der()), {}, now};
  UMBRA_TRY(row.sealed_key, authority.key->seal(environment.key_passphrase));
  if (authority.exchange) {
    row.exchange_certificate = to_bytes(authority.exchange->certificate.der());
    UMBRA_TRY(row.sealed_exchange_key, authority.exchange->key.seal(environment.key_passphrase));
  }
  return row;
}

Result<void> CertificateServer::Impl::complete_exchange() {
  const auto all = generations();
  store::Batch batch;
  std::vector<x509::Serial> serials;
  for (const auto* authority :
       {all->active ? &*all->active : nullptr, all->rollover ? &*all->rollover : nullptr}) {
    if (authority == nullptr || !authority->key || authority->exchange) continue;
    UMBRA_TRY(const auto made, make_exchange(authority->certificate, *authority->key));
    if (!made) continue;
    UMBRA_TRY(const auto rows, environment.store.generations(configuration.name));
    for (store::CaGeneration row : rows) {
      if (row.number != authority->generation) continue;
      row.exchange_certificate = to_bytes(made->certificate.der());
      UMBRA_TRY(row.sealed_exchange_key, made->key.seal(environment.key_passphrase));
      serials.push_back(made->certificate.serial());
      batch.emplace_back(store::PutGeneration{std::move(row)});
    }
  }
  if (batch.empty()) return {};
  UMBRA_CHECK(ledger->commit(std::move(batch), [&serials](store::ServerRow& row) {
    for (const auto& serial : serials) ca::count_issued(row, serial);
  }));
  return follow_store();
}

Result<void> CertificateServer::Impl::first_enable(Time now) {
  UMBRA_TRY(const auto name, x509::Name::from_ios(configuration.issuer_name));
  log(Severity::informational, "CS_GENERATE",
      fmt::format("Generating {} bit {} keys for {}",
                  configuration.ec_bits.value_or(configuration.modulus),
                  configuration.ec_bits ? "EC" : "RSA", configuration.name));
  UMBRA_TRY(auto key, configuration.ec_bits
                          ? x509::PrivateKey::generate_ec(*configuration.ec_bits)
                          : x509::PrivateKey::generate_rsa(configuration.modulus));
  UMBRA_TRY(const auto serial, ledger->take_serial());
  const lifecycle::Validity validity{
      now, lifecycle::ends_at(now, configuration.lifetime_ca_certificate)};
  UMBRA_TRY(auto certificate, ca::make_root(name, serial, validity, key, digest()));
  ca::Authority authority{1, certificate, key};
  UMBRA_TRY(authority.exchange, make_exchange(certificate, key));
  UMBRA_CHECK(archive(authority));
  UMBRA_TRY(auto generation, generation_row(authority, store::GenerationStatus::active, now));
  UMBRA_CHECK(ledger->commit(
      {store::PutGeneration{std::move(generation)},
       store::InsertCertificate{ca::row_of(configuration.name, 1, certificate, "", {}, now,
                                           store::RequestClass::subordinate_ca)}},
      [&](store::ServerRow& row) {
        ca::count_issued(row, serial);
        if (authority.exchange) ca::count_issued(row, authority.exchange->certificate.serial());
        row.last_generation = 1;
      }));
  UMBRA_CHECK(follow_store());
  if (configuration.grant == config::Grant::automatic) {
    log(Severity::informational, "CS_GRANT_AUTO",
        "All enrollment requests will be automatically granted.");
  }
  return {};
}

Result<void> CertificateServer::Impl::generate_rollover(Time now) {
  const auto all = generations();
  const ca::Authority& active = *all->active;
  debug("shadow generation timer fired.");
  debug(fmt::format("key '{}#' does not exist; generated automatically", configuration.name));
  const x509::PublicKey& like = active.certificate.public_key();
  UMBRA_TRY(auto key, like.algorithm() == x509::KeyAlgorithm::ec
                          ? x509::PrivateKey::generate_ec(like.bits())
                          : x509::PrivateKey::generate_rsa(like.bits()));
  UMBRA_TRY(const auto serial, ledger->take_serial());
  const auto validity = lifecycle::rollover_ca_validity(
      configuration.lifetime_ca_certificate,
      {active.certificate.not_before(), active.certificate.not_after()});
  UMBRA_TRY(auto certificate,
            ca::make_root(active.certificate.subject(), serial, validity, key, digest()));
  debug("shadow CA successfully created.");
  const std::uint32_t generation = std::max(all->next_number(), ledger->row().last_generation + 1);
  ca::Authority authority{generation, certificate, key};
  UMBRA_TRY(authority.exchange, make_exchange(certificate, key));
  debug("exporting shadow CA key and cert");
  UMBRA_CHECK(archive(authority));
  UMBRA_TRY(auto stored, generation_row(authority, store::GenerationStatus::rollover, now));
  store::ServerRow before;
  const auto committed = ledger->commit(
      {store::PutGeneration{std::move(stored)},
       store::InsertCertificate{ca::row_of(configuration.name, authority.generation, certificate,
                                           "", {}, now, store::RequestClass::subordinate_ca)}},
      [&](store::ServerRow& row) {
        before = row;
        ca::count_issued(row, serial);
        if (authority.exchange) ca::count_issued(row, authority.exchange->certificate.serial());
        row.last_generation = generation;
        row.rollover_cancelled = false;
      });
  if (!committed) {
    // Its number goes to the one that is made in its place.
    ledger->take_back([&](store::ServerRow& row) {
      row.last_generation = before.last_generation;
      row.rollover_cancelled = before.rollover_cancelled;
    });
    return committed;
  }
  static_cast<void>(follow_store());  // whoever asked for it has it all the same
  log(Severity::notice, "CS_ROLLOVER",
      fmt::format("Rollover CA certificate {} of {} is available; it becomes active at {}.",
                  serial.to_hex_octets(), configuration.name,
                  to_rfc3339(certificate.not_before())));
  return {};
}

Result<void> CertificateServer::Impl::switch_over(Time now) {
  UMBRA_TRY(const auto rows, environment.store.generations(configuration.name));
  const auto all = generations();
  const ca::Authority next = *all->rollover;
  store::Batch batch;
  // The old one first: there is never more than one active CA, not even within the transaction.
  for (const auto from : {store::GenerationStatus::active, store::GenerationStatus::rollover}) {
    for (store::CaGeneration row : rows) {
      if (row.status != from) continue;
      row.status = from == store::GenerationStatus::active ? store::GenerationStatus::retired
                                                           : store::GenerationStatus::active;
      batch.emplace_back(store::PutGeneration{std::move(row)});
    }
  }
  // Late is late: a process that was down across the switch, and across the next CA's end too,
  // still goes one step at a time, and its CRL is one of that time.
  const Time this_update = std::min(now, next.certificate.not_after());
  const Time next_update = lifecycle::ends_at(this_update, configuration.lifetime_crl);
  const std::lock_guard making(crl_mutex);
  UMBRA_TRY(auto crl, make_crl(next, now, {this_update, next_update}, {}));
  const std::uint64_t number = crl.row.number;
  batch.emplace_back(std::move(crl));
  UMBRA_TRY(const auto waiting, environment.store.requests(configuration.name));
  for (store::EnrollmentRequest entry : waiting) {
    if (entry.state != store::RequestState::pending || entry.generation == next.generation)
      continue;
    entry.state = store::RequestState::rejected;
    entry.refusal_text =
        "the CA certificate this request was made to has ended; fetch the new one with GetCACert "
        "and enrol again";
    batch.emplace_back(store::PutRequest{std::move(entry)});
  }
  UMBRA_CHECK(ledger->commit(std::move(batch), [number](store::ServerRow& row) {
    row.crl_number = number;
    row.rollover_cancelled = false;
  }));
  static_cast<void>(follow_store());
  log(Severity::notice, "CS_SWITCHOVER",
      fmt::format("Rollover CA certificate {} of {} is the active CA certificate now.",
                  next.certificate.serial().to_hex_octets(), configuration.name));
  return {};
}

}  // namespace umbra::server
