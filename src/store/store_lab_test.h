#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "store/store.h"

namespace umbra::store {

inline const Time now = *from_rfc3339("2026-03-01T00:00:00Z");

/// A store in a directory of its own.
class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    std::string shape = (std::filesystem::temp_directory_path() / "umbra-store-XXXXXX").string();
    directory = ::mkdtemp(shape.data());
    path = directory + "/umbra.db";
    open();
  }
  ~StoreTest() override {
    store.reset();
    std::filesystem::remove_all(directory);
  }
  void open() {
    store.reset();
    store = *open_sqlite(path);
  }
  static IssuedCertificate certificate(std::uint64_t serial, const std::string& transaction = "T",
                                       std::uint32_t generation = 1) {
    IssuedCertificate row;
    row.server = "CA";
    row.serial = x509::Serial(serial);
    row.generation = generation;
    row.certificate = Bytes{0x30, 0, 0xFF, 0x00, static_cast<std::uint8_t>(serial)};
    row.subject = "cn=a'; DROP TABLE certificate; --";
    row.not_before = now;
    row.not_after = now + Days{365};
    row.transaction_id = transaction;
    row.request_digest = Bytes(32, static_cast<std::uint8_t>(serial));
    row.issued_at = now;
    return row;
  }
  static CaGeneration generation(std::uint32_t number, GenerationStatus status) {
    return {"CA", number, status, Bytes{1, 2, 3}, Bytes{4, 5}, now, Bytes{6, 7}, Bytes{8, 9}};
  }
  std::string directory, path;
  std::unique_ptr<Store> store;
};

}  // namespace umbra::store
