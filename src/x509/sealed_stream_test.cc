#include "x509/sealed_stream.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace umbra::x509 {
namespace {

constexpr std::uint8_t quick = 10;
constexpr std::size_t header = 28;
constexpr std::size_t sealed_chunk = 65536 + 16;

Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  return out;
}

Bytes seal(ByteView plain, std::size_t at_once = 10000) {
  Bytes out;
  auto writer = *SealWriter::begin(
      "correct horse",
      [&](ByteView octets) -> Result<void> {
        out.insert(out.end(), octets.begin(), octets.end());
        return {};
      },
      quick);
  for (; !plain.empty(); plain = plain.subspan(std::min(at_once, plain.size())))
    EXPECT_TRUE(writer->write(plain.first(std::min(at_once, plain.size()))));
  EXPECT_TRUE(writer->finish());
  return out;
}

Result<Bytes> open(const Bytes& sealed, std::string_view passphrase = "correct horse") {
  std::size_t at = 0;
  UMBRA_TRY(const auto reader,
            SealReader::begin(passphrase, [&](std::span<std::uint8_t> out) -> Result<std::size_t> {
              // As a pipe gives it: less than was asked for.
              const std::size_t now = std::min({out.size(), sealed.size() - at, std::size_t{4099}});
              std::copy_n(sealed.begin() + static_cast<std::ptrdiff_t>(at), now, out.begin());
              at += now;
              return now;
            }));
  Bytes plain;
  std::array<std::uint8_t, 5000> part{};
  for (;;) {
    UMBRA_TRY(const std::size_t got, reader->read(part));
    if (got == 0) return plain;
    plain.insert(plain.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(got));
  }
}

TEST(SealedStream, WhatWasSealedOpensWhateverItsSize) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{65536}, std::size_t{200000}}) {
    const Bytes plain = pattern(size);
    const Bytes sealed = seal(plain);
    const auto opened = open(sealed);
    ASSERT_TRUE(opened) << size << ": " << opened.error().detail;
    EXPECT_EQ(*opened, plain);
    EXPECT_EQ(std::search(sealed.begin(), sealed.end(), plain.begin(),
                          plain.begin() + static_cast<std::ptrdiff_t>(
                                              std::min<std::size_t>(size, 16))) == sealed.end(),
              size >= 16)
        << "nothing of it can be read";
  }
}

TEST(SealedStream, ThePassphraseOfABackupIsDearToGuess) {
  Bytes out;
  auto writer = *SealWriter::begin("correct horse", [&](ByteView octets) -> Result<void> {
    out.insert(out.end(), octets.begin(), octets.end());
    return {};
  });
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(out[8], 17) << "128 MiB";
  EXPECT_EQ(out[9], 8);
  EXPECT_TRUE(open(out)->empty());
}

TEST(SealedStream, AnotherPassphraseOpensNothing) {
  const auto opened = open(seal(pattern(10)), "correct house");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::crypto);
  EXPECT_NE(opened.error().detail.find("another passphrase"), std::string::npos);
}

// What whoever holds the file and not the passphrase can do to it.
TEST(SealedStream, AChangedMovedMissingOrForeignChunkIsFound) {
  const Bytes sealed = seal(pattern(3 * 65536 + 100));
  ASSERT_EQ(sealed.size(), header + 3 * sealed_chunk + 116);
  const auto chunk = [&](const Bytes& of, std::size_t number) {
    const auto from = of.begin() + static_cast<std::ptrdiff_t>(header + number * sealed_chunk);
    return Bytes(from, number == 3 ? of.end() : from + static_cast<std::ptrdiff_t>(sealed_chunk));
  };
  const auto file = [&](std::initializer_list<Bytes> chunks) {
    Bytes out(sealed.begin(), sealed.begin() + static_cast<std::ptrdiff_t>(header));
    for (const Bytes& one : chunks) out.insert(out.end(), one.begin(), one.end());
    return out;
  };
  const Bytes c0 = chunk(sealed, 0), c1 = chunk(sealed, 1), c2 = chunk(sealed, 2),
              c3 = chunk(sealed, 3);
  ASSERT_TRUE(open(file({c0, c1, c2, c3})));
  const Bytes other = seal(pattern(3 * 65536 + 100));
  ASSERT_FALSE(c3.empty());
  const Bytes short_end(c3.begin(), c3.end() - 1);
  Bytes long_end = c3;
  long_end.push_back(0);
  const std::pair<const char*, Bytes> attacks[] = {
      {"cut off at a chunk's end", file({c0, c1, c2})},
      {"cut off after the header", file({})},
      {"cut off within a chunk", file({c0, c1, c2, short_end})},
      {"something appended", file({c0, c1, c2, long_end})},
      {"two exchanged", file({c1, c0, c2, c3})},
      {"one left out", file({c0, c2, c3})},
      {"one twice", file({c0, c0, c1, c2, c3})},
      {"one of another file under the same passphrase", file({c0, chunk(other, 1), c2, c3})},
      {"the end alone", file({c3})},
  };
  for (const auto& [name, attack] : attacks) {
    const auto opened = open(attack);
    ASSERT_FALSE(opened) << name;
    EXPECT_EQ(opened.error().code, Errc::crypto) << name;
  }
  for (const std::size_t at :
       {header, header + sealed_chunk - 1, header + sealed_chunk + 77, sealed.size() - 1}) {
    Bytes changed = sealed;
    changed[at] ^= 1;
    EXPECT_FALSE(open(changed)) << at;
  }
}

TEST(SealedStream, AHeaderIsBoundedAndCovered) {
  const Bytes sealed = seal(pattern(10));
  for (std::size_t at = 0; at < header; ++at) {
    Bytes changed = sealed;
    changed[at] = at == 8 ? 63 : static_cast<std::uint8_t>(changed[at] ^ 0x80);
    EXPECT_FALSE(open(changed)) << at;
  }
  EXPECT_FALSE(open({}));
  EXPECT_FALSE(open(pattern(27)));
}

}  // namespace
}  // namespace umbra::x509
