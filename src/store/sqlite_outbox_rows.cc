#include "store/sqlite_outbox_rows.h"

#include <soci/soci.h>

#include <algorithm>

#include "store/sqlite_rows.h"
#include "store/sqlite_values.h"

namespace umbra::store {
namespace {

using soci::into;
using soci::use;

}  // namespace

struct OutboxWriter::Prepared {
  explicit Prepared(soci::session& sql) : insert(sql), drop(sql) {
    insert.exchange(use(server));
    insert.exchange(use(slot));
    insert.exchange(use(sequence));
    insert.exchange(use(number));
    insert.alloc();
    insert.prepare("INSERT INTO outbox VALUES (:a,:b,:c,:d)");
    insert.define_and_bind();
    drop.exchange(use(server));
    drop.exchange(use(slot));
    drop.exchange(use(sequence));
    drop.alloc();
    drop.prepare("DELETE FROM outbox WHERE server=:a AND slot=:b AND sequence=:c");
    drop.define_and_bind();
  }
  void take(const OutboxRow& row) {
    server = row.server;
    slot = row.slot;
    sequence = static_cast<Integer>(row.sequence);
    number = row.serial.to_hex();
  }
  std::string server, number;
  Integer slot = 0, sequence = 0;
  soci::statement insert;
  soci::statement drop;
};

OutboxWriter::OutboxWriter(soci::session& sql)
    : sql_(sql), prepared_(std::make_unique<Prepared>(sql)) {}
OutboxWriter::~OutboxWriter() = default;

bool OutboxWriter::apply(const Change& change) {
  if (const auto* insert = std::get_if<InsertOutbox>(&change)) {
    prepared_->take(insert->row);
    prepared_->insert.execute(true);
  } else if (const auto* drop = std::get_if<DropOutbox>(&change)) {
    prepared_->take(drop->row);
    prepared_->drop.execute(true);
  } else if (const auto* put = std::get_if<PutPublished>(&change)) {
    const Integer slot = put->row.slot;
    sql_ << "INSERT OR REPLACE INTO published VALUES (:a,:b,:c,:d,:e)", use(put->row.server),
        use(slot), use(put->row.name), use(put->row.place), use(put->row.version);
  } else {
    return false;
  }
  return true;
}

std::vector<OutboxRow> RowReader::outbox(const std::string& server,
                                         const std::vector<std::uint8_t>& slots,
                                         std::size_t limit) {
  std::vector<OutboxRow> rows;
  for (const std::uint8_t slot : slots) {
    const Integer wanted = slot;
    const auto most = static_cast<Integer>(limit);
    Integer sequence = 0;
    std::string number;
    soci::statement statement =
        (sql_.prepare << "SELECT sequence, serial FROM outbox WHERE server=:a AND slot=:b ORDER BY "
                         "sequence LIMIT :c",
         use(server), use(wanted), use(most), into(sequence), into(number));
    statement.execute();
    while (statement.fetch())
      rows.push_back({server, slot, static_cast<std::uint64_t>(sequence), serial(number)});
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const OutboxRow& a, const OutboxRow& b) { return a.sequence < b.sequence; });
  if (rows.size() > limit) rows.resize(limit);
  return rows;
}

Store::OutboxSize RowReader::outbox_size(const std::string& server) {
  Store::OutboxSize size;
  Integer slot = 0, count = 0, last = 0;
  soci::statement statement =
      (sql_.prepare << "SELECT slot, count(*), max(sequence) FROM outbox WHERE server=:a GROUP BY "
                       "slot",
       use(server), into(slot), into(count), into(last));
  statement.execute();
  while (statement.fetch()) {
    size.waiting[static_cast<std::uint8_t>(slot)] = static_cast<std::uint64_t>(count);
    size.last_sequence = std::max(size.last_sequence, static_cast<std::uint64_t>(last));
  }
  return size;
}

std::vector<PublishedRow> RowReader::published(const std::string& server) {
  std::vector<PublishedRow> rows;
  Integer slot = 0;
  std::string name, place, version;
  soci::statement statement =
      (sql_.prepare << "SELECT slot, name, place, version FROM published WHERE server=:a ORDER BY "
                       "slot, name",
       use(server), into(slot), into(name), into(place), into(version));
  statement.execute();
  while (statement.fetch())
    rows.push_back({server, static_cast<std::uint8_t>(slot), name, place, version});
  return rows;
}

}  // namespace umbra::store
