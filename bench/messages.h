#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "load.h"
#include "scep/message.h"

/// SCEP messages made before the clock runs, and answers opened after it has stopped.
namespace umbra::bench {

class BenchRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override { x509::random_octets(out); }
};

/// Runs `task` for each number below `count`, on all processors.
void in_parallel(std::size_t count, const std::function<void(std::size_t)>& task);

/// Whom messages are enveloped for, and whose signatures on answers count.
struct Authority {
  x509::Certificate ca;
  x509::Certificate recipient;
};
[[nodiscard]] Authority authority_at(std::uint16_t port);

/// How a fleet is like.
struct Style {
  scep::Cipher cipher = scep::Cipher::aes128_cbc;
  x509::Digest digest = x509::Digest::sha256;
  bool opens_des = false;  ///< micromdm answers in nothing else
};

/// Devices, all with the same key: what a server does costs the same.
class Fleet {
 public:
  Fleet(std::uint16_t port, Style style = {});
  /// HTTP requests with the first enrolments of so many more devices.
  [[nodiscard]] std::vector<std::string> enrolments(std::size_t count);
  /// With the renewals of these certificates, which are devices' of this fleet.
  [[nodiscard]] std::vector<std::string> renewals(std::span<const x509::Certificate> certificates);
  /// The certificates that were answered, index by index: opened as a device opens them, and for
  /// the subject that was asked for. Nothing where there is none.
  [[nodiscard]] std::vector<std::optional<x509::Certificate>> granted(
      std::span<const std::string> replies, std::size_t first) const;
  /// How many messages were made: the index of the next one.
  [[nodiscard]] std::size_t made() const { return asked_.size(); }

 private:
  struct Asked {
    std::string transaction;
    scep::Nonce nonce;
    x509::Certificate signer;
    x509::Name subject;
  };
  [[nodiscard]] std::vector<std::string> make(std::size_t count, scep::MessageType type,
                                              std::span<const x509::Certificate> signers);
  const Style style_;
  const Authority to_;
  const x509::PrivateKey key_;
  std::vector<std::optional<Asked>> asked_;
};

/// Certificates of devices that have just enrolled. Stops the program if any was not granted.
[[nodiscard]] std::vector<x509::Certificate> enrolled(std::uint16_t port, Fleet& fleet,
                                                      std::size_t count);

}  // namespace umbra::bench
