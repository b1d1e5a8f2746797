#include "server/publisher.h"

#include <algorithm>

#include <fmt/format.h>

#include "server/impl.h"
#include "x509/pkcs12.h"

namespace umbra::server {
namespace {

using config::FileType;

constexpr std::size_t files_at_once = 64;
constexpr std::uint64_t pages_at_once = 64;
constexpr Seconds wait_most = std::chrono::minutes{5};
constexpr Seconds wait_most_strict{30};  // nothing is issued meanwhile

bool rests(const std::optional<Time>& since, Time now, Seconds for_long) {
  return since && now >= *since && now - *since < for_long;  // a clock may be put back
}

}  // namespace

Publisher::Publisher(const config::Server& configuration, Environment environment)
    : configuration_(configuration),
      environment_(std::move(environment)),
      certificate_slots_(slots_of_certificate(configuration)),
      strict_(configuration.database_strict) {
  for (auto& place : places_of(configuration)) {
    places_.push_back(std::make_unique<Place>());
    places_.back()->is = std::move(place);
  }
}

Result<std::unique_ptr<Publisher>> Publisher::open(const config::Server& configuration,
                                                   Environment environment) {
  std::unique_ptr<Publisher> publisher(new Publisher(configuration, std::move(environment)));
  store::Store& store = publisher->environment_.store;
  UMBRA_TRY(const auto rows, store.published(configuration.name));
  for (const auto& row : rows) publisher->published_[{row.slot, row.name}] = row;
  UMBRA_TRY(const auto size, store.outbox_size(configuration.name));
  publisher->next_sequence_ = size.last_sequence + 1;
  UMBRA_CHECK(publisher->drop_unwanted(size));
  publisher->tell_of_moves();
  return publisher;
}

void Publisher::tell_of_moves() const {
  std::set<std::string> told;
  for (const auto& [key, row] : published_) {
    for (const auto& place : places_) {
      const auto& slots = place->is.slots;
      const std::uint8_t number = key.first;
      const bool is_its = std::any_of(slots.begin(), slots.end(),
                                      [&](Slot slot) { return number_of(slot) == number; });
      if (!is_its || row.place == place->is.where.url || !told.insert(row.place).second) continue;
      log(Severity::notice, "CS_DATABASE_URL",
          fmt::format("Server database url was changed from {} to {}. CRL, serial number and "
                      "archives are published anew; you need to move the other files of {} to the "
                      "new location.",
                      row.place, place->is.where.url, configuration_.name));
    }
  }
}

/// Copies for readers that the configuration has taken back are not sent anywhere else.
Result<void> Publisher::drop_unwanted(const store::Store::OutboxSize& size) const {
  for (const auto& one : size.waiting) {
    const std::uint8_t slot = one.first;
    const bool wanted = std::any_of(places_.begin(), places_.end(), [&](const auto& place) {
      return std::any_of(place->is.slots.begin(), place->is.slots.end(),
                         [&](Slot its) { return number_of(its) == slot; });
    });
    if (wanted) continue;
    log(Severity::notice, "CS_PUBLISH_DROPPED",
        fmt::format("{} of {} that waited to be copied to a place which is no longer configured "
                    "will not be sent",
                    files(one.second), configuration_.name));
    for (;;) {
      UMBRA_TRY(const auto rows,
                environment_.store.outbox(configuration_.name, {slot}, files_at_once));
      if (rows.empty()) break;
      store::Batch batch;
      for (const auto& row : rows) batch.emplace_back(store::DropOutbox{row});
      UMBRA_CHECK(environment_.store.commit(std::move(batch)));
    }
  }
  return {};
}

ca::Follower Publisher::follower() {
  return {.joining = [this](store::Batch& batch) -> std::function<void()> {
            bool rows = false;
            bool ca = false;
            for (std::size_t i = 0, size = batch.size(); i < size; ++i) {
              ca = ca || std::holds_alternative<store::PutCrl>(batch[i]);
              const auto* const issued = std::get_if<store::InsertCertificate>(&batch[i]);
              if (issued == nullptr) continue;
              const x509::Serial serial = issued->row.serial;
              for (const Slot slot : certificate_slots_) {
                batch.emplace_back(store::InsertOutbox{
                    {configuration_.name, number_of(slot), next_sequence_++, serial}});
                rows = true;
              }
            }
            if (ca) return [this] { changed(); };
            if (rows) return [this] { environment_.wake(); };
            // The counter alone: whoever waits for it to have rested long enough needs no other
            // call.
            return [this] {
              if (!ser_resting_.exchange(true)) environment_.wake();
            };
          },
          .before_use = [this](const x509::Serial& serial) { return reserve(serial); }};
}

void Publisher::changed() {
  ++epoch_;
  environment_.wake();
}

bool Publisher::is_published(const PublicationPlace& place, Slot slot, const std::string& name,
                             const std::string& version) const {
  const std::lock_guard lock(state_mutex_);
  const auto found = published_.find({number_of(slot), name});
  return found != published_.end() && found->second.place == place.where.url &&
         found->second.version == version;
}

store::PutPublished Publisher::published_row(const PublicationPlace& place, Slot slot,
                                             const std::string& name,
                                             const std::string& version) const {
  return {{configuration_.name, number_of(slot), name, place.where.url, version}};
}

Publisher::Place& Publisher::place_of(Slot slot) {
  for (auto& place : places_) {
    if (place->is.has(slot)) return *place;
  }
  return *places_.front();
}

// -- what a place lacks ---------------------------------------------------------------------------

Result<PublishedFile> Publisher::archive_file(const ca::Authority& authority) const {
  const std::string name =
      archive_name(configuration_.name, authority.generation, configuration_.archive_format);
  const std::string password = configuration_.archive_password.value_or("");
  if (configuration_.archive_format == config::ArchiveFormat::pem) {
    UMBRA_TRY(const std::string pem,
              x509::to_pem_archive(*authority.key, authority.certificate, password));
    return PublishedFile{name, to_bytes(as_bytes(pem))};
  }
  UMBRA_TRY(Bytes content,
            x509::to_pkcs12(*authority.key, authority.certificate, configuration_.name, password));
  return PublishedFile{name, std::move(content)};
}

Result<void> Publisher::add_archives(Place& place, Load& load) {
  const Slot slot{
      configuration_.archive_format == config::ArchiveFormat::pem ? FileType::pem : FileType::p12,
      false};
  if (!configuration_.archive_password || !place.is.has(slot)) return {};
  const auto all = environment_.generations();
  const auto add = [&](const ca::Authority& authority) -> Result<void> {
    if (!authority.key) return {};
    const std::string name =
        archive_name(configuration_.name, authority.generation, configuration_.archive_format);
    const std::string version = to_hex(authority.certificate.fingerprint(x509::Digest::sha256));
    if (is_published(place.is, slot, name, version)) return {};
    UMBRA_TRY(auto file, archive_file(authority));
    load.files.push_back(std::move(file));
    load.arrivals.emplace_back(published_row(place.is, slot, name, version));
    return {};
  };
  for (const auto& one : all->retired) UMBRA_CHECK(add(one));
  if (all->active) UMBRA_CHECK(add(*all->active));
  if (all->rollover) UMBRA_CHECK(add(*all->rollover));
  return {};
}

Result<void> Publisher::add_crls(Place& place, Load& load) {
  const std::uint64_t epoch = epoch_;
  if (place.crl_looked_at == epoch) return {};
  const auto all = environment_.generations();
  if (!all->active) return {};
  for (const bool copy : {false, true}) {
    const Slot slot{FileType::crl, copy};
    if (!place.is.has(slot)) continue;
    UMBRA_TRY(auto row, environment_.store.crl(configuration_.name, all->active->generation));
    if (!row) return {};
    const std::string name = crl_name(configuration_.name);
    const std::string version = fmt::format("{}/{}", row->generation, row->number);
    if (is_published(place.is, slot, name, version)) continue;
    load.files.push_back({name, std::move(row->crl)});
    load.arrivals.emplace_back(published_row(place.is, slot, name, version));
  }
  // Looked at again only when there may be another, or when this one did not arrive.
  if (load.files.empty()) place.crl_looked_at = epoch;
  return {};
}

void Publisher::add_ser(Load& load, Time now, bool last) {
  ser_resting_ = false;  // who commits from here on wakes us
  if (!environment_.generations()->active) return;
  const x509::Serial counted(environment_.counters().last_serial);
  const std::lock_guard lock(state_mutex_);
  // Never back: with `database strict` it names serials before they are used.
  if (ser_sent_ && *ser_sent_ >= counted) return;
  if (!last && rests(ser_sent_at_, now, ser_rest)) {
    load.rests_until = *ser_sent_at_ + ser_rest;
    ser_resting_ = true;
    return;
  }
  load.files.push_back({ser_name(configuration_.name), to_bytes(as_bytes(ser_text(counted)))});
  load.ser = counted;
}

/// Nothing if the certificate is no longer here.
Result<std::optional<PublishedFile>> Publisher::certificate_file(
    const store::OutboxRow& row) const {
  UMBRA_TRY(auto found, environment_.store.certificate(configuration_.name, row.serial));
  if (!found) return std::nullopt;
  const bool name_alone =
      row.slot == number_of({FileType::cnm, false}) || row.slot == number_of({FileType::cnm, true});
  return PublishedFile{
      certificate_file_name(row.serial, name_alone ? FileType::cnm : FileType::crt),
      name_alone ? to_bytes(as_bytes(cnm_text(found->subject, found->not_after)))
                 : std::move(found->certificate)};
}

Result<void> Publisher::add_certificates(const Place& place, Load& load) const {
  std::vector<std::uint8_t> slots;
  for (const Slot slot : place.is.slots) {
    if (slot.type == FileType::cnm || slot.type == FileType::crt) slots.push_back(number_of(slot));
  }
  if (slots.empty()) return {};
  UMBRA_TRY(const auto rows, environment_.store.outbox(configuration_.name, slots, files_at_once));
  load.full = rows.size() == files_at_once;
  for (const auto& row : rows) {
    UMBRA_TRY(auto file, certificate_file(row));
    if (!file) {
      UMBRA_CHECK(environment_.store.commit({store::DropOutbox{row}}));
      continue;
    }
    load.files.push_back(*std::move(file));
    load.arrivals.emplace_back(store::DropOutbox{row});
  }
  return {};
}

/// What replaces older files first: revocations and serial numbers are not held up by a backlog.
Result<Publisher::Load> Publisher::collect(Place& place, Time now, bool last) {
  Load load;
  UMBRA_CHECK(add_archives(place, load));
  UMBRA_CHECK(add_crls(place, load));
  if (place.is.has({FileType::ser, false})) add_ser(load, now, last);
  if (load.files.empty()) UMBRA_CHECK(add_certificates(place, load));
  return load;
}

// -- sending --------------------------------------------------------------------------------------

std::optional<Error> Publisher::send(Place& place, Load& load, Time now) {
  const Delivery delivery = environment_.files.deliver(place.is.where, load.files, given_up_);
  for (std::size_t i = 0; i < delivery.done; ++i)
    environment_.log.debug("CRYPTO_CS",
                           "file opened: " + shown_name(place.is.where, load.files[i].name));
  store::Batch arrived(load.arrivals.begin(),
                       load.arrivals.begin() + static_cast<std::ptrdiff_t>(
                                                   std::min(delivery.done, load.arrivals.size())));
  {
    const std::lock_guard lock(state_mutex_);
    for (const auto& change : arrived) {
      if (const auto* put = std::get_if<store::PutPublished>(&change))
        published_[{put->row.slot, put->row.name}] = put->row;
    }
    if (load.ser && delivery.done == load.files.size()) {
      ser_sent_ = std::max(ser_sent_.value_or(x509::Serial()), *load.ser);
      ser_sent_at_ = now;
    }
    place.fate.arrived += delivery.done;
  }
  if (delivery.error) {
    place.failed = load.files[std::min(delivery.done, load.files.size() - 1)];
    const bool in_outbox =
        !load.arrivals.empty() && std::holds_alternative<store::DropOutbox>(load.arrivals.front());
    const std::lock_guard lock(state_mutex_);
    place.fate.standing = in_outbox ? 0 : load.files.size() - delivery.done;
  }
  if (!arrived.empty()) {
    // Not noted, they are sent again.
    const auto noted = environment_.store.commit(std::move(arrived));
    if (!noted) return noted.error();
  }
  return delivery.error;
}

bool Publisher::is_failing(const Place& place) const {
  const std::lock_guard lock(state_mutex_);
  return place.fate.failing();
}

std::optional<Time> Publisher::work(std::size_t index, bool last) {
  Place& place = *places_[index];
  const std::lock_guard working(place.working);
  const Seconds most = strict_ ? wait_most_strict : wait_most;
  Time now = to_time(environment_.clock.now());
  watch_room(place, now);
  {
    const std::lock_guard lock(state_mutex_);
    const PlaceFate& fate = place.fate;
    if (fate.failing()) {
      if (last) return std::nullopt;
      const Time next = next_try(fate, most);
      if (now >= fate.last_try && now < next) return next;
    }
  }
  for (std::uint64_t pages = 0;; ++pages) {
    now = to_time(environment_.clock.now());
    auto load = collect(place, now, last);
    std::optional<Error> failed;
    if (load && load->files.empty() && place.failed && is_failing(place)) {
      // Wanted before it was used (`database strict`), so nothing is stored that asks for it.
      load->files.push_back(*place.failed);
    }
    if (!load) {
      failed = load.error();
    } else if (load->files.empty()) {
      place.failed.reset();
      note_success(place, true);
      return load->rests_until;
    } else {
      failed = send(place, *load, now);
    }
    if (given_up_) return std::nullopt;
    if (failed) {
      note_failure(place, *failed, now);
      const std::lock_guard lock(state_mutex_);
      return next_try(place.fate, most);
    }
    note_success(place, false);
    if (pages + 1 < pages_at_once) continue;
    // Enough for one call: who calls may want to end.
    if (!last && load->full) note_backlog(place);
    return now;
  }
}

Result<void> Publisher::reserve(const x509::Serial& serial) {
  if (!strict_) return {};
  if (!accessible()) return fail(Errc::storage, "the certificate server's storage is inaccessible");
  // A serial drawn by chance is counted nowhere: then the file says what it said, and shows that it
  // can be written.
  const bool counted = serial.to_uint64().has_value();
  const x509::Serial named = counted ? serial : x509::Serial(environment_.counters().last_serial);
  Place& place = place_of({FileType::ser, false});
  const std::lock_guard working(place.working);
  if (counted) {
    const std::lock_guard lock(state_mutex_);
    if (ser_sent_ && *ser_sent_ >= named) return {};
  }
  const Time now = to_time(environment_.clock.now());
  Load load;
  load.files.push_back({ser_name(configuration_.name), to_bytes(as_bytes(ser_text(named)))});
  load.ser = named;
  const auto failed = send(place, load, now);
  if (!failed) return {};
  note_failure(place, *failed, now);
  environment_.wake();
  return tl::unexpected(*failed);
}

Result<void> Publisher::archive_first(const ca::Authority& authority) {
  if (!strict_ || !configuration_.archive_password) return {};
  Place& place = place_of(
      {configuration_.archive_format == config::ArchiveFormat::pem ? FileType::pem : FileType::p12,
       false});
  const std::lock_guard working(place.working);
  UMBRA_TRY(auto file, archive_file(authority));
  Load load;
  load.files.push_back(std::move(file));
  const Time now = to_time(environment_.clock.now());
  const auto failed = send(place, load, now);
  if (!failed) return {};
  note_failure(place, *failed, now);
  environment_.wake();
  return tl::unexpected(*failed);
}

}  // namespace umbra::server
