#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/outlet.h"
#include "client/status.h"
#include "server/status.h"
#include "simulation/world.h"
#include "store/store.h"
#include "x509/certificate.h"

namespace umbra::simulation {

/// What must hold whatever happens: sees all that leaves a machine, and compares it with what the
/// store has after each start and at the end.
class Oracle {
 public:
  explicit Oracle(World& world) : world_(world) {}

  void violated(const std::string& where, const std::string& what);
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }

  // What is seen on the way.
  void saw_signature(const x509::Certificate& certificate);
  void saw_crl_signed(ByteView crl);
  void made_answer(const x509::Certificate& certificate, const Bytes& reply);
  void left_server(const Bytes& reply);
  void saw_ca(const x509::Certificate& ca);
  void saw_next_ca(const x509::Certificate& ca);
  void saw_status(const server::Status& status);
  void saw_crl(ByteView crl, const std::string& where);
  void saw_pem(const std::string& where, const client::PemSet& set);
  /// `now`: by the client's clock.
  void saw_client(const std::string& where, const client::Status& status, Time now);

  // What an administrator was told.
  void tries_to_revoke(const x509::Serial& serial) { disputed_.insert(serial); }
  void revoked(const x509::Serial& serial);
  void tries_to_restore(const x509::Serial& serial);
  void granted(std::uint64_t id) { granted_.insert(id); }
  void removed(std::uint64_t id) { granted_.erase(id); }
  void tries_to_cancel(const x509::Certificate& rollover);
  /// Whether this CA may be gone.
  [[nodiscard]] bool may_be_cancelled(std::uint32_t number) const {
    return cancelled_.contains(number);
  }
  /// Whether this CA comes after that one, and was not taken back.
  [[nodiscard]] bool follows(const x509::Certificate& one, const x509::Certificate& other) const;
  [[nodiscard]] bool cancelled_any() const { return !cancelled_.empty(); }

  /// From the store alone, as it was found.
  void check_server(store::Store& store, const std::string& name);

  /// Certificates that have left the server, by serial.
  [[nodiscard]] std::vector<x509::Certificate> told() const;
  [[nodiscard]] bool may_be_revoked(const x509::Serial& serial) const {
    return disputed_.contains(serial);
  }
  [[nodiscard]] std::optional<x509::Certificate> newest_ca() const;
  /// How many CAs there ever were.
  [[nodiscard]] std::size_t cas() const { return cas_.size(); }

 private:
  struct Crl {
    Bytes der;
    std::set<x509::Serial> serials;
    Time this_update;
  };
  void note_generations(const std::vector<store::CaGeneration>& rows);
  void note_ca_number(std::uint32_t number, const x509::Certificate& ca);
  [[nodiscard]] std::optional<std::uint32_t> number_of(const x509::Certificate& ca) const;

  World& world_;
  std::vector<std::string> violations_;
  std::map<std::string, Bytes> signed_;             ///< by serial, whoever saw it
  std::map<Bytes, x509::Certificate> answers_;      ///< SHA-256 of an answer -> what it grants
  std::map<Bytes, x509::Certificate> told_;         ///< DER -> certificate
  std::map<std::uint32_t, x509::Certificate> cas_;  ///< every CA that was ever stored
  std::map<std::uint32_t, store::GenerationStatus> statuses_;
  std::vector<x509::Certificate> next_cas_;        ///< handed out as the next CA
  std::uint32_t active_ = 0;                       ///< the highest that was ever active
  std::set<std::uint32_t> cancelled_;              ///< or tried to
  std::map<Bytes, std::uint64_t> crls_signed_;     ///< SHA-256 -> when, as a number
  std::map<x509::Serial, std::uint64_t> revoked_;  ///< when an administrator was told so
  std::uint64_t moments_ = 0;                      ///< numbers of what follows each other
  std::set<x509::Serial> disputed_;                ///< revoked or restored, or tried to
  std::set<x509::Serial> restored_;                ///< at some time, or tried to
  std::set<std::uint64_t> granted_;
  std::map<std::uint32_t, std::map<std::uint64_t, Crl>> crls_;
  std::map<std::string, std::uint32_t> client_cas_;
  std::set<std::string> pem_;  ///< certificates with their keys, as they were written
};

}  // namespace umbra::simulation
