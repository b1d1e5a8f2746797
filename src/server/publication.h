#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "config/model.h"
#include "x509/serial.h"

/// The files of a certificate server, in IOS's names and formats, and the rules by which they reach
/// their places: values and pure functions.
namespace umbra::server {

/// One of the files that facts are published in: of a type, at its own place or as a copy for
/// readers.
struct Slot {
  config::FileType type = config::FileType::ser;
  bool copy = false;
  friend auto operator<=>(const Slot&, const Slot&) = default;
};
/// As the store keeps it: never renumber.
[[nodiscard]] constexpr std::uint8_t number_of(Slot slot) {
  return static_cast<std::uint8_t>(static_cast<unsigned>(slot.type) * 2U + (slot.copy ? 1U : 0U));
}

/// A place, with everything that is published there.
struct PublicationPlace {
  config::FilePlace where;  ///< with the account that holds there
  std::vector<Slot> slots;

  [[nodiscard]] bool has(Slot slot) const;
  /// Whether anything but copies is kept there.
  [[nodiscard]] bool keeps_originals() const;
};
/// Each place once, the one of `database url` first. Files that the configuration no longer asks
/// for have one too: those that still wait are sent.
[[nodiscard]] std::vector<PublicationPlace> places_of(const config::Server& server);
/// What is written of each certificate, in this order.
[[nodiscard]] std::vector<Slot> slots_of_certificate(const config::Server& server);

// Names.
[[nodiscard]] std::string_view suffix_of(config::FileType type);  ///< "cnm", "crl" ...
[[nodiscard]] std::string ser_name(const std::string& server);    ///< ROOTCA.ser
[[nodiscard]] std::string crl_name(const std::string& server);    ///< ROOTCA.crl
/// ROOTCA.p12 of the first CA, ROOTCA_00001.p12 of the first rollover.
[[nodiscard]] std::string archive_name(const std::string& server, std::uint32_t generation,
                                       config::ArchiveFormat format);
/// 2a.crt, 2a.cnm: lower-case hexadecimal without leading zeros.
[[nodiscard]] std::string certificate_file_name(const x509::Serial& serial, config::FileType type);
/// URL and name as logs show them.
[[nodiscard]] std::string shown_name(const config::FilePlace& place, const std::string& name);

// Contents.
/// db_version = 1, last_serial = 0x2; no newline at the end.
[[nodiscard]] std::string ser_text(const x509::Serial& last);
/// subjectname_str = cn=spoke-1,o=Cisco, expiration = 12:14:16 UTC Oct 8 2017
[[nodiscard]] std::string cnm_text(const std::string& subject, Time not_after);
/// Errors: malformed.
[[nodiscard]] Result<x509::Serial> parse_ser(std::string_view text);
struct CnmFacts {
  std::string subject;
  std::optional<Time> not_after;  ///< nothing if its form is none that is known
};
[[nodiscard]] Result<CnmFacts> parse_cnm(std::string_view text);

/// One file on its way.
struct PublishedFile {
  std::string name;
  Bytes content;
};
struct Delivery {
  std::size_t done = 0;        ///< so many, from the first, have arrived and will stay
  std::optional<Error> error;  ///< why the next one did not
};
/// How files reach places: the driver knows disks and protocols.
class FileSink {
 public:
  virtual ~FileSink() = default;
  /// In this order; replaces files of the same names, as whole files where the protocol can.
  /// Blocks, until `give_up` is true at the longest. Thread-safe.
  [[nodiscard]] virtual Delivery deliver(const config::FilePlace& place,
                                         const std::vector<PublishedFile>& files,
                                         const std::atomic<bool>& give_up) = 0;
  /// How many octets are free there; nothing if nobody knows.
  [[nodiscard]] virtual std::optional<std::uint64_t> free_octets(const config::FilePlace&) {
    return std::nullopt;
  }
};

/// How a place fares. Its next try is computed from it.
struct PlaceFate {
  std::uint32_t failures = 0;  ///< in a row; 0 = it can be reached
  Time last_try;
  std::string error;
  std::optional<Time> behind_since;  ///< until all that waited has arrived
  std::uint64_t standing = 0;        ///< files that wait and are in no outbox: .ser, .crl, archives
  std::uint64_t arrived = 0;         ///< since then
  std::uint64_t announced = 0;       ///< a backlog of so many was in the log

  [[nodiscard]] bool failing() const { return failures != 0; }
};
/// "1 file", "2 files".
[[nodiscard]] std::string files(std::uint64_t count);
/// 5 s after the first failure, then twice as long each time, `most` at most.
[[nodiscard]] Time next_try(const PlaceFate& fate, Seconds most);
/// The next size of a backlog that the log tells: 100, 1000, ... and nothing below.
[[nodiscard]] std::uint64_t backlog_step(std::uint64_t waiting);

/// How long NAME.ser rests at least: it follows the serial numbers, and does not run after each.
inline constexpr Seconds ser_rest{10};
/// Less room than this is told before it is used up.
inline constexpr std::uint64_t room_low = std::uint64_t{64} << 20U;

}  // namespace umbra::server
