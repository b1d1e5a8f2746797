#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "base/log.h"
#include "ca/authority.h"
#include "ca/ledger.h"
#include "server/publication.h"
#include "server/status.h"

namespace umbra::server {

struct Generations;

/// Brings the files of one certificate server to their places.
///
/// What a certificate is published in stands in the store's outbox since the commit that issued it,
/// and stays there until it has arrived. NAME.ser, NAME.crl and the archives follow from what the
/// store holds anyway: they are sent when what last arrived is older. So nothing is lost, whenever
/// a process dies, and a newer CRL takes the place of an older one that was never sent.
///
/// Thread-safe. Each place is worked off by a thread of its own, so that one that hangs holds up no
/// other, and never a request (unless `database strict` wants it so).
class Publisher {
 public:
  struct Environment {
    store::Store& store;
    FileSink& files;
    Log& log;
    const Clock& clock;
    std::function<store::ServerRow()> counters;
    std::function<std::shared_ptr<const Generations>()> generations;
    /// Somebody should call `work`; quick, from any thread.
    std::function<void()> wake;
  };
  /// Errors: storage.
  [[nodiscard]] static Result<std::unique_ptr<Publisher>> open(const config::Server& configuration,
                                                               Environment environment);

  [[nodiscard]] std::size_t places() const { return places_.size(); }
  /// Sends what one place lacks, as far as it can be sent now. Blocks. Out: when to call again;
  /// nothing = after `wake`. `last`: before the end, and for what rests too. At most 4096 files.
  [[nodiscard]] std::optional<Time> work(std::size_t place, bool last = false);
  /// What is being sent is broken off, and nothing is sent any more: another one takes this one's
  /// place.
  void give_up() { given_up_ = true; }

  /// For the ledger: rows of the outbox join each batch that issues.
  [[nodiscard]] ca::Follower follower();
  /// The CA, its CRL or its archives may be others than before.
  void changed();

  /// `database strict`: whether anything may be issued.
  [[nodiscard]] bool accessible() const { return !strict_ || blocked_ == 0; }
  /// `database strict`: NAME.ser names this serial before it is used. Errors: storage.
  [[nodiscard]] Result<void> reserve(const x509::Serial& serial);
  /// `database strict`: the archive is at its place before the CA is used. Errors: storage.
  [[nodiscard]] Result<void> archive_first(const ca::Authority& authority);

  /// Places that cannot be reached, or are far behind.
  [[nodiscard]] std::vector<Backlog> backlog() const;
  /// Places that are nearly full.
  [[nodiscard]] std::vector<ScarceRoom> scarce() const;

 private:
  struct Place {
    PublicationPlace is;
    std::mutex working;  ///< held while files are on their way to it
    std::uint64_t crl_looked_at = 0;
    std::optional<Time> room_looked_at;
    std::optional<PublishedFile> failed;  ///< tried again where nothing else is left to send
    PlaceFate fate;                       ///< guarded by state_mutex_
  };
  /// What can be sent at once, and what the store is told of each when it has arrived.
  struct Load {
    std::vector<PublishedFile> files;
    store::Batch arrivals;
    std::optional<x509::Serial> ser;  ///< the one of NAME.ser, which is the last of the files
    std::optional<Time> rests_until;  ///< NAME.ser is older, and not to be sent yet
    bool full = false;                ///< there is more
  };

  Publisher(const config::Server& configuration, Environment environment);
  [[nodiscard]] Result<void> drop_unwanted(const store::Store::OutboxSize& size) const;
  void tell_of_moves() const;
  [[nodiscard]] Result<Load> collect(Place& place, Time now, bool last);
  [[nodiscard]] Result<void> add_archives(Place& place, Load& load);
  [[nodiscard]] Result<void> add_crls(Place& place, Load& load);
  void add_ser(Load& load, Time now, bool last);
  [[nodiscard]] Result<void> add_certificates(const Place& place, Load& load) const;
  [[nodiscard]] Result<std::optional<PublishedFile>> certificate_file(
      const store::OutboxRow& row) const;
  [[nodiscard]] Result<PublishedFile> archive_file(const ca::Authority& authority) const;
  [[nodiscard]] std::optional<Error> send(Place& place, Load& load, Time now);
  void note_failure(Place& place, const Error& error, Time now);
  void note_success(Place& place, bool drained);
  void note_backlog(Place& place);
  void watch_room(Place& place, Time now);
  void watch_room(const config::FilePlace& where);
  [[nodiscard]] bool is_failing(const Place& place) const;
  [[nodiscard]] std::uint64_t waiting_at(const Place& place) const;
  [[nodiscard]] bool is_published(const PublicationPlace& place, Slot slot, const std::string& name,
                                  const std::string& version) const;
  [[nodiscard]] store::PutPublished published_row(const PublicationPlace& place, Slot slot,
                                                  const std::string& name,
                                                  const std::string& version) const;
  [[nodiscard]] Place& place_of(Slot slot);
  void log(Severity severity, std::string_view mnemonic, std::string text) const {
    environment_.log.event({severity, mnemonic, std::move(text)});
  }

  const config::Server configuration_;
  const Environment environment_;
  const std::vector<Slot> certificate_slots_;
  const bool strict_;
  std::vector<std::unique_ptr<Place>> places_;

  std::atomic<std::uint64_t> next_sequence_ = 1;
  std::atomic<std::uint64_t> epoch_ = 1;    ///< counts changes of CA and CRL
  std::atomic<bool> ser_resting_ = false;   ///< its place looks at NAME.ser again by itself
  std::atomic<std::uint32_t> blocked_ = 0;  ///< places with originals that cannot be reached

  std::atomic<bool> given_up_ = false;
  mutable std::mutex state_mutex_;  ///< guards what follows; held for copies alone
  std::map<std::pair<std::uint8_t, std::string>, store::PublishedRow> published_;
  std::optional<x509::Serial> ser_sent_;
  std::optional<Time> ser_sent_at_;
  std::map<std::string, std::uint64_t> scarce_;  ///< octets left, by URL
};

}  // namespace umbra::server
