#include "ca/restored.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "ca/authority.h"
#include "ca/ledger.h"

namespace umbra::ca {
namespace {

const Time start = *from_rfc3339("2026-03-01T00:00:00Z");
constexpr std::uint64_t least = std::uint64_t{1} << 40U;

class CountingRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override { std::fill(out.begin(), out.end(), ++next); }
  std::uint8_t next = 0;
};

class RestoredTest : public testing::Test {
 protected:
  RestoredTest() {
    std::string shape = (std::filesystem::temp_directory_path() / "umbra-restored-XXXXXX").string();
    directory = ::mkdtemp(shape.data());
    store = *store::open_sqlite(directory + "/umbra.db");
    const auto key = *x509::PrivateKey::generate_ec(256);
    const auto name = *x509::Name::from_ios("CN=RootCA");
    ca = Authority{
        1, *make_root(name, x509::Serial(1), {start, start + Days{730}}, key, x509::Digest::sha256),
        key};
    counters.server = "CA";
    counters.last_serial = 10;
    counters.serial_lease = 64;
    counters.crl_number = 5;
    store::Batch batch{
        store::PutGeneration{
            {"CA", 1, store::GenerationStatus::active, to_bytes(ca->certificate.der()), {}, start}},
        store::PutServer{counters},
        store::PutCrl{{"CA", 1, 5, start, start + Days{7}, crl(5, start, {})}}};
    for (const std::uint64_t serial : {1U, 2U, 3U}) {
      store::IssuedCertificate row;
      row.server = "CA";
      row.serial = x509::Serial(serial);
      row.not_before = start;
      row.not_after = start + Days{365};
      if (serial == 3) row.revoked_at = start;
      batch.emplace_back(store::InsertCertificate{std::move(row)});
    }
    EXPECT_TRUE(store->commit(std::move(batch)));
  }
  ~RestoredTest() override {
    store.reset();
    std::filesystem::remove_all(directory);
  }
  [[nodiscard]] Bytes crl(std::uint64_t number, Time at,
                          const std::vector<std::uint64_t>& serials) const {
    x509::CrlEntries entries;
    for (const std::uint64_t serial : serials)
      entries.add({x509::Serial(serial), at, x509::RevocationReason::key_compromise});
    return *make_crl(*ca, {number, at, at + Days{7}}, entries, x509::Digest::sha256);
  }
  std::string directory;
  std::unique_ptr<store::Store> store;
  std::optional<Authority> ca;
  store::ServerRow counters;
  CountingRandom random;
};

TEST_F(RestoredTest, NumbersGoOnFarBeyondAndElsewhereEachTime) {
  const Time now = start + Days{30};
  const auto once = *skip_used_numbers(*store, random, now);
  ASSERT_EQ(once.size(), 1U);
  EXPECT_GT(once[0].serials_from, 64 + least);
  EXPECT_EQ(once[0].crl_number,
            static_cast<std::uint64_t>(now.time_since_epoch().count()) * 1024 + 1);
  EXPECT_EQ(*(*Ledger::open(*store, "CA"))->take_serial()->to_uint64(), once[0].serials_from);
  EXPECT_EQ((*store->server("CA"))->last_serial, 10U) << "what the screens show was issued";
  EXPECT_EQ((*store->crl("CA", 1))->next_update, now) << "a new CRL is due at the start";
  // The same backup again, in the same second: at another place.
  ASSERT_TRUE(store->commit({store::PutServer{counters}}));
  const auto again = *skip_used_numbers(*store, random, now);
  EXPECT_NE(again[0].serials_from, once[0].serials_from);
  EXPECT_GT(std::max(again[0].serials_from, once[0].serials_from) -
                std::min(again[0].serials_from, once[0].serials_from),
            least);
}

TEST_F(RestoredTest, ThereIsRoomForManyRestoresAndTheLastOneIsRefused) {
  std::uint64_t before = 64;
  for (int i = 0; i < 40; ++i) {
    const auto skipped = skip_used_numbers(*store, random, start);
    ASSERT_TRUE(skipped) << i;
    EXPECT_GT((*skipped)[0].serials_from, before + least);
    before = (*skipped)[0].serials_from;
  }
  counters.serial_lease = (std::uint64_t{1} << 62U) - 1;
  ASSERT_TRUE(store->commit({store::PutServer{counters}}));
  const auto full = skip_used_numbers(*store, random, start);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Errc::conflict);
}

TEST_F(RestoredTest, ANewerCrlIsTakenAtItsWord) {
  const auto taken = take_newer_crl(*store, crl(9, start + Days{1}, {2, 77}), start + Days{2});
  ASSERT_TRUE(taken) << taken.error().detail;
  EXPECT_EQ(taken->revoked, 1U);
  EXPECT_EQ(taken->unknown, 1U);
  EXPECT_EQ(taken->restored, 1U) << "3 is no longer on it";
  EXPECT_TRUE((*store->certificate("CA", x509::Serial(2)))->revoked_at);
  EXPECT_TRUE((*store->certificate("CA", x509::Serial(77)))->revoked_at);
  EXPECT_FALSE((*store->certificate("CA", x509::Serial(3)))->revoked_at);
  EXPECT_EQ((*store->server("CA"))->crl_number, 9U);
  EXPECT_EQ(store->revoked("CA", 1, start + Days{9000})->size(), 1U)
      << "what is known by its number alone stays on the CRL";
  EXPECT_TRUE(take_newer_crl(*store, crl(9, start + Days{1}, {2}), start + Days{2})->older);
}

TEST_F(RestoredTest, AnOlderOrForeignCrlChangesNothing) {
  EXPECT_TRUE(take_newer_crl(*store, crl(5, start, {1, 2}), start)->older);
  EXPECT_TRUE(take_newer_crl(*store, crl(4, start - Days{1}, {1, 2}), start)->older);
  auto forged = crl(99, start + Days{1}, {1, 2});
  forged.back() ^= 1;
  const auto refused = take_newer_crl(*store, forged, start);
  ASSERT_FALSE(refused);
  EXPECT_EQ(store->revoked("CA", 1, start)->size(), 1U);
  EXPECT_FALSE(take_newer_crl(*store, Bytes(100, 0xFF), start));
}

}  // namespace
}  // namespace umbra::ca
