#pragma once

#include <memory>

#include "store/store.h"

namespace soci {
class session;
}

namespace umbra::store {

/// Writes what is published: keeps the statements of the request road prepared. May throw what SOCI
/// throws.
class OutboxWriter {
 public:
  explicit OutboxWriter(soci::session& sql);
  ~OutboxWriter();
  /// False if the change is none of the outbox's.
  bool apply(const Change& change);

 private:
  struct Prepared;
  soci::session& sql_;
  std::unique_ptr<Prepared> prepared_;
};

}  // namespace umbra::store
